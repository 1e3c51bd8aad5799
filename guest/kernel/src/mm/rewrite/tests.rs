use alloc::rc::Rc;
use std::io::Cursor;

use mayfly_hal::context::Access;
use mayfly_image::{Attributes, ImageLayout, Leaf, Options, Source, Timestamp, Tree};

use super::*;
use crate::fs::erofs::ErofsFs;
use crate::fs::testing::{Machine, MemoryDisk, TestSystem, machine_with_root};
use crate::mm::Destination;

const ENTRIES: Entries =
    Entries { call: 0x7f80_0000_1000, answer: 0x7f80_0000_2000, answered: &[110] };
const BASE: u64 = 0x40_0000;
const ELSEWHERE: u64 = 0x60_0000;
/// Where the site of getpgid is in its page, and where it goes on.
const SITE: usize = 0x100;
const BACK: u64 = BASE + (SITE + SITE_BYTES) as u64;
const COMPILED: [u8; SITE_BYTES] = [0xb8, 121, 0, 0, 0, 0x0f, 0x05];
const READ_EXECUTE: Protection = Protection::READ.union(Protection::EXECUTE);

/// A root image with a program of two pages of code.
fn machine() -> Machine {
    let attributes = |mode| Attributes::root(mode, Timestamp { seconds: 1, nanoseconds: 0 });
    let mut code = std::vec![0x90; 2 * PAGE_SIZE as usize];
    code[SITE..SITE + SITE_BYTES].copy_from_slice(&COMPILED);
    let mut tree = Tree::new(attributes(0o755)).unwrap();
    let directory = tree.make_directories(b"/bin", attributes(0o755)).unwrap();
    let program = Leaf::File(Source::Bytes(code));
    tree.add(directory, b"program", program, attributes(0o755)).unwrap();
    let layout = ImageLayout::build(tree, &Options::default()).unwrap();
    let mut image = Vec::new();
    layout.write_to(&mut image, |_| Ok(Cursor::new(Vec::new()))).unwrap();
    let root = Rc::new(ErofsFs::mount(Rc::new(MemoryDisk::new(image)), 1).unwrap());
    machine_with_root(TestSystem::new(), root)
}

fn mapped(machine: &Machine, protection: Protection, shared: bool) -> AddressSpace {
    let template = Frame::zeroed().unwrap();
    let mut space = AddressSpace::new(template.gpa(), 0x1000_0000).unwrap();
    let file = machine.lookup("/bin/program").unwrap();
    let sharing = if shared { Sharing::Shared } else { Sharing::Private };
    let backing = Backing::File { file, offset: 0, sharing };
    space.map(Placement::Exactly(BASE), 2 * PAGE_SIZE, protection, backing, "").unwrap();
    space.reserve_calls(ENTRIES);
    space.fault(BASE, Access::Execute).unwrap();
    space
}

/// What comes of a place that traps again and again.
fn heat(space: &mut AddressSpace, back: u64) -> Trapped {
    (0..100)
        .map(|_| space.note_trap(back, 121))
        .find(|t| *t != Trapped::Cold)
        .unwrap_or(Trapped::Cold)
}

fn bytes_at<const N: usize>(space: &mut AddressSpace, address: u64) -> [u8; N] {
    let page = page_of(address);
    if space.tables.query(page).is_none() {
        space.fault(page, Access::Read).unwrap();
    }
    let mapping = space.tables.query(page).unwrap();
    assert!(!mapping.flags.contains(Flags::WRITE));
    let frame = space.tables.unmap(page).unwrap();
    let mut bytes = [0; N];
    frame.read((address - page) as usize, &mut bytes);
    space.tables.map(page, frame, mapping.flags).unwrap();
    bytes
}

#[test]
fn a_hot_place_becomes_a_jump_through_its_stub_and_the_file_stays() {
    let machine = machine();
    let mut space = mapped(&machine, READ_EXECUTE, false);
    assert_eq!(heat(&mut space, BACK), Trapped::Rewritten);
    let site: [u8; SITE_BYTES] = bytes_at(&mut space, BASE + SITE as u64);
    assert_eq!(site, [0xff, 0x24, 0x25, 0, 0, 0x0f, 0x05]);
    let slot = u64::from_le_bytes(bytes_at(&mut space, CALL_TABLE));
    assert_eq!(slot, CALL_STUBS);
    assert_eq!(bytes_at(&mut space, slot), stub::bytes(BACK, 121, ENTRIES.call));
    assert_eq!(machine.read("/bin/program")[SITE..SITE + SITE_BYTES], COMPILED);
    assert_eq!(space.place_of_stub(slot + 3), Some((BACK - 2, 121)));
    assert_eq!(heat(&mut space, BACK), Trapped::Cold, "once is enough");
}

#[test]
fn only_code_that_stays_as_the_image_has_it_qualifies() {
    let machine = machine();
    for (protection, shared) in
        [(READ_EXECUTE, true), (Protection::READ, false), (READ_EXECUTE | Protection::WRITE, false)]
    {
        let mut space = mapped_for_any(&machine, protection, shared);
        assert_eq!(heat(&mut space, BACK), Trapped::Stays, "{protection:?} {shared}");
    }
    // Of a file that can change.
    let mut space = AddressSpace::new(Frame::zeroed().unwrap().gpa(), 0x1000_0000).unwrap();
    machine.write("/tmp/program", &machine.read("/bin/program"));
    let backing = Backing::File {
        file: machine.lookup("/tmp/program").unwrap(),
        offset: 0,
        sharing: Sharing::Private,
    };
    space.map(Placement::Exactly(BASE), PAGE_SIZE, READ_EXECUTE, backing, "").unwrap();
    space.reserve_calls(ENTRIES);
    space.fault(BASE, Access::Execute).unwrap();
    assert_eq!(heat(&mut space, BACK), Trapped::Stays);
    // Written, and then protected.
    let mut space = mapped_for_any(&machine, READ_EXECUTE | Protection::WRITE, false);
    space.fault(BASE, Access::Write).unwrap();
    space.protect(BASE..BASE + PAGE_SIZE, READ_EXECUTE).unwrap();
    assert_eq!(heat(&mut space, BACK), Trapped::Stays);
}

fn mapped_for_any(machine: &Machine, protection: Protection, shared: bool) -> AddressSpace {
    let mut space = mapped(machine, protection | Protection::EXECUTE, shared);
    if !protection.contains(Protection::EXECUTE) {
        space.protect(BASE..BASE + PAGE_SIZE, protection).unwrap();
    }
    space
}

#[test]
fn what_the_program_changes_is_as_the_file_has_it_first() {
    let machine = machine();
    type Change = fn(&mut AddressSpace) -> u64;
    let page = BASE..BASE + PAGE_SIZE;
    let changes: [(&str, Change); 3] = [
        ("mprotect", |space| {
            space.protect(BASE..BASE + PAGE_SIZE, READ_EXECUTE).unwrap();
            BASE
        }),
        ("madvise", |space| {
            space.discard(BASE..BASE + PAGE_SIZE);
            BASE
        }),
        ("mremap", |space| {
            let to = Destination::Fixed(ELSEWHERE);
            space.remap(BASE..BASE + PAGE_SIZE, PAGE_SIZE, to).unwrap()
        }),
    ];
    for (name, change) in changes {
        let mut space = mapped(&machine, READ_EXECUTE, false);
        assert_eq!(heat(&mut space, BACK), Trapped::Rewritten);
        let at = change(&mut space);
        assert_eq!(bytes_at(&mut space, at + SITE as u64), COMPILED, "{name}");
        assert_eq!(heat(&mut space, BACK - BASE + at), Trapped::Rewritten, "{name}: anew");
    }
    let mut space = mapped(&machine, READ_EXECUTE, false);
    assert_eq!(heat(&mut space, BACK), Trapped::Rewritten);
    space.unmap(page).unwrap();
    assert_eq!(heat(&mut space, BACK), Trapped::Stays, "nothing is there");
}

#[test]
fn a_program_that_wants_the_tables_place_has_it() {
    let machine = machine();
    let mut space = mapped(&machine, READ_EXECUTE, false);
    assert_eq!(heat(&mut space, BACK), Trapped::Rewritten);
    let read_write = Protection::READ | Protection::WRITE;
    let over = Placement::Replace(CALL_STUBS);
    space.map(over, PAGE_SIZE, read_write, Backing::Anonymous, "").unwrap();
    assert_eq!(bytes_at(&mut space, BASE + SITE as u64), COMPILED);
    assert!(space.areas().find(CALL_TABLE).is_none());
    assert_eq!(heat(&mut space, BACK), Trapped::Cold, "for good");

    let mut space = mapped(&machine, READ_EXECUTE, false);
    space.set_heap(CALL_TABLE - PAGE_SIZE);
    let end = CALL_TABLE + 5 * PAGE_SIZE;
    assert_eq!(space.brk(end), end, "the heap grows through it");
    assert_eq!(heat(&mut space, BACK), Trapped::Cold);
}

#[test]
fn without_memory_a_place_stays_and_nothing_leads_nowhere() {
    let machine = machine();
    let mut space = mapped(&machine, READ_EXECUTE, false);
    let held: Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
    assert_eq!(heat(&mut space, BACK), Trapped::Stays);
    assert_eq!(bytes_at(&mut space, BASE + SITE as u64), COMPILED);
    assert_eq!(space.place_of_stub(CALL_STUBS), None);
    drop(held);
    space.calls.as_mut().unwrap().hot = Default::default();
    assert_eq!(heat(&mut space, BACK), Trapped::Rewritten);
    assert_eq!(u64::from_le_bytes(bytes_at(&mut space, CALL_TABLE)), CALL_STUBS);
}
