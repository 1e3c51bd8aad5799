//! An image in the making: nobody sees it before it is whole, and what it replaces is there until then.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::id;

use mayfly_vmm::time::monotonic_ns;

use crate::failure::Failure;

/// A file without a name (open(2), `O_TMPFILE`), so that nothing is left of it whatever ends us.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    place: PathBuf,
    /// What it is called just before it is at its place.
    beside: PathBuf,
    /// Whether it is called so yet: from the beginning, where a file system has no files without names.
    is_named: bool,
}

impl Unfinished {
    /// Begins one that shall be at `out`: nothing, or a file that it takes the place of.
    ///
    /// # Errors
    /// Something else is there, or what the host says.
    pub fn at(out: &Path) -> Result<Unfinished, Failure> {
        let failed = |error: io::Error| Failure::at(out, error);
        let place = match fs::symlink_metadata(out) {
            // Through a link, as any other program writes.
            Ok(_) => fs::canonicalize(out).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => out.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        if fs::metadata(&place).is_ok_and(|metadata| !metadata.is_file()) {
            let why = "not a regular file, which is all that an image can take the place of";
            return Err(Failure::at(out, why));
        }
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        // Nobody else's, and nothing that was left by one that was killed just then.
        let beside = directory.join(format!(".mayfly-image-{}", monotonic_ns() ^ u64::from(id())));
        let mut options = OpenOptions::new();
        options.write(true).mode(0o666);
        let nameless = options.clone().custom_flags(libc::O_TMPFILE).open(directory);
        let (file, is_named) = match nameless {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
                (options.create_new(true).open(&beside), true)
            }
            opened => (opened, false),
        };
        Ok(Unfinished { file: file.map_err(failed)?, place, beside, is_named })
    }

    /// Where its bytes go.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Has it at its place, on the medium.
    ///
    /// # Errors
    /// What the host says: then all is as it was.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.is_named {
            link(&self.file, &self.beside)?;
            self.is_named = true;
        }
        fs::rename(&self.beside, &self.place)?;
        self.is_named = false;
        // The name, too.
        let directory = self.beside.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_named {
            // It is of no use to anybody; more can't be done.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Gives an open file a name.
fn link(file: &File, name: &Path) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = CString::new(name.as_os_str().as_bytes())?;
    let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: both are strings that live until the call is over.
    match unsafe { libc::linkat(here, from.as_ptr(), here, to.as_ptr(), follow) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (image, link) = (dir.path().join("image"), dir.path().join("link"));
        fs::write(&image, "before").unwrap();
        symlink("image", &link).unwrap();
        for (out, is_finished, wanted) in
            [(&image, false, "before"), (&image, true, "new"), (&link, true, "newer")]
        {
            let unfinished = Unfinished::at(out).unwrap();
            unfinished.file().write_all(wanted.as_bytes()).unwrap();
            match is_finished {
                true => unfinished.finish().unwrap(),
                false => drop(unfinished),
            }
            assert_eq!(fs::read_to_string(&image).unwrap(), wanted);
            assert_eq!(names(dir.path()), ["image", "link"]);
        }
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let path = CString::new(fifo.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string that lives until the call is over.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        for out in [fifo.as_path(), dir.path()] {
            let refused = Unfinished::at(out).unwrap_err().to_string();
            assert!(refused.contains("not a regular file"), "{refused}");
        }
        assert!(fifo.symlink_metadata().unwrap().file_type().is_fifo());
    }
}
