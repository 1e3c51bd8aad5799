//! Sockets of AF_NETLINK: questions to the kernel about its network (netlink(7)). There is NETLINK_ROUTE alone.
//!
//! ```text
//!   send ─▶ messages ─▶ route::answer ─▶ inbox ─▶ receive
//!               └ what is wrong, and what wants to be acknowledged: NLMSG_ERROR
//! ```
//!
//! All answers are there when send(2) returns. Nothing is ever told unasked: nothing about the network changes.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use linux_raw_sys::net;

use super::inbox::{Envelope, Inbox};
use super::{
    Address, Domain, Head, Kind, Net, Options, Outgoing, Received, Seat, Shutdown, Socket,
};
use crate::errno::{Errno, Result};
use crate::fs::{File, Poll, Pulse};
use message::{ACKNOWLEDGE, CAPPED, ERROR, FIRST_TYPE, HEADER_BYTES, Header, Message, REQUEST};

pub mod message;
mod route;
#[cfg(test)]
mod tests;

/// NETLINK_ROUTE.
pub const ROUTE: u32 = 0;
/// Where ports begin that are nobody's process number, downwards (as Linux, near the top of all numbers).
const FREE_PORTS_END: u32 = 0xffff_f000;

/// A socket of AF_NETLINK.
pub struct NetlinkSocket {
    net: Rc<Net>,
    kind: Kind,
    options: RefCell<Options>,
    inbox: Inbox,
    /// Its number among all: 0 until it has one.
    port: Cell<u32>,
    groups: Cell<u32>,
    error: Cell<Option<Errno>>,
    _seat: Seat,
}

impl NetlinkSocket {
    /// A socket without a port. ENFILE.
    pub(super) fn new(net: &Rc<Net>, kind: Kind) -> Result<Rc<NetlinkSocket>> {
        Ok(Rc::new(NetlinkSocket {
            net: net.clone(),
            kind,
            options: RefCell::default(),
            inbox: Inbox::default(),
            port: Cell::new(0),
            groups: Cell::new(0),
            error: Cell::new(None),
            _seat: net.seat()?,
        }))
    }

    /// Takes a port: this one, or where that is 0 the process's number, or any. EADDRINUSE; EINVAL where it has another.
    fn take_port(&self, wanted: u32) -> Result<()> {
        let own = self.port.get();
        if own != 0 {
            return if wanted == 0 || wanted == own { Ok(()) } else { Err(Errno::INVAL) };
        }
        let mut ports = self.net.netlink_ports.borrow_mut();
        let port = if wanted != 0 {
            wanted
        } else {
            // There are fewer sockets than such numbers.
            let mut candidates =
                [(self.net.caller)().pid].into_iter().chain((0..FREE_PORTS_END).rev());
            candidates.find(|port| !ports.contains(port)).ok_or(Errno::ADDRINUSE)?
        };
        if !ports.insert(port) {
            return Err(Errno::ADDRINUSE);
        }
        self.port.set(port);
        Ok(())
    }

    /// Answers one message.
    fn handle(&self, request: &Message<'_>) {
        let Header { kind, flags, .. } = request.header;
        let mut answer = message::Writer::default();
        let is_asked = flags & REQUEST != 0 && kind >= FIRST_TYPE;
        let result =
            if is_asked { route::answer(request, self.port.get(), &mut answer) } else { Ok(()) };
        let bytes = match result {
            Ok(()) => answer.finish(),
            Err(_) => message::Writer::default().finish(),
        };
        let has_answer = !bytes.is_empty();
        if has_answer {
            self.post(&bytes);
        }
        let is_several = has_answer && flags & message::DUMP != 0;
        if result.is_err() || flags & ACKNOWLEDGE != 0 && !is_several {
            self.acknowledge(request, result.err());
        }
    }

    fn acknowledge(&self, request: &Message<'_>, error: Option<Errno>) {
        let number = error.map_or(0, |errno| -i32::from(errno.number()));
        let quoted = if error.is_some() { request.bytes } else { &request.bytes[..HEADER_BYTES] };
        let flags = if error.is_some() { 0 } else { CAPPED };
        let header = Header { kind: ERROR, flags, port: self.port.get(), ..request.header };
        let mut answer = message::Writer::default();
        answer.begin(header).put(&number.to_ne_bytes()).put(quoted);
        self.post(&answer.finish());
    }

    /// What does not fit is lost, and that is told (ENOBUFS).
    fn post(&self, bytes: &[u8]) {
        let from = Some(Address::Netlink { port: 0, groups: 0 });
        let envelope = Envelope { from, rights: None, head: Head::default() };
        if self.inbox.post(bytes, envelope).is_err() {
            self.error.set(Some(Errno::NOBUFS));
        }
    }
}

impl Socket for NetlinkSocket {
    fn domain(&self) -> Domain {
        Domain::Netlink
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn protocol(&self) -> u32 {
        ROUTE
    }

    fn options(&self) -> &RefCell<Options> {
        &self.options
    }

    fn bind(&self, address: &Address) -> Result<()> {
        let (port, groups) = address.netlink()?;
        self.take_port(port)?;
        self.groups.set(groups);
        Ok(())
    }

    /// To the kernel, which everybody is connected to anyway. EPERM for other peers.
    fn connect(&self, to: &Address, _at_once: bool) -> Result<()> {
        if *to == Address::Unspecified {
            return Ok(());
        }
        match to.netlink()? {
            (0, 0) => self.take_port(0),
            _ => Err(Errno::PERM),
        }
    }

    fn shutdown(&self, _how: Shutdown) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    fn send(&self, message: Outgoing<'_>) -> Result<usize> {
        if let Some(to) = &message.to
            && to.netlink()? != (0, 0)
        {
            return Err(Errno::PERM);
        }
        self.take_port(0)?;
        if message.bytes.len() > super::inbox::MESSAGE_MAX {
            return Err(Errno::MSGSIZE);
        }
        message::messages(message.bytes).for_each(|request| self.handle(&request));
        Ok(message.bytes.len())
    }

    fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        match self.inbox.fetch(to, peek) {
            Err(Errno::AGAIN) => Err(self.error.take().unwrap_or(Errno::AGAIN)),
            got => got,
        }
    }

    fn name(&self) -> Address {
        Address::Netlink { port: self.port.get(), groups: self.groups.get() }
    }

    /// The kernel.
    fn peer(&self) -> Result<Address> {
        Ok(Address::none(Domain::Netlink))
    }

    fn take_error(&self) -> Option<Errno> {
        self.error.take()
    }

    fn available(&self) -> usize {
        self.inbox.first_len()
    }
}

impl File for NetlinkSocket {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        self.receive(to, false).map(|received| received.count)
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        self.send(Outgoing { bytes: from, ..Outgoing::default() })
    }

    fn poll(&self) -> Poll {
        let mut poll = Poll::OUT;
        poll.set(Poll::IN, !self.inbox.is_empty());
        poll.set(Poll::ERR, self.error.get().is_some());
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse { input: self.inbox.arrivals(), output: 0 })
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Drop for NetlinkSocket {
    fn drop(&mut self) {
        self.net.netlink_ports.borrow_mut().remove(&self.port.get());
    }
}

/// The kinds of sockets that there are of this family, and its protocols. EPROTONOSUPPORT, ESOCKTNOSUPPORT.
pub fn check(kind: u32, protocol: u32) -> Result<Kind> {
    let kind = match kind {
        net::SOCK_RAW => Kind::Raw,
        net::SOCK_DGRAM => Kind::Datagram,
        _ => return Err(Errno::SOCKTNOSUPPORT),
    };
    if protocol == ROUTE { Ok(kind) } else { Err(Errno::PROTONOSUPPORT) }
}
