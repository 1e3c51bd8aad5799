//! Descriptors: small numbers for open files (open(2), dup(2), close_range(2)).
//!
//! A new descriptor is the lowest free number; a hint below which all are taken makes that cheap. The
//! table grows as numbers are used, up to RLIMIT_NOFILE.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::ops::RangeInclusive;

use super::locks::{Locks, Owner};
use super::open_file::OpenFile;
use crate::errno::{Errno, Result};
use crate::family::Pid;

/// A descriptor's number.
pub type Fd = u32;

/// RLIMIT_NOFILE at the start, as most programs expect it.
pub const SOFT_LIMIT: u32 = 1024;
/// What it can be raised to: Linux's fs.nr_open. A full table takes 16 MiB of the guest's own memory.
pub const HARD_LIMIT: u32 = 1 << 20;

/// One descriptor.
#[derive(Clone)]
struct Slot {
    file: Rc<OpenFile>,
    close_on_exec: bool,
}

/// The program's descriptors.
pub struct FdTable {
    slots: RefCell<Vec<Option<Slot>>>,
    /// Every number below is taken.
    lowest: Cell<u32>,
    /// RLIMIT_NOFILE: one more than the highest number that may be given out.
    limit: Cell<u32>,
    /// Where its process may have locks, which go when any descriptor of a file is closed.
    locks: OnceCell<(Pid, Rc<Locks>)>,
}

impl Default for FdTable {
    fn default() -> FdTable {
        FdTable {
            slots: RefCell::default(),
            lowest: Cell::new(0),
            limit: Cell::new(SOFT_LIMIT),
            locks: OnceCell::new(),
        }
    }
}

impl FdTable {
    /// An empty table.
    pub fn new() -> FdTable {
        FdTable::default()
    }

    /// RLIMIT_NOFILE.
    pub fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Changes RLIMIT_NOFILE; descriptors above it stay open. EPERM above [`HARD_LIMIT`].
    pub fn set_limit(&self, limit: u32) -> Result<()> {
        if limit > HARD_LIMIT {
            return Err(Errno::PERM);
        }
        self.limit.set(limit);
        Ok(())
    }

    /// What `fd` stands for. EBADF.
    pub fn get(&self, fd: Fd) -> Result<Rc<OpenFile>> {
        self.slot(fd, |slot| slot.file.clone())
    }

    /// The lowest free number at or above `lowest` for `file` (open(2), F_DUPFD). EMFILE; EINVAL where
    /// `lowest` is beyond the limit.
    pub fn add(&self, file: Rc<OpenFile>, lowest: Fd, close_on_exec: bool) -> Result<Fd> {
        if lowest > 0 && lowest >= self.limit.get() {
            return Err(Errno::INVAL);
        }
        let fd = {
            let slots = self.slots.borrow();
            let from = lowest.max(self.lowest.get());
            let rest = slots.iter().skip(from as usize);
            from + rest.take_while(|slot| slot.is_some()).count() as u32
        };
        if fd >= self.limit.get() {
            return Err(Errno::MFILE);
        }
        self.put(fd, Slot { file, close_on_exec })?;
        if lowest <= self.lowest.get() {
            self.lowest.set(fd + 1);
        }
        Ok(fd)
    }

    /// dup(2), and F_DUPFD with `lowest`. EBADF, EMFILE, EINVAL.
    pub fn dup(&self, fd: Fd, lowest: Fd, close_on_exec: bool) -> Result<Fd> {
        self.add(self.get(fd)?, lowest, close_on_exec)
    }

    /// dup3(2): makes `to` another number of what `from` stands for; what `to` was is closed. EBADF
    /// also where `to` is beyond the limit, EINVAL where both are the same (dup2(2) allows that).
    pub fn dup3(&self, from: Fd, to: Fd, close_on_exec: bool) -> Result<Fd> {
        if from == to {
            return Err(Errno::INVAL);
        }
        let file = self.get(from)?;
        if to >= self.limit.get() {
            return Err(Errno::BADF);
        }
        self.put(to, Slot { file, close_on_exec })?;
        Ok(to)
    }

    /// dup2(2): as [`FdTable::dup3`], and nothing where both are the same.
    pub fn dup2(&self, from: Fd, to: Fd) -> Result<Fd> {
        if from == to { self.get(from).map(|_| to) } else { self.dup3(from, to, false) }
    }

    /// close(2): gives back the open file, so that the caller decides when it dies. EBADF.
    pub fn close(&self, fd: Fd) -> Result<Rc<OpenFile>> {
        let taken = self.slots.borrow_mut().get_mut(fd as usize).and_then(Option::take);
        let slot = taken.ok_or(Errno::BADF)?;
        self.lowest.update(|lowest| lowest.min(fd));
        self.release_locks(&slot.file);
        Ok(slot.file)
    }

    /// From now on, gives back the locks that process `pid` has of what is closed.
    pub fn releases_locks(&self, pid: Pid, locks: &Rc<Locks>) {
        self.locks.get_or_init(|| (pid, Rc::clone(locks)));
    }

    fn release_locks(&self, file: &OpenFile) {
        if let Some((pid, locks)) = self.locks.get() {
            locks.release_all(file, Owner::Process(*pid));
        }
    }

    /// Whether `fd` is closed by execve(2) (F_GETFD). EBADF.
    pub fn close_on_exec(&self, fd: Fd) -> Result<bool> {
        self.slot(fd, |slot| slot.close_on_exec)
    }

    /// Decides whether `fd` is closed by execve(2) (F_SETFD). EBADF.
    pub fn set_close_on_exec(&self, fd: Fd, close: bool) -> Result<()> {
        self.slot(fd, |slot| slot.close_on_exec = close)
    }

    /// close_range(2).
    pub fn close_range(&self, range: RangeInclusive<Fd>) {
        self.close_where(range, |_| true);
    }

    /// close_range(2) with CLOSE_RANGE_CLOEXEC.
    pub fn set_close_on_exec_range(&self, range: RangeInclusive<Fd>) {
        let mut slots = self.slots.borrow_mut();
        let bounds = bounds(&range, slots.len());
        for slot in slots[bounds].iter_mut().flatten() {
            slot.close_on_exec = true;
        }
    }

    /// What execve(2) closes.
    pub fn close_for_exec(&self) {
        self.close_where(0..=u32::MAX, |slot| slot.close_on_exec);
    }

    /// The descriptors from `first` on, ascending.
    pub fn descriptors(&self, first: Fd) -> Vec<Fd> {
        let slots = self.slots.borrow();
        let taken =
            slots.iter().enumerate().skip(first as usize).filter(|(_, slot)| slot.is_some());
        taken.map(|(fd, _)| fd as u32).collect()
    }

    /// A copy with the same open files, for a new process.
    pub fn duplicate(&self) -> Result<FdTable> {
        let mut copy = Vec::new();
        let slots = self.slots.borrow();
        copy.try_reserve_exact(slots.len()).map_err(|_| Errno::NOMEM)?;
        copy.extend_from_slice(&slots);
        Ok(FdTable {
            slots: RefCell::new(copy),
            lowest: self.lowest.clone(),
            limit: self.limit.clone(),
            locks: OnceCell::new(),
        })
    }

    fn slot<R>(&self, fd: Fd, look: impl FnOnce(&mut Slot) -> R) -> Result<R> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BADF)?;
        Ok(look(slot))
    }

    fn put(&self, fd: Fd, slot: Slot) -> Result<()> {
        let mut slots = self.slots.borrow_mut();
        let len = fd as usize + 1;
        if slots.len() < len {
            let more = len - slots.len();
            slots.try_reserve(more).map_err(|_| Errno::NOMEM)?;
            slots.resize(len, None);
        }
        // What was there may run code of its own when it dies: not while the table is borrowed.
        let old = slots[fd as usize].replace(slot);
        drop(slots);
        if let Some(old) = &old {
            self.release_locks(&old.file);
        }
        drop(old);
        Ok(())
    }

    fn close_where(&self, range: RangeInclusive<Fd>, which: fn(&Slot) -> bool) {
        let len = self.slots.borrow().len();
        for fd in bounds(&range, len) {
            let fd = fd as u32;
            if self.slot(fd, |slot| which(slot)) == Ok(true) {
                drop(self.close(fd));
            }
        }
    }
}

/// The part of a range of numbers that a table of `len` has.
fn bounds(range: &RangeInclusive<Fd>, len: usize) -> core::ops::Range<usize> {
    let end = (*range.end() as usize).saturating_add(1).min(len);
    (*range.start() as usize).min(end)..end
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::fs::open::OpenFlags;
    use crate::fs::testing::machine;

    fn file() -> Rc<OpenFile> {
        machine().open("/dev/null", OpenFlags::RDWR).unwrap()
    }

    fn table(count: u32) -> FdTable {
        let table = FdTable::new();
        for fd in 0..count {
            assert_eq!(table.add(file(), 0, fd % 2 == 1), Ok(fd));
        }
        table
    }

    #[test]
    fn the_lowest_free_number_is_given_out() {
        let table = table(6);
        for fd in [4, 1, 3] {
            table.close(fd).unwrap();
        }
        assert_eq!(table.close(3).err(), Some(Errno::BADF));
        assert_eq!(table.dup(0, 2, false), Ok(3));
        assert_eq!(table.dup(0, 0, false), Ok(1));
        assert_eq!(table.dup(0, 0, false), Ok(4));
        assert_eq!(table.dup(0, 0, false), Ok(6));
        assert_eq!(table.dup(0, 100, false), Ok(100));
        assert_eq!(table.dup(0, 0, false), Ok(7));
        assert_eq!(table.get(50).err(), Some(Errno::BADF));
    }

    #[test]
    fn limits_hold_for_new_numbers_alone() {
        let table = table(3);
        table.set_limit(4).unwrap();
        assert_eq!(table.dup(0, 0, false), Ok(3));
        assert_eq!(table.dup(0, 0, false), Err(Errno::MFILE));
        assert_eq!(table.dup(0, 4, false), Err(Errno::INVAL));
        assert_eq!(table.dup3(0, 4, false), Err(Errno::BADF));
        table.set_limit(2).unwrap();
        assert!(table.get(3).is_ok());
        assert_eq!(table.set_limit(HARD_LIMIT + 1), Err(Errno::PERM));
        table.set_limit(HARD_LIMIT).unwrap();
        assert_eq!(table.dup2(0, HARD_LIMIT - 1), Ok(HARD_LIMIT - 1));
        assert_eq!(table.descriptors(2), [2, 3, HARD_LIMIT - 1]);
    }

    #[test]
    fn duplicates_share_the_file_and_close_what_they_replace() {
        let table = table(3);
        let old = Rc::downgrade(&table.get(2).unwrap());
        assert_eq!(table.dup2(0, 2), Ok(2));
        assert!(Rc::ptr_eq(&table.get(0).unwrap(), &table.get(2).unwrap()));
        assert!(old.upgrade().is_none());
        assert_eq!(table.dup2(1, 1), Ok(1));
        assert_eq!(table.close_on_exec(1), Ok(true), "dup2 onto itself leaves the flag");
        assert_eq!(table.dup2(9, 9), Err(Errno::BADF));
        assert_eq!(table.dup3(1, 1, true), Err(Errno::INVAL));
        assert_eq!(table.dup3(1, 5, true), Ok(5));
        assert_eq!(table.close_on_exec(5), Ok(true));
    }

    #[test]
    fn exec_closes_what_is_marked() {
        let table = table(6);
        table.set_close_on_exec(1, false).unwrap();
        table.set_close_on_exec_range(4..=u32::MAX);
        table.close_for_exec();
        assert_eq!(table.descriptors(0), [0, 1, 2]);
    }

    #[test]
    fn ranges_are_closed_as_far_as_there_is_something() {
        let table = table(6);
        table.close_range(2..=3);
        assert_eq!(table.descriptors(0), vec![0, 1, 4, 5]);
        let copy = table.duplicate().unwrap();
        table.close_range(4..=u32::MAX);
        table.close_range(900..=1000);
        assert_eq!(table.descriptors(0), [0, 1]);
        assert_eq!(table.dup(0, 0, false), Ok(2));
        assert_eq!(copy.descriptors(0), [0, 1, 4, 5]);
    }
}
