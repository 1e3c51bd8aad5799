//! Sockets: how they come, get a name and find a peer.

use alloc::rc::Rc;

use linux_raw_sys::general as linux;
use linux_raw_sys::net;

use super::target::opened_fd;
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::{Fd, File, FileType, Follow, NewNode, OpenFile, OpenFlags};
use crate::net::address::ADDRESS_MAX;
use crate::net::socket::protocol_of;
use crate::net::{Address, Domain, Kind, Shutdown, Socket, UnixName, netlink};

/// The part of the type argument that is a type.
const TYPE_MASK: u32 = 0xf;
/// One more than the largest type (SOCK_MAX).
const TYPES_END: u32 = 11;
/// SOCK_NONBLOCK and SOCK_CLOEXEC are O_NONBLOCK and O_CLOEXEC (socket(2)).
const FLAGS: u32 = linux::O_NONBLOCK | linux::O_CLOEXEC;
/// Permission bits of an AF_UNIX socket's name, before the umask.
const NAME_MODE: u32 = 0o777;

/// socket(2). EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, EPROTONOSUPPORT, ESOCKTNOSUPPORT.
pub fn socket(call: &mut Call<'_>) -> CallResult {
    let (domain, kind, protocol, flags) = kind_of_socket(call)?;
    let socket = call.kernel.net.socket(domain, kind, protocol)?;
    Ok(add(call, socket, flags)?.into())
}

/// socketpair(2). As socket(2); EOPNOTSUPP for other domains than AF_UNIX; EFAULT.
pub fn socketpair(call: &mut Call<'_>) -> CallResult {
    let (domain, kind, _, flags) = kind_of_socket(call)?;
    if domain != Domain::Unix {
        return Err(Errno::OPNOTSUPP.into());
    }
    let (one, other) = call.kernel.net.pair(kind)?;
    let one = add(call, one, flags)?;
    let other = add(call, other, flags);
    let told = other.and_then(|other| {
        let pair = u64::from(other) << 32 | u64::from(one);
        call.put_words(call.args[3], &[pair])
    });
    if let Err(errno) = told {
        drop(call.process.files.close(one));
        if let Ok(other) = other {
            drop(call.process.files.close(other));
        }
        return Err(errno.into());
    }
    Ok(0)
}

/// Domain, type with flags, protocol: arguments 0 to 2.
fn kind_of_socket(call: &Call<'_>) -> Result<(Domain, Kind, u32, OpenFlags)> {
    let (number, protocol) = (call.uint(1), call.uint(2));
    let (kind, flags) = (number & TYPE_MASK, number & !TYPE_MASK);
    if flags & !FLAGS != 0 || kind >= TYPES_END {
        return Err(Errno::INVAL);
    }
    let domain = Domain::of(call.uint(0))?;
    if domain == Domain::Netlink {
        let kind = netlink::check(kind, protocol)?;
        return Ok((domain, kind, protocol, OpenFlags::from_bits_truncate(flags)));
    }
    let kind = match kind {
        net::SOCK_STREAM => Kind::Stream,
        net::SOCK_DGRAM => Kind::Datagram,
        // As Linux: nothing is rawer.
        net::SOCK_RAW if domain == Domain::Unix => Kind::Datagram,
        net::SOCK_SEQPACKET if domain == Domain::Unix => Kind::SeqPacket,
        _ => return Err(Errno::SOCKTNOSUPPORT),
    };
    let own = protocol_of(domain, kind);
    let protocol = match (domain, kind, protocol) {
        (_, _, 0) | (Domain::Unix, _, net::AF_UNIX) => own,
        (Domain::Inet | Domain::Inet6, Kind::Datagram, net::SOL_UDPLITE) => net::SOL_UDPLITE,
        (_, _, protocol) if protocol == own => own,
        _ => return Err(Errno::PROTONOSUPPORT),
    };
    Ok((domain, kind, protocol, OpenFlags::from_bits_truncate(flags)))
}

/// A new descriptor. EMFILE.
fn add(call: &Call<'_>, socket: Rc<dyn Socket>, flags: OpenFlags) -> Result<Fd> {
    let file: Rc<dyn File> = socket;
    let kept = OpenFlags::RDWR | flags & OpenFlags::NONBLOCK;
    let file = call.kernel.vfs.anonymous(file, FileType::Socket, "socket:[…]", kept);
    call.process.files.add(file, 0, flags.contains(OpenFlags::CLOEXEC))
}

/// The open file of descriptor argument 0. EBADF; ENOTSOCK.
pub(super) fn opened_socket(call: &Call<'_>) -> Result<Rc<OpenFile>> {
    let file = opened_fd(call, call.uint(0))?;
    socket_of(&file)?;
    Ok(file)
}

/// The socket that an open file is. ENOTSOCK.
pub(super) fn socket_of(file: &OpenFile) -> Result<&dyn Socket> {
    file.file().and_then(|file| file.socket()).ok_or(Errno::NOTSOCK)
}

/// bind(2). EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL; and for a path, what mknod(2) says.
pub fn bind(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    let address = parse_address(call, call.args[1], call.uint(2))?;
    let Address::Unix(UnixName::Path { text, .. }) = &address else {
        return Ok(socket.bind(&address).map(|()| 0)?);
    };
    socket.domain().check(&address)?;
    let (vfs, cwd) = (&call.kernel.vfs, call.cwd());
    let mode = NAME_MODE & !call.process.paths.borrow().umask;
    vfs.mknod(&cwd, text, NewNode::Socket, mode).map_err(|errno| match errno {
        Errno::EXIST => Errno::ADDRINUSE,
        errno => errno,
    })?;
    let bound = find_file(call, text).and_then(|address| socket.bind(&address));
    if bound.is_err() {
        // The name that was made above: where it is gone already, so much the better.
        let _ = vfs.unlink(&cwd, text);
    }
    Ok(bound.map(|()| 0)?)
}

/// listen(2). EADDRINUSE, EINVAL, EOPNOTSUPP.
pub fn listen(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    socket_of(&file)?.listen(call.uint(1))?;
    Ok(0)
}

/// accept(2). See accept4.
pub fn accept(call: &mut Call<'_>) -> CallResult {
    accept_with(call, OpenFlags::empty())
}

/// accept4(2). EAGAIN, EINVAL, EMFILE, EOPNOTSUPP.
pub fn accept4(call: &mut Call<'_>) -> CallResult {
    super::target::check_flags(call.uint(3), FLAGS)?;
    accept_with(call, OpenFlags::from_bits_truncate(call.uint(3)))
}

fn accept_with(call: &mut Call<'_>, flags: OpenFlags) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    // A connection is not to be lost for want of a number: see that there is one.
    let free = call.process.files.add(file.clone(), 0, false)?;
    drop(call.process.files.close(free));
    let accepted = match socket.accept() {
        Err(Errno::AGAIN) if !file.flags().contains(OpenFlags::NONBLOCK) => {
            let timeout = socket.options().borrow().receive_timeout_ns;
            return Err(call.wait(timeout, Errno::AGAIN));
        }
        accepted => accepted?,
    };
    let (domain, peer) = (accepted.domain(), accepted.peer());
    let fd = add(call, accepted, flags)?;
    if call.args[1] != 0
        && let Ok(peer) = peer
        && let Err(errno) = put_address(call, &peer.to_bytes(domain), call.args[1], call.args[2])
    {
        drop(call.process.files.close(fd));
        return Err(errno.into());
    }
    Ok(fd.into())
}

/// connect(2). EAFNOSUPPORT, EAGAIN, EALREADY, ECONNREFUSED, EINPROGRESS, EISCONN, ENETUNREACH; for a
/// path, what a lookup says.
pub fn connect(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    let address = parse_address(call, call.args[1], call.uint(2))?;
    let address = with_file(call, address)?;
    let at_once = file.flags().contains(OpenFlags::NONBLOCK);
    match socket.connect(&address, at_once) {
        Ok(()) => Ok(0),
        Err(errno @ (Errno::INPROGRESS | Errno::AGAIN)) if !at_once => {
            let timeout = socket.options().borrow().send_timeout_ns;
            Err(call.wait(timeout, errno))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// shutdown(2). EINVAL, ENOTCONN.
pub fn shutdown(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let how = match call.uint(1) {
        net::SHUT_RD => Shutdown { receive: true, send: false },
        net::SHUT_WR => Shutdown { receive: false, send: true },
        net::SHUT_RDWR => Shutdown { receive: true, send: true },
        _ => return Err(Errno::INVAL.into()),
    };
    socket_of(&file)?.shutdown(how)?;
    Ok(0)
}

/// getsockname(2). EFAULT, EINVAL.
pub fn getsockname(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    put_address(call, &socket.name().to_bytes(socket.domain()), call.args[1], call.args[2])?;
    Ok(0)
}

/// getpeername(2). EFAULT, EINVAL, ENOTCONN.
pub fn getpeername(call: &mut Call<'_>) -> CallResult {
    let file = opened_socket(call)?;
    let socket = socket_of(&file)?;
    put_address(call, &socket.peer()?.to_bytes(socket.domain()), call.args[1], call.args[2])?;
    Ok(0)
}

/// The address that the program has at `pointer`. EFAULT, EINVAL, EAFNOSUPPORT.
pub(super) fn parse_address(call: &Call<'_>, pointer: u64, len: u32) -> Result<Address> {
    if len as usize > ADDRESS_MAX {
        return Err(Errno::INVAL);
    }
    Address::parse(call.bytes(pointer, len.into())?.bytes())
}

/// An address with the file that its path names now. ECONNREFUSED for a file that is no socket.
pub(super) fn with_file(call: &Call<'_>, address: Address) -> Result<Address> {
    match &address {
        Address::Unix(UnixName::Path { text, .. }) => find_file(call, text),
        _ => Ok(address),
    }
}

fn find_file(call: &Call<'_>, text: &[u8]) -> Result<Address> {
    let found = call.kernel.vfs.lookup(&call.cwd(), text, Follow::Yes)?;
    let stat = found.inode().stat();
    if stat.file_type() != FileType::Socket {
        return Err(Errno::CONNREFUSED);
    }
    let node = Some((stat.dev, stat.ino));
    Ok(Address::Unix(UnixName::Path { text: text.to_vec(), node }))
}

/// Tells the program an address: as much of it as there is room for, and how long it is. EFAULT; EINVAL
/// for a negative length.
pub(super) fn put_address(call: &Call<'_>, bytes: &[u8], to: u64, len_at: u64) -> Result<()> {
    let room = i32::from_le_bytes(call.get(len_at)?);
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    call.put(to, &bytes[..bytes.len().min(room)])?;
    call.put(len_at, &(bytes.len() as u32).to_le_bytes())
}
