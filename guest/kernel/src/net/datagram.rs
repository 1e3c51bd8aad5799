//! Sockets that carry messages, each on its own: UDP and UDP-Lite on loopback, and AF_UNIX.
//!
//! | to a receiver that     | UDP                             | AF_UNIX       |
//! |------------------------|---------------------------------|---------------|
//! | is not there           | lost; told later, if connected  | ECONNREFUSED  |
//! | has no room            | lost                            | EAGAIN        |

use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;

use linux_raw_sys::ioctl;
use linux_raw_sys::net::SOL_UDPLITE;

use super::address::{destination, source_for};
use super::inbox::{Envelope, Inbox};
use super::names::{Lease, Names};
use super::{
    Address, Domain, Head, Kind, Net, Options, Outgoing, Received, Seat, Shutdown, Socket, Ucred,
};
use crate::errno::{Errno, Result};
use crate::fs::{File, IoctlArgument, Poll, Pulse};

/// Most bytes of a UDP message (RFC 768, over IPv4).
const UDP_MAX: usize = 65_507;

/// Where messages to a socket go.
#[derive(Default)]
pub struct Mailbox {
    inbox: Inbox,
    /// Messages of others are not taken: the socket is connected.
    only_from: Cell<Option<SocketAddr>>,
    /// The reader takes no more.
    refusing: Cell<bool>,
}

/// A peer: its address, and for AF_UNIX the very socket that had it.
struct Peer {
    address: Address,
    mailbox: Option<Weak<Mailbox>>,
    process: Ucred,
}

/// A socket that carries messages.
pub struct DatagramSocket {
    net: Rc<Net>,
    domain: Domain,
    protocol: u32,
    options: RefCell<Options>,
    mailbox: Rc<Mailbox>,
    lease: RefCell<Option<Lease<Mailbox>>>,
    local: RefCell<Address>,
    peer: RefCell<Option<Peer>>,
    done: Cell<Shutdown>,
    error: Cell<Option<Errno>>,
    _seat: Seat,
}

impl DatagramSocket {
    /// A socket without name or peer. ENFILE.
    pub(super) fn new(net: &Rc<Net>, domain: Domain, protocol: u32) -> Result<Rc<DatagramSocket>> {
        Ok(Rc::new(DatagramSocket {
            net: net.clone(),
            domain,
            protocol,
            options: RefCell::default(),
            mailbox: Rc::default(),
            lease: RefCell::default(),
            local: RefCell::new(Address::none(domain)),
            peer: RefCell::default(),
            done: Cell::new(Shutdown { receive: false, send: false }),
            error: Cell::new(None),
            _seat: net.seat()?,
        }))
    }

    /// Two AF_UNIX sockets that are each other's peer. ENFILE.
    pub(super) fn pair(net: &Rc<Net>) -> Result<(Rc<DatagramSocket>, Rc<DatagramSocket>)> {
        let one = DatagramSocket::new(net, Domain::Unix, 0)?;
        let other = DatagramSocket::new(net, Domain::Unix, 0)?;
        for (socket, peer) in [(&one, &other), (&other, &one)] {
            let mailbox = Some(Rc::downgrade(&peer.mailbox));
            let (address, process) = (Address::none(Domain::Unix), (net.caller)());
            *socket.peer.borrow_mut() = Some(Peer { address, mailbox, process });
        }
        Ok((one, other))
    }

    fn is_udp(&self) -> bool {
        self.domain != Domain::Unix
    }

    /// The names of its protocol's sockets.
    fn names(&self) -> &Rc<Names<Mailbox>> {
        match self.protocol {
            SOL_UDPLITE => &self.net.partial_datagrams,
            _ => &self.net.datagrams,
        }
    }

    /// Takes an address, to which messages come from now on.
    fn take_name(&self, address: &Address) -> Result<()> {
        let sharing = self.options.borrow().sharing();
        let lease = self.names().bind(address, sharing)?;
        lease.lead_to(&self.mailbox)?;
        *self.local.borrow_mut() = lease.address().clone();
        *self.lease.borrow_mut() = Some(lease);
        Ok(())
    }

    /// The address that was bound: what the socket is called while it has no peer.
    fn bound(&self) -> Address {
        match &*self.lease.borrow() {
            Some(lease) => lease.address().clone(),
            None => Address::none(self.domain),
        }
    }

    /// The address that messages to `to` come from. UDP takes a free port where it has none.
    fn source(&self, to: &Address) -> Result<Address> {
        let Address::Inet(to) = to else { return Ok(self.local.borrow().clone()) };
        if self.lease.borrow().is_none() {
            self.take_name(&Address::none(self.domain))?;
        }
        let own = self.bound().inet()?;
        let is_any = own.ip().is_unspecified();
        Ok(Address::Inet(if is_any { source_for(*to, own.port()) } else { own }))
    }

    /// Where a message to `to` ends up. ENETUNREACH beyond this machine.
    fn route(&self, to: &Address) -> Result<Address> {
        self.domain.check(to)?;
        match to {
            Address::Inet(address) => {
                let address = destination(*address);
                let local = address.ip().is_loopback();
                if local { Ok(Address::Inet(address)) } else { Err(Errno::NETUNREACH) }
            }
            to => Ok(to.clone()),
        }
    }

    /// The receiver of a message, and its address. `None`: nobody.
    fn receiver(&self, to: Option<&Address>) -> Result<(Option<Rc<Mailbox>>, Address)> {
        if let Some(to) = to {
            let to = self.route(to)?;
            return Ok((self.names().find(&to), to));
        }
        let peer = self.peer.borrow();
        let none = if self.is_udp() { Errno::DESTADDRREQ } else { Errno::NOTCONN };
        let peer = peer.as_ref().ok_or(none)?;
        let mailbox = match &peer.mailbox {
            Some(mailbox) => mailbox.upgrade(),
            None => self.names().find(&peer.address),
        };
        Ok((mailbox, peer.address.clone()))
    }

    fn send_udp(
        &self,
        message: &Outgoing<'_>,
        mailbox: Option<Rc<Mailbox>>,
        from: Address,
    ) -> Result<usize> {
        let count = message.bytes.len();
        if count > UDP_MAX {
            return Err(Errno::MSGSIZE);
        }
        let Some(mailbox) = mailbox else {
            // The answer is an ICMP message, which a socket is told of where it can be meant.
            if message.to.is_none() {
                self.error.set(Some(Errno::CONNREFUSED));
                self.mailbox.inbox.arrived();
            }
            return Ok(count);
        };
        let wanted = mailbox.only_from.get().is_none_or(|only| Address::Inet(only) == from);
        if wanted && !mailbox.refusing.get() {
            let own = self.options.borrow().head();
            let head = Head {
                hop_limit: message.head.hop_limit.or(own.hop_limit),
                traffic_class: message.head.traffic_class.or(own.traffic_class),
            };
            let envelope = Envelope { from: Some(from), rights: None, head };
            match mailbox.inbox.post(message.bytes, envelope) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(count)
    }
}

impl Socket for DatagramSocket {
    fn domain(&self) -> Domain {
        self.domain
    }

    fn kind(&self) -> Kind {
        Kind::Datagram
    }

    fn protocol(&self) -> u32 {
        self.protocol
    }

    fn options(&self) -> &RefCell<Options> {
        &self.options
    }

    fn bind(&self, address: &Address) -> Result<()> {
        self.domain.check(address)?;
        if self.lease.borrow().is_some() {
            return Err(Errno::INVAL);
        }
        self.take_name(address)
    }

    fn connect(&self, to: &Address, _at_once: bool) -> Result<()> {
        if *to == Address::Unspecified {
            self.mailbox.only_from.set(None);
            *self.peer.borrow_mut() = None;
            *self.local.borrow_mut() = self.bound();
            return Ok(());
        }
        let address = self.route(to)?;
        let mailbox = match &address {
            Address::Unix(_) => {
                let there = self.names().find(&address);
                let there = there.ok_or_else(|| self.net.refusal(Kind::Datagram, &address))?;
                Some(Rc::downgrade(&there))
            }
            _ => None,
        };
        let local = self.source(&address)?;
        *self.local.borrow_mut() = local;
        self.mailbox.only_from.set(address.inet().ok());
        *self.peer.borrow_mut() = Some(Peer { address, mailbox, process: Ucred::NOBODY });
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        if self.is_udp() && self.peer.borrow().is_none() {
            return Err(Errno::NOTCONN);
        }
        let done = self.done.get();
        self.done
            .set(Shutdown { receive: done.receive || how.receive, send: done.send || how.send });
        self.mailbox.refusing.set(done.receive || how.receive);
        self.mailbox.inbox.arrived();
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>) -> Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.done.get().send {
            return Err(Errno::PIPE);
        }
        let (mailbox, to) = self.receiver(message.to.as_ref())?;
        let from = self.source(&to)?;
        if self.is_udp() {
            return self.send_udp(&message, mailbox, from);
        }
        let mailbox = mailbox.ok_or_else(|| self.net.refusal(Kind::Datagram, &to))?;
        if mailbox.refusing.get() {
            return Err(Errno::PIPE);
        }
        let Outgoing { bytes, rights, head, .. } = message;
        mailbox.inbox.post(bytes, Envelope { from: Some(from), rights, head })
    }

    fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        match self.mailbox.inbox.fetch(to, peek) {
            Err(Errno::AGAIN) => match self.error.take() {
                Some(error) => Err(error),
                None if self.done.get().receive => Ok(Received::default()),
                None => Err(Errno::AGAIN),
            },
            got => got,
        }
    }

    fn name(&self) -> Address {
        self.local.borrow().clone()
    }

    fn peer(&self) -> Result<Address> {
        self.peer.borrow().as_ref().map(|peer| peer.address.clone()).ok_or(Errno::NOTCONN)
    }

    fn peer_process(&self) -> Ucred {
        self.peer.borrow().as_ref().map_or(Ucred::NOBODY, |peer| peer.process)
    }

    fn take_error(&self) -> Option<Errno> {
        self.error.take()
    }

    fn available(&self) -> usize {
        self.mailbox.inbox.first_len()
    }
}

impl File for DatagramSocket {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        self.receive(to, false).map(|received| received.count)
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        self.send(Outgoing { bytes: from, ..Outgoing::default() })
    }

    fn poll(&self) -> Poll {
        let done = self.done.get();
        let peer = self.peer.borrow();
        let mailbox = peer.as_ref().and_then(|peer| peer.mailbox.as_ref()?.upgrade());
        let mut poll = Poll::empty();
        poll.set(Poll::IN, done.receive || !self.mailbox.inbox.is_empty());
        poll.set(Poll::OUT, mailbox.is_none_or(|mailbox| mailbox.inbox.has_room()));
        poll.set(Poll::RDHUP, done.receive);
        poll.set(Poll::HUP, done.receive && done.send);
        poll.set(Poll::ERR, self.error.get().is_some());
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        let peer = self.peer.borrow();
        let mailbox = peer.as_ref().and_then(|peer| peer.mailbox.as_ref()?.upgrade());
        let output = mailbox.map_or(0, |mailbox| mailbox.inbox.relieved());
        Some(Pulse { input: self.mailbox.inbox.arrivals(), output })
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if request != ioctl::FIONREAD {
            return Err(Errno::NOTTY);
        }
        argument.write(&(self.available() as u32).to_ne_bytes()).map(|()| 0)
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.mailbox.refusing.set(true);
        self.mailbox.inbox.clear();
    }
}
