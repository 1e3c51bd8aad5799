use super::*;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};

use mayfly_abi::control::Segment as Spec;
use vm_memory::{Bytes, GuestAddress};

fn file_of(bytes: &[u8]) -> File {
    // SAFETY: the descriptor is new and ours.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"disk".as_ptr(), 0)) };
    file.write_all(bytes).unwrap();
    file
}

fn disk(segments: Vec<Spec>, writable: bool, file: &File) -> Result<Disk, DiskError> {
    let file: OwnedFd = file.try_clone().unwrap().into();
    Disk::new(control::Disk { segments, writable }, &[file].into_iter().collect())
}

fn bytes(bytes: &[u8]) -> Spec {
    Spec { len: bytes.len() as u64, source: Source::Bytes(bytes.to_vec()) }
}

fn part(offset: u64, len: u64) -> Spec {
    Spec { len, source: Source::File { descriptor: 0, offset } }
}

fn zeros(len: u64) -> Spec {
    Spec { len, source: Source::Zero }
}

fn memory() -> Memory {
    Memory::new(16 << 20).unwrap()
}

/// Pieces of guest memory, 64 KiB apart.
fn ranges(memory: &Memory, lens: &[u32]) -> Vec<GuestRange> {
    let place = |(index, &len)| {
        GuestRange::new(memory.guest(), GuestAddress(index as u64 * 0x1_0000), len).unwrap()
    };
    lens.iter().enumerate().map(place).collect()
}

fn content(memory: &Memory, ranges: &[GuestRange]) -> Vec<u8> {
    let mut all = Vec::new();
    for range in ranges {
        let mut piece = vec![0; range.len() as usize];
        memory.guest().read_slice(&mut piece, range.address()).unwrap();
        all.extend(piece);
    }
    all
}

/// The composed disk is byte for byte what its parts say, however a read is cut.
#[test]
fn reads_cross_segments_and_pieces() {
    let pattern: Vec<u8> = (0..10_000u32).map(|at| (at % 251) as u8).collect();
    let file = file_of(&pattern);
    let segments =
        vec![bytes(&[7; 700]), part(100, 5000), zeros(96), part(9000, 1000), bytes(&[9; 300])];
    let disk = disk(segments, false, &file).unwrap();
    let whole =
        [&[7; 700][..], &pattern[100..5100], &[0; 96], &pattern[9000..], &[9; 300]].concat();
    assert_eq!(disk.capacity_sectors(), whole.len() as u64 / 512);
    let memory = memory();
    for (offset, lens) in [
        (0, &[7096u32][..]),
        (0, &[1, 699, 1, 4999, 96, 1000, 300]),
        (650, &[100]),
        (699, &[1, 1]),
        (5699, &[98]),
        (5690, &[3, 200, 5, 900]),
        (7095, &[1]),
    ] {
        let ranges = ranges(&memory, lens);
        for range in &ranges {
            memory.guest().write_slice(&vec![0xee; range.len() as usize], range.address()).unwrap();
        }
        disk.read(&memory, offset, &ranges).unwrap();
        let len: u32 = lens.iter().sum();
        assert!(content(&memory, &ranges) == whole[offset as usize..][..len as usize], "{offset}");
    }
}

#[test]
fn what_is_not_there_is_an_error_and_not_data() {
    let file = file_of(&[1; 1000]);
    let memory = memory();
    let short = disk(vec![part(0, 4096)], false, &file).unwrap();
    assert_eq!(short.read(&memory, 0, &ranges(&memory, &[4096])), Err(BlockFailure));
    assert_eq!(short.read(&memory, 0, &ranges(&memory, &[512])), Ok(()));
    file.set_len(0).unwrap();
    assert_eq!(short.read(&memory, 0, &ranges(&memory, &[512])), Err(BlockFailure));
    assert_eq!(
        short.read(&memory, 4096, &ranges(&memory, &[512])),
        Err(BlockFailure),
        "past the end"
    );
}

#[test]
fn a_writable_disk_keeps_what_is_written() {
    let file = file_of(&[0; 8192]);
    let memory = memory();
    let writable = disk(vec![part(1024, 4096)], true, &file).unwrap();
    memory.guest().write_slice(b"one", GuestAddress(0)).unwrap();
    memory.guest().write_slice(b"two", GuestAddress(0x1_0000)).unwrap();
    writable.write(&memory, 512, &ranges(&memory, &[3, 3])).unwrap();
    writable.flush().unwrap();
    let mut got = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut got, 1024 + 512).unwrap();
    assert_eq!(&got, b"onetwo");
    let read_only = disk(vec![part(0, 4096)], false, &file).unwrap();
    assert_eq!(read_only.write(&memory, 0, &ranges(&memory, &[3])), Err(BlockFailure));
    assert_eq!(read_only.flush(), Ok(()), "there is nothing to lose");
}

#[test]
fn specifications_that_make_no_sense_are_refused() {
    let file = file_of(&[0; 512]);
    let lying = Spec { len: 512, source: Source::Bytes(vec![0; 511]) };
    assert!(matches!(disk(vec![lying], false, &file), Err(DiskError::Length(0))));
    assert!(matches!(
        disk(vec![zeros(u64::MAX), zeros(1)], false, &file),
        Err(DiskError::Length(1))
    ));
    assert!(matches!(disk(vec![part(u64::MAX, 1)], false, &file), Err(DiskError::Length(0))));
    let other = Spec { len: 1, source: Source::File { descriptor: 1, offset: 0 } };
    assert!(matches!(disk(vec![other], false, &file), Err(DiskError::Descriptor(1))));
    assert!(matches!(disk(vec![zeros(512)], true, &file), Err(DiskError::Writable)));
    assert!(matches!(
        disk(vec![part(0, 512), part(0, 512)], true, &file),
        Err(DiskError::Writable)
    ));
}
