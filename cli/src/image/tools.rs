//! What execution environments have besides a runtime: a shell, the tools that scripts call, and the libraries that
//! programs made elsewhere load. All of it is this host's, as far as this host has it.

use std::path::{Path, PathBuf};

use super::libraries::Program;
use super::mirror::Mirror;
use crate::failure::{Failure, say};

/// A shell, and what POSIX and the guides to custom runtimes have scripts call.
const TOOLS: &str = "sh bash awk base64 basename cat chmod cmp comm cp curl cut date dd diff dirname du echo env expr false find fold grep gzip head hostname id join kill ln ls md5sum mkdir mktemp mv nl nproc od paste printenv printf ps pwd readlink realpath rm rmdir sed seq sha256sum sleep sort stat tail tar tee test touch tr true uname uniq unzip wc whoami xargs yes";

/// What programs of other makers load: the libraries of their languages, and what the manylinux policies allow (PEP 599).
const LIBRARIES: [&str; 11] = [
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libm.so.6",
    "libdl.so.2",
    "librt.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "libz.so.1",
    "libcrypto.so.3",
    "libssl.so.3",
    "libnss_files.so.2",
];

/// Takes them; libraries are looked for as the first of the `loaders` would.
///
/// # Errors
/// What the host says.
pub fn take(mirror: &mut Mirror, loaders: &mut Vec<Program>) -> Result<(), Failure> {
    let found: Vec<PathBuf> = TOOLS.split(' ').filter_map(of_system).collect();
    say(&format!("with a shell and {} tools of this host", found.len()));
    for path in found {
        loaders.extend(Program::take(&path, mirror)?);
    }
    if let Some(loader) = loaders.first_mut() {
        for name in LIBRARIES {
            loader.take_named(name, mirror)?;
        }
    }
    Ok(())
}

/// A tool of the system's own: what lies elsewhere on a PATH is somebody's.
fn of_system(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin"].iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}
