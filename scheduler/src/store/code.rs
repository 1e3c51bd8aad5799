//! Code, by the SHA-256 of its upload. A directory is complete or absent: it is made under another name,
//! flushed, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::database::StoreError;
use crate::bundle::{self, BundleError};

/// Begins the name of a directory in the making.
const UNFINISHED: &str = ".new-";

/// The code below a data directory.
#[derive(Debug)]
pub struct CodeStore {
    dir: PathBuf,
}

/// An upload that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCode {
    /// SHA-256 of the zip, lower-case hexadecimal.
    pub sha256: String,
    /// Size of the zip, bytes.
    pub size: u64,
}

/// Why an upload is not kept.
#[derive(Debug, Error)]
pub enum CodeError {
    /// The upload is at fault.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The host is.
    #[error("the code can't be kept: {0}")]
    Io(#[from] io::Error),
}

impl CodeStore {
    /// The code below `data`; what an interrupted upload left is removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(data: &Path) -> Result<CodeStore, StoreError> {
        let dir = data.join("code");
        let clean = || -> io::Result<()> {
            fs::create_dir_all(&dir)?;
            for entry in fs::read_dir(&dir)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        clean().map_err(|error| StoreError::Io(dir.clone(), error))?;
        Ok(CodeStore { dir })
    }

    /// Keeps an upload, a zip.
    ///
    /// # Errors
    /// [`CodeError`]; then nothing is left of it.
    pub fn put(&self, zip: &[u8]) -> Result<StoredCode, CodeError> {
        let sha256 = sha256_hex(zip);
        let stored = StoredCode { sha256, size: zip.len() as u64 };
        let place = self.dir.join(&stored.sha256);
        if place.exists() {
            return Ok(stored);
        }
        let made = self.dir.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4()));
        let result = make(&made, zip).and_then(|()| match fs::rename(&made, &place) {
            // Another upload of the same bytes was faster.
            Err(_) if place.exists() => Ok(()),
            result => Ok(result?),
        });
        if result.is_err() || made.exists() {
            // Best effort: what stays is removed at the next start.
            let _ = fs::remove_dir_all(&made);
        }
        result?;
        File::open(&self.dir)?.sync_all()?;
        Ok(stored)
    }

    /// The directory of its files: what becomes /var/task, or a part of /opt.
    pub fn files(&self, sha256: &str) -> PathBuf {
        self.dir.join(sha256).join("task")
    }

    /// The zip, as it was uploaded.
    pub fn zip(&self, sha256: &str) -> PathBuf {
        self.dir.join(sha256).join("bundle.zip")
    }

    /// Bytes of its files, unpacked.
    ///
    /// # Errors
    /// What the file system says.
    pub fn unpacked_bytes(&self, sha256: &str) -> io::Result<u64> {
        let mut bytes = 0;
        let mut directories = vec![self.files(sha256)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else {
                    bytes += metadata.len();
                }
            }
        }
        Ok(bytes)
    }

    /// Removes all code that `is_used` does not claim.
    ///
    /// # Errors
    /// What the file system says.
    pub fn retain(&self, is_used: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !is_used(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn make(dir: &Path, zip: &[u8]) -> Result<(), CodeError> {
    let task = dir.join("task");
    fs::create_dir_all(&task)?;
    bundle::extract(zip, &task)?;
    let mut file = File::create_new(dir.join("bundle.zip"))?;
    file.write_all(zip)?;
    file.sync_all()?;
    Ok(File::open(dir)?.sync_all()?)
}

/// A SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::zip_of;

    #[test]
    fn code_is_kept_by_its_content() {
        let data = tempfile::tempdir().unwrap();
        let store = CodeStore::open(data.path()).unwrap();
        let zip = zip_of(&[("bootstrap", 0o755, b"#!")]);
        let code = store.put(&zip).unwrap();
        assert_eq!(store.put(&zip).unwrap(), code);
        assert_eq!(fs::read(store.files(&code.sha256).join("bootstrap")).unwrap(), b"#!");
        assert_eq!(fs::read(store.zip(&code.sha256)).unwrap(), zip);
        assert_eq!(store.unpacked_bytes(&code.sha256).unwrap(), 2);
        store.retain(|sha256| sha256 != code.sha256).unwrap();
        assert!(!store.zip(&code.sha256).exists());
    }

    #[test]
    fn nothing_is_left_of_a_bad_upload_or_an_interrupted_one() {
        let data = tempfile::tempdir().unwrap();
        let unfinished = data.path().join("code").join(format!("{UNFINISHED}x"));
        fs::create_dir_all(&unfinished).unwrap();
        let store = CodeStore::open(data.path()).unwrap();
        assert!(!unfinished.exists());
        assert!(store.put(b"no zip").is_err());
        assert_eq!(fs::read_dir(data.path().join("code")).unwrap().count(), 0);
    }
}
