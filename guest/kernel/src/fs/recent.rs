//! The directories that paths led to lately.
//!
//! A dentry lives while somebody needs it, and holds those above it. Keeping the directory at the end of
//! each walk for a while lets the next path through it find every step in memory: programs look up
//! many names in few directories.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use super::dentry::Dentry;

/// How many directories are kept: a language's search path and what it is about to read.
const KEPT: usize = 32;

/// A ring of directories, the oldest replaced first.
#[derive(Default)]
pub(super) struct Recent {
    ring: RefCell<[Option<Rc<Dentry>>; KEPT]>,
    next: Cell<usize>,
}

impl Recent {
    /// Keeps `at`, where it is a directory.
    pub(super) fn note(&self, at: &Rc<Dentry>) {
        let mut ring = self.ring.borrow_mut();
        if !at.is_dir() || ring.iter().flatten().any(|kept| Rc::ptr_eq(kept, at)) {
            return;
        }
        let next = self.next.get();
        self.next.set((next + 1) % KEPT);
        let oldest = ring[next].replace(at.clone());
        drop(ring);
        drop(oldest);
    }

    /// Keeps none any more.
    pub(super) fn clear(&self) {
        let ring = self.ring.take();
        drop(ring);
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::fs::testing::machine;

    #[test]
    fn the_last_directories_stay_and_older_ones_go() {
        let machine = machine();
        machine.mkdir("/tmp/first").unwrap();
        machine.write("/tmp/first/file", b"");
        let first = Rc::downgrade(&machine.lookup("/tmp/first").unwrap());
        let file = Rc::downgrade(&machine.lookup("/tmp/first/file").unwrap());
        assert!(first.upgrade().is_some() && file.upgrade().is_none());
        for n in 0..KEPT {
            machine.mkdir(&format!("/tmp/{n}")).unwrap();
            machine.write(&format!("/tmp/{n}/file"), b"");
        }
        assert!(first.upgrade().is_none());
        let last = Rc::downgrade(&machine.lookup("/tmp/31").unwrap());
        assert!(last.upgrade().is_some());
        machine.vfs.shrink(0);
        assert!(last.upgrade().is_none());
    }

    #[test]
    fn a_kept_directory_is_as_removed_as_any() {
        let machine = machine();
        machine.mkdir("/tmp/d").unwrap();
        machine.write("/tmp/d/f", b"");
        machine.unlink("/tmp/d/f").unwrap();
        machine.rmdir("/tmp/d").unwrap();
        assert!(machine.lookup("/tmp/d").is_err());
        machine.mkdir("/tmp/d").unwrap();
        machine.write("/tmp/d/f", b"new");
        assert_eq!(machine.read("/tmp/d/f"), b"new");
    }
}
