use super::*;
use std::io::{Read, Seek, Write, pipe};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mayfly_abi::control::Stream;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Two pieces of guest memory.
fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x20_0000)]).unwrap()
}

fn spans(memory: &GuestMemoryMmap, ranges: &[(u64, usize)]) -> Vec<Span<'static>> {
    // The memory outlives the spans in every test; only the compiler can't see it through the helper.
    let memory: &'static GuestMemoryMmap = Box::leak(Box::new(memory.clone()));
    ranges.iter().map(|&(at, len)| memory.get_slice(GuestAddress(at), len).unwrap()).collect()
}

fn streams(descriptor: impl Into<OwnedFd>, direction: Direction) -> Streams {
    let descriptors: Descriptors = [descriptor.into()].into_iter().collect();
    Streams::new(&[Stream { port: 7, descriptor: 0, direction }], &descriptors).unwrap()
}

const ID: StreamId = StreamId { guest_port: 1, host_port: 7 };

fn connected(descriptor: impl Into<OwnedFd>, direction: Direction) -> Streams {
    let mut streams = streams(descriptor, direction);
    assert!(streams.connect(ID));
    streams
}

#[test]
fn a_port_serves_one_stream_at_a_time() {
    let (reader, _writer) = pipe().unwrap();
    let mut streams = streams(reader, Direction::ToGuest);
    let other = StreamId { guest_port: 2, ..ID };
    assert!(!streams.connect(StreamId { host_port: 8, ..ID }), "nothing is at that port");
    assert!(streams.connect(ID));
    assert!(!streams.connect(other));
    streams.close(ID);
    assert!(streams.connect(other), "a pipe may be connected to again");
}

#[test]
fn a_pipe_is_read_into_pieces_and_never_waited_for() {
    let memory = memory();
    let (reader, mut writer) = pipe().unwrap();
    let mut streams = connected(reader, Direction::ToGuest);
    let end = streams.get(ID).unwrap();
    let into = spans(&memory, &[(0x100, 3), (0x200, 100)]);
    assert_eq!(end.read(&into), Moved::WouldBlock);
    writer.write_all(b"hello").unwrap();
    assert_eq!(end.read(&into), Moved::Bytes(5));
    assert_eq!(memory.read_obj::<[u8; 3]>(GuestAddress(0x100)).unwrap(), *b"hel");
    assert_eq!(memory.read_obj::<[u8; 2]>(GuestAddress(0x200)).unwrap(), *b"lo");
    writer.write_all(b"more").unwrap();
    assert_eq!(end.read(&into), Moved::WouldBlock, "it gave less than there was room for");
    assert_eq!(end.read(&into), Moved::Bytes(4));
    drop(writer);
    assert_eq!(end.read(&into), Moved::WouldBlock);
    assert_eq!(end.read(&into), Moved::Bytes(0), "the end");
    assert_eq!(end.kind, Kind::Pipe);
}

#[test]
fn a_full_pipe_takes_what_fits_and_a_broken_one_fails() {
    let memory = memory();
    let (mut reader, writer) = pipe().unwrap();
    let mut streams = connected(writer, Direction::FromGuest);
    let end = streams.get(ID).unwrap();
    let from = spans(&memory, &[(0, 0x20_0000)]);
    let Moved::Bytes(count) = end.write(&from) else { panic!() };
    assert!(count > 0 && count < 0x20_0000);
    assert_eq!(end.write(&from), Moved::WouldBlock);
    let mut page = [0; 4096];
    reader.read_exact(&mut page).unwrap();
    assert!(matches!(end.write(&from), Moved::Bytes(more) if more > 0));
    drop(reader);
    assert_eq!(end.write(&from), Moved::Failed);
}

#[test]
fn a_polled_descriptor_takes_no_more_than_it_promised() {
    let memory = memory();
    let (_reader, writer) = pipe().unwrap();
    let mut streams = connected(writer, Direction::FromGuest);
    let end = streams.get(ID).unwrap();
    end.kind = Kind::Polled;
    let from = spans(&memory, &[(0, 0x20_0000)]);
    let mut total = 0;
    while let Moved::Bytes(count) = end.write(&from) {
        assert!(count <= libc::PIPE_BUF);
        total += count;
    }
    assert_eq!(total, 0x1_0000, "all that the pipe holds, and it never waited");
}

#[test]
fn flags_that_others_share_stay_as_they_are() {
    let memory = memory();
    let (reader, writer) = pipe().unwrap();
    let flags = |fd: &OwnedFd| {
        // SAFETY: the descriptor is open; the command takes no argument.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }
    };
    let shared: OwnedFd = writer.try_clone().unwrap().into();
    let before = flags(&shared);
    let mut streams = connected(writer, Direction::FromGuest);
    while let Moved::Bytes(_) = streams.get(ID).unwrap().write(&spans(&memory, &[(0, 4096)])) {}
    assert_eq!(flags(&shared), before);
    assert_eq!(before & libc::O_NONBLOCK, 0);
    drop(reader);
}

#[test]
fn a_socket_is_told_and_serves_one_stream_only() {
    let memory = memory();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut streams = connected(ours, Direction::Both);
    let end = streams.get(ID).unwrap();
    assert_eq!(end.read(&spans(&memory, &[(0, 16)])), Moved::WouldBlock);
    memory.write_slice(b"ping", GuestAddress(0)).unwrap();
    assert_eq!(end.write(&spans(&memory, &[(0, 4)])), Moved::Bytes(4));
    end.shut_down_write();
    let mut got = String::new();
    theirs.read_to_string(&mut got).unwrap();
    assert_eq!(got, "ping");
    theirs.write_all(b"pong").unwrap();
    assert_eq!(streams.get(ID).unwrap().read(&spans(&memory, &[(8, 16)])), Moved::Bytes(4));
    streams.close(ID);
    assert!(theirs.write_all(b"more").is_err(), "it was shut down");
    assert!(!streams.connect(ID), "a socket's peer expects one conversation");
}

#[test]
fn files_are_always_ready_and_keep_their_position() {
    let memory = memory();
    // SAFETY: the descriptor is new and ours.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), 0)) };
    file.write_all(b"abcdef").unwrap();
    file.seek(io::SeekFrom::Start(2)).unwrap();
    let mut streams = connected(file.try_clone().unwrap(), Direction::ToGuest);
    let end = streams.get(ID).unwrap();
    assert!(end.is_always_ready());
    assert_eq!(end.read(&spans(&memory, &[(0, 2)])), Moved::Bytes(2));
    assert_eq!(memory.read_obj::<[u8; 2]>(GuestAddress(0)).unwrap(), *b"cd");
    assert_eq!(file.stream_position().unwrap(), 4, "as for any program that shares it");
}

#[test]
fn the_wrong_direction_goes_nowhere() {
    let memory = memory();
    let (reader, _writer) = pipe().unwrap();
    let mut streams = connected(reader, Direction::ToGuest);
    assert_eq!(streams.get(ID).unwrap().write(&spans(&memory, &[(0, 1)])), Moved::Failed);
    let (_reader, writer) = pipe().unwrap();
    let mut streams = connected(writer, Direction::FromGuest);
    assert_eq!(streams.get(ID).unwrap().read(&spans(&memory, &[(0, 1)])), Moved::Bytes(0));
}

#[test]
fn a_descriptor_that_did_not_come_is_named() {
    let stream = Stream { port: 7, descriptor: 3, direction: Direction::Both };
    let error = Streams::new(&[stream], &Descriptors::default()).unwrap_err().to_string();
    assert!(error.contains("port 7") && error.contains("descriptor 3"), "{error}");
}
