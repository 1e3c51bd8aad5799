//! The guest kernel that the build put into this program, and where in the program's file it lies.
//!
//! ```text
//!   file     │ … │ kernel, whole pages │ …          a segment maps
//!   memory       │ kernel              │            file offset ─▶ address
//! ```

use mayfly_abi::layout::PAGE_SIZE;

/// This very program's file, also where it has been replaced meanwhile.
pub const PROGRAM: &str = "/proc/self/exe";

/// Begins at a page, in memory and so in the file too: segments keep the two congruent (System V gABI, ch. 5).
#[repr(C, align(4096))]
struct PageAligned<T: ?Sized>(T);

static IMAGE: &PageAligned<[u8]> =
    &PageAligned(*include_bytes!(concat!(env!("OUT_DIR"), "/kernel.flat")));

const _: () = assert!(align_of::<PageAligned<[u8; 0]>>() == PAGE_SIZE as usize);

/// The kernel, flat, in whole pages: its first byte belongs at [`mayfly_abi::layout::KERNEL_LOAD`].
pub fn image() -> &'static [u8] {
    &IMAGE.0
}

/// Where [`image`] begins in [`PROGRAM`]; `None` where no segment of the program's own has it.
pub fn file_offset() -> Option<u64> {
    let address = image().as_ptr().addr();
    let offset = segments().iter().find_map(|segment| segment.file_offset_of(address));
    offset.filter(|offset| offset.is_multiple_of(PAGE_SIZE))
}

/// A loaded segment of the program.
struct Segment {
    address: usize,
    file_bytes: usize,
    offset: u64,
}

impl Segment {
    fn file_offset_of(&self, address: usize) -> Option<u64> {
        let into = address.checked_sub(self.address).filter(|&into| into < self.file_bytes)?;
        Some(self.offset + into as u64)
    }
}

/// The loaded segments of the program itself.
fn segments() -> Vec<Segment> {
    extern "C" fn collect(
        info: *mut libc::dl_phdr_info,
        _: usize,
        segments: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr passes a valid description, and the pointer that it was given.
        let (info, segments) = unsafe { (&*info, &mut *segments.cast::<Vec<Segment>>()) };
        // SAFETY: the headers of a loaded object stay mapped, and there are as many as said.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        segments.extend(loaded.map(|header| Segment {
            address: (info.dlpi_addr + header.p_vaddr) as usize,
            file_bytes: header.p_filesz as usize,
            offset: header.p_offset,
        }));
        // The first object is the program; the others are libraries. Not 0: no more, please.
        1
    }

    let mut segments = Vec::new();
    // SAFETY: `collect` gets `segments` back, which lives through the call, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut segments).cast()) };
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn the_file_holds_at_that_offset_what_memory_holds() {
        let offset = file_offset().unwrap();
        let mut bytes = vec![0; image().len()];
        File::open(PROGRAM).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        assert!(bytes == image());
        assert!(image().len().is_multiple_of(PAGE_SIZE as usize));
    }

    #[test]
    fn an_address_outside_a_segment_has_no_offset() {
        let segment = Segment { address: 0x1000, file_bytes: 0x100, offset: 0x40 };
        assert_eq!(segment.file_offset_of(0x10ff), Some(0x13f));
        assert_eq!(segment.file_offset_of(0x1100), None);
        assert_eq!(segment.file_offset_of(0xfff), None);
    }
}
