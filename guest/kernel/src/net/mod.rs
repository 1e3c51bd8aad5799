//! Sockets: connections within the guest, and those few that lead to the host.
//!
//! ```text
//!   socket calls ─► dyn Socket ─┬─ StreamSocket ─┬─ Listener ─ backlog ─ accept
//!                               │                ├─ Side ⇄ Side              loopback, AF_UNIX
//!                               │                └─ Remote ⇄ vsock ⇄ host    the host's services
//!                               ├─ DatagramSocket ─► Mailbox                 UDP on loopback, AF_UNIX
//!                               └─ NetlinkSocket ─► route                    questions about `lo`
//!   bind, connect ─► Names: addresses, ports, paths ─► Listener or Mailbox
//! ```
//!
//! There is no network card and no packet: two sockets of one guest share a queue, and what is sent is
//! there. So nothing is lost, reordered or timed out, and a peer's end is known at once; what programs
//! see of it (errors, poll(2)) is what Linux shows of loopback. Nothing waits here: what would, is
//! EAGAIN, or EINPROGRESS for a connection.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;

use crate::errno::{Errno, Result};

pub mod address;
pub mod connection;
pub mod datagram;
#[cfg(feature = "bare-metal")]
pub mod host;
pub mod inbox;
pub mod interface;
pub mod listener;
pub mod names;
pub mod netlink;
pub mod options;
pub mod remote;
pub mod rights;
pub mod socket;
pub mod stream;
#[cfg(test)]
mod tests;

pub use address::{Address, UnixName};
pub use datagram::DatagramSocket;
pub use options::Options;
pub use remote::Remote;
pub use rights::{InFlight, Rights};
pub use socket::{Domain, Head, Kind, Outgoing, Received, Shutdown, Socket, Ucred};
pub use stream::StreamSocket;

use datagram::Mailbox;
use listener::Listener;
use names::Names;
use netlink::NetlinkSocket;

/// Most sockets at a time, those that wait in backlogs among them.
pub const SOCKETS_MAX: usize = 4096;

/// Finds out whether an address is a service of the host, and begins a connection to it.
pub type Gateway = dyn Fn(SocketAddr) -> Option<Result<Rc<dyn Remote>>>;

/// Tells whose process makes the call.
pub type Caller = dyn Fn() -> Ucred;

/// What the sockets of a guest share.
pub struct Net {
    streams: Rc<Names<Listener>>,
    packets: Rc<Names<Listener>>,
    datagrams: Rc<Names<Mailbox>>,
    /// UDP-Lite's, whose ports are its own.
    partial_datagrams: Rc<Names<Mailbox>>,
    /// The ports that sockets of AF_NETLINK have.
    netlink_ports: RefCell<BTreeSet<u32>>,
    in_flight: Rc<InFlight>,
    gateway: Box<Gateway>,
    caller: Box<Caller>,
    sockets: Cell<usize>,
}

impl Net {
    /// No sockets yet. `gateway` is asked about addresses at which nobody in the guest listens, `caller` who it is that
    /// connects and listens.
    pub fn new(gateway: Box<Gateway>, caller: Box<Caller>) -> Rc<Net> {
        Rc::new(Net {
            streams: Rc::default(),
            packets: Rc::default(),
            datagrams: Rc::default(),
            partial_datagrams: Rc::default(),
            netlink_ports: RefCell::default(),
            in_flight: Rc::default(),
            gateway,
            caller,
            sockets: Cell::new(0),
        })
    }

    /// Descriptors on their way over AF_UNIX.
    pub fn in_flight(&self) -> &Rc<InFlight> {
        &self.in_flight
    }

    /// socket(2). ENFILE beyond [`SOCKETS_MAX`]; ESOCKTNOSUPPORT does not happen: see [`Kind`].
    pub fn socket(
        self: &Rc<Net>,
        domain: Domain,
        kind: Kind,
        protocol: u32,
    ) -> Result<Rc<dyn Socket>> {
        match kind {
            _ if domain == Domain::Netlink => Ok(NetlinkSocket::new(self, kind)?),
            Kind::Stream | Kind::SeqPacket => Ok(StreamSocket::new(self, domain, kind)?),
            Kind::Datagram | Kind::Raw => Ok(DatagramSocket::new(self, domain, protocol)?),
        }
    }

    /// socketpair(2): two AF_UNIX sockets that are each other's peer. ENFILE.
    pub fn pair(self: &Rc<Net>, kind: Kind) -> Result<(Rc<dyn Socket>, Rc<dyn Socket>)> {
        match kind {
            Kind::Stream | Kind::SeqPacket => {
                let (one, other) = StreamSocket::pair(self, kind)?;
                Ok((one, other))
            }
            Kind::Datagram | Kind::Raw => {
                let (one, other) = DatagramSocket::pair(self)?;
                Ok((one, other))
            }
        }
    }

    /// The names of connection-oriented sockets.
    fn names(&self, kind: Kind) -> &Rc<Names<Listener>> {
        if kind == Kind::SeqPacket { &self.packets } else { &self.streams }
    }

    /// Why there is nobody at an address for a socket of this kind: EPROTOTYPE where one of another kind has its file,
    /// else ECONNREFUSED.
    fn refusal(&self, kind: Kind, address: &Address) -> Errno {
        let others = [
            (Kind::Stream, self.streams.has_file(address)),
            (Kind::SeqPacket, self.packets.has_file(address)),
            (Kind::Datagram, self.datagrams.has_file(address)),
        ];
        let is_other = others.into_iter().any(|(other, has)| has && other != kind);
        if is_other { Errno::PROTOTYPE } else { Errno::CONNREFUSED }
    }

    fn seat(self: &Rc<Net>) -> Result<Seat> {
        if self.sockets.get() >= SOCKETS_MAX {
            return Err(Errno::NFILE);
        }
        self.sockets.update(|sockets| sockets + 1);
        Ok(Seat(self.clone()))
    }
}

/// A socket's place among [`SOCKETS_MAX`].
struct Seat(Rc<Net>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.update(|sockets| sockets - 1);
    }
}
