//! Who has which address: bind(2), and finding a peer.
//!
//! ```text
//!   port ─► [127.0.0.1: ◌ target] [::: ◌ target] …       exact addresses win over "any"
//!   AF_UNIX name ─► ◌ target                             by file, not by what the path was called
//!               weak: a name does not keep its socket
//! ```

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::net::{IpAddr, SocketAddr};

use super::address::Node;
use super::{Address, UnixName};
use crate::errno::{Errno, Result};

/// Ports that are given out where none is asked for (net.ipv4.ip_local_port_range).
pub const EPHEMERAL_FIRST: u16 = 32_768;
/// The last of them.
pub const EPHEMERAL_LAST: u16 = 60_999;
/// Names that are given out to AF_UNIX sockets: five hexadecimal digits (unix(7), autobind).
const AUTOMATIC_MAX: u32 = 0x10_0000;

/// How a socket wants to share its port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sharing {
    /// SO_REUSEADDR: with another that also allows it, as long as none listens.
    pub reuse: bool,
    /// SO_REUSEPORT: with any other that also allows it.
    pub reuse_port: bool,
    /// IPV6_V6ONLY: "any" does not cover IPv4.
    pub v6_only: bool,
}

struct Binding<T> {
    id: u64,
    ip: IpAddr,
    sharing: Sharing,
    target: Weak<T>,
}

impl<T> Binding<T> {
    /// Whether an address that is bound to is, or covers, another.
    fn covers(&self, ip: IpAddr) -> bool {
        match self.ip {
            own if own == ip => true,
            IpAddr::V4(own) => own.is_unspecified() && ip.is_ipv4(),
            IpAddr::V6(own) => own.is_unspecified() && (ip.is_ipv6() || !self.sharing.v6_only),
        }
    }

    fn conflicts(&self, other: &Binding<T>) -> bool {
        let overlaps = self.covers(other.ip) || other.covers(self.ip);
        let used = self.target.strong_count() > 0;
        let shared = self.sharing.reuse && other.sharing.reuse && !used
            || self.sharing.reuse_port && other.sharing.reuse_port;
        overlaps && !shared
    }
}

/// An AF_UNIX name as it is looked up.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Abstract(Vec<u8>),
    File(Node),
}

impl Key {
    /// ECONNREFUSED for what cannot be a socket's name.
    fn new(name: &UnixName) -> Result<Key> {
        match name {
            UnixName::Abstract(name) => Ok(Key::Abstract(name.clone())),
            UnixName::Path { node: Some(node), .. } => Ok(Key::File(*node)),
            _ => Err(Errno::CONNREFUSED),
        }
    }
}

/// The addresses of one kind of sockets, and what they lead to.
pub struct Names<T> {
    ports: RefCell<BTreeMap<u16, Vec<Binding<T>>>>,
    names: RefCell<BTreeMap<Key, (u64, Weak<T>)>>,
    last_port: Cell<u16>,
    last_automatic: Cell<u32>,
    last_id: Cell<u64>,
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names {
            ports: RefCell::default(),
            names: RefCell::default(),
            last_port: Cell::new(EPHEMERAL_LAST),
            last_automatic: Cell::new(0),
            last_id: Cell::new(0),
        }
    }
}

impl<T> Names<T> {
    /// Takes an address; port 0 becomes a free one, no AF_UNIX name an automatic one. It leads nowhere
    /// until [`Lease::lead_to`]. EADDRINUSE, EADDRNOTAVAIL.
    pub fn bind(self: &Rc<Names<T>>, address: &Address, sharing: Sharing) -> Result<Lease<T>> {
        match address {
            Address::Inet(address) => self.bind_port(*address, sharing),
            Address::Unix(name) => self.bind_name(name),
            Address::Unspecified | Address::Netlink { .. } => Err(Errno::AFNOSUPPORT),
        }
    }

    /// Who has an address: an exact binding, else one that covers it.
    pub fn find(&self, address: &Address) -> Option<Rc<T>> {
        match address {
            Address::Inet(address) => {
                let ports = self.ports.borrow();
                let there = ports.get(&address.port())?;
                let exact = there.iter().filter(|binding| binding.ip == address.ip());
                let covering = there.iter().filter(|binding| binding.covers(address.ip()));
                exact.chain(covering).find_map(|binding| binding.target.upgrade())
            }
            Address::Unix(name) => self.names.borrow().get(&Key::new(name).ok()?)?.1.upgrade(),
            Address::Unspecified | Address::Netlink { .. } => None,
        }
    }

    /// Whether a socket has the file of an AF_UNIX address.
    pub fn has_file(&self, address: &Address) -> bool {
        let Address::Unix(name @ UnixName::Path { .. }) = address else { return false };
        Key::new(name).is_ok_and(|key| self.names.borrow().contains_key(&key))
    }

    fn next_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    fn bind_port(self: &Rc<Names<T>>, address: SocketAddr, sharing: Sharing) -> Result<Lease<T>> {
        let ip = address.ip();
        if !ip.is_loopback() && !ip.is_unspecified() {
            return Err(Errno::ADDRNOTAVAIL);
        }
        let binding = Binding { id: self.next_id(), ip, sharing, target: Weak::new() };
        let port = match address.port() {
            0 => self.free_port()?,
            port => port,
        };
        let mut ports = self.ports.borrow_mut();
        let there = ports.entry(port).or_default();
        if there.iter().any(|other| other.conflicts(&binding)) {
            return Err(Errno::ADDRINUSE);
        }
        let id = binding.id;
        there.push(binding);
        let address = Address::Inet(SocketAddr::new(ip, port));
        Ok(Lease { names: self.clone(), id, address })
    }

    /// A port that nobody has. EADDRINUSE where there is none.
    fn free_port(&self) -> Result<u16> {
        let ports = self.ports.borrow();
        let mut port = self.last_port.get();
        for _ in EPHEMERAL_FIRST..=EPHEMERAL_LAST {
            port = if port == EPHEMERAL_LAST { EPHEMERAL_FIRST } else { port + 1 };
            if !ports.contains_key(&port) {
                self.last_port.set(port);
                return Ok(port);
            }
        }
        Err(Errno::ADDRINUSE)
    }

    fn bind_name(self: &Rc<Names<T>>, name: &UnixName) -> Result<Lease<T>> {
        let id = self.next_id();
        let mut names = self.names.borrow_mut();
        let mut take = |name: UnixName| match names.entry(Key::new(&name)?) {
            Entry::Occupied(_) => Err(Errno::ADDRINUSE),
            Entry::Vacant(entry) => {
                entry.insert((id, Weak::new()));
                Ok(Lease { names: self.clone(), id, address: Address::Unix(name) })
            }
        };
        if *name != UnixName::Unnamed {
            return take(name.clone());
        }
        for _ in 0..AUTOMATIC_MAX {
            let number = (self.last_automatic.get() + 1) % AUTOMATIC_MAX;
            self.last_automatic.set(number);
            let name = UnixName::Abstract(format!("{number:05x}").into_bytes());
            if let Ok(lease) = take(name) {
                return Ok(lease);
            }
        }
        Err(Errno::NOSPC)
    }
}

/// An address that is taken, until this is dropped.
pub struct Lease<T> {
    names: Rc<Names<T>>,
    id: u64,
    address: Address,
}

impl<T> Lease<T> {
    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Lets the address lead to somebody. EADDRINUSE where another listens at it already.
    pub fn lead_to(&self, target: &Rc<T>) -> Result<()> {
        match &self.address {
            Address::Inet(address) => {
                let mut ports = self.names.ports.borrow_mut();
                let there = ports.entry(address.port()).or_default();
                let own = there.iter().position(|binding| binding.id == self.id);
                let own = own.ok_or(Errno::ADDRINUSE)?;
                let taken = there.iter().enumerate().any(|(index, other)| {
                    index != own && other.target.strong_count() > 0 && other.conflicts(&there[own])
                });
                if taken {
                    return Err(Errno::ADDRINUSE);
                }
                there[own].target = Rc::downgrade(target);
            }
            Address::Unix(name) => {
                let mut names = self.names.names.borrow_mut();
                if let Some(entry) = names.get_mut(&Key::new(name)?) {
                    entry.1 = Rc::downgrade(target);
                }
            }
            Address::Unspecified | Address::Netlink { .. } => {}
        }
        Ok(())
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        match &self.address {
            Address::Inet(address) => {
                let mut ports = self.names.ports.borrow_mut();
                if let Some(there) = ports.get_mut(&address.port()) {
                    there.retain(|binding| binding.id != self.id);
                    if there.is_empty() {
                        ports.remove(&address.port());
                    }
                }
            }
            Address::Unix(name) => {
                let mut names = self.names.names.borrow_mut();
                if let Ok(key) = Key::new(name)
                    && names.get(&key).is_some_and(|(id, _)| *id == self.id)
                {
                    names.remove(&key);
                }
            }
            Address::Unspecified | Address::Netlink { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(text: &str) -> Address {
        Address::Inet(text.parse().unwrap())
    }

    fn port(lease: &Lease<u8>) -> u16 {
        lease.address().inet().unwrap().port()
    }

    #[test]
    fn addresses_that_overlap_conflict_unless_both_share() {
        let names = Rc::<Names<u8>>::default();
        let plain = Sharing::default();
        let shares = Sharing { reuse: true, ..plain };
        let _any = names.bind(&inet("0.0.0.0:80"), shares).unwrap();
        assert_eq!(names.bind(&inet("127.0.0.1:80"), plain).err(), Some(Errno::ADDRINUSE));
        let _exact = names.bind(&inet("127.0.0.1:80"), shares).unwrap();
        assert_eq!(names.bind(&inet("[::]:80"), plain).err(), Some(Errno::ADDRINUSE));
        names.bind(&inet("[::]:80"), Sharing { v6_only: true, ..plain }).unwrap();
        names.bind(&inet("[::1]:80"), plain).unwrap();
        assert_eq!(names.bind(&inet("10.0.0.1:80"), plain).err(), Some(Errno::ADDRNOTAVAIL));
    }

    #[test]
    fn the_exact_address_is_found_first() {
        let names = Rc::<Names<u8>>::default();
        let shares = Sharing { reuse_port: true, ..Sharing::default() };
        let any = names.bind(&inet("[::]:80"), shares).unwrap();
        let exact = names.bind(&inet("127.0.0.1:80"), shares).unwrap();
        let (of_any, of_exact) = (Rc::new(1), Rc::new(2));
        any.lead_to(&of_any).unwrap();
        assert_eq!(names.find(&inet("127.0.0.1:80")), Some(Rc::new(1)), "no target yet");
        exact.lead_to(&of_exact).unwrap();
        assert_eq!(names.find(&inet("127.0.0.1:80")), Some(Rc::new(2)));
        assert_eq!(names.find(&inet("127.0.0.2:80")), Some(Rc::new(1)));
        assert_eq!(names.find(&inet("[::1]:80")), Some(Rc::new(1)));
        assert_eq!(names.find(&inet("[::1]:81")), None);
        drop(of_exact);
        assert_eq!(names.find(&inet("127.0.0.1:80")), Some(Rc::new(1)));
    }

    #[test]
    fn one_listens_and_its_port_is_free_again_afterwards() {
        let names = Rc::<Names<u8>>::default();
        let shares = Sharing { reuse: true, ..Sharing::default() };
        let one = names.bind(&inet("127.0.0.1:80"), shares).unwrap();
        let other = names.bind(&inet("127.0.0.1:80"), shares).unwrap();
        let target = Rc::new(1);
        one.lead_to(&target).unwrap();
        assert_eq!(other.lead_to(&target), Err(Errno::ADDRINUSE));
        assert_eq!(names.bind(&inet("127.0.0.1:80"), shares).err(), Some(Errno::ADDRINUSE));
        drop(one);
        other.lead_to(&target).unwrap();
    }

    #[test]
    fn free_ports_run_out_and_come_back() {
        let names = Rc::<Names<u8>>::default();
        let bind = || names.bind(&inet("127.0.0.1:0"), Sharing::default());
        let mut leases: Vec<_> =
            (EPHEMERAL_FIRST..=EPHEMERAL_LAST).map(|_| bind().unwrap()).collect();
        assert_eq!(bind().err(), Some(Errno::ADDRINUSE));
        let gone = port(&leases.swap_remove(7));
        assert_eq!(port(&bind().unwrap()), gone);
    }

    #[test]
    fn unix_names_are_taken_once_and_made_up() {
        let names = Rc::<Names<u8>>::default();
        let bind = |name: &UnixName| names.bind(&Address::Unix(name.clone()), Sharing::default());
        let path = |text: &[u8], ino| UnixName::Path { text: text.to_vec(), node: Some((1, ino)) };
        let lease = bind(&path(b"a", 9)).unwrap();
        assert_eq!(bind(&path(b"./a", 9)).err(), Some(Errno::ADDRINUSE), "the same file");
        bind(&path(b"a", 10)).unwrap();
        let target = Rc::new(3);
        lease.lead_to(&target).unwrap();
        assert_eq!(names.find(&Address::Unix(path(b"/tmp/a", 9))), Some(target));
        let (one, other) = (bind(&UnixName::Unnamed).unwrap(), bind(&UnixName::Unnamed).unwrap());
        assert_ne!(one.address(), other.address());
    }
}
