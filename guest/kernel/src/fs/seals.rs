//! Seals: what may never again be done to a file in memory (memfd_create(2), fcntl(2) F_ADD_SEALS).
//!
//! Who is given such a file can rely on them: no descriptor, not even its maker's, can take one back.

use bitflags::bitflags;
use linux_raw_sys::general as linux;

use super::open_file::OpenFile;
use crate::errno::{Errno, Result};

bitflags! {
    /// What is forbidden.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Seals: u32 {
        /// More seals.
        const SEAL = linux::F_SEAL_SEAL;
        /// To become shorter.
        const SHRINK = linux::F_SEAL_SHRINK;
        /// To become longer.
        const GROW = linux::F_SEAL_GROW;
        /// To change.
        const WRITE = linux::F_SEAL_WRITE;
        /// To change but through memory that maps it already.
        const FUTURE_WRITE = linux::F_SEAL_FUTURE_WRITE;
        /// To become executable, or stop being so.
        const EXEC = linux::F_SEAL_EXEC;
    }
}

impl Seals {
    /// What forbids to write to it, and to map it so that this can be done.
    pub const WRITES: Seals = Seals::WRITE.union(Seals::FUTURE_WRITE);

    /// EPERM where one of these is set.
    pub fn check(self, forbidden: Seals) -> Result<()> {
        if self.intersects(forbidden) { Err(Errno::PERM) } else { Ok(()) }
    }
}

impl OpenFile {
    /// The file's seals (F_GET_SEALS). EINVAL for what cannot be sealed.
    pub fn seals(&self) -> Result<Seals> {
        self.dentry().inode().seals().map(|seals| seals.get()).ok_or(Errno::INVAL)
    }

    /// Sets seals. `is_mapped`: somebody's memory maps it so that writes reach it. EINVAL for what cannot be sealed, EPERM
    /// where no more may be, EBUSY for [`Seals::WRITE`] while it is mapped.
    pub fn add_seals(&self, more: Seals, is_mapped: impl FnOnce() -> bool) -> Result<()> {
        let inode = self.dentry().inode();
        if !self.flags().writes() {
            return Err(Errno::PERM);
        }
        let seals = inode.seals().ok_or(Errno::INVAL)?;
        seals.get().check(Seals::SEAL)?;
        if more.contains(Seals::WRITE) && !seals.get().contains(Seals::WRITE) && is_mapped() {
            return Err(Errno::BUSY);
        }
        // What runs is not to change.
        let is_executable = inode.stat().mode & 0o111 != 0;
        let implied = match more.contains(Seals::EXEC) && is_executable {
            true => Seals::SHRINK | Seals::GROW | Seals::WRITES,
            false => Seals::empty(),
        };
        seals.set(seals.get() | more | implied);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;

    use super::*;
    use crate::fs::testing::machine;
    use crate::fs::{FallocateMode, OpenFlags, SetAttributes};

    /// A file of ten bytes that can be sealed.
    fn file() -> Rc<OpenFile> {
        let file = machine().open("/tmp/f", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
        assert_eq!(file.add_seals(Seals::GROW, || false), Err(Errno::PERM), "made by name");
        file.dentry().inode().seals().unwrap().set(Seals::empty());
        file.write(b"0123456789").unwrap();
        file
    }

    #[test]
    fn what_is_sealed_is_not_done() {
        let file = file();
        file.add_seals(Seals::SHRINK, || false).unwrap();
        assert_eq!((file.truncate(9), file.truncate(11)), (Err(Errno::PERM), Ok(())));
        file.add_seals(Seals::GROW, || false).unwrap();
        assert_eq!(
            (file.truncate(12), file.pwrite(10, b"xy")),
            (Err(Errno::PERM), Err(Errno::PERM))
        );
        let reserve = |mode, len| file.fallocate(mode, 0, len);
        assert_eq!(reserve(FallocateMode::empty(), 12), Err(Errno::PERM));
        assert_eq!((file.pwrite(0, b"a"), file.truncate(11)), (Ok(1), Ok(())));
        assert_eq!(file.add_seals(Seals::WRITE, || true), Err(Errno::BUSY));
        file.add_seals(Seals::FUTURE_WRITE, || true).unwrap();
        assert_eq!(file.pwrite(0, b"a"), Err(Errno::PERM));
        let hole = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
        assert_eq!(reserve(hole, 5), Err(Errno::PERM));
        file.add_seals(Seals::SEAL, || false).unwrap();
        assert_eq!(file.add_seals(Seals::WRITE, || false), Err(Errno::PERM));
        assert_eq!(
            file.seals(),
            Ok(Seals::SHRINK | Seals::GROW | Seals::FUTURE_WRITE | Seals::SEAL)
        );
    }

    #[test]
    fn what_is_executable_and_stays_so_is_sealed_whole() {
        let file = file();
        let set = |mode| {
            let set = SetAttributes { permissions: Some(mode), ..SetAttributes::default() };
            file.dentry().inode().set_attributes(&set)
        };
        set(0o700).unwrap();
        file.add_seals(Seals::EXEC, || false).unwrap();
        assert_eq!(file.seals(), Ok(Seals::all() - Seals::SEAL));
        assert_eq!(
            (set(0o600), set(0o755), set(0o500)),
            (Err(Errno::PERM), Err(Errno::PERM), Ok(()))
        );
    }
}
