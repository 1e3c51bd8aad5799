//! Sockets and events as programs see them: on Linux, in a guest, and between a guest and its host.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mayfly_abi::control::{Direction, Disk, Outcome, Segment, Source, Stream, VmSpec};
use mayfly_abi::ports::{RUNTIME_API, STDOUT};
use mayfly_erofs::Timestamp;
use mayfly_image::{
    Attributes, ImageLayout, Leaf, Options, SegmentSource, Source as Content, Tree,
};
use mayfly_tests::{finish, fixture, in_lane, mayfly_run};
use mayfly_vmm::{Descriptors, Machine, Prepared, Runner};

/// Runs checks that print what fails: on Linux, so that they ask for what is so, and in a guest.
fn check(name: &str) {
    if !in_lane() {
        // The lane's Linux has no loopback interface that is up.
        let done = finish(Command::new(fixture(name)), b"");
        assert_eq!(done.text(), "done, 0 bad\n", "Linux itself: {}", done.complaint());
    }
    let done = finish(mayfly_run(&[], fixture(name), [] as [&str; 0]), b"");
    assert_eq!(done.text(), "done, 0 bad\n", "{}", done.complaint());
    assert_eq!(done.code(), 0);
}

#[test]
fn sockets_do_what_linux_does() {
    check("sockets");
}

#[test]
fn epoll_and_timers_do_what_linux_does() {
    check("events");
}

#[test]
fn there_is_nothing_beyond_the_guest_but_what_the_host_grants() {
    let done = finish(mayfly_run(&[], fixture("sockets"), ["beyond"]), b"");
    assert_eq!((done.text().as_str(), done.code()), ("done, 0 bad\n", 0), "{}", done.complaint());
}

#[test]
fn a_service_of_the_host_is_a_tcp_connection() {
    for how in ["waiting", "at-once"] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, output) = UnixStream::pair().unwrap();
        let service = thread::spawn(move || echo(ours));
        let outcome = run_service(how, theirs.into(), output.into());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served\n", "{how}: {outcome:?}");
        assert!(matches!(outcome, Outcome::Exited(0)), "{how}: {outcome:?}");
        assert_eq!(service.join().unwrap(), 10 + (1 << 20), "{how}");
    }
}

#[test]
fn no_news_is_missed_when_the_host_interrupts() {
    let rounds = if in_lane() { 200 } else { 5000 };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (_reader, output) = UnixStream::pair().unwrap();
    let service = thread::spawn(move || echo(ours));
    hold_back(libc::SIGIO);
    // SAFETY: gettid has no preconditions.
    let (process, machine) = (std::process::id(), unsafe { libc::gettid() });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the thread lives until this scope ends, and holds the signal back but for its guest.
                unsafe { libc::syscall(libc::SYS_tgkill, process, machine, libc::SIGIO) };
                thread::sleep(Duration::from_micros(70));
            }
        });
        let outcome = run_service_for("waiting", rounds, theirs.into(), output.into());
        is_over.store(true, Ordering::Relaxed);
        assert!(matches!(outcome, Outcome::Exited(0)), "{outcome:?}");
    });
    assert_eq!(service.join().unwrap(), 10 + rounds + (1 << 20));
}

/// Blocks a signal in this thread.
fn hold_back(signal: libc::c_int) {
    // SAFETY: an empty set is all zeros, and the set is valid for both calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// Gives back what comes, and the end when that comes: how many bytes.
fn echo(mut stream: UnixStream) -> usize {
    let (mut buffer, mut total) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => {
                stream.write_all(&buffer[..count]).unwrap();
                total += count;
            }
        }
    }
    stream.shutdown(Shutdown::Both).unwrap();
    total
}

/// Runs the fixture `service` in a machine of this process, with a service at the runtime API's port.
fn run_service(how: &str, service: OwnedFd, output: OwnedFd) -> Outcome {
    run_service_for(how, 0, service, output)
}

/// As [`run_service`], with so many bytes back and forth in between.
fn run_service_for(how: &str, rounds: usize, service: OwnedFd, output: OwnedFd) -> Outcome {
    let program = File::open(fixture("service")).unwrap();
    let root = disk(program.metadata().unwrap().len());
    let stream = |port, descriptor, direction| Stream { port, descriptor, direction };
    let spec = VmSpec {
        memory_mib: 64,
        kernel: None,
        root,
        mounts: Vec::new(),
        program: b"/program".to_vec(),
        argv: vec![b"program".to_vec(), how.into(), rounds.to_string().into()],
        env: vec![],
        cwd: b"/".to_vec(),
        tmp_bytes_max: 1 << 20,
        streams: vec![
            stream(RUNTIME_API, 1, Direction::Both),
            stream(STDOUT, 2, Direction::FromGuest),
        ],
        services: Vec::new(),
        keeps_calls: false,
        tells_start: false,
        terminals: 0,
        cpuid: vec![],
    };
    let descriptors: Descriptors = [program.into(), service, output].into_iter().collect();
    let machine = Machine::new(Prepared::new().unwrap(), spec, &descriptors).unwrap();
    drop(descriptors);
    let mut runner = Runner::new(machine, None);
    let (outcome, _) = runner.run();
    runner.close_streams();
    outcome
}

/// An image with one program, of `len` bytes, which is descriptor 0.
fn disk(len: u64) -> Disk {
    let plain = Attributes::root(0o755, Timestamp::default());
    let mut tree = Tree::new(plain).unwrap();
    for name in [&b"dev"[..], b"proc", b"tmp"] {
        tree.add_directory(tree.root(), name, plain).unwrap();
    }
    let content = Content::External { id: 0, len };
    tree.add(tree.root(), b"program", Leaf::File(content), plain).unwrap();
    let layout = ImageLayout::build(tree, &Options::default()).unwrap();
    let segments = layout.segments().iter().map(|segment| Segment {
        len: segment.len,
        source: match &segment.source {
            SegmentSource::Bytes(bytes) => Source::Bytes(bytes.clone()),
            SegmentSource::Zero => Source::Zero,
            SegmentSource::External { offset, .. } => {
                Source::File { descriptor: 0, offset: *offset }
            }
        },
    });
    Disk { segments: segments.collect(), writable: false }
}
