//! The extended attributes of one inode. What they take counts against the file system's bytes, in whole pages.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use mayfly_hal::phys::FRAME_SIZE;

use super::budget::{Budget, Charge};
use crate::errno::{Errno, Result};
use crate::fs::xattr::XattrFlags;

/// What an attribute takes besides its name and its value, about: its place in the table.
const ENTRY_BYTES: usize = 64;

/// Names and values.
#[derive(Default)]
pub(super) struct Attributes(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    values: BTreeMap<Box<[u8]>, Vec<u8>>,
    bytes: usize,
    charge: Option<Charge>,
}

impl Attributes {
    /// The value of this name. ENODATA, ENOMEM.
    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>> {
        copy(self.0.borrow().values.get(name).ok_or(Errno::NODATA)?)
    }

    /// All names, each with its NUL. ENOMEM.
    pub(super) fn names(&self) -> Result<Vec<u8>> {
        let kept = self.0.borrow();
        let mut names = Vec::new();
        let len = kept.values.keys().map(|name| name.len() + 1).sum();
        names.try_reserve_exact(len).map_err(|_| Errno::NOMEM)?;
        for name in kept.values.keys() {
            names.extend_from_slice(name);
            names.push(0);
        }
        Ok(names)
    }

    /// Sets a value, or removes it. EEXIST, ENODATA, ENOMEM, ENOSPC.
    pub(super) fn set(
        &self,
        budget: &Rc<Budget>,
        name: &[u8],
        value: Option<&[u8]>,
        how: XattrFlags,
    ) -> Result<()> {
        let mut kept = self.0.borrow_mut();
        let taken = |value: &[u8]| ENTRY_BYTES + name.len() + value.len();
        let before = kept.values.get(name).map(|value| taken(value));
        if before.is_some() && how.contains(XattrFlags::CREATE) {
            return Err(Errno::EXIST);
        }
        if before.is_none() && (value.is_none() || how.contains(XattrFlags::REPLACE)) {
            return Err(Errno::NODATA);
        }
        let value = value.map(copy).transpose()?;
        let bytes = kept.bytes - before.unwrap_or(0) + value.as_deref().map_or(0, taken);
        match &mut kept.charge {
            Some(charge) => charge.resize(frames(bytes))?,
            none => *none = Some(budget.charge(frames(bytes))?),
        }
        kept.bytes = bytes;
        match value {
            Some(value) => drop(kept.values.insert(Box::from(name), value)),
            None => drop(kept.values.remove(name)),
        }
        Ok(())
    }
}

fn frames(bytes: usize) -> u64 {
    bytes.div_ceil(FRAME_SIZE) as u64
}

/// ENOMEM.
fn copy(value: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(value.len()).map_err(|_| Errno::NOMEM)?;
    copy.extend_from_slice(value);
    Ok(copy)
}
