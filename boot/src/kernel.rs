//! Tells a Mayfly kernel from anything else before it is given a vCPU.

use mayfly_abi::layout::{DIRECT_MAP, KERNEL_LOAD};
use mayfly_abi::{KERNEL_MAGIC, KernelHeader, VERSION};
use thiserror::Error;
use zerocopy::FromBytes;

/// Why a file is not a kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KernelError {
    /// The file ends inside its ELF header.
    #[error("the file is only {0} bytes long: too short for an ELF header")]
    Truncated(usize),
    /// No ELF magic.
    #[error("it is not an ELF file")]
    NotElf,
    /// Not 64-bit x86, little-endian.
    #[error(
        "it is an ELF file for another architecture (class {class}, machine {machine}), not 64-bit x86"
    )]
    Architecture {
        /// EI_CLASS: 1 is 32-bit, 2 is 64-bit.
        class: u8,
        /// e_machine: 62 is x86-64.
        machine: u16,
    },
    /// ELF, but nothing of ours.
    #[error(
        "it has no Mayfly kernel header at {KERNEL_LOAD:#x}: only Mayfly's own kernel boots here"
    )]
    NotMayfly,
    /// Made for another version of the boot protocol.
    #[error("it speaks version {0} of the boot protocol; this VMM speaks {VERSION}")]
    Version(u64),
    /// An address in the header lies outside the image.
    #[error("its header is broken: {field} is {value:#x}, outside the image")]
    Address {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
    },
}

/// Bytes of an ELF64 file header.
const ELF_HEADER: usize = 64;
const ELFCLASS64: u8 = 2;
const EM_X86_64: u16 = 62;

/// Checks the first bytes of a kernel file before a loader sees it.
pub fn check_elf(start: &[u8]) -> Result<(), KernelError> {
    let magic = b"\x7fELF";
    if !magic.starts_with(&start[..start.len().min(magic.len())]) {
        return Err(KernelError::NotElf);
    }
    if start.len() < ELF_HEADER {
        return Err(KernelError::Truncated(start.len()));
    }
    let machine = u16::from_le_bytes([start[18], start[19]]);
    if start[4] != ELFCLASS64 || start[5] != 1 || machine != EM_X86_64 {
        return Err(KernelError::Architecture { class: start[4], machine });
    }
    Ok(())
}

/// Checks the header that the loaded image shows at [`KERNEL_LOAD`]. `image_end` is the guest-physical
/// address past the image, zeroed data included, as the loader saw it.
pub fn check_header(bytes: &[u8], image_end: u64) -> Result<KernelHeader, KernelError> {
    let (header, _) = KernelHeader::read_from_prefix(bytes).map_err(|_| KernelError::NotMayfly)?;
    if header.magic != KERNEL_MAGIC {
        return Err(KernelError::NotMayfly);
    }
    if header.version != u64::from(VERSION) {
        return Err(KernelError::Version(header.version));
    }
    let image = DIRECT_MAP + KERNEL_LOAD..DIRECT_MAP + image_end;
    let entries = [
        ("entry", header.entry),
        ("syscall", header.syscall),
        ("page_fault", header.page_fault),
        ("exception", header.exception),
        ("privileged_step", header.privileged_step),
    ];
    for (field, value) in entries {
        if !image.contains(&value) {
            return Err(KernelError::Address { field, value });
        }
    }
    if header.end < image.start || header.end > image.end {
        return Err(KernelError::Address { field: "end", value: header.end });
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn what_is_not_an_x86_elf_is_named() {
        let mut elf = [0; ELF_HEADER];
        assert_eq!(check_elf(b"#!/bin/sh\n"), Err(KernelError::NotElf));
        assert_eq!(check_elf(b""), Err(KernelError::Truncated(0)));
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert_eq!(check_elf(&elf[..20]), Err(KernelError::Truncated(20)));
        elf[18] = 183;
        assert_eq!(check_elf(&elf), Err(KernelError::Architecture { class: 2, machine: 183 }));
        elf[18] = 62;
        assert_eq!(check_elf(&elf), Ok(()));
    }

    #[test]
    fn a_header_points_into_its_image() {
        let inside = DIRECT_MAP + KERNEL_LOAD + 0x100;
        let mut header = KernelHeader {
            magic: KERNEL_MAGIC,
            version: VERSION.into(),
            entry: inside,
            syscall: inside,
            page_fault: inside,
            exception: inside,
            privileged_step: inside,
            end: inside,
        };
        let end = KERNEL_LOAD + 0x1000;
        assert!(check_header(header.as_bytes(), end).is_ok());
        header.syscall = 0x40_0000;
        assert_eq!(
            check_header(header.as_bytes(), end).unwrap_err(),
            KernelError::Address { field: "syscall", value: 0x40_0000 }
        );
        header.version = 9;
        assert_eq!(check_header(header.as_bytes(), end).unwrap_err(), KernelError::Version(9));
        assert_eq!(check_header(&[0; 4096], end).unwrap_err(), KernelError::NotMayfly);
        assert_eq!(check_header(&[], end).unwrap_err(), KernelError::NotMayfly);
    }
}
