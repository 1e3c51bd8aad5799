//! `mayfly image`: root images.
//!
//! ```text
//!   from-dir    a directory, as it is
//!   from-tar    the root of a container, or an image with its layers
//!   from-host   programs of this host ─▶ libraries (libraries.rs) ─┐
//!               scripts ─▶ who runs them (script.rs) ──────────────┤
//!               python3 ─▶ its standard library (python.rs) ───────┴─▶ mirror.rs ─▶ a tree
//! ```
//!
//! The same files give the same bytes. What is going on is told on stderr, what was made on stdout.

mod from_host;
mod from_tar;
mod libraries;
mod mirror;
mod python;
mod script;
mod unfinished;

use std::fs;
use std::io::{self, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options, Tree};

use crate::failure::{Failure, say};
use crate::platform::print;

pub use from_host::from_host;
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
    write(walked.tree, out, |id| walk::open(&walked.files, id))
}

/// Says what was made.
///
/// # Errors
/// Of standard output.
pub fn made(out: &Path, bytes: u64) -> Result<ExitCode, Failure> {
    print(format!("{}: {} KiB\n", out.display(), bytes >> 10).as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// Writes the image of `tree` to `out`: all of it or nothing.
fn write<R: io::Read>(
    tree: Tree,
    out: &Path,
    open: impl FnMut(u32) -> io::Result<R>,
) -> Result<u64, Failure> {
    let layout = ImageLayout::build(tree, &Options::default())?;
    let unfinished = Unfinished::at(out)?;
    let mut to = BufWriter::new(unfinished.file());
    layout.write_to(&mut to, open)?;
    let failed = |error: io::Error| Failure::at(out, error);
    to.into_inner().map_err(|error| failed(error.into_error()))?;
    unfinished.finish().map_err(failed)?;
    Ok(layout.size())
}
