//! The VMM on the host's real KVM, with guests of a few instructions.
#![allow(clippy::unwrap_used)]

#[path = "kvm_vmm/tiny_kernel.rs"]
mod tiny_kernel;

use std::io::{Seek, Write};
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mayfly_abi::channel::{Channel, Clock, Marks, PORT_END, PORT_KICK, PORT_WAIT, end};
use mayfly_abi::control::{Disk, Outcome, Report, Segment, Source, VmSpec};
use mayfly_abi::layout::{
    DIRECT_MAP_SLOT, KERNEL_LOAD, MMIO_HOLE, MMIO_STRIDE, PAGE_TABLES, QUEUES,
};
use mayfly_vmm::{Descriptors, Machine, MachineError, Prepared, Runner};
use tiny_kernel::{TinyKernel, UNEXPECTED, elf};

fn spec(memory_mib: u64) -> VmSpec {
    VmSpec {
        memory_mib,
        kernel: Some(0),
        root: Disk { segments: vec![Segment { len: 8192, source: Source::Zero }], writable: false },
        mounts: Vec::new(),
        program: b"/bin/program".to_vec(),
        argv: vec![b"program".to_vec()],
        env: vec![],
        cwd: b"/".to_vec(),
        tmp_bytes_max: 0,
        streams: vec![],
        services: Vec::new(),
        keeps_calls: false,
        tells_start: false,
        terminals: 0,
        cpuid: vec![],
    }
}

fn file_of(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn machine(kernel: &[u8], memory_mib: u64) -> Result<Machine, MachineError> {
    let descriptors: Descriptors = [file_of(kernel)].into_iter().collect();
    Machine::new(Prepared::new()?, spec(memory_mib), &descriptors)
}

fn run(kernel: &TinyKernel) -> (Outcome, Report) {
    Runner::new(machine(&kernel.elf(), 16).unwrap(), None).run()
}

fn failure(kernel: &TinyKernel) -> String {
    match run(kernel).0 {
        Outcome::Failed(text) => text,
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn a_guest_enters_at_cpl_3_and_ends_with_its_status() {
    // mov eax, cs; the low two bits are the privilege level.
    let kernel =
        TinyKernel::new().bytes(&[0x8c, 0xc8, 0x48, 0xc1, 0xe0, 0x20, 0x48, 0x83, 0xc8, 0x01]);
    let kernel = kernel.store(offset_of!(Channel, end)).out(PORT_END).spin();
    let (outcome, report) = run(&kernel);
    assert_eq!(outcome, Outcome::Exited(0x33), "CS is the CPL 3 selector");
    // A host that is slow may look at it in between.
    assert_eq!((report.exits.total() - report.exits.interrupted, report.exits.other), (1, 1));
    assert!(report.kvm_ready < report.guest_entered && report.guest_entered < report.exited);
}

#[test]
fn the_guests_counter_and_the_clock_agree() {
    const SLEEP_NS: u64 = 30_000_000;
    const TOLERANCE_NS: u64 = 1_000_000;
    let marks = offset_of!(Channel, marks);
    let kernel = TinyKernel::new()
        .stamp(marks + offset_of!(Marks, kernel_ready))
        .fetch(offset_of!(Channel, clock) + offset_of!(Clock, monotonic_ns))
        .bytes(&[0x48, 0x05])
        .bytes(&(SLEEP_NS as u32).to_le_bytes()) // add rax, 30 ms
        .store(offset_of!(Channel, deadline_ns))
        .out(PORT_WAIT)
        .stamp(marks + offset_of!(Marks, user_entered))
        .exit(0);
    let (outcome, report) = run(&kernel);
    assert_eq!((outcome, report.exits.wait), (Outcome::Exited(0), 1));
    // A counter that were off would have been moved to the nearest possible moment, so: strictly between.
    assert!(report.guest_entered < report.kernel_ready, "{report:?}");
    assert!(report.user_entered < report.exited, "{report:?}");
    // The deadline counts from the clock's moment, which comes after the vCPU's; how late it is kept is
    // the machine's affair.
    assert!(report.user_entered + TOLERANCE_NS >= report.kvm_ready + SLEEP_NS, "{report:?}");
}

#[test]
fn every_kick_is_counted_and_survived() {
    let mut kernel = TinyKernel::new();
    for _ in 0..1000 {
        kernel = kernel.out(PORT_KICK);
    }
    let (outcome, report) = run(&kernel.exit(7));
    assert_eq!((outcome, report.exits.kick), (Outcome::Exited(7), 1000));
}

#[test]
fn device_registers_answer() {
    // The register file's magic value is "virt" (virtio 1.2 §4.2.2); past the devices there is nothing.
    let byte = |gpa| {
        let kernel = TinyKernel::new().peek(gpa).bytes(&[0x48, 0x25, 0xff, 0, 0, 0]); // and rax, 0xff
        let kernel = kernel.bytes(&[0x48, 0xc1, 0xe0, 0x20, 0x48, 0x83, 0xc8, 0x01]);
        run(&kernel.store(offset_of!(Channel, end)).out(PORT_END).spin())
    };
    let (outcome, report) = byte(MMIO_HOLE);
    assert_eq!((outcome, report.exits.mmio), (Outcome::Exited(b'v'), 1));
    assert_eq!(byte(MMIO_HOLE + MMIO_STRIDE + 8).0, Outcome::Exited(19), "the second is vsock");
    assert_eq!(byte(MMIO_HOLE + 7 * MMIO_STRIDE).0, Outcome::Exited(0));
}

#[test]
fn a_triple_fault_is_one_clear_line() {
    let root_entry = PAGE_TABLES + DIRECT_MAP_SLOT as u64 * 8;
    // Takes its own memory away: the next fetch faults, and so does the fault's handler.
    let kernel = TinyKernel::new()
        .bytes(&[0xbf])
        .bytes(&(PAGE_TABLES as u32).to_le_bytes()) // mov edi, root table
        .poke(root_entry, 0)
        .privileged_step();
    let text = failure(&kernel.spin());
    assert!(text.contains("shut down") || text.contains("gave up"), "{text}");
}

#[test]
fn a_port_that_nobody_serves_leads_nowhere() {
    // Where the processor asks the bitmap first it is #GP in the guest; IOPL 3 lets it through to the VMM.
    let text = failure(&TinyKernel::new().out(0x3f8).spin());
    let general_protection = format!("({UNEXPECTED}, 13)");
    assert!(text.contains("0x3f8") || text.contains(&general_protection), "{text}");
    let text = failure(&TinyKernel::new().out(PORT_END + 2).spin());
    assert!(text.contains("0x1a"), "{text}");
}

#[test]
fn a_broken_queue_ends_the_guest_and_is_named() {
    // The available ring's index, behind 64 descriptors of 16 bytes, is far ahead of the queue.
    let kernel = TinyKernel::new().poke(QUEUES + 64 * 16, 0x7777 << 16).out(PORT_KICK).spin();
    let text = failure(&kernel);
    assert!(text.contains("root disk") && text.contains("available index"), "{text}");
}

#[test]
fn an_end_that_does_not_exist_is_a_failure() {
    assert!(failure(&TinyKernel::new().end(77, 0)).contains("77"));
    assert!(failure(&TinyKernel::new().end(end::EXITED, 256)).contains("256"));
}

#[test]
fn a_spinning_guest_is_left_when_its_starter_goes() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let prepared = Prepared::new().unwrap();
    prepared.kick().when_ready(theirs.as_fd()).unwrap();
    let descriptors: Descriptors = [file_of(&TinyKernel::new().spin().elf())].into_iter().collect();
    let machine = Machine::new(prepared, spec(16), &descriptors).unwrap();
    let gone = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(ours);
        Instant::now()
    });
    let (outcome, report) = Runner::new(machine, Some(&theirs)).run();
    let late = gone.join().unwrap().elapsed();
    assert!(late < Duration::from_secs(20), "{late:?}");
    assert!(matches!(outcome, Outcome::Failed(text) if text.contains("abandoned")));
    assert!(report.exits.interrupted >= 1);
}

#[test]
fn a_waiting_guest_is_left_when_its_starter_goes() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let kernel = TinyKernel::new()
        .load(u64::MAX)
        .store(offset_of!(Channel, deadline_ns))
        .out(PORT_WAIT)
        .exit(1);
    let machine = machine(&kernel.elf(), 16).unwrap();
    let gone = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(ours);
    });
    let (outcome, _) = Runner::new(machine, Some(&theirs)).run();
    gone.join().unwrap();
    assert!(matches!(outcome, Outcome::Failed(text) if text.contains("abandoned")));
}

#[test]
fn memory_on_both_sides_of_the_hole_is_there() {
    if mayfly_tests::in_lane() {
        // The machine in the lane has less memory than such a guest.
        return;
    }
    let above = (1u64 << 32) + 0x1234_5000;
    let kernel = TinyKernel::new().poke(above, 0x2a).load(0).peek(above);
    let kernel = kernel.bytes(&[0x48, 0xc1, 0xe0, 0x20, 0x48, 0x83, 0xc8, 0x01]);
    let kernel = kernel.store(offset_of!(Channel, end)).out(PORT_END).spin();
    let machine = machine(&kernel.elf(), 4096).unwrap();
    assert_eq!(Runner::new(machine, None).run().0, Outcome::Exited(0x2a));
}

#[test]
fn files_that_are_no_kernel_are_refused_with_the_reason() {
    let refusal = |file: &[u8]| machine(file, 16).unwrap_err().to_string();
    let good = TinyKernel::new().exit(0);
    assert!(refusal(b"").contains("0 bytes long"));
    assert!(refusal(b"#!/bin/sh\n").contains("not an ELF"));
    assert!(refusal(&good.elf()[..40]).contains("too short"));
    assert!(refusal(&good.elf()[..100]).contains("cut short"), "inside the program header");
    assert!(refusal(&good.elf()[..200]).contains("cut short"), "inside the segment");
    let mut arm = good.elf();
    arm[18] = 183;
    assert!(refusal(&arm).contains("another architecture"));
    assert!(refusal(&elf(&[0; 4096], KERNEL_LOAD, None)).contains("no Mayfly kernel header"));
    assert!(refusal(&elf(&good.image(), 1 << 40, None)).contains("larger than the guest's memory"));
    assert!(
        refusal(&elf(&good.image(), u64::MAX - 8, None)).contains("larger than the guest's memory")
    );
    let huge = elf(&good.image(), KERNEL_LOAD, Some(1 << 40));
    assert!(refusal(&huge).contains("nothing is left"));
    let wraps = elf(&good.image(), KERNEL_LOAD, Some(u64::MAX - 1));
    assert!(!refusal(&wraps).is_empty());
}

#[test]
fn a_machine_that_cannot_be_is_refused() {
    let kernel = TinyKernel::new().exit(0).elf();
    let refusal = |change: fn(&mut VmSpec)| {
        let mut spec = spec(16);
        change(&mut spec);
        let descriptors: Descriptors = [file_of(&kernel)].into_iter().collect();
        Machine::new(Prepared::new().unwrap(), spec, &descriptors).unwrap_err().to_string()
    };
    assert!(refusal(|spec| spec.memory_mib = 1).contains("1 MiB"));
    assert!(refusal(|spec| spec.memory_mib = u64::MAX).contains("MiB"));
    assert!(refusal(|spec| spec.program.clear()).contains("empty"));
    assert!(refusal(|spec| spec.kernel = Some(3)).contains('3'));
    let file = || Source::File { descriptor: 9, offset: 0 };
    let missing = Segment { len: 512, source: file() };
    assert!(!refusal(|spec| spec.root.writable = true).is_empty());
    let mut spec = spec(16);
    spec.root.segments = vec![missing];
    let descriptors: Descriptors = [file_of(&kernel)].into_iter().collect();
    let error = Machine::new(Prepared::new().unwrap(), spec, &descriptors).unwrap_err();
    assert!(error.to_string().contains('9'), "{error}");
}
