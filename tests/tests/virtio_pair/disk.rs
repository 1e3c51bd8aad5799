//! Block requests, from the driver to the bytes and back.

use mayfly_drivers::block::{BlockError, Completed, Piece, SubmitError};
use mayfly_drivers::virtqueue::{Head, QueueFull};

use crate::rig::DiskRig;

/// Recognisable bytes.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 512 * 7 + at) as u8).collect()
}

fn piece(region: &mayfly_drivers::DmaRegion) -> Piece {
    Piece { gpa: region.gpa(), len: region.len() as u32 }
}

fn done(rig: &mut DiskRig) -> Vec<Completed> {
    std::iter::from_fn(|| rig.driver.poll().unwrap()).collect()
}

#[test]
fn a_read_fills_the_pieces_in_order() {
    let mut rig = DiskRig::new(pattern(64 << 10), true, 64);
    let pieces = [512, 4096, 1024].map(|len| rig.memory.take(len));
    let request = rig.driver.read(1024, &pieces.each_ref().map(piece)).unwrap();
    assert!(rig.driver.needs_kick());
    assert_eq!(rig.driver.poll().unwrap(), None);
    rig.exit().unwrap();
    assert!(!rig.driver.needs_kick());
    assert_eq!(done(&mut rig), [Completed { request, result: Ok(()) }]);
    let mut got = Vec::new();
    for region in &pieces {
        let mut bytes = vec![0; region.len()];
        region.read(0, &mut bytes);
        got.extend(bytes);
    }
    assert_eq!(got, rig.disk[1024..1024 + 512 + 4096 + 1024]);
}

#[test]
fn what_is_written_is_read_again() {
    let mut rig = DiskRig::new(vec![0; 64 << 10], false, 64);
    let from = rig.memory.take(8192);
    from.write(0, &pattern(8192));
    rig.driver.write(512, &[piece(&from)]).unwrap();
    rig.driver.flush().unwrap();
    rig.exit().unwrap();
    assert!(done(&mut rig).iter().all(|completed| completed.result.is_ok()));
    assert_eq!(rig.flushes, 1);
    assert_eq!(rig.disk[512..512 + 8192], pattern(8192));
    assert_eq!(
        (&rig.disk[..512], &rig.disk[8704..]),
        (&[0; 512][..], &vec![0; (64 << 10) - 8704][..])
    );
}

#[test]
fn many_requests_fly_at_once_and_the_queue_says_when_it_is_full() {
    let mut rig = DiskRig::new(pattern(64 << 10), true, 16);
    let regions: Vec<_> = (0..5).map(|_| rig.memory.take(512)).collect();
    for round in 0..100u64 {
        // Each request takes three of the sixteen descriptors.
        let sector = |index: u64| (round * 5 + index) % 128;
        for (index, region) in (0..).zip(&regions) {
            rig.driver.read(sector(index) * 512, &[piece(region)]).unwrap();
        }
        let full = rig.driver.read(0, &[piece(&regions[0])]);
        assert_eq!(full, Err(SubmitError::Full(QueueFull)));
        rig.exit().unwrap();
        assert_eq!(done(&mut rig).len(), 5);
        for (index, region) in (0..).zip(&regions) {
            let at = sector(index) as usize * 512;
            let mut bytes = [0; 512];
            region.read(0, &mut bytes);
            assert_eq!(bytes, rig.disk[at..at + 512]);
        }
    }
}

#[test]
fn a_broken_backing_is_an_io_error_and_not_the_end() {
    let mut rig = DiskRig::new(pattern(4096), false, 16);
    let region = rig.memory.take(512);
    rig.broken = true;
    let request = rig.driver.read(0, &[piece(&region)]).unwrap();
    rig.driver.write(0, &[piece(&region)]).unwrap();
    rig.exit().unwrap();
    let failed = done(&mut rig);
    assert_eq!(failed[0], Completed { request, result: Err(BlockError::Io) });
    assert_eq!(failed[1].result, Err(BlockError::Io));
    rig.broken = false;
    rig.driver.read(0, &[piece(&region)]).unwrap();
    rig.exit().unwrap();
    assert_eq!(done(&mut rig)[0].result, Ok(()));
}

#[test]
fn the_driver_refuses_what_the_disk_would() {
    let mut rig = DiskRig::new(pattern(4096), true, 256);
    let region = rig.memory.take(4096);
    let Piece { gpa, .. } = piece(&region);
    let mut read = |offset, lens: &[u32]| {
        let pieces: Vec<_> = lens.iter().map(|&len| Piece { gpa, len }).collect();
        rig.driver.read(offset, &pieces)
    };
    assert_eq!(read(0, &[]), Err(SubmitError::Range));
    assert_eq!(read(0, &[500]), Err(SubmitError::Range));
    assert_eq!(read(100, &[512]), Err(SubmitError::Range));
    assert_eq!(read(4096, &[512]), Err(SubmitError::Range));
    assert_eq!(read(u64::MAX - 511, &[512]), Err(SubmitError::Range));
    assert_eq!(read(0, &[8; 128]), Err(SubmitError::Range), "more pieces than the disk takes");
    assert_eq!(read(0, &[512, 256, 256]), Ok(Head(0)));
    assert_eq!(rig.driver.write(0, &[piece(&region)]), Err(SubmitError::ReadOnly));
    assert_eq!(rig.driver.flush(), Err(SubmitError::ReadOnly));
}

#[test]
fn the_longest_request_passes() {
    let mut rig = DiskRig::new(pattern(126 * 512), true, 128);
    let region = rig.memory.take(126 * 512);
    let pieces: Vec<_> =
        (0..126).map(|index| Piece { gpa: region.gpa() + (125 - index) * 512, len: 512 }).collect();
    assert_eq!(rig.driver.pieces_max(), 126);
    rig.driver.read(0, &pieces).unwrap();
    rig.exit().unwrap();
    assert_eq!(done(&mut rig)[0].result, Ok(()));
    let mut sector = [0; 512];
    region.read(0, &mut sector);
    assert_eq!(sector, rig.disk[125 * 512..], "the last sector went to the first place");
}
