//! Writes a cpio archive in the "newc" format, which Linux unpacks as its first root file system.
//!
//! ```text
//!   "070701" | 13 fields of 8 hex digits | name, NUL | pad to 4 | data | pad to 4 | next entry …
//! ```
//!
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

const MODE_DIRECTORY: u32 = 0o040_755;
const MODE_CHARACTER_DEVICE: u32 = 0o020_600;
const MODE_FILE: u32 = 0o100_000;

/// An archive being written.
pub struct Archive<W> {
    out: W,
    /// Bytes written: padding is relative to the archive's start.
    length: u64,
    inode: u32,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self { out, length: 0, inode: 0, directories: BTreeSet::new() }
    }

    /// Adds a regular file at the absolute `path`, and the directories above it.
    pub fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, MODE_FILE | permissions, (0, 0), data)
    }

    /// Adds a directory, and those above it.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.parents(path)?;
        if self.directories.insert(path.to_owned()) {
            self.entry(path, MODE_DIRECTORY, (0, 0), &[])?;
        }
        Ok(())
    }

    /// Adds a character device.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, MODE_CHARACTER_DEVICE, (major, minor), &[])
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("/TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        match Path::new(path).parent().and_then(Path::to_str) {
            None | Some("/" | "") => Ok(()),
            Some(parent) => self.directory(parent),
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let name = path.trim_start_matches('/');
        let too_big = |_| io::Error::new(io::ErrorKind::FileTooLarge, path.to_owned());
        let size = u32::try_from(data.len()).map_err(too_big)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_big)?;
        // inode, mode, uid, gid, links, mtime, size, the device it is on, the device it is, name, check.
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08X}"));
        }
        self.write(header.as_bytes())?;
        self.write(name.as_bytes())?;
        self.write(&[0])?;
        self.pad()?;
        self.write(data)?;
        self.pad()
    }

    fn pad(&mut self) -> io::Result<()> {
        let short = self.length.next_multiple_of(4) - self.length;
        self.write(&[0; 3][..short as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The archive's entries as (name, mode, size), read as the kernel does.
    fn read(mut archive: &[u8]) -> Vec<(String, u32, usize)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&archive[..6], b"070701");
            let field = |i: usize| {
                let digits = std::str::from_utf8(&archive[6 + 8 * i..14 + 8 * i]).unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(archive[110..110 + name_size - 1].to_vec()).unwrap();
            assert_eq!(archive[110 + name_size - 1], 0);
            let data = (110 + name_size).next_multiple_of(4);
            archive = &archive[data + size.next_multiple_of(4)..];
            if name == "TRAILER!!!" {
                assert!(archive.is_empty());
                return entries;
            }
            entries.push((name, mode, size));
        }
    }

    #[test]
    fn every_length_of_name_and_data_is_padded() {
        let mut archive = Archive::new(Vec::new());
        for length in 0..9 {
            archive.file(&format!("/{}", "n".repeat(length + 1)), 0o644, &vec![7; length]).unwrap();
        }
        let entries = read(&archive.finish().unwrap());
        assert_eq!(entries.len(), 9);
        for (length, (name, mode, size)) in entries.iter().enumerate() {
            assert_eq!((name.len(), *mode, *size), (length + 1, 0o100_644, length));
        }
    }

    #[test]
    fn directories_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/one", 0o755, b"1").unwrap();
        archive.file("/a/b/two", 0o755, b"2").unwrap();
        archive.character_device("/dev/console", 5, 1).unwrap();
        let entries = read(&archive.finish().unwrap());
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "dev", "dev/console"]);
        assert_eq!(entries[0].1, 0o040_755);
    }
}
