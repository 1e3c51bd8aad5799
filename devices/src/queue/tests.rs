use super::*;
use crate::testing::{INDIRECT, MEMORY_BYTES, NEXT, Rings, SIZE, WRITE, memory};
use proptest::prelude::*;
use vm_memory::GuestMemoryMmap;

const RINGS: Rings = Rings { base: 0x1000 };
const DATA: u64 = 0x8000;

fn queue() -> Queue {
    let mut queue = Queue::new::<SIZE>(7);
    RINGS.attach(&mut queue);
    queue
}

fn pop(mem: &GuestMemoryMmap) -> Result<Option<Chain>, Fault> {
    let mut chain = Chain::default();
    match queue().pop(mem, &mut chain) {
        Ok(some) => Ok(some.then_some(chain)),
        Err(fault) => {
            assert_eq!(fault.queue, 7, "the fault names its queue");
            Err(fault.fault)
        }
    }
}

fn spans(scatter: &Scatter) -> Vec<(u64, u32)> {
    scatter.iter().map(|range| (range.address().0, range.len())).collect()
}

#[test]
fn a_chain_is_split_by_direction() {
    let mem = memory();
    RINGS.offer(
        &mem,
        3,
        &[(DATA, 16, 0), (DATA + 64, 8, 0), (DATA + 128, 0, 0), (DATA + 256, 1, WRITE)],
    );
    let chain = pop(&mem).unwrap().unwrap();
    assert_eq!(chain.head(), 3);
    assert_eq!(
        spans(&chain.readable),
        [(DATA, 16), (DATA + 64, 8)],
        "an empty buffer holds nothing"
    );
    assert_eq!(spans(&chain.writable), [(DATA + 256, 1)]);
}

#[test]
fn an_indirect_table_is_followed_once() {
    let mem = memory();
    let table = 0x5000;
    RINGS.describe_at(&mem, table, 0, (DATA, 16, NEXT, 1));
    RINGS.describe_at(&mem, table, 1, (DATA + 16, 16, WRITE, 0));
    RINGS.offer(&mem, 0, &[(table, 32, INDIRECT)]);
    let chain = pop(&mem).unwrap().unwrap();
    assert_eq!((chain.readable.bytes(), chain.writable.bytes()), (16, 16));

    RINGS.describe_at(&mem, table, 1, (table, 32, INDIRECT, 0));
    assert_eq!(pop(&mem).unwrap_err(), Fault::BrokenChain, "a table in a table");
}

#[test]
fn what_does_not_end_is_a_fault() {
    let mem = memory();
    RINGS.describe(&mem, 0, (DATA, 4, NEXT, 1));
    RINGS.describe(&mem, 1, (DATA, 4, NEXT, 0));
    RINGS.offer_head(&mem, 0);
    assert_eq!(pop(&mem).unwrap_err(), Fault::BrokenChain, "a loop");
    RINGS.describe(&mem, 1, (DATA, 4, NEXT, SIZE));
    assert_eq!(pop(&mem).unwrap_err(), Fault::BrokenChain, "a successor outside the table");
    RINGS.describe(&mem, 1, (DATA, 4, 0, SIZE));
    assert!(pop(&mem).unwrap().is_some());
    let mem = memory();
    RINGS.offer_head(&mem, SIZE);
    assert_eq!(pop(&mem).unwrap_err(), Fault::BrokenChain, "a head outside the table");
}

#[test]
fn a_long_indirect_chain_is_a_fault() {
    let mem = memory();
    let (table, count) = (0x10000, Chain::DESCRIPTORS_MAX as u16 + 1);
    for index in 0..count {
        RINGS.describe_at(
            &mem,
            table,
            index,
            (DATA, 1, if index + 1 < count { NEXT } else { 0 }, index + 1),
        );
    }
    RINGS.offer(&mem, 0, &[(table, u32::from(count) * 16, INDIRECT)]);
    assert_eq!(pop(&mem).unwrap_err(), Fault::LongChain);
}

#[test]
fn direction_and_place_are_checked() {
    let mem = memory();
    RINGS.offer(&mem, 0, &[(DATA, 4, WRITE), (DATA, 4, 0)]);
    assert_eq!(pop(&mem).unwrap_err(), Fault::Order);
    let edge = MEMORY_BYTES as u64 - 2;
    RINGS.offer(&mem, 0, &[(edge, 4, 0)]);
    assert_eq!(pop(&mem).unwrap_err(), Fault::OutsideMemory { address: edge, len: 4 });
}

#[test]
fn an_index_too_far_ahead_is_a_fault() {
    let mem = memory();
    RINGS.set_available_index(&mem, SIZE + 1);
    assert_eq!(pop(&mem).unwrap_err(), Fault::AvailableIndex);
}

#[test]
fn a_queue_lies_in_memory_and_is_aligned() {
    let mem = memory();
    let mut queue = queue();
    let mut set = |change: &dyn Fn(&mut QueueState)| {
        let mut state = RINGS.state();
        change(&mut state);
        queue.restore(&state).and_then(|()| queue.pop(&mem, &mut Chain::default()))
    };
    let fault = |result: Result<bool, GuestFault>| result.unwrap_err().fault;
    assert_eq!(fault(set(&|state| state.size = 3)), Fault::Size);
    assert_eq!(fault(set(&|state| state.size = SIZE * 2)), Fault::Size);
    assert_eq!(fault(set(&|state| state.descriptors += 8)), Fault::Alignment);
    assert_eq!(fault(set(&|state| state.used = u64::MAX - 3)), Fault::RingOutsideMemory);
    assert_eq!(fault(set(&|state| state.available = 0)), Fault::RingOutsideMemory);
    assert_eq!(set(&|state| state.ready = false), Ok(false), "not set up: nothing to take");
    assert_eq!(set(&|_| ()), Ok(false));
}

#[test]
fn a_chain_put_back_comes_again() {
    let mem = memory();
    let (mut queue, mut chain) = (queue(), Chain::default());
    RINGS.offer(&mem, 0, &[(DATA, 4, 0)]);
    RINGS.offer(&mem, 1, &[(DATA, 8, 0)]);
    assert!(queue.pop(&mem, &mut chain).unwrap());
    queue.unpop();
    assert!(queue.pop(&mem, &mut chain).unwrap());
    assert_eq!(chain.head(), 0);
    queue.push_used(&mem, chain.head(), 0).unwrap();
    assert!(queue.pop(&mem, &mut chain).unwrap());
    assert_eq!(chain.head(), 1);
    assert_eq!(RINGS.used(&mem), [(0, 0)]);
    let mut again = Queue::new::<SIZE>(7);
    again.restore(&queue.state()).unwrap();
    assert_eq!(again.state(), queue.state());
}

#[test]
fn interrupts_are_wanted_only_for_what_was_used() {
    let mem = memory();
    let mut queue = queue();
    assert!(!queue.wants_interrupt(&mem).unwrap());
    queue.push_used(&mem, 0, 0).unwrap();
    assert!(queue.wants_interrupt(&mem).unwrap());
    assert!(!queue.wants_interrupt(&mem).unwrap(), "said once");
    mem.write_obj(1u16, GuestAddress(RINGS.base + 0x400)).unwrap();
    queue.push_used(&mem, 0, 0).unwrap();
    assert!(!queue.wants_interrupt(&mem).unwrap(), "VIRTQ_AVAIL_F_NO_INTERRUPT");
}

#[test]
fn event_indices_ask_for_the_next_notification() {
    let mem = memory();
    let mut queue = queue();
    queue.restore(&QueueState { event_index: true, ..RINGS.state() }).unwrap();
    RINGS.offer(&mem, 0, &[(DATA, 4, 0)]);
    let mut chain = Chain::default();
    assert!(queue.pop(&mem, &mut chain).unwrap());
    assert!(!queue.pop(&mem, &mut chain).unwrap());
    let avail_event = GuestAddress(RINGS.base + 0x804 + u64::from(SIZE) * 8);
    assert_eq!(mem.read_obj::<u16>(avail_event).unwrap(), 1, "tell me when entry 1 is there");
    let used_event = GuestAddress(RINGS.base + 0x404 + u64::from(SIZE) * 2);
    mem.write_obj(1u16, used_event).unwrap();
    queue.push_used(&mem, 0, 0).unwrap();
    assert!(!queue.wants_interrupt(&mem).unwrap(), "the driver waits for the second");
    queue.push_used(&mem, 0, 0).unwrap();
    assert!(queue.wants_interrupt(&mem).unwrap());
}

proptest! {
    /// Random bytes in tables and rings end in a chain of checked ranges or in a fault, soon.
    #[test]
    fn nonsense_is_harmless(
        bytes in proptest::collection::vec(any::<u8>(), 0xc00),
        small in any::<bool>(),
        available in 0..=SIZE,
    ) {
        let mem = memory();
        mem.write_slice(&bytes, GuestAddress(RINGS.base)).unwrap();
        for index in 0..SIZE * u16::from(small) {
            // Plausible addresses and lengths get further into the code.
            let at = RINGS.base + u64::from(index) * 16;
            let [high, low, len] = [bytes[index as usize], bytes[index as usize + 16], bytes[index as usize + 32]];
            let address = u64::from(high) << 12 | u64::from(low);
            mem.write_obj(address, GuestAddress(at)).unwrap();
            mem.write_obj(u32::from(len), GuestAddress(at + 8)).unwrap();
            mem.write_obj(u16::from(len) & 0x7, GuestAddress(at + 12)).unwrap();
            mem.write_obj(u16::from(low) % (SIZE + 1), GuestAddress(at + 14)).unwrap();
        }
        RINGS.set_available_index(&mem, available);
        let (mut queue, mut chain) = (queue(), Chain::default());
        for _ in 0..=SIZE {
            match queue.pop(&mem, &mut chain) {
                Ok(true) => {
                    let ranges = chain.readable.iter().chain(chain.writable.iter());
                    for range in ranges {
                        prop_assert!(range.address().0 + u64::from(range.len()) <= MEMORY_BYTES as u64);
                    }
                    queue.push_used(&mem, chain.head(), 0).unwrap();
                }
                Ok(false) => return Ok(()),
                Err(_) => {}
            }
        }
        prop_assert_eq!(queue.pop(&mem, &mut chain), Ok(false), "more chains than entries");
    }
}
