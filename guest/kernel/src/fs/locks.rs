//! Locks of files (fcntl(2), flock(2)): who holds which bytes, for reading with others or for writing alone.
//!
//! ```text
//!   records   fcntl: ranges of bytes; held by a process, or by an open file description (F_OFD_…)
//!   whole     flock: whole files; held by descriptions
//!   a process's go when it closes any descriptor of the file, a description's when its last descriptor is closed
//! ```
//!
//! Nobody waits here: what conflicts is EAGAIN, and the caller comes back when files may have changed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

use super::open_file::OpenFile;
use crate::errno::{Errno, Result};
use crate::family::Pid;

/// Most locks of one file: each is looked at for each that is asked for.
const LOCKS_MAX: usize = 4096;

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process.
    Process(Pid),
    /// An open file description, by its address, which no other has while it is open.
    Description(usize),
}

/// A lock, or what somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who holds it.
    pub owner: Owner,
    /// Whether it is for its holder alone.
    pub exclusive: bool,
    /// Which bytes. `u64::MAX` is however long the file gets.
    pub range: Range<u64>,
}

/// Which of the two kinds, which know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// fcntl(2)'s.
    Record,
    /// flock(2)'s.
    Whole,
}

/// A file: `st_dev`, `st_ino`.
type FileId = (u64, u64);
type Table = BTreeMap<FileId, Vec<Lock>>;

/// All locks.
#[derive(Debug, Default)]
pub struct Locks {
    records: RefCell<Table>,
    whole: RefCell<Table>,
}

impl Owner {
    /// A description.
    pub fn of(file: &OpenFile) -> Owner {
        Owner::Description(core::ptr::from_ref(file).addr())
    }
}

impl Lock {
    fn conflicts(&self, other: &Lock) -> bool {
        self.owner != other.owner
            && self.overlaps(&other.range)
            && (self.exclusive || other.exclusive)
    }

    fn overlaps(&self, range: &Range<u64>) -> bool {
        self.range.start < range.end && range.start < self.range.end
    }
}

impl Locks {
    fn table(&self, kind: Kind) -> &RefCell<Table> {
        match kind {
            Kind::Record => &self.records,
            Kind::Whole => &self.whole,
        }
    }

    /// The first bytes' lock of those that stand in the way of this one (F_GETLK).
    pub fn conflict(&self, kind: Kind, file: &OpenFile, wanted: &Lock) -> Option<Lock> {
        let table = self.table(kind).borrow();
        let conflicts = table.get(&id(file))?.iter().filter(|lock| lock.conflicts(wanted));
        conflicts.min_by_key(|lock| lock.range.start).cloned()
    }

    /// Takes a lock; what its owner has of these bytes becomes that. EAGAIN where another stands in its way, ENOLCK beyond
    /// the most that a file may have.
    pub fn take(&self, kind: Kind, file: &OpenFile, wanted: Lock) -> Result<()> {
        if self.conflict(kind, file, &wanted).is_some() {
            return Err(Errno::AGAIN);
        }
        let mut table = self.table(kind).borrow_mut();
        let locks = table.entry(id(file)).or_default();
        // What is cut out of the middle of another leaves two.
        if locks.len() + 2 > LOCKS_MAX {
            return Err(Errno::NOLCK);
        }
        cut(locks, wanted.owner, &wanted.range);
        locks.push(wanted);
        Ok(())
    }

    /// Gives back what an owner has of these bytes. ENOLCK where that takes more locks than there may be.
    pub fn release(
        &self,
        kind: Kind,
        file: &OpenFile,
        owner: Owner,
        range: &Range<u64>,
    ) -> Result<()> {
        let mut table = self.table(kind).borrow_mut();
        let Some(locks) = table.get_mut(&id(file)) else { return Ok(()) };
        if locks.len() + 1 > LOCKS_MAX {
            return Err(Errno::NOLCK);
        }
        cut(locks, owner, range);
        if locks.is_empty() {
            table.remove(&id(file));
        }
        Ok(())
    }

    /// Gives back all that an owner has of a file.
    pub fn release_all(&self, file: &OpenFile, owner: Owner) {
        for table in [&self.records, &self.whole] {
            let mut table = table.borrow_mut();
            if let Some(locks) = table.get_mut(&id(file)) {
                locks.retain(|lock| lock.owner != owner);
                if locks.is_empty() {
                    table.remove(&id(file));
                }
            }
        }
    }
}

fn id(file: &OpenFile) -> FileId {
    let stat = file.stat();
    (stat.dev, stat.ino)
}

/// Takes `range` out of an owner's locks.
fn cut(locks: &mut Vec<Lock>, owner: Owner, range: &Range<u64>) {
    let is_touched = |lock: &Lock| lock.owner == owner && lock.overlaps(range);
    let touched: Vec<Lock> = locks.iter().filter(|lock| is_touched(lock)).cloned().collect();
    locks.retain(|lock| !is_touched(lock));
    for lock in touched {
        let rests = [lock.range.start..range.start, range.end..lock.range.end];
        for rest in rests.into_iter().filter(|rest| rest.start < rest.end) {
            locks.push(Lock { range: rest, ..lock.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;

    use super::*;
    use crate::fs::OpenFlags;
    use crate::fs::testing::machine;

    const A: Owner = Owner::Process(2);
    const B: Owner = Owner::Process(3);

    fn file() -> Rc<OpenFile> {
        machine().open("/tmp/file", OpenFlags::RDWR | OpenFlags::CREAT).unwrap()
    }

    fn lock(owner: Owner, exclusive: bool, range: Range<u64>) -> Lock {
        Lock { owner, exclusive, range }
    }

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let (locks, file) = (Locks::default(), file());
        let take = |wanted| locks.take(Kind::Record, &file, wanted);
        assert_eq!(take(lock(A, true, 30..40)), Ok(()));
        assert_eq!(take(lock(A, false, 0..10)), Ok(()));
        assert_eq!(take(lock(B, false, 5..20)), Ok(()));
        assert_eq!(take(lock(A, true, 0..6)), Err(Errno::AGAIN));
        assert_eq!(take(lock(A, true, 0..5)), Ok(()), "what it has itself is no hindrance");
        let wanted = lock(B, false, 0..u64::MAX);
        let conflict = locks.conflict(Kind::Record, &file, &wanted);
        assert_eq!(conflict, Some(lock(A, true, 0..5)), "the first bytes', whenever it was taken");
        assert_eq!(locks.take(Kind::Whole, &file, wanted), Ok(()), "another kind");
    }

    #[test]
    fn what_is_given_back_may_be_the_middle() {
        let (locks, file) = (Locks::default(), file());
        locks.take(Kind::Record, &file, lock(A, true, 0..u64::MAX)).unwrap();
        locks.release(Kind::Record, &file, A, &(10..20)).unwrap();
        let is_free = |range| locks.conflict(Kind::Record, &file, &lock(B, true, range)).is_none();
        assert!(is_free(10..20) && !is_free(9..10) && !is_free(20..21));
        locks.release_all(&file, B);
        assert!(!is_free(0..1));
        locks.release_all(&file, A);
        assert!(is_free(0..u64::MAX));
        assert!(locks.records.borrow().is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_file_has_so_many_and_no_more() {
        let (locks, file) = (Locks::default(), file());
        let take =
            |at: u64| locks.take(Kind::Record, &file, lock(A, at.is_multiple_of(4), at..at + 1));
        let taken = (0..).step_by(2).take_while(|at| take(*at).is_ok()).count();
        assert_eq!(taken, LOCKS_MAX - 1);
        assert_eq!(take(1), Err(Errno::NOLCK));
        assert_eq!(locks.release(Kind::Record, &file, A, &(0..u64::MAX)), Ok(()));
    }
}
