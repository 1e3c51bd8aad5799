//! Unpacks an uploaded zip. Every byte of it may be hostile: paths and links that escape, bombs, lies.
//!
//! What bounds it: [`ENTRIES_MAX`], [`UNPACKED_BYTES_MAX`] counted while unpacking (a header's word on
//! sizes is not taken), no path component but plain names, no file through a link, no file twice.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zip::ZipArchive;
use zip::read::ZipFile;

/// Unpacked size of a function (Lambda quotas: 250 MB).
pub const UNPACKED_BYTES_MAX: u64 = 262_144_000;
/// Largest upload in a request (Lambda quotas: 50 MB zipped).
pub const ZIP_BYTES_MAX: usize = 50 << 20;
/// Most entries: far above what functions have, and few enough to unpack in seconds.
pub const ENTRIES_MAX: usize = 50_000;
/// Longest path (Linux's PATH_MAX) and longest name in it (NAME_MAX).
const PATH_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 255;
/// Deepest directory: paths stay short below any data directory.
const DEPTH_MAX: usize = 64;

/// What is wrong with an upload.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Not a zip, or a broken one.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    Corrupt(String),
    /// See [`ENTRIES_MAX`].
    #[error("The uploaded file has {0} entries; the maximum is {ENTRIES_MAX}")]
    TooMany(usize),
    /// See [`UNPACKED_BYTES_MAX`].
    #[error("Unzipped size must be smaller than {UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
    /// A path or link that is not inside the function's directory, or that comes twice.
    #[error("The uploaded file has an entry with an invalid path: {0}")]
    Path(String),
    /// The host failed.
    #[error("the code can't be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// Unpacks `zip` into the empty directory `into`. After an error some of it may be there.
///
/// # Errors
/// [`BundleError`].
pub fn extract(zip: &[u8], into: &Path) -> Result<(), BundleError> {
    extract_at_most(UNPACKED_BYTES_MAX, zip, into)
}

fn extract_at_most(bytes_max: u64, zip: &[u8], into: &Path) -> Result<(), BundleError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(corrupt)?;
    if archive.len() > ENTRIES_MAX {
        return Err(BundleError::TooMany(archive.len()));
    }
    let mut unpacking = Unpacking { into, left: bytes_max, links: BTreeSet::new() };
    for index in 0..archive.len() {
        unpacking.entry(archive.by_index(index).map_err(corrupt)?)?;
    }
    Ok(())
}

fn corrupt(error: impl std::fmt::Display) -> BundleError {
    BundleError::Corrupt(error.to_string())
}

struct Unpacking<'a> {
    into: &'a Path,
    /// Bytes that may still come.
    left: u64,
    /// Links made so far: nothing is unpacked through one.
    links: BTreeSet<PathBuf>,
}

impl Unpacking<'_> {
    fn entry<R: Read>(&mut self, mut entry: ZipFile<'_, R>) -> Result<(), BundleError> {
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let path = inner_path(&name).ok_or_else(|| BundleError::Path(name.clone()))?;
        if path.ancestors().any(|ancestor| self.links.contains(ancestor)) {
            return Err(BundleError::Path(name));
        }
        let place = self.into.join(&path);
        let twice = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                BundleError::Path(name.clone())
            }
            _ => BundleError::Io(error),
        };
        if entry.is_dir() {
            return fs::create_dir_all(place).map_err(twice);
        }
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(twice)?;
        }
        if entry.is_symlink() {
            let target = self.read_target(&mut entry)?;
            if !stays_inside(&path, &target) {
                return Err(BundleError::Path(format!("{name} -> {target}")));
            }
            symlink(target, place).map_err(twice)?;
            self.links.insert(path);
            return Ok(());
        }
        // The owner may always read and replace it; what makes it a program is kept.
        let mode = entry.unix_mode().map_or(0o644, |mode| (mode & 0o755) | 0o644);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(place)
            .map_err(twice)?;
        let copied = io::copy(&mut Guarded(entry.take(self.left + 1)), &mut file);
        let bytes = copied.map_err(|error| match error.get_ref() {
            Some(source) if source.is::<Unreadable>() => corrupt(error),
            _ => BundleError::Io(error),
        })?;
        self.left = self.left.checked_sub(bytes).ok_or(BundleError::TooLarge)?;
        Ok(())
    }

    fn read_target(&mut self, entry: impl Read) -> Result<String, BundleError> {
        let mut target = String::new();
        let limit = PATH_BYTES_MAX as u64;
        let bytes = entry.take(limit).read_to_string(&mut target).map_err(corrupt)? as u64;
        self.left = self.left.checked_sub(bytes).ok_or(BundleError::TooLarge)?;
        Ok(target)
    }
}

/// Tells errors of reading the zip, the client's fault, from those of writing the file, the host's.
struct Guarded<R>(R);

#[derive(Debug, Error)]
#[error("{0}")]
struct Unreadable(io::Error);

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| io::Error::other(Unreadable(error)))
    }
}

/// The path of an entry, if it is a relative one of plain names.
fn inner_path(name: &str) -> Option<PathBuf> {
    let name = name.strip_suffix('/').unwrap_or(name);
    let is_plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= NAME_BYTES_MAX
            && !part.contains(['\0', '\\'])
    };
    // "./bootstrap" is what some tools write.
    let name = name.strip_prefix("./").unwrap_or(name);
    let fits = name.len() <= PATH_BYTES_MAX && name.split('/').count() <= DEPTH_MAX;
    (fits && name.split('/').all(is_plain)).then(|| PathBuf::from(name))
}

/// Whether a link at `path` with this target points inside, step by step.
fn stays_inside(path: &Path, target: &str) -> bool {
    let mut depth = path.components().count() as i64 - 1;
    let mut steps = target.split('/');
    !target.is_empty()
        && !target.contains('\0')
        && !target.starts_with('/')
        && steps.all(|step| {
            depth += match step {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            depth >= 0
        })
}

#[cfg(test)]
pub(crate) use tests::zip_of;

#[cfg(test)]
mod tests;
