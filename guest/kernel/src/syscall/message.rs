//! Bytes and messages between sockets and the program's memory: send(2), recv(2) and their kin.
//!
//! ```text
//!   struct msghdr   name, its length │ iovec, their count │ control, its length │ flags
//!   control         see control_message.rs
//! ```
//!
//! As with write(2), what a stream has taken before a wait is in `Pending::progress`.

use alloc::vec::Vec;

use linux_raw_sys::net;

use super::control_message::{self, Area, Sent};
use super::socket::{opened_socket, parse_address, put_address, socket_of, with_file};
use super::time::timespec;
use super::transfer::{Buffer, buffer, gather, raise_broken_pipe, reach, vector_at, window, zeros};
use super::{Call, CallResult, Stop};
use crate::errno::{Errno, Result};
use crate::fs::{OpenFile, OpenFlags};
use crate::net::inbox::MESSAGE_MAX;
use crate::net::{Address, Domain, Kind, Outgoing, Received, Socket};

/// Words of a struct msghdr.
const HEADER_WORDS: usize = 7;
/// Bytes of a struct mmsghdr: a struct msghdr, and how many bytes were sent.
const MULTI_BYTES: u64 = 64;
/// Most messages of one sendmmsg(2) or recvmmsg(2) (UIO_MAXIOV).
const MULTI_MAX: u64 = 1024;
/// recvmmsg(2): no message but the first is waited for.
const MSG_WAITFORONE: u32 = 0x1_0000;

/// A struct msghdr.
struct Header {
    address: u64,
    name: u64,
    name_len: u32,
    buffers: Vec<Buffer>,
    control: Area,
}

impl Header {
    /// EFAULT; EMSGSIZE for too many buffers.
    fn get(call: &Call<'_>, address: u64) -> Result<Header> {
        let words: [u64; HEADER_WORDS] = call.get_words(address)?;
        let [name, name_len, iovec, count, control, control_len, _] = words;
        let buffers = vector_at(call, iovec, count).map_err(|errno| match errno {
            Errno::INVAL if count > MULTI_MAX => Errno::MSGSIZE,
            errno => errno,
        })?;
        let control = Area { at: control, len: control_len };
        Ok(Header { address, name, name_len: name_len as u32, buffers, control })
    }
}

/// sendto(2). EAGAIN, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EMSGSIZE, ENOTCONN; EPIPE, with SIGPIPE.
pub fn sendto(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let [_, address, len, _, to, _] = call.args;
    let buffers = [buffer(address, len)?];
    let to = destination(call, to, call.uint(5))?;
    send(call, &file, &buffers, to, Sent::default(), call.uint(3))
}

/// sendmsg(2). As sendto(2); EINVAL for malformed control messages; ETOOMANYREFS.
pub fn sendmsg(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    send_header(call, &file, call.args[1], call.uint(2))
}

/// sendmmsg(2): how many messages were sent. The first may wait, the others do not.
pub fn sendmmsg(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let [_, at, count, ..] = call.args;
    let flags = call.uint(3);
    for index in 0..count.min(MULTI_MAX) {
        let at = at.checked_add(index * MULTI_BYTES).ok_or(Errno::FAULT)?;
        let more = if index > 0 { net::MSG_DONTWAIT } else { 0 };
        match send_header(call, &file, at, flags | more) {
            Ok(sent) => call.put(at + HEADER_WORDS as u64 * 8, &(sent as u32).to_le_bytes())?,
            Err(_) if index > 0 => return Ok(index),
            Err(stop) => return Err(stop),
        }
        call.thread.pending.progress = 0;
    }
    Ok(count.min(MULTI_MAX))
}

fn send_header(call: &mut Call<'_>, file: &OpenFile, at: u64, flags: u32) -> CallResult {
    let header = Header::get(call, at)?;
    let to = destination(call, header.name, header.name_len)?;
    // Descriptors go with the first byte.
    let control = match call.thread.pending.progress {
        0 => control_message::get(call, socket_of(file)?, header.control)?,
        _ => Sent::default(),
    };
    send(call, file, &header.buffers, to, control, flags)
}

/// write(2) and writev(2) to a socket: send(2) without flags.
pub(super) fn write(call: &mut Call<'_>, file: &OpenFile, buffers: &[Buffer]) -> CallResult {
    send(call, file, buffers, None, Sent::default(), 0)
}

/// read(2) and readv(2) from a socket: recv(2) without flags, but that no room is no question.
pub(super) fn read(call: &mut Call<'_>, file: &OpenFile, buffers: &[Buffer]) -> CallResult {
    if buffers.iter().all(|buffer| buffer.len == 0) {
        return Ok(0);
    }
    Ok(receive(call, file, buffers, 0)?.count as u64)
}

/// To whom a message goes, where that is said.
fn destination(call: &Call<'_>, at: u64, len: u32) -> Result<Option<Address>> {
    if at == 0 || len == 0 {
        return Ok(None);
    }
    Ok(Some(with_file(call, parse_address(call, at, len)?)?))
}

fn send(
    call: &mut Call<'_>,
    file: &OpenFile,
    buffers: &[Buffer],
    to: Option<Address>,
    Sent { mut rights, head }: Sent,
    flags: u32,
) -> CallResult {
    let socket = socket_of(file)?;
    if flags & net::MSG_OOB != 0 {
        return Err(Errno::OPNOTSUPP.into());
    }
    let total: u64 = buffers.iter().map(|buffer| buffer.len).sum();
    if socket.kind() != Kind::Stream || total == 0 {
        let sent = whole(call, buffers, total)
            .and_then(|bytes| socket.send(Outgoing { bytes: &bytes, to, rights, head }));
        return match sent {
            Ok(count) => Ok(count as u64),
            Err(errno) => stopped_sending(call, file, socket, flags, 0, errno),
        };
    }
    let mut done = call.thread.pending.progress;
    while done < total {
        let mut put = |bytes: &[u8]| {
            socket.send(Outgoing { bytes, to: to.clone(), rights: rights.take(), head })
        };
        let step = if buffers.len() > 1 {
            gather(call, buffers, done).and_then(|bytes| put(&bytes))
        } else {
            reach(call, window(buffers, done), false).and_then(|range| put(range.bytes()))
        };
        match step {
            Ok(count) => done += count as u64,
            Err(errno) => return stopped_sending(call, file, socket, flags, done, errno),
        }
    }
    Ok(done)
}

/// A message's bytes. EMSGSIZE, EFAULT.
fn whole(call: &Call<'_>, buffers: &[Buffer], total: u64) -> Result<Vec<u8>> {
    if total > MESSAGE_MAX as u64 {
        return Err(Errno::MSGSIZE);
    }
    let bytes = gather(call, buffers, 0)?;
    if bytes.len() as u64 == total { Ok(bytes) } else { Err(Errno::FAULT) }
}

fn stopped_sending(
    call: &mut Call<'_>,
    file: &OpenFile,
    socket: &dyn Socket,
    flags: u32,
    done: u64,
    errno: Errno,
) -> CallResult {
    if errno == Errno::AGAIN && may_wait(file, flags) {
        call.thread.pending.progress = done;
        let timeout = socket.options().borrow().send_timeout_ns;
        if let stop @ Stop::Wait = call.wait(timeout, errno) {
            return Err(stop);
        }
    }
    if done > 0 {
        return Ok(done);
    }
    if errno == Errno::PIPE && flags & net::MSG_NOSIGNAL == 0 && socket.kind() == Kind::Stream {
        raise_broken_pipe(call);
    }
    Err(errno.into())
}

fn may_wait(file: &OpenFile, flags: u32) -> bool {
    flags & net::MSG_DONTWAIT == 0 && !file.flags().contains(OpenFlags::NONBLOCK)
}

/// recvfrom(2). EAGAIN, ECONNREFUSED, ECONNRESET, ENOTCONN.
pub fn recvfrom(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let [_, address, len, _, from, from_len] = call.args;
    let flags = call.uint(3);
    let buffers = [buffer(address, len)?];
    let received = receive(call, &file, &buffers, flags)?;
    if from != 0 {
        let name = name_of(&received, socket_of(&file)?.domain());
        put_address(call, &name, from, from_len)?;
    }
    Ok(count_for(&received, flags))
}

/// recvmsg(2). As recvfrom(2).
pub fn recvmsg(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    receive_header(call, &file, call.args[1], call.uint(2))
}

fn receive_header(call: &mut Call<'_>, file: &OpenFile, at: u64, flags: u32) -> CallResult {
    let header = Header::get(call, at)?;
    let mut received = receive(call, file, &header.buffers, flags)?;
    let mut told = flags & net::MSG_CMSG_CLOEXEC;
    if received.is_message && received.whole > received.count {
        told |= net::MSG_TRUNC;
    }
    if header.name != 0 {
        let name = name_of(&received, socket_of(file)?.domain());
        let room = name.len().min(header.name_len as usize);
        call.put(header.name, &name[..room])?;
        call.put(header.address + 8, &(name.len() as u32).to_le_bytes())?;
    }
    let count = count_for(&received, flags);
    let (control_len, cut) =
        control_message::put(call, socket_of(file)?, header.control, &mut received, flags)?;
    told |= if cut { net::MSG_CTRUNC } else { 0 };
    call.put_words(header.address + 40, &[control_len])?;
    call.put(header.address + 48, &told.to_le_bytes())?;
    Ok(count)
}

/// recvmmsg(2): how many messages were received, as many as there is room for, or as come in the time that is given.
/// With MSG_WAITFORONE only the first may wait. EAGAIN where none comes in time; else as recvmsg(2).
pub fn recvmmsg(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let [_, at, count, _, time, _] = call.args;
    let timeout_ns = if time == 0 { None } else { Some(timespec(call, time)?) };
    let is_over = timeout_ns.is_some() && call.is_over(timeout_ns);
    let wait_for_one = call.uint(3) & MSG_WAITFORONE != 0;
    let flags = call.uint(3) & !MSG_WAITFORONE;
    let count = u64::from(count as u32).min(MULTI_MAX);
    loop {
        let index = call.thread.pending.messages;
        if index == count {
            return Ok(count);
        }
        let at = at.checked_add(index * MULTI_BYTES).ok_or(Errno::FAULT)?;
        let waits = index == 0 || !wait_for_one && !is_over && !call.is_interrupted();
        let more = if waits { 0 } else { net::MSG_DONTWAIT };
        match receive_header(call, &file, at, flags | more) {
            Ok(received) => {
                call.put(at + HEADER_WORDS as u64 * 8, &(received as u32).to_le_bytes())?;
                (call.thread.pending.messages, call.thread.pending.progress) = (index + 1, 0);
            }
            Err(Stop::Errno(_)) if index > 0 => return Ok(index),
            Err(stop) => return Err(stop),
        }
    }
}

/// What a call returns: with MSG_TRUNC, the length of a message that was cut.
fn count_for(received: &Received, flags: u32) -> u64 {
    let asks = flags & net::MSG_TRUNC != 0 && received.is_message;
    (if asks { received.whole } else { received.count }) as u64
}

/// The sender's address; no bytes where it has none, or the socket is connected.
fn name_of(received: &Received, domain: Domain) -> Vec<u8> {
    match &received.from {
        Some(from) if *from != Address::none(Domain::Unix) => from.to_bytes(domain),
        _ => Vec::new(),
    }
}

fn receive(
    call: &mut Call<'_>,
    file: &OpenFile,
    buffers: &[Buffer],
    flags: u32,
) -> Result<Received, Stop> {
    if flags & net::MSG_OOB != 0 {
        return Err(Errno::INVAL.into());
    }
    if flags & net::MSG_ERRQUEUE != 0 {
        return Err(Errno::AGAIN.into());
    }
    let socket = socket_of(file)?;
    let peek = flags & net::MSG_PEEK != 0;
    if socket.kind() != Kind::Stream {
        return receive_message(call, socket, buffers, peek)
            .map_err(|errno| stopped_receiving(call, file, socket, flags, errno));
    }
    let waits_for_all = flags & net::MSG_WAITALL != 0 && !peek;
    let mut got = Received { count: call.thread.pending.progress as usize, ..Received::default() };
    loop {
        let window = window(buffers, got.count as u64);
        let step =
            reach(call, window, true).and_then(|mut range| socket.receive(range.bytes_mut(), peek));
        match step {
            Ok(more) => {
                got.count += more.count;
                got.rights = more.rights;
                let goes_on = more.count as u64 == window.len || waits_for_all;
                if !goes_on || more.count == 0 || peek || got.rights.is_some() {
                    return Ok(got);
                }
            }
            Err(errno) if got.count > 0 && !(errno == Errno::AGAIN && waits_for_all) => {
                return Ok(got);
            }
            Err(errno) => {
                call.thread.pending.progress = got.count as u64;
                let stop = stopped_receiving(call, file, socket, flags, errno);
                return if stop != Stop::Wait && got.count > 0 { Ok(got) } else { Err(stop) };
            }
        }
    }
}

/// Receives one message. Its length is known before the program's memory is touched.
fn receive_message(
    call: &Call<'_>,
    socket: &dyn Socket,
    buffers: &[Buffer],
    peek: bool,
) -> Result<Received> {
    let total: u64 = buffers.iter().map(|buffer| buffer.len).sum();
    let len = total.min(socket.available() as u64);
    if let [buffer] = buffers {
        let mut range = call.bytes_mut(buffer.address, len)?;
        return socket.receive(range.bytes_mut(), peek);
    }
    let mut bounce = zeros(len)?;
    let received = socket.receive(&mut bounce, peek)?;
    let mut rest = &bounce[..received.count];
    for buffer in buffers {
        let (now, later) = rest.split_at(rest.len().min(buffer.len as usize));
        call.put(buffer.address, now)?;
        rest = later;
    }
    Ok(received)
}

fn stopped_receiving(
    call: &mut Call<'_>,
    file: &OpenFile,
    socket: &dyn Socket,
    flags: u32,
    errno: Errno,
) -> Stop {
    if errno == Errno::AGAIN && may_wait(file, flags) {
        let timeout = socket.options().borrow().receive_timeout_ns;
        return call.wait(timeout, errno);
    }
    errno.into()
}
