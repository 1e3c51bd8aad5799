//! `mayfly image`: root images.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options};

use crate::failure::{Failure, say};

/// Builds an image of `directory` in the file `out`.
///
/// # Errors
/// What the host says, or a file that an image can't hold.
pub fn from_dir(directory: &Path, out: &Path) -> Result<ExitCode, Failure> {
    let walked = walk::walk(directory, &WalkOptions { all_root: true, mtime: None })?;
    for path in &walked.skipped {
        say(&format!("{}: a socket, left out", path.display()));
    }
    let layout = ImageLayout::build(walked.tree, &Options::default())?;
    let file = File::create(out).map_err(|error| Failure::at(out, error))?;
    let mut to = BufWriter::new(file);
    layout.write_to(&mut to, |id| walk::open(&walked.files, id))?;
    to.into_inner().map_err(|error| Failure::at(out, error.error()))?;
    println!("{}: {} files, {} KiB", out.display(), walked.files.len(), layout.size() >> 10);
    Ok(ExitCode::SUCCESS)
}
