//! Socket options: getsockopt(2), setsockopt(2).

use alloc::vec::Vec;

use linux_raw_sys::net;

use super::poll::timeval;
use super::socket::{opened_socket, socket_of};
use super::{Call, CallResult};
use crate::clock::SECOND;
use crate::errno::{Errno, Result};
use crate::net::{Domain, Options, Socket, Ucred};

/// Bytes of an option that is a number.
const INT_BYTES: u32 = 4;
/// Bytes of a struct linger: on or off, seconds.
const LINGER_BYTES: u32 = 8;
/// Bytes of a struct timeval.
const TIMEVAL_BYTES: u32 = 16;
/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1_000;

/// getsockopt(2). EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP.
pub fn getsockopt(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    let (level, name, to, len_at) = (call.uint(1), call.uint(2), call.args[3], call.args[4]);
    let room = i32::from_le_bytes(call.get(len_at)?);
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    Options::check_level(level, socket.domain(), socket.protocol())?;
    let value = value(socket, level, name)?;
    let told = value.len().min(room);
    call.put(to, &value[..told])?;
    call.put(len_at, &(told as u32).to_le_bytes())?;
    Ok(0)
}

/// An option's bytes. ENOPROTOOPT.
fn value(socket: &dyn Socket, level: u32, name: u32) -> Result<Vec<u8>> {
    let (domain, kind) = (socket.domain(), socket.kind());
    let options = socket.options().borrow();
    let number = match (level, name) {
        (net::SOL_SOCKET, net::SO_LINGER) => {
            let pair = [u32::from(options.linger.is_some()), options.linger.unwrap_or(0)];
            return Ok(pair.iter().flat_map(|word| word.to_le_bytes()).collect());
        }
        (net::SOL_SOCKET, net::SO_RCVTIMEO_OLD) => return Ok(time(options.receive_timeout_ns)),
        (net::SOL_SOCKET, net::SO_SNDTIMEO_OLD) => return Ok(time(options.send_timeout_ns)),
        (net::SOL_SOCKET, net::SO_PEERCRED) if domain == Domain::Unix => {
            let Ucred { pid, uid, gid } = socket.peer_process();
            return Ok([pid, uid, gid].iter().flat_map(|word| word.to_le_bytes()).collect());
        }
        (net::SOL_SOCKET, net::SO_TYPE) => kind.number(),
        (net::SOL_SOCKET, net::SO_DOMAIN) => domain.number(),
        (net::SOL_SOCKET, net::SO_PROTOCOL) => socket.protocol(),
        (net::SOL_SOCKET, net::SO_ACCEPTCONN) => socket.is_listening().into(),
        (net::SOL_SOCKET, net::SO_ERROR) => {
            socket.take_error().map_or(0, |errno| errno.number().into())
        }
        (net::SOL_SOCKET, net::SO_SNDLOWAT) => 1,
        _ => options.get(level, name)?,
    };
    Ok(number.to_le_bytes().to_vec())
}

/// A time-out as a struct timeval; none is 0.
fn time(timeout_ns: Option<u64>) -> Vec<u8> {
    let ns = timeout_ns.unwrap_or(0);
    let words = [ns / SECOND, ns % SECOND / MICROSECOND];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// setsockopt(2). EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP.
pub fn setsockopt(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    let (level, name, at, len) = (call.uint(1), call.uint(2), call.args[3], call.uint(4));
    Options::check_level(level, socket.domain(), socket.protocol())?;
    let at_least = |bytes| if len < bytes { Err(Errno::INVAL) } else { Ok(()) };
    let mut options = socket.options().borrow_mut();
    match (level, name) {
        (net::SOL_SOCKET, net::SO_LINGER) => {
            at_least(LINGER_BYTES)?;
            let [word] = call.get_words(at)?;
            options.linger = (word as u32 != 0).then_some((word >> 32) as u32);
        }
        (net::SOL_SOCKET, net::SO_RCVTIMEO_OLD | net::SO_SNDTIMEO_OLD) => {
            at_least(TIMEVAL_BYTES)?;
            let timeout = Some(timeval(call, at)?).filter(|timeout| *timeout > 0);
            match name {
                net::SO_RCVTIMEO_OLD => options.receive_timeout_ns = timeout,
                _ => options.send_timeout_ns = timeout,
            }
        }
        _ => {
            options.get(level, name)?;
            at_least(INT_BYTES)?;
            options.set(level, name, u32::from_le_bytes(call.get(at)?))?;
        }
    }
    drop(options);
    socket.options_changed();
    Ok(0)
}
