//! A function's code as the zip that Lambda's API takes, made of a directory, a zip or a program.
//!
//! The same files make the same bytes: entries are sorted, and have no times.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mayfly_scheduler::bundle::{ENTRIES_MAX, UNPACKED_BYTES_MAX, ZIP_BYTES_MAX};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::bootstrap::{self, Found};
use super::output::bytes;
use crate::elf;
use crate::failure::Failure;
use crate::files;

/// What an environment starts: the function's program.
pub const BOOTSTRAP: &str = "bootstrap";
/// Deepest directory that is packed; the platform takes as many.
const DEPTH_MAX: usize = 64;

/// A package to upload.
#[derive(Debug)]
pub struct Bundle {
    /// The zip.
    pub zip: Vec<u8>,
    /// What may keep it from running, in one line.
    pub warning: Option<String>,
}

impl Bundle {
    /// Packs what is at `path`. `needs_program`: whether the runtime is the package's own to bring. `left_out`: a file
    /// that is not packed, where `path` is a directory that holds it.
    ///
    /// # Errors
    /// What the host says, or what is wrong with the package, in one line.
    pub fn of(path: &Path, needs_program: bool, left_out: Option<&str>) -> Result<Bundle, Failure> {
        let file = files::open(path).map_err(|error| Failure::at(path, error))?;
        let metadata = file.metadata().map_err(|error| Failure::at(path, error))?;
        if metadata.is_dir() {
            return of_directory(path, needs_program, left_out);
        }
        let mut magic = [0; 4];
        let is_read = metadata.is_file() && file.read_at(&mut magic, 0).is_ok();
        // The first entry's signature, or an empty archive's (APPNOTE.TXT §4.3.7, §4.3.16).
        if is_read && matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06") {
            return of_zip(path, file, needs_program);
        }
        if !needs_program {
            return Err(Failure::at(path, "a directory or a zip is needed here"));
        }
        of_program(path, &file)
    }
}

fn of_program(path: &Path, file: &File) -> Result<Bundle, Failure> {
    let failed = |error: io::Error| Failure::at(path, error);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::at(path, "neither a directory nor a file"));
    }
    let kind = elf::inspect_file(file).map_err(failed)?;
    let warning = bootstrap::judge_alone(&path.display().to_string(), &kind)?;
    let mut packing = Packing::new(UNPACKED_BYTES_MAX);
    packing.file(path, BOOTSTRAP, 0o755)?;
    Ok(Bundle { zip: packing.finish(path)?, warning })
}

fn of_directory(
    path: &Path,
    needs_program: bool,
    left_out: Option<&str>,
) -> Result<Bundle, Failure> {
    let program = path.join(BOOTSTRAP);
    let mut warning = None;
    if needs_program {
        let place = path.display().to_string();
        let found = fs::metadata(&program).map_err(|_| bootstrap::missing(&place))?;
        let found = Found { mode: found.permissions().mode(), is_file: found.is_file() };
        bootstrap::check(&place, found)?;
        let file = files::open(&program).map_err(|error| Failure::at(&program, error))?;
        let kind = elf::inspect_file(&file);
        let kind = kind.map_err(|error| Failure::at(&program, error))?;
        let has = |name: &str| path.join(name).exists();
        warning = bootstrap::judge(&program.display().to_string(), &kind, has)?;
    }
    let mut packing = Packing::new(UNPACKED_BYTES_MAX);
    packing.left_out = left_out.map(|name| path.join(name));
    packing.directory(path, "", 0)?;
    Ok(Bundle { zip: packing.finish(path)?, warning })
}

fn of_zip(path: &Path, file: File, needs_program: bool) -> Result<Bundle, Failure> {
    let mut zip = Vec::new();
    let read = file.take(ZIP_BYTES_MAX as u64 + 1).read_to_end(&mut zip);
    read.map_err(|error| Failure::at(path, error))?;
    fits(path, zip.len())?;
    let mut warning = None;
    if needs_program {
        let mut archive = ZipArchive::new(Cursor::new(&zip))
            .map_err(|error| Failure::at(path, format!("not a sound zip: {error}")))?;
        // Some tools write "./bootstrap".
        let index =
            archive.index_for_name(BOOTSTRAP).or_else(|| archive.index_for_name("./bootstrap"));
        let place = path.display().to_string();
        let Some(index) = index else { return Err(bootstrap::missing(&place)) };
        let mut entry = archive.by_index(index).map_err(|error| Failure::at(path, error))?;
        let found = Found { mode: entry.unix_mode().unwrap_or(0), is_file: entry.is_file() };
        bootstrap::check(&place, found)?;
        let mut program = Vec::new();
        let read = entry.by_ref().take(UNPACKED_BYTES_MAX).read_to_end(&mut program);
        read.map_err(|error| Failure::at(path, format!("not a sound zip: {error}")))?;
        drop(entry);
        let kind = elf::inspect_bytes(&program);
        let has = |name: &str| archive.index_for_name(name).is_some();
        warning = bootstrap::judge(&format!("{BOOTSTRAP} in {place}"), &kind, has)?;
    }
    Ok(Bundle { zip, warning })
}

fn fits(path: &Path, len: usize) -> Result<(), Failure> {
    if len <= ZIP_BYTES_MAX {
        return Ok(());
    }
    let (len, most) = (bytes(len as u64), bytes(ZIP_BYTES_MAX as u64));
    Err(Failure::at(path, format!("too large: a zip of {len}, and {most} may be uploaded")))
}

/// A zip in the making.
struct Packing {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    entries: usize,
    /// Bytes of files that may still come.
    left: u64,
    /// What is not packed.
    left_out: Option<PathBuf>,
}

impl Packing {
    fn new(bytes_max: u64) -> Packing {
        let zip = ZipWriter::new(Cursor::default());
        Packing { zip, entries: 0, left: bytes_max, left_out: None }
    }

    /// Adds what is in a directory, below `prefix`.
    fn directory(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::at(path, error);
        if depth > DEPTH_MAX {
            return Err(Failure::at(path, "a directory that is too deep"));
        }
        let entries = fs::read_dir(path).map_err(failed)?;
        let entries = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>();
        let mut entries = entries.map_err(failed)?;
        entries.retain(|entry| self.left_out.as_ref() != Some(entry));
        entries.sort();
        for entry in entries {
            let name = entry.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| Failure::at(&entry, "a name that is not UTF-8"))?;
            let name = format!("{prefix}{name}");
            let metadata = entry.symlink_metadata().map_err(|error| Failure::at(&entry, error))?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                self.count(&entry)?;
                self.zip.add_directory(&*name, options(0o755))?;
                self.directory(&entry, &format!("{name}/"), depth + 1)?;
            } else if kind.is_symlink() {
                self.count(&entry)?;
                let target = fs::read_link(&entry).map_err(|error| Failure::at(&entry, error))?;
                let target = target.to_str();
                let target = target
                    .ok_or_else(|| Failure::at(&entry, "a link to a name that is not UTF-8"))?;
                self.zip.add_symlink(&*name, target, options(0o777))?;
            } else if kind.is_file() {
                self.file(&entry, &name, metadata.permissions().mode())?;
            } else {
                return Err(Failure::at(&entry, "neither a file, a directory nor a link"));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str, mode: u32) -> Result<(), Failure> {
        self.count(path)?;
        let file = files::open(path).map_err(|error| Failure::at(path, error))?;
        self.zip.start_file(name, options(mode & 0o777))?;
        let copied = io::copy(&mut file.take(self.left + 1), &mut self.zip);
        let copied = copied.map_err(|error| Failure::at(path, error))?;
        self.left = self.left.checked_sub(copied).ok_or_else(|| {
            Failure::at(
                path,
                format!("too large: a package holds {} at most", bytes(UNPACKED_BYTES_MAX)),
            )
        })?;
        Ok(())
    }

    fn count(&mut self, path: &Path) -> Result<(), Failure> {
        self.entries += 1;
        if self.entries <= ENTRIES_MAX {
            return Ok(());
        }
        Err(Failure::at(path, format!("too many: a package holds {ENTRIES_MAX} files at most")))
    }

    fn finish(self, path: &Path) -> Result<Vec<u8>, Failure> {
        let zip = self.zip.finish()?.into_inner();
        fits(path, zip.len())?;
        Ok(zip)
    }
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(mode)
}

#[cfg(test)]
mod tests;
