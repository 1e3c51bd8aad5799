//! `mayfly image`: root images.
//!
//! ```text
//!   from-dir    a directory, as it is
//!   from-tar    the root of a container, or an image with its layers
//!   from-host   programs of this host ─▶ libraries (libraries.rs) ─┐
//!               python3 ─▶ its standard library (python.rs) ───────┴─▶ mirror.rs ─▶ a tree
//! ```
//!
//! The same files give the same bytes. What is going on is told on stderr, what was made on stdout.

mod from_host;
mod from_tar;
mod libraries;
mod mirror;
mod python;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options, Tree};

use crate::failure::{Failure, say};

pub use from_host::from_host;
pub use from_tar::from_tar;
pub use python::Python;

/// Builds an image of `directory` in the file `out`; how many bytes it has.
///
/// # Errors
/// What the host says, or a file that an image can't hold.
pub fn from_dir(directory: &Path, out: &Path) -> Result<u64, Failure> {
    let walked = walk::walk(directory, &WalkOptions { all_root: true, mtime: None })?;
    for path in &walked.skipped {
        say(&format!("{}: a socket, left out", path.display()));
    }
    write(walked.tree, out, |id| walk::open(&walked.files, id))
}

/// Says what was made.
pub fn made(out: &Path, bytes: u64) -> ExitCode {
    println!("{}: {} KiB", out.display(), bytes >> 10);
    ExitCode::SUCCESS
}

/// Writes the image of `tree` to `out`; a file that is not whole is not left there.
fn write<R: io::Read>(
    tree: Tree,
    out: &Path,
    open: impl FnMut(u32) -> io::Result<R>,
) -> Result<u64, Failure> {
    let layout = ImageLayout::build(tree, &Options::default())?;
    let file = File::create(out).map_err(|error| Failure::at(out, error))?;
    let mut to = BufWriter::new(file);
    let written = layout.write_to(&mut to, open).map_err(Failure::from);
    let written = written
        .and_then(|()| to.into_inner().map(drop).map_err(|error| Failure::at(out, error.error())));
    if let Err(failure) = written {
        // Whether it goes or not, the failure is what counts.
        let _ = fs::remove_file(out);
        return Err(failure);
    }
    Ok(layout.size())
}
