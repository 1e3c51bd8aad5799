//! What can be wrong with a virtqueue. None of it depends on the device.

use mayfly_abi::layout::MMIO_HOLE;
use mayfly_hal::boot::Boot;

use crate::memory::{SCRATCH, end};
use crate::queue::{DESCRIPTOR_BYTES, Descriptor, INDIRECT, NEXT, Queue, WRITE};
use crate::unknown;

/// Offers the device a chain with the defect `how`. `flags` is [`WRITE`] where the device writes the
/// queue's buffers.
pub fn offer(boot: &Boot, queue: &mut Queue, how: &str, flags: u16) {
    let (size, ram) = (queue.info.size as u16, end(boot));
    let table = SCRATCH + 0x10_0000;
    let indirect = |len| Descriptor { address: table, len, flags: INDIRECT, next: 0 };
    match how {
        "head" => return queue.offer(size),
        "far-head" => return queue.offer(u16::MAX),
        "jump" => return queue.skip(5000),
        "back" => return queue.skip(u16::MAX),
        "loop" => {
            queue.chain(0, &[(SCRATCH, 16, flags), (SCRATCH, 16, flags | NEXT)]);
            let back = Descriptor { address: SCRATCH, len: 16, flags: flags | NEXT, next: 0 };
            queue.set(1, back);
        }
        "itself" => {
            queue.set(0, Descriptor { address: SCRATCH, len: 1, flags: flags | NEXT, next: 0 });
        }
        "next" => {
            queue.set(0, Descriptor { address: SCRATCH, len: 1, flags: flags | NEXT, next: size });
        }
        "outside" => queue.chain(0, &[(1 << 40, 4096, flags)]),
        "edge" => queue.chain(0, &[(ram - 1, 2, flags)]),
        "hole" => queue.chain(0, &[(MMIO_HOLE, 4096, flags)]),
        "wrap" => queue.chain(0, &[(u64::MAX - 15, u32::MAX, flags)]),
        "long" => queue.chain(0, &[(0, u32::MAX, flags), (0, u32::MAX, flags)]),
        "order" => queue.chain(0, &[(SCRATCH, 64, WRITE), (SCRATCH, 64, 0)]),
        "indirect-outside" => {
            queue.set(0, Descriptor { address: ram, len: 16, flags: INDIRECT, next: 0 });
        }
        "indirect-odd" => queue.set(0, indirect(17)),
        "indirect-empty" => queue.set(0, indirect(0)),
        "indirect-nested" => {
            indirect(16).put(table, 0);
            queue.set(0, indirect(16));
        }
        "indirect-long" => {
            const ENTRIES: u16 = 4096;
            for index in 0..ENTRIES {
                let next = (index + 1) % ENTRIES;
                let entry = Descriptor { address: SCRATCH, len: 1, flags: flags | NEXT, next };
                entry.put(table, index.into());
            }
            queue.set(0, indirect(u32::from(ENTRIES) * DESCRIPTOR_BYTES as u32));
        }
        // Not broken, but nothing to work with: the device may answer or refuse.
        "empty" => queue.chain(0, &[(SCRATCH, 0, flags), (1 << 50, 0, flags)]),
        "tiny" => queue.chain(0, &[(SCRATCH, 1, flags)]),
        "direction" => queue.chain(0, &[(SCRATCH, 64, flags ^ WRITE)]),
        "own-rings" => queue.chain(0, &[(queue.info.descriptors, 0x400, flags)]),
        _ => unknown(how),
    }
    queue.offer(0);
}
