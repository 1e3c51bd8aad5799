//! Sockets that connect: TCP, and AF_UNIX streams and packets.
//!
//! ```text
//!   Idle ── listen ──► Listening ── accept ──► (another socket, Connected)
//!    │ connect
//!    ├── to a listener ──► Connected, and the other side waits in the backlog
//!    │                     (TCP, the backlog is full: Knocking, until there is room)
//!    ├── to the host ────► Remote, which connects when the host answers
//!    └── to nobody ──────► ECONNREFUSED; where the call does not wait, Failed, and SO_ERROR tells
//! ```
//!
//! A connection is made at once. TCP's connect(2) nevertheless says EINPROGRESS where it is not to
//! wait, as Linux does on loopback: the next call, or poll(2), finds it connected.

use alloc::rc::Rc;
use core::cell::{Cell, Ref, RefCell};
use core::net::SocketAddr;

use linux_raw_sys::{ioctl, net};

use super::address::{destination, source_for};
use super::connection::{Flavour, Side, pair};
use super::listener::{Arrival, Knock, Listener};
use super::names::Lease;
use super::remote::Outside;
use super::{
    Address, Domain, Kind, Net, Options, Outgoing, Received, Seat, Shutdown, Socket, Ucred,
    UnixName,
};
use crate::errno::{Errno, Result};
use crate::fs::{File, IoctlArgument, Poll, Pulse};

enum State {
    Idle,
    Failed,
    Listening(Rc<Listener>),
    /// What is to be the connection.
    Knocking(Rc<Knock>, Side),
    Connected(Side),
    Remote(Outside),
}

/// A socket that connects.
pub struct StreamSocket {
    net: Rc<Net>,
    domain: Domain,
    kind: Kind,
    options: RefCell<Options>,
    state: RefCell<State>,
    /// How often the state has changed.
    turns: Cell<u64>,
    lease: RefCell<Option<Lease<Listener>>>,
    local: RefCell<Address>,
    peer: RefCell<Option<Address>>,
    /// Who is at the other end.
    peer_process: Cell<Ucred>,
    /// Whether connect(2) has said that it is connected.
    told: Cell<bool>,
    error: Cell<Option<Errno>>,
    _seat: Seat,
}

impl StreamSocket {
    /// A socket without name or peer. ENFILE.
    pub(super) fn new(net: &Rc<Net>, domain: Domain, kind: Kind) -> Result<Rc<StreamSocket>> {
        Ok(Rc::new(StreamSocket::in_state(net, domain, kind, State::Idle, net.seat()?)))
    }

    /// Two AF_UNIX sockets that are connected. ENFILE.
    pub(super) fn pair(net: &Rc<Net>, kind: Kind) -> Result<(Rc<StreamSocket>, Rc<StreamSocket>)> {
        let (one, other) = pair(Flavour::Unix, kind);
        let socket = |side| -> Result<Rc<StreamSocket>> {
            let state = State::Connected(side);
            let socket = StreamSocket::in_state(net, Domain::Unix, kind, state, net.seat()?);
            *socket.peer.borrow_mut() = Some(Address::none(Domain::Unix));
            socket.peer_process.set((net.caller)());
            Ok(Rc::new(socket))
        };
        Ok((socket(one)?, socket(other)?))
    }

    fn in_state(
        net: &Rc<Net>,
        domain: Domain,
        kind: Kind,
        state: State,
        seat: Seat,
    ) -> StreamSocket {
        StreamSocket {
            net: net.clone(),
            domain,
            kind,
            options: RefCell::default(),
            told: Cell::new(matches!(state, State::Connected(_))),
            state: RefCell::new(state),
            turns: Cell::new(0),
            lease: RefCell::default(),
            local: RefCell::new(Address::none(domain)),
            peer: RefCell::default(),
            peer_process: Cell::new(Ucred::NOBODY),
            error: Cell::new(None),
            _seat: seat,
        }
    }

    /// Has the connection, where there is one, take what the options say.
    fn set_buffers(&self) {
        if let State::Connected(side) = &*self.state.borrow() {
            let options = self.options.borrow();
            side.set_buffers(options.buffer(net::SO_SNDBUF), options.buffer(net::SO_RCVBUF));
        }
    }

    fn flavour(&self) -> Flavour {
        if self.domain == Domain::Unix { Flavour::Unix } else { Flavour::Tcp }
    }

    /// The state, after what may have come of knocking.
    fn state(&self) -> Ref<'_, State> {
        let answer = match &*self.state.borrow() {
            State::Knocking(knock, _) => knock.answer(),
            _ => None,
        };
        match answer {
            None => {}
            Some(Ok(())) => {
                let knocking = self.state.replace(State::Idle);
                if let State::Knocking(_, side) = knocking {
                    self.turn(State::Connected(side));
                    self.set_buffers();
                }
            }
            Some(Err(errno)) => {
                self.error.set(Some(errno));
                self.turn(State::Failed);
            }
        }
        self.state.borrow()
    }

    fn turn(&self, state: State) {
        self.turns.update(|turns| turns + 1);
        // Bound, so that the state is free for what the end of the old one may cause.
        let old = self.state.replace(state);
        drop(old);
    }

    /// Takes an address, unless there is one.
    fn take_name(&self, address: &Address) -> Result<Address> {
        let mut lease = self.lease.borrow_mut();
        if lease.is_none() {
            let sharing = self.options.borrow().sharing();
            *lease = Some(self.net.names(self.kind).bind(address, sharing)?);
        }
        let address = lease.as_ref().map(|lease| lease.address().clone());
        Ok(address.unwrap_or(Address::none(self.domain)))
    }

    /// Begins a connection. EINPROGRESS where the host is to answer.
    fn begin(&self, to: &Address) -> Result<()> {
        let to = match to {
            Address::Inet(address) => {
                let address = destination(*address);
                if !address.ip().is_loopback() {
                    return Err(Errno::NETUNREACH);
                }
                Address::Inet(address)
            }
            to => to.clone(),
        };
        if let Some(listener) = self.net.names(self.kind).find(&to) {
            return self.join(&listener, to);
        }
        let to = to.inet().map_err(|_| self.net.refusal(self.kind, &to))?;
        let remote = (self.net.gateway)(to).ok_or(Errno::CONNREFUSED)??;
        self.set_ends(self.source(to)?, Address::Inet(to));
        self.turn(State::Remote(Outside::new(remote.clone())));
        // The host may have answered already: then nothing will come that could be waited for.
        if remote.is_connected()? { Ok(()) } else { Err(Errno::INPROGRESS) }
    }

    /// Connects to a listener of this guest. Where its backlog is full, EINPROGRESS of TCP, and EAGAIN.
    fn join(&self, listener: &Listener, to: Address) -> Result<()> {
        let has_room = listener.has_room();
        if !has_room && self.flavour() == Flavour::Unix {
            return Err(Errno::AGAIN);
        }
        let seat = self.net.seat()?;
        let local = match &to {
            Address::Inet(to) => self.source(*to)?,
            _ => self.local.borrow().clone(),
        };
        let (side, theirs) = pair(self.flavour(), self.kind);
        let from = (self.net.caller)();
        let arrival = Arrival { side: theirs, local: to.clone(), peer: local.clone(), from, seat };
        self.peer_process.set(listener.owner());
        self.set_ends(local, to);
        if !has_room {
            self.turn(State::Knocking(listener.knock(arrival), side));
            return Err(Errno::INPROGRESS);
        }
        listener.offer(arrival);
        self.turn(State::Connected(side));
        self.set_buffers();
        Ok(())
    }

    /// The address that a connection to `to` comes from.
    fn source(&self, to: SocketAddr) -> Result<Address> {
        let own = self.take_name(&Address::Inet(source_for(to, 0)))?.inet()?;
        let is_any = own.ip().is_unspecified();
        Ok(Address::Inet(if is_any { source_for(to, own.port()) } else { own }))
    }

    fn set_ends(&self, local: Address, peer: Address) {
        *self.local.borrow_mut() = local;
        *self.peer.borrow_mut() = Some(peer);
    }

    /// connect(2) again, while the host has not answered or after it has.
    fn go_on(&self, remote: &Outside, at_once: bool) -> Result<()> {
        match remote.is_connected()? {
            false => Err(if at_once { Errno::ALREADY } else { Errno::INPROGRESS }),
            true if self.told.replace(true) => Err(Errno::ISCONN),
            true => Ok(()),
        }
    }
}

impl Socket for StreamSocket {
    fn domain(&self) -> Domain {
        self.domain
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn options(&self) -> &RefCell<Options> {
        &self.options
    }

    fn options_changed(&self) {
        self.set_buffers();
    }

    fn bind(&self, address: &Address) -> Result<()> {
        self.domain.check(address)?;
        if self.lease.borrow().is_some() || !matches!(*self.state(), State::Idle) {
            return Err(Errno::INVAL);
        }
        let taken = self.take_name(address)?;
        *self.local.borrow_mut() = taken;
        Ok(())
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        match &*self.state() {
            State::Listening(listener) => {
                listener.set_limit(backlog, (self.net.caller)());
                return Ok(());
            }
            State::Idle => {}
            _ => return Err(Errno::INVAL),
        }
        let none = Address::none(self.domain);
        if self.lease.borrow().is_none() && none == Address::Unix(UnixName::Unnamed) {
            return Err(Errno::INVAL);
        }
        let taken = self.take_name(&none)?;
        let listener = Rc::new(Listener::new(backlog, (self.net.caller)()));
        if let Some(lease) = &*self.lease.borrow() {
            lease.lead_to(&listener)?;
        }
        *self.local.borrow_mut() = taken;
        self.turn(State::Listening(listener));
        Ok(())
    }

    fn is_listening(&self) -> bool {
        matches!(*self.state(), State::Listening(_))
    }

    fn accept(&self) -> Result<Rc<dyn Socket>> {
        let arrival = match &*self.state() {
            State::Listening(listener) => listener.accept()?,
            _ => return Err(Errno::INVAL),
        };
        let state = State::Connected(arrival.side);
        let socket = StreamSocket::in_state(&self.net, self.domain, self.kind, state, arrival.seat);
        socket.set_ends(arrival.local, arrival.peer);
        socket.peer_process.set(arrival.from);
        if self.flavour() == Flavour::Tcp {
            *socket.options.borrow_mut() = self.options.borrow().clone();
            socket.set_buffers();
        }
        Ok(Rc::new(socket))
    }

    fn connect(&self, to: &Address, at_once: bool) -> Result<()> {
        let going_on = match &*self.state() {
            State::Listening(_) if self.flavour() == Flavour::Unix => return Err(Errno::INVAL),
            State::Listening(_) => return Err(Errno::ISCONN),
            State::Connected(_) if self.told.replace(true) => return Err(Errno::ISCONN),
            State::Connected(_) => return Ok(()),
            State::Remote(remote) => Some(self.go_on(remote, at_once)),
            State::Knocking(..) => {
                Some(Err(if at_once { Errno::ALREADY } else { Errno::INPROGRESS }))
            }
            State::Failed => Some(Err(self.error.take().unwrap_or(Errno::CONNABORTED))),
            State::Idle => None,
        };
        if let Some(result) = going_on {
            if matches!(result, Err(Errno::CONNREFUSED | Errno::CONNABORTED)) {
                self.turn(State::Idle);
            }
            return result;
        }
        self.domain.check(to)?;
        let later = at_once && self.flavour() == Flavour::Tcp;
        match self.begin(to) {
            Ok(()) if !later => {
                self.told.set(true);
                Ok(())
            }
            Err(Errno::CONNREFUSED) if later => {
                self.error.set(Some(Errno::CONNREFUSED));
                self.turn(State::Failed);
                Err(Errno::INPROGRESS)
            }
            Err(Errno::CONNREFUSED) => {
                self.turn(State::Idle);
                Err(Errno::CONNREFUSED)
            }
            Ok(()) => Err(Errno::INPROGRESS),
            Err(errno) => Err(errno),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        match &*self.state() {
            State::Connected(side) => {
                side.shutdown(how);
                return Ok(());
            }
            State::Remote(remote) => return remote.shutdown(how),
            State::Listening(_) if how.receive && self.flavour() == Flavour::Tcp => {}
            State::Knocking(..) => {}
            _ if self.flavour() == Flavour::Unix => return Ok(()),
            _ => return Err(Errno::NOTCONN),
        }
        self.turn(State::Idle);
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>) -> Result<usize> {
        let is_unix_stream = self.flavour() == Flavour::Unix && self.kind == Kind::Stream;
        if is_unix_stream && message.to.is_some() {
            let is_connected = matches!(*self.state(), State::Connected(_));
            return Err(if is_connected { Errno::ISCONN } else { Errno::OPNOTSUPP });
        }
        match &*self.state() {
            State::Connected(side) => side.send(message),
            State::Remote(remote) => remote.send(message.bytes),
            State::Knocking(..) => Err(Errno::AGAIN),
            _ if self.flavour() == Flavour::Unix => Err(Errno::NOTCONN),
            _ => Err(self.error.take().unwrap_or(Errno::PIPE)),
        }
    }

    fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        match &*self.state() {
            State::Connected(_) if to.is_empty() && self.kind == Kind::Stream => {
                Ok(Received::default())
            }
            State::Connected(side) => side.receive(to, peek),
            State::Remote(remote) => remote.receive(to, peek),
            State::Knocking(..) => Err(Errno::AGAIN),
            _ if self.flavour() == Flavour::Unix && self.kind == Kind::Stream => Err(Errno::INVAL),
            _ => Err(self.error.take().unwrap_or(Errno::NOTCONN)),
        }
    }

    fn name(&self) -> Address {
        self.local.borrow().clone()
    }

    fn peer(&self) -> Result<Address> {
        match &*self.state() {
            State::Connected(side) if !side.has_lost_peer() => {}
            State::Remote(remote) if remote.is_connected() == Ok(true) => {}
            _ => return Err(Errno::NOTCONN),
        }
        self.peer.borrow().clone().ok_or(Errno::NOTCONN)
    }

    fn peer_process(&self) -> Ucred {
        self.peer_process.get()
    }

    fn take_error(&self) -> Option<Errno> {
        let of_state = match &*self.state() {
            State::Connected(side) => side.take_error(),
            State::Remote(remote) => remote.is_connected().err(),
            _ => None,
        };
        if of_state == Some(Errno::CONNREFUSED) {
            self.turn(State::Failed);
        }
        self.error.take().or(of_state)
    }

    fn available(&self) -> usize {
        match &*self.state() {
            State::Connected(side) => side.available(),
            State::Remote(remote) => remote.available(),
            _ => 0,
        }
    }
}

impl File for StreamSocket {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        self.receive(to, false).map(|received| received.count)
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        self.send(Outgoing { bytes: from, ..Outgoing::default() })
    }

    fn poll(&self) -> Poll {
        let mut poll = match &*self.state() {
            State::Idle => Poll::OUT | Poll::HUP,
            State::Failed => Poll::IN | Poll::OUT | Poll::HUP | Poll::RDHUP,
            State::Listening(listener) if listener.is_ready() => Poll::IN,
            State::Listening(_) | State::Knocking(..) => Poll::empty(),
            State::Connected(side) => side.poll(),
            State::Remote(remote) => remote.poll(),
        };
        poll.set(Poll::ERR, poll.contains(Poll::ERR) || self.error.get().is_some());
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        let pulse = match &*self.state() {
            State::Idle | State::Failed | State::Knocking(..) => Pulse::default(),
            State::Listening(listener) => Pulse { input: listener.arrivals(), output: 0 },
            State::Connected(side) => side.pulse(),
            State::Remote(remote) => remote.pulse(),
        };
        let turns = self.turns.get() << 48;
        Some(Pulse { input: pulse.input ^ turns, output: pulse.output ^ turns })
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if request != ioctl::FIONREAD {
            return Err(Errno::NOTTY);
        }
        if self.is_listening() {
            return Err(Errno::INVAL);
        }
        argument.write(&(self.available() as u32).to_ne_bytes()).map(|()| 0)
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        let abortive = self.options.get_mut().linger == Some(0);
        if let State::Connected(side) = self.state.get_mut()
            && abortive
        {
            side.set_resets();
        }
    }
}
