//! `mkimage DIR IMAGE`: writes a directory of the host to an EROFS image.
//!
//! ```text
//! cargo run --package mayfly-image --features walk --example mkimage -- DIR IMAGE
//! mount -t erofs -o loop,ro IMAGE /mnt
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, image] = arguments.as_slice() else {
        eprintln!("usage: mkimage DIR IMAGE");
        return ExitCode::from(2);
    };
    match make(directory.as_ref(), image.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkimage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(directory: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let walked = walk::walk(directory, &WalkOptions::default())?;
    for socket in &walked.skipped {
        eprintln!("mkimage: {}: a socket, left out", socket.display());
    }
    let layout = ImageLayout::build(walked.tree, &Options::default())?;
    let mut to = BufWriter::new(File::create(image)?);
    layout.write_to(&mut to, |id| walk::open(&walked.files, id))?;
    to.flush()?;
    Ok(())
}
