//! Guest memory: anonymous, private, and untouched until somebody writes to it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use mayfly_abi::channel::Channel;
use mayfly_abi::layout::{CHANNEL, ram_ranges};
use mayfly_boot::Write;
use mayfly_devices::GuestRange;
use thiserror::Error;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryMmap, GuestMemoryRegion,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::scatter::Span;

/// The guest's RAM.
#[derive(Debug)]
pub struct Memory {
    guest: GuestMemoryMmap,
}

/// Memory that the host does not give.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// More than there is.
    #[error(
        "the guest is to have {wanted_mib} MiB of memory, and this host has {host_mib} MiB in all"
    )]
    Host {
        /// What was asked for.
        wanted_mib: u64,
        /// What there is.
        host_mib: u64,
    },
    /// The mapping failed.
    #[error("{0} MiB of guest memory can't be mapped: {1}")]
    Map(u64, String),
}

impl Memory {
    /// `bytes` of RAM, placed as [`ram_ranges`] says. The host backs a page when it is first touched.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn new(bytes: u64) -> Result<Memory, MemoryError> {
        let wanted_mib = bytes >> 20;
        let host_mib = host_bytes() >> 20;
        if wanted_mib > host_mib {
            return Err(MemoryError::Host { wanted_mib, host_mib });
        }
        let ranges: Vec<(GuestAddress, usize)> = ram_ranges(bytes)
            .iter()
            .filter(|(start, end)| start < end)
            .map(|&(start, end)| (GuestAddress(start), (end - start) as usize))
            .collect();
        let guest = GuestMemoryMmap::from_ranges(&ranges)
            .map_err(|error| MemoryError::Map(wanted_mib, error.to_string()))?;
        Ok(Memory { guest })
    }

    /// The memory as devices see it.
    pub fn guest(&self) -> &GuestMemoryMmap {
        &self.guest
    }

    /// Carries out one write of a boot plan.
    ///
    /// # Errors
    /// Where it does not fit the guest's memory.
    pub fn write(&self, write: &Write) -> Result<(), GuestMemoryError> {
        self.guest.write_slice(&write.bytes, GuestAddress(write.gpa))
    }

    /// Writes `bytes` at `gpa`.
    ///
    /// # Errors
    /// Where they do not fit the guest's memory.
    pub fn write_at(&self, gpa: u64, bytes: &[u8]) -> Result<(), GuestMemoryError> {
        self.guest.write_slice(bytes, GuestAddress(gpa))
    }

    /// Puts `len` bytes of `file`, from `offset` on, at `gpa`, without a copy: the guest gets its own copy of
    /// a page when it writes to it. All three are multiples of a page.
    ///
    /// # Errors
    /// What the host says, or a place that is not RAM.
    pub fn map(&self, gpa: u64, file: &File, offset: u64, len: usize) -> io::Result<()> {
        let place = self.guest.get_slice(GuestAddress(gpa), len).map_err(io::Error::other)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let address = place.ptr_guard_mut().as_ptr().cast();
        // SAFETY: the range is part of a mapping that `self` owns, is replaced by one of the same kind, and
        // goes with it. Nothing holds a Rust reference into guest memory.
        match unsafe { libc::mmap(address, len, protection, flags, file.as_raw_fd(), offset) } {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Copies what lies at `gpa`; `None` where that is not all RAM.
    pub fn read<T: FromBytes + FromZeros + IntoBytes>(&self, gpa: u64) -> Option<T> {
        let mut value = T::new_zeroed();
        self.guest.read_slice(value.as_mut_bytes(), GuestAddress(gpa)).ok()?;
        Some(value)
    }

    /// A copy of the channel's page, taken while the guest is outside.
    pub fn channel(&self) -> Channel {
        self.read(CHANNEL).unwrap_or_else(Channel::new_zeroed)
    }

    /// The host's memory behind `ranges`.
    pub fn spans(&self, ranges: &[GuestRange]) -> Vec<Span<'_>> {
        ranges.iter().filter_map(|range| range.slice(&self.guest)).collect()
    }

    /// Guest-physical address past the RAM that begins at 0.
    pub fn low_end(&self) -> u64 {
        self.guest.iter().next().map_or(0, |region| region.len())
    }
}

/// Bytes of the host's own memory.
fn host_bytes() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let (pages, page) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(page).unwrap_or(0))
}
