//! Control messages (cmsg(3)): what travels with the bytes of sendmsg(2) and recvmsg(2).
//!
//! ```text
//!   [length, level, type │ data, padded to 8 bytes] …
//!
//!   SOL_SOCKET  SCM_RIGHTS                   descriptors, over AF_UNIX
//!   SOL_IPV6    IPV6_HOPLIMIT, IPV6_TCLASS   a packet's head (RFC 3542), to whom asks by IPV6_RECV…
//! ```

use alloc::vec::Vec;

use linux_raw_sys::net;

use super::Call;
use crate::errno::{Errno, Result};
use crate::net::{Domain, Head, Received, Rights, Socket};

/// Bytes of a control message's length, level and type.
const HEAD_BYTES: usize = 16;
/// Most bytes that a program may send (net.core.optmem_max).
const SENT_MAX: u64 = 20_480;
/// Bytes of a descriptor, and of a number.
const INT_BYTES: usize = 4;

/// Where a program has its control messages, or room for them.
#[derive(Clone, Copy)]
pub(super) struct Area {
    /// Its address.
    pub at: u64,
    /// Bytes.
    pub len: u64,
}

/// What a program sends by control messages.
#[derive(Default)]
pub(super) struct Sent {
    /// Descriptors.
    pub rights: Option<Rights>,
    /// What the packet's head is to say.
    pub head: Head,
}

/// What a program sends by the control messages in `area`. EBADF, EFAULT, EINVAL, ENOBUFS, ETOOMANYREFS; what else
/// may be there (credentials) is true of every process here.
pub(super) fn get(call: &Call<'_>, socket: &dyn Socket, area: Area) -> Result<Sent> {
    let mut sent = Sent::default();
    if area.len == 0 {
        return Ok(sent);
    }
    if area.len > SENT_MAX {
        return Err(Errno::NOBUFS);
    }
    let range = call.bytes(area.at, area.len)?;
    let mut rest = range.bytes();
    let mut files = Vec::new();
    while let Some((head, _)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let (len, kind) = head.split_at(8);
        let len = usize::from_le_bytes(len.try_into().unwrap_or_default());
        let data = rest.get(HEAD_BYTES..len).ok_or(Errno::INVAL)?;
        let (level, name) = kind.split_at(INT_BYTES);
        match (number(level)?, number(name)?, socket.domain()) {
            (net::SOL_SOCKET, net::SCM_RIGHTS, Domain::Unix) => {
                for fd in data.as_chunks::<INT_BYTES>().0 {
                    files.push(call.process.files.get(u32::from_le_bytes(*fd))?);
                }
            }
            (net::SOL_IPV6, net::IPV6_HOPLIMIT, Domain::Inet6) => {
                sent.head.hop_limit = octet(data)?;
            }
            (net::SOL_IPV6, net::IPV6_TCLASS, Domain::Inet6) => {
                sent.head.traffic_class = octet(data)?;
            }
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    if !files.is_empty() {
        sent.rights = Some(call.kernel.net.in_flight().send(files)?);
    }
    Ok(sent)
}

fn number(bytes: &[u8]) -> Result<u32> {
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| Errno::INVAL)
}

/// A number of 8 bits; -1 is as if nothing were said.
fn octet(data: &[u8]) -> Result<Option<u8>> {
    match number(data)? {
        u32::MAX => Ok(None),
        number => Ok(Some(u8::try_from(number).map_err(|_| Errno::INVAL)?)),
    }
}

/// Gives the program what came with a message: how many bytes of `area` it took, and whether some had no room.
/// EFAULT.
pub(super) fn put(
    call: &Call<'_>,
    socket: &dyn Socket,
    area: Area,
    received: &mut Received,
    flags: u32,
) -> Result<(u64, bool)> {
    let mut writer = Writer { call, area, taken: 0, cut: false };
    if let Some(rights) = received.rights.take() {
        writer.rights(rights, flags)?;
    }
    let options = socket.options().borrow();
    let Head { hop_limit, traffic_class } = received.head;
    let wishes = [
        (net::IPV6_RECVHOPLIMIT, net::IPV6_HOPLIMIT, hop_limit),
        (net::IPV6_RECVTCLASS, net::IPV6_TCLASS, traffic_class),
    ];
    for (wish, name, value) in wishes {
        if let Some(value) = value.filter(|_| options.get(net::SOL_IPV6, wish) == Ok(1)) {
            writer.put(net::SOL_IPV6, name, &u32::from(value).to_le_bytes())?;
        }
    }
    Ok((writer.taken, writer.cut))
}

/// Control messages, one after the other in a program's memory.
struct Writer<'a> {
    call: &'a Call<'a>,
    area: Area,
    taken: u64,
    cut: bool,
}

impl Writer<'_> {
    /// Bytes of data that the next message has room for.
    fn room(&self) -> Option<usize> {
        let left = usize::try_from(self.area.len - self.taken).unwrap_or(usize::MAX);
        left.checked_sub(HEAD_BYTES)
    }

    /// Adds a message, or as much of it as there is room for. EFAULT.
    fn put(&mut self, level: u32, name: u32, data: &[u8]) -> Result<()> {
        let Some(room) = self.room() else {
            self.cut = true;
            return Ok(());
        };
        self.cut |= room < data.len();
        let data = &data[..room.min(data.len())];
        let len = HEAD_BYTES + data.len();
        let at = self.area.at.checked_add(self.taken).ok_or(Errno::FAULT)?;
        self.call.put_words(at, &[len as u64, u64::from(name) << 32 | u64::from(level)])?;
        self.call.put(at + HEAD_BYTES as u64, data)?;
        self.taken = (self.taken + len.next_multiple_of(8) as u64).min(self.area.len);
        Ok(())
    }

    /// Adds descriptors, those that there is room for; the others are closed.
    fn rights(&mut self, rights: Rights, flags: u32) -> Result<()> {
        let room = self.room().unwrap_or(0) / INT_BYTES;
        let close_on_exec = flags & net::MSG_CMSG_CLOEXEC != 0;
        let mut data = Vec::new();
        for (index, file) in rights.receive().into_iter().enumerate() {
            let added = (index < room).then(|| self.call.process.files.add(file, 0, close_on_exec));
            match added {
                Some(Ok(fd)) => data.extend_from_slice(&fd.to_le_bytes()),
                _ => self.cut = true,
            }
        }
        if data.is_empty() { Ok(()) } else { self.put(net::SOL_SOCKET, net::SCM_RIGHTS, &data) }
    }
}
