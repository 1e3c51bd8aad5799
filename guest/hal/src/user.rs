//! A program's memory, as the kernel may touch it.
//!
//! Kernel and program share one address space, so a program's buffer *is* a slice, once its pages are
//! known to be there. [`UserRange::check`] proves that from the page tables; nothing unmaps them while
//! the kernel runs. So the kernel never faults, and needs no recovery from faults.

use mayfly_abi::layout::{PAGE_SIZE, USER_END};

use crate::paging::{Flags, PageTables};

/// A range of a program's memory whose pages are all mapped, and writable if that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct UserRange {
    start: u64,
    len: usize,
    writable: bool,
}

/// The range is not the program's, or a page of it is missing or may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMapped;

impl UserRange {
    /// Checks every page of `start..start + len` in the active tables.
    ///
    /// # Panics
    /// Where `tables` are not the active ones: a bug, which would reach into another program's memory.
    pub fn check(
        tables: &mut PageTables,
        start: u64,
        len: usize,
        writable: bool,
    ) -> Result<UserRange, NotMapped> {
        assert!(tables.is_active());
        let end = start.checked_add(len as u64).filter(|end| *end <= USER_END).ok_or(NotMapped)?;
        let needed = if writable { Flags::PRESENT | Flags::WRITE } else { Flags::PRESENT };
        let mut page = start & !(PAGE_SIZE - 1);
        while page < end {
            if !tables.query(page).is_some_and(|mapping| mapping.flags.contains(needed)) {
                return Err(NotMapped);
            }
            page += PAGE_SIZE;
        }
        Ok(UserRange { start, len, writable })
    }

    /// Bytes in the range.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `check` saw every page mapped; page-table changes happen in the memory manager only,
        // which is not entered while a range is in use; programs do not run meanwhile.
        unsafe { core::slice::from_raw_parts(self.start as *const u8, self.len) }
    }

    /// The bytes, to write.
    ///
    /// # Panics
    /// Where the range was not checked for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(self.writable);
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as in `bytes`, and every page is writable.
        unsafe { core::slice::from_raw_parts_mut(self.start as *mut u8, self.len) }
    }
}
