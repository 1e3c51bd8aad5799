//! What every socket does, whatever is behind it.

use alloc::rc::Rc;
use core::cell::RefCell;

use linux_raw_sys::net;

use super::{Address, Options, Rights};
use crate::errno::{Errno, Result};
use crate::fs::File;

/// The families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// AF_UNIX.
    Unix,
    /// AF_INET.
    Inet,
    /// AF_INET6.
    Inet6,
    /// AF_NETLINK.
    Netlink,
}

impl Domain {
    /// The domain with this AF_… number. EAFNOSUPPORT.
    pub fn of(number: u32) -> Result<Domain> {
        match number {
            net::AF_UNIX => Ok(Domain::Unix),
            net::AF_INET => Ok(Domain::Inet),
            net::AF_INET6 => Ok(Domain::Inet6),
            net::AF_NETLINK => Ok(Domain::Netlink),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    /// Its AF_… number.
    pub fn number(self) -> u32 {
        match self {
            Domain::Unix => net::AF_UNIX,
            Domain::Inet => net::AF_INET,
            Domain::Inet6 => net::AF_INET6,
            Domain::Netlink => net::AF_NETLINK,
        }
    }
}

impl Domain {
    /// Whether an address is one of this domain. EAFNOSUPPORT; EINVAL for AF_UNIX.
    pub fn check(self, address: &Address) -> Result<()> {
        match (self, address) {
            (Domain::Unix, address) => address.unix().map(drop),
            (Domain::Inet, Address::Inet(address)) if address.is_ipv4() => Ok(()),
            (Domain::Inet6, Address::Inet(_)) => Ok(()),
            (Domain::Netlink, address) => address.netlink().map(drop),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }
}

/// How a socket carries what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection that carries bytes (SOCK_STREAM).
    Stream,
    /// Messages, each on its own (SOCK_DGRAM).
    Datagram,
    /// A connection that carries messages (SOCK_SEQPACKET).
    SeqPacket,
    /// Messages in their protocol's own form (SOCK_RAW).
    Raw,
}

impl Kind {
    /// Its SOCK_… number.
    pub fn number(self) -> u32 {
        match self {
            Kind::Stream => net::SOCK_STREAM,
            Kind::Datagram => net::SOCK_DGRAM,
            Kind::SeqPacket => net::SOCK_SEQPACKET,
            Kind::Raw => net::SOCK_RAW,
        }
    }
}

/// The IPPROTO_… number of the protocol that a socket has unless it asks for another.
pub fn protocol_of(domain: Domain, kind: Kind) -> u32 {
    match (domain, kind) {
        (Domain::Unix | Domain::Netlink, _) => 0,
        (_, Kind::Datagram) => net::SOL_UDP,
        _ => net::SOL_TCP,
    }
}

/// Which directions shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// No more is read.
    pub receive: bool,
    /// No more is sent.
    pub send: bool,
}

/// What a packet's head says besides addresses (RFC 8200, section 3); `None`: what the sender's options say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How many routers may pass it on.
    pub hop_limit: Option<u8>,
    /// How routers are to treat it.
    pub traffic_class: Option<u8>,
}

/// Whose process is at the other end (struct ucred, SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ucred {
    /// The process.
    pub pid: u32,
    /// As which user it acts.
    pub uid: u32,
    /// … and as which group.
    pub gid: u32,
}

impl Ucred {
    /// Nobody's.
    pub const NOBODY: Ucred = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
}

/// What is sent.
#[derive(Default)]
pub struct Outgoing<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// To whom, where that is not the peer.
    pub to: Option<Address>,
    /// Descriptors that go along.
    pub rights: Option<Rights>,
    /// What its packet's head is to say.
    pub head: Head,
}

/// What was received.
#[derive(Default)]
pub struct Received {
    /// Bytes that were copied.
    pub count: usize,
    /// Bytes of the whole message; for a stream, what was copied.
    pub whole: usize,
    /// Whether it was one message of its own, rather than a stretch of a stream.
    pub is_message: bool,
    /// From whom, where the socket is not connected.
    pub from: Option<Address>,
    /// Descriptors that came along.
    pub rights: Option<Rights>,
    /// What its packet's head said.
    pub head: Head,
}

/// A socket. What would have to wait is EAGAIN.
pub trait Socket: File {
    /// Its family of addresses.
    fn domain(&self) -> Domain;

    /// How it carries what is sent.
    fn kind(&self) -> Kind;

    /// Its protocol's IPPROTO_… number (SO_PROTOCOL); 0 for AF_UNIX.
    fn protocol(&self) -> u32 {
        protocol_of(self.domain(), self.kind())
    }

    /// Its options.
    fn options(&self) -> &RefCell<Options>;

    /// Hears that options have changed.
    fn options_changed(&self) {}

    /// bind(2). EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT; EINVAL where it has a name.
    fn bind(&self, address: &Address) -> Result<()>;

    /// listen(2). EOPNOTSUPP, EINVAL, EADDRINUSE.
    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    /// Whether it listens (SO_ACCEPTCONN).
    fn is_listening(&self) -> bool {
        false
    }

    /// accept(2): the next connection. EAGAIN, EINVAL, EOPNOTSUPP.
    fn accept(&self) -> Result<Rc<dyn Socket>> {
        Err(Errno::OPNOTSUPP)
    }

    /// connect(2). EINPROGRESS: ask again, with the same call. EAGAIN: the backlog is full.
    /// ECONNREFUSED, EISCONN, EALREADY, ENETUNREACH, EAFNOSUPPORT.
    fn connect(&self, to: &Address, at_once: bool) -> Result<()>;

    /// shutdown(2). ENOTCONN.
    fn shutdown(&self, how: Shutdown) -> Result<()>;

    /// send(2). How many bytes were taken. EAGAIN, EPIPE, ECONNRESET, ENOTCONN, EMSGSIZE, …
    fn send(&self, message: Outgoing<'_>) -> Result<usize>;

    /// recv(2); `peek` leaves what is read. EAGAIN, ENOTCONN, ECONNRESET, ….
    fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received>;

    /// getsockname(2).
    fn name(&self) -> Address;

    /// getpeername(2). ENOTCONN.
    fn peer(&self) -> Result<Address>;

    /// Who is at the other end of an AF_UNIX socket (SO_PEERCRED): who made the pair, has connected, or listened then.
    fn peer_process(&self) -> Ucred {
        Ucred::NOBODY
    }

    /// What went wrong since it was asked last (SO_ERROR).
    fn take_error(&self) -> Option<Errno>;

    /// Bytes that a read finds (FIONREAD).
    fn available(&self) -> usize;
}
