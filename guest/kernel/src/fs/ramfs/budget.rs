//! How much a file system in memory may take.

use alloc::rc::Rc;
use core::cell::Cell;

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use crate::errno::{Errno, Result};
use crate::fs::system::System;

/// Limits of a file system in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of file contents, in whole pages.
    pub bytes: u64,
    /// Names. They cost the kernel's own memory, some hundred bytes each with their inodes.
    pub entries: u64,
    /// Bytes of the machine's memory that files leave to programs: what would go below is ENOSPC, and kills nobody.
    pub spared: u64,
}

/// What of the limits is used.
pub(super) struct Budget {
    system: Rc<dyn System>,
    limits: Limits,
    frames: Cell<u64>,
    entries: Cell<u64>,
}

impl Budget {
    pub(super) fn new(system: Rc<dyn System>, limits: Limits) -> Budget {
        Budget { system, limits, frames: Cell::new(0), entries: Cell::new(0) }
    }

    /// The limits, in frames and names.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.limits.bytes / FRAME_SIZE as u64, self.limits.entries)
    }

    /// What is left of the limits, in frames and names.
    fn left(&self) -> (u64, u64) {
        let (frames, entries) = self.totals();
        (frames - self.frames.get(), entries - self.entries.get())
    }

    /// What can be had, in frames and names: memory may be shorter than the limit.
    pub(super) fn free(&self) -> (u64, u64) {
        let (frames, entries) = self.left();
        let Limits { spared, .. } = self.limits;
        if spared == 0 {
            return (frames, entries);
        }
        let memory = self.system.memory();
        let available = (memory.free + memory.cached).saturating_sub(spared);
        (frames.min(available / FRAME_SIZE as u64), entries)
    }

    /// ENOSPC where memory is as short as files may make it.
    fn check_memory(&self) -> Result<()> {
        if self.system.has_more_than(self.limits.spared) { Ok(()) } else { Err(Errno::NOSPC) }
    }

    /// A frame, counted. ENOSPC at the limit, ENOMEM where the machine has none.
    pub(super) fn take_frame(&self, zeroed: bool) -> Result<Frame> {
        if self.left().0 == 0 {
            return Err(Errno::NOSPC);
        }
        self.check_memory()?;
        let frame = self.system.take_frame(zeroed).ok_or(Errno::NOMEM)?;
        self.frames.update(|count| count + 1);
        Ok(frame)
    }

    /// Uncounts frames.
    pub(super) fn give_back(&self, frames: u64) {
        self.frames.update(|count| count - frames);
    }

    /// Counts what takes no frame, but memory. ENOSPC.
    pub(super) fn charge(self: &Rc<Budget>, frames: u64) -> Result<Charge> {
        if frames > self.left().0 {
            return Err(Errno::NOSPC);
        }
        if frames > 0 {
            self.check_memory()?;
        }
        self.frames.update(|count| count + frames);
        Ok(Charge { budget: self.clone(), frames })
    }

    /// Counts a name. ENOSPC.
    pub(super) fn add_entry(&self) -> Result<()> {
        if self.left().1 == 0 {
            return Err(Errno::NOSPC);
        }
        self.check_memory()?;
        self.entries.update(|count| count + 1);
        Ok(())
    }

    /// Uncounts a name.
    pub(super) fn remove_entry(&self) {
        self.entries.update(|count| count - 1);
    }
}

/// Frames that are counted as long as this lives.
pub(super) struct Charge {
    budget: Rc<Budget>,
    frames: u64,
}

impl Charge {
    /// Counts so many frames from now on. ENOSPC, and nothing has changed.
    pub(super) fn resize(&mut self, frames: u64) -> Result<()> {
        let counted = &self.budget.frames;
        if frames > self.frames + self.budget.left().0 {
            return Err(Errno::NOSPC);
        }
        if frames > self.frames {
            self.budget.check_memory()?;
        }
        counted.set(counted.get() - self.frames + frames);
        self.frames = frames;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.frames);
    }
}
