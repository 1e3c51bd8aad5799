//! Which data directory one is: a random number in a file of its own, for what is kept elsewhere and belongs to it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use uuid::Uuid;

use super::StoreError;

/// The file, below the data directory.
const FILE: &str = "id";

/// The id of the data directory `data`, which gets one where it has none: on the medium when this returns.
///
/// # Errors
/// [`StoreError`]: what can't be read is left as it is.
pub(crate) fn of(data: &Path) -> Result<Uuid, StoreError> {
    let path = data.join(FILE);
    let failed = |error| StoreError::Io(path.clone(), error);
    match fs::read(&path) {
        Ok(bytes) => {
            let id = str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
            id.ok_or_else(|| StoreError::Damaged(path.clone(), "it is no UUID".into()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = Uuid::new_v4();
            let fresh = data.join("id.new");
            let written = File::create(&fresh).and_then(|mut file| {
                writeln!(file, "{id}")?;
                file.sync_all()?;
                fs::rename(&fresh, &path)?;
                File::open(data)?.sync_all()
            });
            written.map_err(failed).map(|()| id)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_id_and_no_other_has_it() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let id = of(one.path()).unwrap();
        assert_eq!(of(one.path()).unwrap(), id);
        assert_ne!(of(other.path()).unwrap(), id);
        for damaged in [&b""[..], b"no id", b"\xff"] {
            fs::write(one.path().join(FILE), damaged).unwrap();
            assert!(matches!(of(one.path()), Err(StoreError::Damaged(..))));
            assert_eq!(fs::read(one.path().join(FILE)).unwrap(), damaged);
        }
    }
}
