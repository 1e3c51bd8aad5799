//! A real program to show and measure with: an unmodified static busybox, or what the user names.

use std::ffi::OsString;
use std::path::Path;

use crate::failure::Failure;
use crate::program::Program;

/// Names another static program that does what busybox does.
const VARIABLE: &str = "MAYFLY_DEMO_PROGRAM";
/// Where Debian and others have it.
const PLACES: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];

/// The program's path.
///
/// # Errors
/// Where there is none: what to install.
pub fn find() -> Result<OsString, Failure> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Program::open(&named).map(|_| named);
    }
    let place = PLACES.into_iter().find(|place| Path::new(place).is_file());
    match place.map(|place| Program::open(place.as_ref()).map(|_| place.into())) {
        Some(Ok(place)) => Ok(place),
        Some(Err(problem)) => Err(Failure::new(format!(
            "{problem}; install a static one (Debian: apt install busybox-static), or name one in {VARIABLE}"
        ))),
        None => Err(Failure::new(format!(
            "no busybox to run: install a static one (Debian: apt install busybox-static), or name one in \
             {VARIABLE}"
        ))),
    }
}
