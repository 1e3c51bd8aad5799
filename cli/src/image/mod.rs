//! `mayfly image`: root images.
//!
//! ```text
//!   from-dir    a directory, as it is
//!   from-tar    the root of a container, or an image with its layers
//!   from-host   programs of this host ─▶ libraries (libraries.rs) ─┐
//!               scripts ─▶ who runs them (script.rs) ──────────────┤
//!               python3 ─▶ its standard library (python.rs) ───────┤
//!               a shell and tools, for environments (tools.rs) ────┴─▶ mirror.rs ─▶ a tree
//! ```
//!
//! The same files give the same bytes. What is going on is told on stderr, what was made on stdout.

mod from_host;
mod from_tar;
mod libraries;
mod mirror;
mod python;
mod script;
mod tools;
mod unfinished;

use std::fs;
use std::io::{self, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options, Tree, WriteError};

use crate::failure::{Failure, say};
use crate::platform::print;

pub use from_host::{Contents, from_host};
pub use from_tar::from_tar;
pub use python::Python;
use unfinished::Unfinished;

/// Builds an image of `directory` in the file `out`; how many bytes it has.
///
/// # Errors
/// What the host says, or a file that an image can't hold.
pub fn from_dir(directory: &Path, out: &Path) -> Result<u64, Failure> {
    // What shall be replaced may be in that directory, and is no part of what replaces it.
    let without = fs::metadata(out).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let walked = walk::walk(directory, &WalkOptions { all_root: true, mtime: None, without })?;
    for path in &walked.skipped {
        say(&format!("{}: a socket, left out", path.display()));
    }
    write_files(walked.tree, out, &walked.files)
}

/// Says what was made.
///
/// # Errors
/// Of standard output.
pub fn made(out: &Path, bytes: u64) -> Result<ExitCode, Failure> {
    print(format!("{}: {} KiB\n", out.display(), bytes >> 10).as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// What went wrong when an image was written to `out`; `path_of` tells whose bytes an external file is.
pub fn unwritten<'a>(
    error: WriteError,
    out: &Path,
    path_of: impl FnOnce(u32) -> Option<&'a Path>,
) -> Failure {
    let (id, what) = match error {
        WriteError::Write(error) => return Failure::at(out, error),
        WriteError::Copy { id, error } => (id, error.to_string()),
        WriteError::Changed { id, expected, found } => {
            (id, format!("it changes meanwhile: {found} bytes are there, not {expected}"))
        }
    };
    match path_of(id) {
        Some(path) => Failure::at(path, what),
        None => Failure::new(what),
    }
}

/// Writes the image of `tree`, whose external files are `files`, to `out`: all of it or nothing.
fn write_files(tree: Tree, out: &Path, files: &[PathBuf]) -> Result<u64, Failure> {
    let path_of = |id: u32| files.get(id as usize).map(PathBuf::as_path);
    write(tree, out, |id| walk::open(files, id), path_of)
}

/// Writes the image of `tree` to `out`: all of it or nothing. `open` gives the bytes of an external file, `path_of` its
/// name for people.
fn write<'a, R: io::Read>(
    tree: Tree,
    out: &Path,
    open: impl FnMut(u32) -> io::Result<R>,
    path_of: impl FnOnce(u32) -> Option<&'a Path>,
) -> Result<u64, Failure> {
    let layout = ImageLayout::build(tree, &Options::default())?;
    let unfinished = Unfinished::at(out)?;
    let mut to = BufWriter::new(unfinished.file());
    layout.write_to(&mut to, open).map_err(|error| unwritten(error, out, path_of))?;
    let failed = |error: io::Error| Failure::at(out, error);
    to.into_inner().map_err(|error| failed(error.into_error()))?;
    unfinished.finish().map_err(failed)?;
    Ok(layout.size())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use mayfly_image::{Attributes, Leaf, Source, Timestamp};

    use super::*;

    /// A tree with one external file of so many bytes.
    fn tree(len: u64) -> Tree {
        let plain = Attributes::root(0o644, Timestamp::default());
        let mut tree = Tree::new(plain).unwrap();
        let file = Leaf::File(Source::External { id: 0, len });
        tree.add(tree.root(), b"file", file, plain).unwrap();
        tree
    }

    #[test]
    fn a_file_that_cannot_be_taken_is_named() {
        let place = tempfile::tempdir().unwrap();
        let (there, out) = (place.path().join("there"), place.path().join("out"));
        fs::write(&there, [b'x'; 20_000]).unwrap();
        let missing = place.path().join("missing");
        for (len, path, why) in [
            (30_000, &there, "20000 bytes are there, not 30000"),
            (10_000, &there, "more bytes are there, not 10000"),
            (10_000, &missing, "No such file"),
        ] {
            let complaint =
                write_files(tree(len), &out, std::slice::from_ref(path)).unwrap_err().to_string();
            assert!(complaint.starts_with(&path.display().to_string()), "{complaint}");
            assert!(complaint.contains(why), "{complaint}");
            assert!(!out.exists());
        }
    }

    #[test]
    fn a_full_disk_is_no_fault_of_the_file_that_is_copied() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let layout = ImageLayout::build(tree(1 << 20), &Options::default()).unwrap();
        let zeros = |_| Ok(io::repeat(0).take(1 << 20));
        let error = layout.write_to(&mut BufWriter::new(full), zeros).unwrap_err();
        let complaint = unwritten(error, Path::new("/out"), |_| None).to_string();
        assert!(complaint.starts_with("/out: No space left"), "{complaint}");
    }
}
