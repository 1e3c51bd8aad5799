//! A directory of the host as a tree. The one part of this crate that opens anything.
//!
//! The files' contents are not read, but of those small enough to lie among the metadata: they become
//! external files whose paths are in [`Walked::files`], by id. Hard links inside the directory stay
//! hard links, other file systems that are mounted in it are walked too, and sockets, which mean
//! nothing in an image, are left out.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mayfly_abi::erofs::FileType;

use crate::plan::INLINE_FILE_LEN_MAX;
use crate::{Attributes, Leaf, NodeId, Source, Timestamp, Tree, TreeError};

/// What to change on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkOptions {
    /// Make root the owner of everything.
    pub all_root: bool,
    /// Give everything this modification time.
    pub mtime: Option<Timestamp>,
    /// A file to leave out, device and inode: the image that is there already.
    pub without: Option<(u64, u64)>,
}

/// A directory's tree.
#[derive(Debug)]
pub struct Walked {
    /// The tree.
    pub tree: Tree,
    /// The external files' paths: the first is that of id 0.
    pub files: Vec<PathBuf>,
    /// Sockets that were left out.
    pub skipped: Vec<PathBuf>,
}

/// Why a directory can't become a tree.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The host said no, maybe because the file was gone by then.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// An image can't hold the file.
    #[error("{}: {error}", path.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: TreeError,
    },
    /// A small file had another size when it was read.
    #[error("{}: it changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// More regular files than external files can have ids.
    #[error("{}: there are 2^32 files before this one", path.display())]
    TooManyFiles {
        /// The file.
        path: PathBuf,
    },
}

/// Walks the directory `root`. Symbolic links are taken as they are, but `root` itself may be one.
pub fn walk(root: &Path, options: &WalkOptions) -> Result<Walked, WalkError> {
    let at_root = |error| WalkError::Io { path: root.to_owned(), error };
    let metadata = fs::metadata(root).map_err(at_root)?;
    let tree = Tree::new(attributes(&metadata, options))
        .map_err(|error| WalkError::Tree { path: root.to_owned(), error })?;
    let mut walked = Walked { tree, files: Vec::new(), skipped: Vec::new() };
    let top = walked.tree.root();
    graft(&mut walked, root, top, options)?;
    Ok(walked)
}

/// Walks the directory `root` and puts what is in it into the directory `at` of a tree that has begun.
///
/// # Errors
/// [`WalkError`], for a name that is taken, too. Then some of it is in the tree.
pub fn graft(
    walked: &mut Walked,
    root: &Path,
    at: NodeId,
    options: &WalkOptions,
) -> Result<(), WalkError> {
    Walk { options, walked, linked: HashMap::new(), taken: Taken::Refuse }.all(root, at)
}

/// As [`graft`], but beneath what is there: a directory is merged with one of its name, and of anything else
/// with a name that is taken the tree's stays.
///
/// # Errors
/// [`WalkError`]. Then some of it is in the tree.
pub fn graft_beneath(
    walked: &mut Walked,
    root: &Path,
    at: NodeId,
    options: &WalkOptions,
) -> Result<(), WalkError> {
    Walk { options, walked, linked: HashMap::new(), taken: Taken::Keep }.all(root, at)
}

/// Opens an external file of `files`, as [`write_to`](crate::ImageLayout::write_to) wants it.
pub fn open(files: &[PathBuf], id: u32) -> io::Result<fs::File> {
    let path = files.get(id as usize).ok_or(io::ErrorKind::NotFound)?;
    fs::File::open(path)
}

/// What to do about a name that is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is an error.
    Refuse,
    /// What has it keeps it.
    Keep,
}

struct Walk<'a> {
    options: &'a WalkOptions,
    taken: Taken,
    walked: &'a mut Walked,
    /// Files with several names, by device and inode number.
    linked: HashMap<(u64, u64), NodeId>,
}

impl Walk<'_> {
    fn all(&mut self, root: &Path, at: NodeId) -> Result<(), WalkError> {
        let mut directories = vec![(root.to_owned(), at)];
        while let Some((path, node)) = directories.pop() {
            self.directory(&path, node, &mut directories)?;
        }
        Ok(())
    }

    /// What keeps the name that this file has.
    fn keeper(&self, parent: NodeId, path: &Path) -> Option<NodeId> {
        match self.taken {
            Taken::Refuse => None,
            Taken::Keep => self.walked.tree.child(parent, name_of(path)),
        }
    }

    /// Takes what is in one directory, and adds its subdirectories to those still to be walked.
    fn directory(
        &mut self,
        path: &Path,
        node: NodeId,
        directories: &mut Vec<(PathBuf, NodeId)>,
    ) -> Result<(), WalkError> {
        let mut paths =
            list(path).map_err(|error| WalkError::Io { path: path.to_owned(), error })?;
        // The host's order is arbitrary, the ids of the files should not be.
        paths.sort_unstable();
        for path in paths {
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) => return Err(WalkError::Io { path, error }),
            };
            if let Some(keeper) = self.keeper(node, &path) {
                let is_directory = self.walked.tree.node(keeper).file_type() == FileType::Directory;
                if metadata.is_dir() && is_directory {
                    directories.push((path, keeper));
                }
            } else if metadata.is_dir() {
                let attributes = attributes(&metadata, self.options);
                let made = self.walked.tree.add_directory(node, name_of(&path), attributes);
                match made {
                    Ok(child) => directories.push((path, child)),
                    Err(error) => return Err(WalkError::Tree { path, error }),
                }
            } else {
                self.leaf(path, &metadata, node)?;
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        parent: NodeId,
    ) -> Result<(), WalkError> {
        let key = (metadata.dev(), metadata.ino());
        if self.options.without == Some(key) {
            return Ok(());
        }
        let made = match self.linked.get(&key) {
            Some(&node) => self.walked.tree.link(parent, name_of(&path), node),
            None => {
                let Some(leaf) = leaf(&path, metadata, &mut self.walked.files)? else {
                    self.walked.skipped.push(path);
                    return Ok(());
                };
                let attributes = attributes(metadata, self.options);
                let made = self.walked.tree.add(parent, name_of(&path), leaf, attributes);
                made.map(|node| {
                    if metadata.nlink() > 1 {
                        self.linked.insert(key, node);
                    }
                })
            }
        };
        made.map_err(|error| WalkError::Tree { path, error })
    }
}

/// The file at `path` as a leaf; `None` for a socket or a directory. Contents that are not read are added
/// to `files`, where [`open`] finds them.
pub fn leaf(
    path: &Path,
    metadata: &Metadata,
    files: &mut Vec<PathBuf>,
) -> Result<Option<Leaf>, WalkError> {
    let file_type = metadata.file_type();
    let (major, minor) = device_number(metadata.rdev());
    Ok(Some(if file_type.is_file() {
        Leaf::File(source(path, metadata.len(), files)?)
    } else if file_type.is_symlink() {
        let target =
            fs::read_link(path).map_err(|error| WalkError::Io { path: path.to_owned(), error })?;
        Leaf::Symlink(target.into_os_string().into_vec())
    } else if file_type.is_char_device() {
        Leaf::CharDevice { major, minor }
    } else if file_type.is_block_device() {
        Leaf::BlockDevice { major, minor }
    } else if file_type.is_fifo() {
        Leaf::Fifo
    } else {
        return Ok(None);
    }))
}

fn source(path: &Path, len: u64, files: &mut Vec<PathBuf>) -> Result<Source, WalkError> {
    let path = path.to_owned();
    if len <= INLINE_FILE_LEN_MAX {
        return match fs::read(&path) {
            Ok(bytes) if bytes.len() as u64 == len => Ok(Source::Bytes(bytes)),
            Ok(_) => Err(WalkError::Changed { path }),
            Err(error) => Err(WalkError::Io { path, error }),
        };
    }
    let Ok(id) = u32::try_from(files.len()) else {
        return Err(WalkError::TooManyFiles { path });
    };
    files.push(path);
    Ok(Source::External { id, len })
}

fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
}

/// The last name of a path that a directory listing gave, so there is one.
fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", |name| name.as_bytes())
}

/// What an image says of a file of the host.
pub fn attributes(metadata: &Metadata, options: &WalkOptions) -> Attributes {
    let mtime = Timestamp {
        seconds: metadata.mtime(),
        // The kernel keeps it between 0 and 10^9.
        nanoseconds: metadata.mtime_nsec() as u32,
    };
    Attributes {
        permissions: metadata.mode() as u16 & !FileType::MODE_MASK,
        uid: if options.all_root { 0 } else { metadata.uid() },
        gid: if options.all_root { 0 } else { metadata.gid() },
        mtime: options.mtime.unwrap_or(mtime),
    }
}

/// Major and minor number in glibc's `dev_t`.
fn device_number(dev: u64) -> (u32, u32) {
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & !0xff);
    (major as u32, minor as u32)
}
