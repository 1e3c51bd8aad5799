//! The guest's root disk: a program alone, a directory, or an image.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mayfly_abi::control::{Disk, Segment, Source};
use mayfly_abi::erofs::{SUPER_MAGIC, SUPER_OFFSET};
use mayfly_image::walk::{self, WalkOptions, Walked};
use mayfly_image::{
    Attributes, ImageLayout, Leaf, Options, SegmentSource, Source as Content, Timestamp, Tree, Uuid,
};

use crate::failure::Failure;
use crate::files;
use crate::image;
use crate::program::Program;

/// A root disk, and the file that holds most of it.
#[derive(Debug)]
pub struct Root {
    disk: Disk,
    file: File,
}

/// Whoever made the files on this host means nothing in a guest.
const OWNED_BY_ROOT: WalkOptions = WalkOptions { all_root: true, mtime: None, without: None };
/// A disk is a whole number of these.
const BLOCK: u64 = 4096;
/// Directories that programs expect; the kernel mounts its own over the first three.
const DIRECTORIES: [&[u8]; 4] = [b"dev", b"proc", b"tmp", b"root"];
/// Where the layers of a function are.
const LAYERS: &[u8] = b"opt";
/// The one external file of an image that holds a program alone.
const PROGRAM: u32 = 0;

impl Root {
    /// A file system with `program` in /bin and nothing else.
    /// It is put together from the metadata in memory and the program's own file: nothing is copied.
    ///
    /// # Errors
    /// A name that no file can have.
    pub fn of_program(program: Program) -> Result<Root, Failure> {
        let plain = Attributes::root(0o755, Timestamp::default());
        let mut tree = Tree::new(plain)?;
        for name in DIRECTORIES {
            tree.add_directory(tree.root(), name, plain)?;
        }
        let bin = tree.add_directory(tree.root(), b"bin", plain)?;
        let content = Content::External { id: PROGRAM, len: program.len };
        tree.add(bin, &program.name, Leaf::File(content), plain)?;
        let options = Options { uuid: Uuid::Given([0; 16]), ..Options::default() };
        let layout = ImageLayout::build(tree, &options)?;
        Ok(Root { disk: disk(&layout), file: program.file })
    }

    /// The files below `path`, or the image there.
    ///
    /// # Errors
    /// What the host says, or a file that an image can't hold.
    pub fn at(path: &Path) -> Result<Root, Failure> {
        let file = files::open(path).map_err(|error| Failure::at(path, error))?;
        let metadata = file.metadata().map_err(|error| Failure::at(path, error))?;
        if metadata.is_dir() {
            return Root::of_directory(path);
        }
        if !metadata.is_file() {
            return Err(Failure::at(path, "a root must be a directory or an image"));
        }
        if !is_image(&file).map_err(|error| Failure::at(path, error))? {
            return Err(Failure::at(
                path,
                "it is not an EROFS image: build one with `mayfly image`",
            ));
        }
        Ok(Root { disk: whole(metadata.len()), file })
    }

    /// The root of an execution environment: the files below `task` at /var/task, and little else.
    ///
    /// # Errors
    /// What the host says, or a file that an image can't hold.
    pub fn of_task(task: &Path) -> Result<Root, Failure> {
        let plain = Attributes::root(0o755, Timestamp::default());
        let mut tree = Tree::new(plain)?;
        for name in DIRECTORIES.into_iter().chain([LAYERS]) {
            tree.add_directory(tree.root(), name, plain)?;
        }
        let var = tree.add_directory(tree.root(), b"var", plain)?;
        let at = tree.add_directory(var, b"task", plain)?;
        let mut walked = Walked { tree, files: Vec::new(), skipped: Vec::new() };
        walk::graft(&mut walked, task, at, &OWNED_BY_ROOT)?;
        Root::of_walked(walked)
    }

    /// The layers of a function, as /opt shows them: a later one's file replaces an earlier one's.
    ///
    /// # Errors
    /// What the host says, or a file that an image can't hold.
    pub fn of_layers(layers: &[PathBuf]) -> Result<Root, Failure> {
        let tree = Tree::new(Attributes::root(0o755, Timestamp::default()))?;
        let mut walked = Walked { tree, files: Vec::new(), skipped: Vec::new() };
        let top = walked.tree.root();
        for layer in layers.iter().rev() {
            walk::graft_beneath(&mut walked, layer, top, &OWNED_BY_ROOT)?;
        }
        Root::of_walked(walked)
    }

    /// An image of the directory.
    fn of_directory(path: &Path) -> Result<Root, Failure> {
        Root::of_walked(walk::walk(path, &OWNED_BY_ROOT)?)
    }

    /// An image of what was walked, in a file that has no name.
    fn of_walked(walked: Walked) -> Result<Root, Failure> {
        let layout = ImageLayout::build(walked.tree, &Options::default())?;
        let place = std::env::temp_dir();
        let failed = |error: &dyn Display| Failure::at(&place, error);
        let file = tempfile::tempfile().map_err(|error| failed(&error))?;
        let mut to = BufWriter::new(&file);
        let written = layout.write_to(&mut to, |id| walk::open(&walked.files, id));
        let path_of = |id: u32| walked.files.get(id as usize).map(PathBuf::as_path);
        written.map_err(|error| image::unwritten(error, &place, path_of))?;
        to.into_inner().map_err(|error| failed(error.error()))?;
        Ok(Root { disk: whole(layout.size()), file })
    }

    /// The file that holds most of it.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The disk, whose one file is descriptor 0.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }
}

/// Whether the file begins as an image does; what follows is the guest's to check.
fn is_image(file: &File) -> io::Result<bool> {
    let mut magic = [0; size_of::<u32>()];
    let len = file.read_at(&mut magic, SUPER_OFFSET as u64)?;
    Ok(len == magic.len() && u32::from_le_bytes(magic) == SUPER_MAGIC)
}

/// A disk that is a file of `len` bytes, filled up to a whole block.
fn whole(len: u64) -> Disk {
    let fill = len.next_multiple_of(BLOCK) - len;
    let mut segments = vec![Segment { len, source: Source::File { descriptor: 0, offset: 0 } }];
    if fill > 0 {
        segments.push(Segment { len: fill, source: Source::Zero });
    }
    Disk { segments, writable: false }
}

fn disk(layout: &ImageLayout) -> Disk {
    let segments = layout.segments().iter().map(|segment| {
        let source = match &segment.source {
            SegmentSource::Bytes(bytes) => Source::Bytes(bytes.clone()),
            SegmentSource::External { offset, .. } => {
                Source::File { descriptor: 0, offset: *offset }
            }
            SegmentSource::Zero => Source::Zero,
        };
        Segment { len: segment.len, source }
    });
    Disk { segments: segments.collect(), writable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_end_is_filled_up() {
        let lens = |len| whole(len).segments.iter().map(|segment| segment.len).collect::<Vec<_>>();
        assert_eq!(lens(8192), [8192]);
        assert_eq!(lens(8193), [8193, 4095]);
    }
}
