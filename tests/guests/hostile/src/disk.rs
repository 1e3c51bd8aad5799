//! Bad requests of the root disk (virtio 1.2 §5.2.6).

use mayfly_abi::layout::{CHANNEL, PAGE_TABLES};
use mayfly_hal::boot::Boot;
use mayfly_hal::channel::kick;

use crate::defect;
use crate::memory::{SCRATCH, get, put};
use crate::queue::{Queue, WRITE};

/// Request types: read, write, flush, identify.
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
/// Bytes of a request's header.
const HEADER_BYTES: u32 = 16;
/// Where a request's parts are.
const HEADER: u64 = SCRATCH;
const STATUS: u64 = SCRATCH + 64;
const DATA: u64 = SCRATCH + 0x1000;
/// What the status byte holds until the device has answered.
const UNANSWERED: u8 = 0x55;
/// Statuses of the device: done, failed, not supported.
const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// The disk's queue with a defect, or a request that has the device write where it hurts.
pub fn run(boot: &Boot, how: &str) {
    let mut disk = Disk::new(boot);
    match how {
        "over-page-tables" => disk.read_to(PAGE_TABLES),
        "over-channel" => disk.read_to(CHANNEL),
        "over-rings" => disk.read_to(disk.queue.info.descriptors & !0xfff),
        "flood" => disk.flood(),
        _ => {
            defect::offer(boot, &mut disk.queue, how, 0);
            kick();
        }
    }
}

/// Requests that are merely wrong: the device must answer each with its status and go on.
pub fn requests(boot: &Boot) {
    let mut disk = Disk::new(boot);
    let sectors = boot.info.devices[0].config;
    let data = [(DATA, 512, WRITE)];
    disk.expect(OK, IN, 0, &data);
    disk.expect(IO_ERROR, IN, sectors, &data);
    disk.expect(IO_ERROR, IN, u64::MAX, &data);
    disk.expect(IO_ERROR, IN, u64::MAX / 512, &data);
    disk.expect(IO_ERROR, IN, sectors - 1, &[(DATA, 1024, WRITE)]);
    disk.expect(IO_ERROR, IN, 0, &[(DATA, 511, WRITE)]);
    disk.expect(IO_ERROR, IN, 0, &[]);
    disk.expect(IO_ERROR, IN, 0, &[(1 << 50, 0, WRITE)]);
    disk.expect(IO_ERROR, IN, 0, &[(DATA, 512, 0)]);
    disk.expect(IO_ERROR, OUT, 0, &[(DATA, 512, 0)]);
    disk.expect(IO_ERROR, OUT, 0, &data);
    disk.expect(IO_ERROR, GET_ID, 0, &data);
    disk.expect(OK, GET_ID, 0, &[(DATA, 20, WRITE)]);
    disk.expect(UNSUPPORTED, FLUSH, 0, &[]);
    disk.expect(UNSUPPORTED, 77, 0, &data);
    disk.expect(UNSUPPORTED, u32::MAX, u64::MAX, &data);
    // After all that, the disk is as good as before.
    disk.expect(OK, IN, 2, &data);
    let magic: u32 = get(DATA);
    assert_eq!(magic, mayfly_abi::erofs::SUPER_MAGIC, "the image's second KiB");
}

struct Disk {
    queue: Queue,
}

impl Disk {
    fn new(boot: &Boot) -> Disk {
        Disk { queue: Queue::new(boot.info.devices[0].queues[0]) }
    }

    /// Makes a request available, its chain from descriptor 0 on.
    fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) {
        put(HEADER, kind);
        put(HEADER + 4, 0u32);
        put(HEADER + 8, sector);
        put(STATUS, UNANSWERED);
        let mut parts = [(HEADER, HEADER_BYTES, 0); 4];
        parts[1..=data.len()].copy_from_slice(data);
        parts[data.len() + 1] = (STATUS, 1, WRITE);
        self.queue.chain(0, &parts[..data.len() + 2]);
        self.queue.offer(0);
    }

    fn expect(&mut self, status: u8, kind: u32, sector: u64, data: &[(u64, u32, u16)]) {
        let used = self.queue.used();
        self.request(kind, sector, data);
        kick();
        assert_eq!(self.queue.used(), used.wrapping_add(1), "request {kind} at {sector:#x}");
        assert_eq!(get::<u8>(STATUS), status, "request {kind} at {sector:#x}, {data:x?}");
    }

    /// Has the device write the image's first block over something that matters.
    fn read_to(&mut self, gpa: u64) {
        self.request(IN, 0, &[(gpa, 4096, WRITE)]);
        kick();
    }

    /// Nothing but requests that the device refuses, as many as the queue holds, again and again.
    fn flood(&mut self) {
        for _ in 0..200 {
            self.request(77, 0, &[]);
            (1..self.queue.info.size).for_each(|_| self.queue.offer(0));
            kick();
        }
        assert_eq!(u64::from(self.queue.used()), 200 * self.queue.info.size % (1 << 16));
    }
}
