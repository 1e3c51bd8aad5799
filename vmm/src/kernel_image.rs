//! Puts a kernel into guest memory: the one that this program carries, or an ELF file.
//!
//! Either way what counts in the end is the header that then lies at [`KERNEL_LOAD`]; a file that has none
//! is not started. Nothing is ever written outside the guest's RAM.

use std::fs::File;
use std::os::unix::fs::FileExt;

use linux_loader::loader::{Elf, KernelLoader};
use mayfly_abi::KernelHeader;
use mayfly_abi::layout::{DIRECT_MAP, KERNEL_LOAD};
use mayfly_boot::{KernelError, check_elf, check_header};
use thiserror::Error;
use vm_memory::GuestAddress;

use crate::embedded;
use crate::memory::Memory;

/// A kernel in guest memory.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Its header, checked.
    pub header: KernelHeader,
    /// Guest-physical address past the image, its zeroed data included.
    pub end: u64,
}

/// A kernel that can't be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// See [`KernelError`].
    #[error("the kernel can't be booted: {0}")]
    Kernel(#[from] KernelError),
    /// The file does not read.
    #[error("the kernel's file can't be read: {0}")]
    Read(#[source] std::io::Error),
    /// A segment lies outside the guest's memory, or beyond the file's end.
    #[error("the kernel's file is cut short, or larger than the guest's memory ({0})")]
    Segments(linux_loader::loader::Error),
    /// The embedded image does not fit.
    #[error("the kernel does not fit the guest's memory")]
    NoRoom,
}

/// Loads the embedded kernel, or `file`.
///
/// # Errors
/// [`LoadError`].
pub fn load(memory: &Memory, file: Option<&File>) -> Result<Loaded, LoadError> {
    let image_end = match file {
        None => load_embedded(memory)?,
        Some(file) => load_elf(memory, file)?,
    };
    let header: Option<[u8; size_of::<KernelHeader>()]> = memory.read(KERNEL_LOAD);
    // The header may count zeroed data that no file segment holds: it must lie in RAM, and nothing more.
    let header = check_header(&header.ok_or(LoadError::NoRoom)?, memory.low_end())?;
    let end = (header.end - DIRECT_MAP).max(image_end);
    Ok(Loaded { header, end })
}

/// Maps the embedded kernel from this program's own file: pages that the guest only reads are the host's
/// page cache, one copy for all VMs. Where that can't be, it is copied.
fn load_embedded(memory: &Memory) -> Result<u64, LoadError> {
    let image = embedded::image();
    let is_mapped = embedded::file_offset().is_some_and(|offset| {
        let program = File::open(embedded::PROGRAM);
        program.is_ok_and(|file| memory.map(KERNEL_LOAD, &file, offset, image.len()).is_ok())
    });
    if !is_mapped {
        memory.write_at(KERNEL_LOAD, image).map_err(|_| LoadError::NoRoom)?;
    }
    Ok(KERNEL_LOAD + image.len() as u64)
}

/// Bytes that tell an ELF file's kind.
const ELF_START: usize = 64;

fn load_elf(memory: &Memory, file: &File) -> Result<u64, LoadError> {
    let mut start = [0; ELF_START];
    let len = file.read_at(&mut start, 0).map_err(LoadError::Read)?;
    check_elf(&start[..len])?;
    let mut file = file.try_clone().map_err(LoadError::Read)?;
    // With an explicit offset the loader leaves the file's notes alone, which we have no use for.
    Elf::load(memory.guest(), Some(GuestAddress(0)), &mut file, None)
        .map(|loaded| loaded.kernel_end)
        .map_err(LoadError::Segments)
}
