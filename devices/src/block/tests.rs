use super::*;
use crate::testing::{MEMORY_BYTES, Rings, SIZE, WRITE, memory};
use proptest::prelude::*;
use vm_memory::{GuestAddress, GuestMemoryMmap};

const RINGS: Rings = Rings { base: 0x1000 };
const HEADER: u64 = 0x4000;
const STATUS: u64 = 0x4100;
const DATA: u64 = 0x8000;
const SECTORS: u64 = 64;
/// What a status byte holds before the device writes it.
const UNTOUCHED: u8 = 0xee;

struct Rig {
    mem: GuestMemoryMmap,
    queue: Queue,
    disk: Block,
}

impl Rig {
    fn new(read_only: bool) -> Rig {
        let mut queue = Queue::new::<SIZE>(0);
        RINGS.attach(&mut queue);
        Rig { mem: memory(), queue, disk: Block::new(SECTORS, read_only, *b"an id of twenty byte") }
    }

    /// Offers header + `data` + status.
    fn offer(&self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) {
        self.mem.write_obj(kind, GuestAddress(HEADER)).unwrap();
        self.mem.write_obj(sector, GuestAddress(HEADER + 8)).unwrap();
        self.mem.write_obj(UNTOUCHED, GuestAddress(STATUS)).unwrap();
        let mut chain = vec![(HEADER, 16, 0)];
        chain.extend(data);
        chain.push((STATUS, 1, WRITE));
        RINGS.offer(&self.mem, 0, &chain);
    }

    fn poll(&mut self) -> Result<Option<Request<'_>>, Fault> {
        self.disk.poll(&self.mem, &mut self.queue).map_err(|fault| fault.fault)
    }

    fn status(&self) -> u8 {
        self.mem.read_obj(GuestAddress(STATUS)).unwrap()
    }

    /// The status of a request that must be answered without the VMM.
    fn refusal(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> u8 {
        self.offer(kind, sector, data);
        assert!(self.poll().unwrap().is_none());
        assert_eq!(RINGS.used(&self.mem).last(), Some(&(0, 1)));
        self.status()
    }
}

const IOERR: u8 = VIRTIO_BLK_S_IOERR as u8;
const UNSUPP: u8 = VIRTIO_BLK_S_UNSUPP as u8;

#[test]
fn a_read_names_where_its_data_goes() {
    let mut rig = Rig::new(true);
    rig.offer(VIRTIO_BLK_T_IN, 3, &[(DATA, 512, WRITE), (DATA + 0x1000, 1024, WRITE)]);
    let request = rig.poll().unwrap().unwrap();
    let Op::Read { offset_bytes, ranges } = request.op else { panic!("not a read") };
    assert_eq!(offset_bytes, 3 * 512);
    let spans: Vec<_> = ranges.iter().map(|range| (range.address().0, range.len())).collect();
    assert_eq!(spans, [(DATA, 512), (DATA + 0x1000, 1024)]);
    let token = request.token;
    assert_eq!(rig.status(), UNTOUCHED);
    token.complete(&rig.mem, &mut rig.queue, Ok(())).unwrap();
    assert_eq!(rig.status(), VIRTIO_BLK_S_OK as u8);
    assert_eq!(RINGS.used(&rig.mem), [(0, 1537)]);
}

#[test]
fn a_failure_of_the_backing_is_an_io_error() {
    let mut rig = Rig::new(true);
    rig.offer(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
    let token = rig.poll().unwrap().unwrap().token;
    token.complete(&rig.mem, &mut rig.queue, Err(BlockFailure)).unwrap();
    assert_eq!(rig.status(), IOERR);
    assert_eq!(RINGS.used(&rig.mem), [(0, 0)], "no byte of the data is promised");
}

#[test]
fn a_driver_may_cut_a_request_as_it_likes() {
    let mut rig = Rig::new(false);
    rig.mem.write_obj(VIRTIO_BLK_T_OUT, GuestAddress(HEADER)).unwrap();
    rig.mem.write_obj(1u64, GuestAddress(HEADER + 8)).unwrap();
    // The header in two pieces, the second with the data behind it.
    RINGS.offer(&rig.mem, 0, &[(HEADER, 7, 0), (HEADER + 7, 9 + 512, 0), (STATUS, 1, WRITE)]);
    let request = rig.poll().unwrap().unwrap();
    let Op::Write { offset_bytes: 512, ranges } = request.op else { panic!("{:?}", request.op) };
    assert_eq!((ranges[0].address().0, ranges.bytes()), (HEADER + 16, 512));
    // The status as the last byte of the data.
    rig.offer(VIRTIO_BLK_T_IN, 0, &[]);
    RINGS.describe(&rig.mem, 1, (DATA, 513, WRITE, 0));
    let token = rig.poll().unwrap().unwrap().token;
    token.complete(&rig.mem, &mut rig.queue, Ok(())).unwrap();
    assert_eq!(rig.mem.read_obj::<u8>(GuestAddress(DATA + 512)).unwrap(), 0);
}

#[test]
fn what_leaves_the_disk_or_its_sectors_is_refused() {
    let mut rig = Rig::new(false);
    for kind in [VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT] {
        let flags = if kind == VIRTIO_BLK_T_IN { WRITE } else { 0 };
        assert_eq!(rig.refusal(kind, SECTORS - 1, &[(DATA, 1024, flags)]), IOERR);
        assert_eq!(rig.refusal(kind, u64::MAX, &[(DATA, 512, flags)]), IOERR);
        assert_eq!(rig.refusal(kind, 0, &[(DATA, 511, flags)]), IOERR);
        assert_eq!(rig.refusal(kind, 0, &[]), IOERR, "a transfer of nothing");
        assert_eq!(rig.refusal(kind, 0, &[(DATA, 512, flags ^ WRITE)]), IOERR, "the wrong way");
    }
    assert_eq!(rig.refusal(99, 0, &[(DATA, 512, WRITE)]), UNSUPP);
}

#[test]
fn a_read_only_disk_takes_no_writes() {
    let mut rig = Rig::new(true);
    assert_eq!(rig.refusal(VIRTIO_BLK_T_OUT, 0, &[(DATA, 512, 0)]), IOERR);
    assert_eq!(rig.refusal(VIRTIO_BLK_T_FLUSH, 0, &[]), UNSUPP, "it was not offered");
    assert_eq!(rig.disk.features() & (1 << VIRTIO_BLK_F_RO), 1 << VIRTIO_BLK_F_RO);
    let mut rig = Rig::new(false);
    rig.offer(VIRTIO_BLK_T_FLUSH, 0, &[]);
    assert!(matches!(rig.poll().unwrap().unwrap().op, Op::Flush));
}

#[test]
fn the_identifier_is_read() {
    let mut rig = Rig::new(true);
    rig.offer(VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 20, WRITE)]);
    assert!(rig.poll().unwrap().is_none());
    let mut id = [0; 20];
    rig.mem.read_slice(&mut id, GuestAddress(DATA)).unwrap();
    assert_eq!((&id, rig.status()), (b"an id of twenty byte", 0));
    assert_eq!(RINGS.used(&rig.mem), [(0, 21)]);
    assert_eq!(rig.refusal(VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 19, WRITE)]), IOERR);
}

#[test]
fn no_way_to_answer_is_a_fault() {
    let mut rig = Rig::new(true);
    RINGS.offer(&rig.mem, 0, &[(HEADER, 16, 0), (STATUS, 1, 0)]);
    assert_eq!(rig.poll().unwrap_err(), Fault::NoStatus);
    RINGS.offer(&rig.mem, 0, &[(HEADER, 15, 0), (STATUS, 1, WRITE)]);
    assert!(rig.poll().unwrap().is_none());
    assert_eq!(rig.status(), IOERR, "a header that is too short can be answered");
}

#[test]
fn the_configuration_says_what_there_is() {
    let config = Rig::new(true).disk.config();
    assert_eq!(config[..8], SECTORS.to_le_bytes());
    assert_eq!(config[12..16], 126u32.to_le_bytes());
    assert_eq!(config[20..24], 4096u32.to_le_bytes());
}

proptest! {
    /// Random requests are done within the disk and within memory, or refused, or a fault.
    #[test]
    fn any_request_is_harmless(
        kind in prop_oneof![0u32..14, any::<u32>()],
        sector in prop_oneof![0..SECTORS + 2, any::<u64>()],
        data in proptest::collection::vec((0u64..MEMORY_BYTES as u64 + 600, 0u32..1100, 0u16..4), 0..6),
        sectors in any::<bool>(),
    ) {
        let mut rig = Rig::new(false);
        let data: Vec<_> = data
            .into_iter()
            .map(|(address, len, flags)| {
                let len = if sectors { len & !511 } else { len };
                (address, len, flags & WRITE)
            })
            .collect();
        rig.offer(kind, sector, &data);
        if let Ok(Some(request)) = rig.disk.poll(&rig.mem, &mut rig.queue) {
            let (offset, ranges) = match request.op {
                Op::Read { offset_bytes, ranges } | Op::Write { offset_bytes, ranges } => (offset_bytes, ranges),
                Op::Flush => return Ok(()),
            };
            prop_assert!(offset + ranges.bytes() <= SECTORS * SECTOR_BYTES);
            prop_assert!(ranges.bytes() > 0 && ranges.bytes() % SECTOR_BYTES == 0);
            for range in ranges.iter() {
                prop_assert!(range.slice(&rig.mem).is_some());
            }
        }
    }
}
