//! A directory's names, found by name and listed in the order in which they came.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// Names of inodes. A name's cookie is never used again, so that a listing can go on after any change.
pub(super) struct Directory {
    /// The directory above; the root's is itself.
    pub(super) parent: Cell<u64>,
    names: RefCell<Names>,
}

#[derive(Default)]
struct Names {
    cookies: BTreeMap<Rc<[u8]>, u64>,
    entries: BTreeMap<u64, (Rc<[u8]>, u64)>,
    last_cookie: u64,
}

impl Directory {
    pub(super) fn new(parent: u64) -> Directory {
        Directory { parent: Cell::new(parent), names: RefCell::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.borrow().entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.names.borrow().entries.len()
    }

    /// The inode that `name` means.
    pub(super) fn get(&self, name: &[u8]) -> Option<u64> {
        let names = self.names.borrow();
        let cookie = names.cookies.get(name)?;
        names.entries.get(cookie).map(|(_, ino)| *ino)
    }

    /// Makes `name` mean `ino`, also where it meant another inode.
    pub(super) fn set(&self, name: &[u8], ino: u64) {
        let names = &mut *self.names.borrow_mut();
        if let Some(entry) =
            names.cookies.get(name).and_then(|cookie| names.entries.get_mut(cookie))
        {
            entry.1 = ino;
            return;
        }
        let name: Rc<[u8]> = Rc::from(name);
        names.last_cookie += 1;
        names.cookies.insert(name.clone(), names.last_cookie);
        names.entries.insert(names.last_cookie, (name, ino));
    }

    pub(super) fn remove(&self, name: &[u8]) {
        let names = &mut *self.names.borrow_mut();
        if let Some(cookie) = names.cookies.remove(name) {
            names.entries.remove(&cookie);
        }
    }

    /// The first name after `cookie`: its own cookie, itself, its inode.
    pub(super) fn after(&self, cookie: u64) -> Option<(u64, Rc<[u8]>, u64)> {
        let names = self.names.borrow();
        let (cookie, (name, ino)) = names.entries.range(cookie.checked_add(1)?..).next()?;
        Some((*cookie, name.clone(), *ino))
    }
}
