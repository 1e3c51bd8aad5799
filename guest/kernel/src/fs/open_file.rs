//! An open file description (open(2)): what descriptors share after dup(2).
//!
//! ```text
//!   fd 3 ─┐
//!   fd 7 ─┴► OpenFile { offset, flags } ─► Dentry ─► Inode      a file's own bytes
//!                                      └─► File                 a pipe, a device, a text
//! ```

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};
use core::ops::ControlFlow;

use linux_raw_sys::general as linux;
use mayfly_hal::phys::Frame;

use super::dentry::Dentry;
use super::file::{File, IoctlArgument, Poll, Pulse};
use super::inode::{DirEntry, DirSink, FallocateMode};
use super::locks::{Locks, Owner};
use super::open::OpenFlags;
use super::owner;
use super::stat::{FileType, Stat};
use crate::errno::{Errno, Result};

/// The largest size and offset: what an `off_t` holds.
pub const OFFSET_MAX: u64 = i64::MAX as u64;

/// Where lseek(2) counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start.
    Set,
    /// The current offset.
    Current,
    /// The end.
    End,
    /// The start, then on to the next byte that is stored.
    Data,
    /// The start, then on to the next byte that is not.
    Hole,
}

/// An open file description.
pub struct OpenFile {
    dentry: Rc<Dentry>,
    /// Where reads and writes go; `None`: to the inode.
    file: Option<Rc<dyn File>>,
    flags: Cell<OpenFlags>,
    offset: Cell<u64>,
    /// Where it may have locks.
    locks: OnceCell<Rc<Locks>>,
    /// Who wants to be told of its readiness (F_SETOWN).
    pub owner: Cell<owner::Owner>,
    /// The signal that tells it (F_SETSIG); 0: SIGIO.
    pub signal: Cell<u8>,
}

impl OpenFile {
    /// Opens `dentry`; reads and writes go to `file`, if there is one, else to the inode.
    pub fn new(dentry: Rc<Dentry>, file: Option<Rc<dyn File>>, flags: OpenFlags) -> Rc<OpenFile> {
        let flags = Cell::new(flags & OpenFlags::KEPT);
        Rc::new(OpenFile {
            dentry,
            file,
            flags,
            offset: Cell::new(0),
            locks: OnceCell::new(),
            owner: Cell::default(),
            signal: Cell::new(0),
        })
    }

    /// Gives back the locks that it has, at its end.
    pub fn releases_locks(&self, locks: &Rc<Locks>) {
        self.locks.get_or_init(|| Rc::clone(locks));
    }

    /// The place in the tree of files that was opened.
    pub fn dentry(&self) -> &Rc<Dentry> {
        &self.dentry
    }

    /// The object behind it, where that is not the inode.
    pub fn file(&self) -> Option<&Rc<dyn File>> {
        self.file.as_ref()
    }

    /// What fstat(2) tells.
    pub fn stat(&self) -> Stat {
        self.dentry.inode().stat()
    }

    /// What it is.
    pub fn file_type(&self) -> FileType {
        self.dentry.inode().file_type()
    }

    /// Whether it is a regular file that a file system keeps, and no object behind a name.
    pub fn is_stored(&self) -> bool {
        self.file.is_none() && self.file_type() == FileType::Regular
    }

    /// Access mode and status flags (F_GETFL).
    pub fn flags(&self) -> OpenFlags {
        self.flags.get()
    }

    /// Changes those status flags that can be changed (F_SETFL), and leaves the rest.
    pub fn set_flags(&self, flags: OpenFlags) {
        let kept = self.flags.get() - OpenFlags::SETTABLE;
        self.flags.set(kept | flags & OpenFlags::SETTABLE);
    }

    /// read(2): at the shared offset, which moves.
    pub fn read(&self, to: &mut [u8]) -> Result<usize> {
        let offset = self.offset.get();
        let count = self.read_from(offset, to)?;
        self.offset.set(offset.saturating_add(count as u64));
        Ok(count)
    }

    /// write(2): at the shared offset, or at the end with O_APPEND; the offset moves behind it. A stream
    /// may take less than all; a caller that is to block writes the rest when it is ready for it.
    pub fn write(&self, from: &[u8]) -> Result<usize> {
        let offset = self.write_offset(self.offset.get());
        let count = self.write_to(offset, from)?;
        self.offset.set(offset.saturating_add(count as u64));
        Ok(count)
    }

    /// pread(2): at `offset`. ESPIPE for a stream.
    pub fn pread(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        self.end()?;
        self.read_from(offset, to)
    }

    /// pwrite(2): at `offset`; at the end with O_APPEND, as Linux has it. ESPIPE for a stream.
    pub fn pwrite(&self, offset: u64, from: &[u8]) -> Result<usize> {
        self.end()?;
        self.write_to(self.write_offset(offset), from)
    }

    /// The shared offset. ESPIPE for a stream.
    pub fn position(&self) -> Result<u64> {
        self.end().map(|_| self.offset.get())
    }

    /// lseek(2): the new offset.
    pub fn seek(&self, offset: i64, whence: Whence) -> Result<u64> {
        let end = self.end()?;
        let from_start = || u64::try_from(offset).map_err(|_| Errno::NXIO);
        let base = match whence {
            Whence::Set => 0,
            Whence::Current => self.offset.get(),
            Whence::End => end,
            Whence::Data => self.dentry.inode().seek_data(from_start()?)?,
            Whence::Hole => self.dentry.inode().seek_hole(from_start()?)?,
        };
        let target = match whence {
            Whence::Data | Whence::Hole => base,
            _ => base.checked_add_signed(offset).ok_or(if offset < 0 {
                Errno::INVAL
            } else {
                Errno::OVERFLOW
            })?,
        };
        if target > OFFSET_MAX {
            return Err(if offset < 0 { Errno::INVAL } else { Errno::OVERFLOW });
        }
        self.offset.set(target);
        Ok(target)
    }

    /// poll(2).
    pub fn poll(&self) -> Poll {
        self.file.as_ref().map_or(Poll::READY, |file| file.poll())
    }

    /// What has become possible so far; `None` for a file that never waits.
    pub fn pulse(&self) -> Option<Pulse> {
        self.file.as_ref()?.pulse()
    }

    /// ioctl(2).
    pub fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        self.check(|_| true)?;
        self.file.as_ref().ok_or(Errno::NOTTY)?.ioctl(request, argument)
    }

    /// The page that mmap(2) maps. ENXIO past the end, ENODEV where there are no pages.
    pub fn page(&self, index: u64) -> Result<Frame> {
        self.check(OpenFlags::reads)?;
        match &self.file {
            Some(file) => file.page(index),
            None => self.dentry.inode().page(index),
        }
    }

    /// ftruncate(2).
    pub fn truncate(&self, size: u64) -> Result<()> {
        self.check(|_| true)?;
        if self.file.is_some() || !self.flags.get().writes() || size > OFFSET_MAX {
            return Err(Errno::INVAL);
        }
        self.dentry.inode().truncate(size)?;
        self.dentry.tell_all(linux::IN_MODIFY);
        Ok(())
    }

    /// fallocate(2).
    pub fn fallocate(&self, mode: FallocateMode, offset: u64, len: u64) -> Result<()> {
        self.check(OpenFlags::writes)?;
        if len == 0 || offset > OFFSET_MAX || len > OFFSET_MAX {
            return Err(Errno::INVAL);
        }
        if mode.contains(FallocateMode::PUNCH_HOLE) && !mode.contains(FallocateMode::KEEP_SIZE) {
            return Err(Errno::OPNOTSUPP);
        }
        match self.file_type() {
            FileType::Regular if self.file.is_some() => Err(Errno::OPNOTSUPP),
            FileType::Regular if offset + len > OFFSET_MAX => Err(Errno::FBIG),
            FileType::Regular => self.dentry.inode().fallocate(mode, offset, len),
            FileType::Fifo => Err(Errno::SPIPE),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::NODEV),
        }
    }

    /// getdents64(2): shows the directory's next entries, "." and ".." first, and moves behind those
    /// that were taken.
    pub fn read_dir(&self, sink: &mut DirSink<'_>) -> Result<()> {
        self.check(OpenFlags::reads)?;
        let offset = &self.offset;
        self.dentry.read_dir(offset.get(), &mut |entry: DirEntry<'_>| {
            let next = entry.next;
            let flow = sink(entry);
            if flow == ControlFlow::Continue(()) {
                offset.set(next);
            }
            flow
        })
    }

    fn read_from(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        self.check(OpenFlags::reads)?;
        let count = match &self.file {
            Some(file) => file.read(offset, to)?,
            None => self.dentry.inode().read_at(offset, to)?,
        };
        self.tell(linux::IN_ACCESS, count);
        Ok(count)
    }

    fn write_to(&self, offset: u64, from: &[u8]) -> Result<usize> {
        self.check(OpenFlags::writes)?;
        let count = match &self.file {
            Some(file) => file.write(offset, from)?,
            None if from.is_empty() => 0,
            None if offset >= OFFSET_MAX => return Err(Errno::FBIG),
            None => {
                // A write that would pass the largest offset is cut short there.
                let room = usize::try_from(OFFSET_MAX - offset).unwrap_or(usize::MAX);
                self.dentry.inode().write_at(offset, &from[..from.len().min(room)])?
            }
        };
        self.tell(linux::IN_MODIFY, count);
        Ok(count)
    }

    /// Tells who watches the file, where that concerned some bytes.
    fn tell(&self, mask: u32, count: usize) {
        if count > 0 {
            self.dentry.tell_all(mask);
        }
    }

    fn write_offset(&self, offset: u64) -> u64 {
        match &self.file {
            None if self.flags.get().contains(OpenFlags::APPEND) => self.stat().size,
            _ => offset,
        }
    }

    /// The end that offsets may be relative to. ESPIPE for a stream.
    fn end(&self) -> Result<u64> {
        self.check(|_| true)?;
        match &self.file {
            Some(file) => file.seek_end().ok_or(Errno::SPIPE),
            None => Ok(self.stat().size),
        }
    }

    /// EBADF for what was opened with O_PATH, or not for this.
    fn check(&self, allowed: fn(OpenFlags) -> bool) -> Result<()> {
        let flags = self.flags.get();
        if flags.contains(OpenFlags::PATH) || !allowed(flags) {
            return Err(Errno::BADF);
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(locks) = self.locks.get() {
            locks.release_all(self, Owner::of(self));
        }
        let flags = self.flags.get();
        if !flags.contains(OpenFlags::PATH) {
            let writes = flags.writes();
            self.dentry.tell_all(if writes {
                linux::IN_CLOSE_WRITE
            } else {
                linux::IN_CLOSE_NOWRITE
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::fs::testing::{Machine, machine};

    fn written(machine: &Machine, flags: OpenFlags, bytes: &[u8]) -> Rc<OpenFile> {
        let file = machine.open("/tmp/file", flags | OpenFlags::CREAT).unwrap();
        assert_eq!(file.write(bytes), Ok(bytes.len()));
        file
    }

    #[test]
    fn reads_and_writes_share_one_offset() {
        let file = written(&machine(), OpenFlags::RDWR, b"hello world");
        let mut buffer = [0; 16];
        assert_eq!(file.read(&mut buffer), Ok(0));
        assert_eq!(file.seek(6, Whence::Set), Ok(6));
        assert_eq!(file.read(&mut buffer), Ok(5));
        assert_eq!(&buffer[..5], b"world");
        assert_eq!(file.pread(0, &mut buffer[..5]), Ok(5));
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(file.seek(0, Whence::Current), Ok(11), "pread leaves the offset");
    }

    #[test]
    fn seeking_keeps_to_what_an_off_t_holds() {
        let file = written(&machine(), OpenFlags::RDWR, b"0123456789");
        assert_eq!(file.seek(-3, Whence::End), Ok(7));
        assert_eq!(file.seek(-8, Whence::Current), Err(Errno::INVAL));
        assert_eq!(file.seek(i64::MAX, Whence::End), Err(Errno::OVERFLOW));
        assert_eq!(file.seek(i64::MAX, Whence::Set), Ok(OFFSET_MAX));
        assert_eq!(file.write(b"x"), Err(Errno::FBIG));
        assert_eq!(file.seek(-1, Whence::Data), Err(Errno::NXIO));
        assert_eq!(file.seek(3, Whence::Hole), Ok(10));
        assert_eq!(file.seek(10, Whence::Data), Err(Errno::NXIO));
    }

    #[test]
    fn append_goes_to_the_end_whatever_the_offset() {
        let machine = machine();
        let file = written(&machine, OpenFlags::RDWR | OpenFlags::APPEND, b"one");
        let other = machine.open("/tmp/file", OpenFlags::WRONLY).unwrap();
        other.pwrite(3, b"two").unwrap();
        file.seek(0, Whence::Set).unwrap();
        file.write(b"three").unwrap();
        assert_eq!(file.seek(0, Whence::Current), Ok(11));
        let mut buffer = [0; 16];
        assert_eq!(file.pread(0, &mut buffer), Ok(11));
        assert_eq!(&buffer[..11], b"onetwothree");
        file.set_flags(OpenFlags::NONBLOCK | OpenFlags::WRONLY);
        assert_eq!(file.flags(), OpenFlags::RDWR | OpenFlags::NONBLOCK);
    }

    #[test]
    fn the_access_mode_is_kept_to() {
        let machine = machine();
        let file = written(&machine, OpenFlags::WRONLY, b"x");
        assert_eq!(file.read(&mut [0]), Err(Errno::BADF));
        let file = machine.open("/tmp/file", OpenFlags::RDONLY).unwrap();
        assert_eq!(file.write(b"x"), Err(Errno::BADF));
        assert_eq!(file.truncate(0), Err(Errno::INVAL));
        let file = machine.open("/tmp/file", OpenFlags::PATH | OpenFlags::RDWR).unwrap();
        assert_eq!(file.read(&mut [0]), Err(Errno::BADF));
        assert_eq!(file.seek(0, Whence::Set), Err(Errno::BADF));
        assert_eq!(file.stat().size, 1);
        let directory = machine.open("/tmp", OpenFlags::RDONLY).unwrap();
        assert_eq!(directory.read(&mut [0]), Err(Errno::ISDIR));
    }

    #[test]
    fn a_listing_goes_on_where_the_last_buffer_was_full() {
        let machine = machine();
        for name in ["/tmp/a", "/tmp/b", "/tmp/c"] {
            machine.open(name, OpenFlags::CREAT | OpenFlags::WRONLY).unwrap();
        }
        let directory = machine.open("/tmp", OpenFlags::RDONLY).unwrap();
        let mut names = Vec::new();
        loop {
            let mut batch = Vec::new();
            directory
                .read_dir(&mut |entry| {
                    if batch.len() == 2 {
                        return ControlFlow::Break(());
                    }
                    batch.push(entry.name.to_vec());
                    ControlFlow::Continue(())
                })
                .unwrap();
            if batch.is_empty() {
                break;
            }
            names.extend(batch);
        }
        assert_eq!(names, [&b"."[..], b"..", b"a", b"b", b"c"]);
        directory.seek(0, Whence::Set).unwrap();
        let mut count = 0;
        directory
            .read_dir(&mut |_| {
                count += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(count, 5);
    }
}
