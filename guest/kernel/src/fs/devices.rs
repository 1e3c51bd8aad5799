//! The character devices that are pure software (null(4), random(4), ptmx(4)).

use alloc::rc::Rc;

use mayfly_hal::phys::Frame;

use super::file::{File, Poll};
use super::stat::{FileType, Stat, device_number};
use super::system::System;
use crate::errno::{Errno, Result};

/// Major number of the memory devices (Linux's devices.txt).
pub const MAJOR_MEMORY: u32 = 1;
/// /dev/null.
pub const MINOR_NULL: u32 = 3;
/// /dev/zero.
pub const MINOR_ZERO: u32 = 5;
/// /dev/full.
pub const MINOR_FULL: u32 = 7;
/// /dev/random.
pub const MINOR_RANDOM: u32 = 8;
/// /dev/urandom.
pub const MINOR_URANDOM: u32 = 9;
/// Major number of the alternate terminals.
pub const MAJOR_TTY: u32 = 5;
/// /dev/tty.
pub const MINOR_TTY: u32 = 0;
/// /dev/ptmx.
pub const MINOR_PTMX: u32 = 2;
/// Major number of the slaves of pseudo-terminals, by their number.
pub const MAJOR_SLAVE: u32 = 136;

/// Opens the device that an inode stands for. ENXIO where there is no such device, or no terminal.
pub fn open(system: &Rc<dyn System>, stat: &Stat) -> Result<Rc<dyn File>> {
    const fn memory(minor: u32) -> u64 {
        device_number(MAJOR_MEMORY, minor)
    }
    const NULL: u64 = memory(MINOR_NULL);
    const ZERO: u64 = memory(MINOR_ZERO);
    const FULL: u64 = memory(MINOR_FULL);
    const RANDOM: u64 = memory(MINOR_RANDOM);
    const URANDOM: u64 = memory(MINOR_URANDOM);
    const TTY: u64 = device_number(MAJOR_TTY, MINOR_TTY);
    const PTMX: u64 = device_number(MAJOR_TTY, MINOR_PTMX);

    if stat.file_type() != FileType::CharDevice {
        return Err(Errno::NXIO);
    }
    match stat.rdev {
        NULL => Ok(Rc::new(Null)),
        ZERO => Ok(Rc::new(Zero { full: false, system: system.clone() })),
        FULL => Ok(Rc::new(Zero { full: true, system: system.clone() })),
        RANDOM | URANDOM => Ok(Rc::new(Random(system.clone()))),
        TTY => system.terminal().ok_or(Errno::NXIO),
        PTMX => system.terminals().open_master(&**system),
        _ => Err(Errno::NXIO),
    }
}

/// Takes everything and gives nothing.
struct Null;

impl File for Null {
    fn read(&self, _offset: u64, _to: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        Ok(from.len())
    }

    fn seek_end(&self) -> Option<u64> {
        Some(0)
    }
}

/// Zeros without end; `full` is a disk without room for a byte.
struct Zero {
    full: bool,
    system: Rc<dyn System>,
}

impl File for Zero {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        to.fill(0);
        Ok(to.len())
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        if self.full { Err(Errno::NOSPC) } else { Ok(from.len()) }
    }

    fn seek_end(&self) -> Option<u64> {
        Some(0)
    }

    fn page(&self, _index: u64) -> Result<Frame> {
        self.system.take_frame(true).ok_or(Errno::NOMEM)
    }
}

/// Random bytes. The seed comes with the boot, so there is never a wait for entropy.
struct Random(Rc<dyn System>);

impl File for Random {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        self.0.fill_random(to);
        Ok(to.len())
    }

    /// What a program stirs in is taken and changes nothing: the generator is the kernel's.
    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        Ok(from.len())
    }

    fn seek_end(&self) -> Option<u64> {
        Some(0)
    }

    fn poll(&self) -> Poll {
        Poll::READY
    }
}
