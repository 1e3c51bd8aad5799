//! Socket addresses: the program's bytes (struct sockaddr_…), and what they mean.
//!
//! ```text
//!   family │ AF_INET   port, 4 bytes                                   16 bytes
//!   2 bytes│ AF_INET6  port, flow label, 16 bytes, scope               28 bytes
//!          │ AF_NETLINK  2 bytes, port, groups                          12 bytes
//!          │ AF_UNIX   nothing: no name · NUL, any bytes: abstract · a path    2 to 110 bytes
//! ```

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use linux_raw_sys::net;

use super::Domain;
use crate::errno::{Errno, Result};

/// Bytes of the largest address (struct sockaddr_storage).
pub const ADDRESS_MAX: usize = 128;
/// Bytes of the family in front of every address.
const FAMILY_BYTES: usize = 2;
/// Bytes of a struct sockaddr_in, its padding included.
const INET_BYTES: usize = 16;
/// Bytes of a struct sockaddr_in6 without its scope, which RFC 2133 did not have.
const INET6_BYTES_MIN: usize = 24;
/// Bytes of a struct sockaddr_in6.
const INET6_BYTES: usize = 28;
/// Bytes of a struct sockaddr_nl.
const NETLINK_BYTES: usize = 12;
/// Bytes of `sun_path`.
const PATH_MAX: usize = 108;

/// A place in the file system: `st_dev` and `st_ino`.
pub type Node = (u64, u64);

/// An AF_UNIX name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnixName {
    /// None.
    Unnamed,
    /// Any bytes, in a space of their own.
    Abstract(Vec<u8>),
    /// A file's.
    Path {
        /// What the program called it.
        text: Vec<u8>,
        /// The file, once it was looked up.
        node: Option<Node>,
    },
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// AF_UNSPEC: lets go of a peer.
    Unspecified,
    /// AF_INET and AF_INET6. A v4 address is never in its v6 form.
    Inet(SocketAddr),
    /// AF_UNIX.
    Unix(UnixName),
    /// AF_NETLINK.
    Netlink {
        /// A socket's number; 0 is the kernel.
        port: u32,
        /// Groups of listeners, one each bit.
        groups: u32,
    },
}

impl Address {
    /// No name, for a domain.
    pub fn none(domain: Domain) -> Address {
        match domain {
            Domain::Unix => Address::Unix(UnixName::Unnamed),
            Domain::Inet => Address::Inet((Ipv4Addr::UNSPECIFIED, 0).into()),
            Domain::Inet6 => Address::Inet((Ipv6Addr::UNSPECIFIED, 0).into()),
            Domain::Netlink => Address::Netlink { port: 0, groups: 0 },
        }
    }

    /// What a program's bytes mean. EINVAL where they are too short or too long; EAFNOSUPPORT.
    pub fn parse(bytes: &[u8]) -> Result<Address> {
        let (family, rest) = bytes.split_first_chunk::<FAMILY_BYTES>().ok_or(Errno::INVAL)?;
        match u32::from(u16::from_ne_bytes(*family)) {
            net::AF_UNSPEC => Ok(Address::Unspecified),
            net::AF_INET if bytes.len() >= INET_BYTES => {
                let [high, low, a, b, c, d, ..] = *rest else { return Err(Errno::INVAL) };
                let port = u16::from_be_bytes([high, low]);
                Ok(Address::Inet((Ipv4Addr::new(a, b, c, d), port).into()))
            }
            net::AF_INET6 if bytes.len() >= INET6_BYTES_MIN => {
                let [high, low, _, _, _, _, octets @ ..] = rest else { return Err(Errno::INVAL) };
                let octets = *octets.first_chunk::<16>().ok_or(Errno::INVAL)?;
                let port = u16::from_be_bytes([*high, *low]);
                Ok(Address::Inet((IpAddr::from(octets).to_canonical(), port).into()))
            }
            net::AF_UNIX => parse_unix(rest).map(Address::Unix),
            net::AF_NETLINK if bytes.len() >= NETLINK_BYTES => {
                let words = rest.as_chunks::<2>().0;
                let word = |low: usize| {
                    let [[a, b], [c, d]] = [words[low], words[low + 1]];
                    u32::from_ne_bytes([a, b, c, d])
                };
                Ok(Address::Netlink { port: word(1), groups: word(3) })
            }
            net::AF_INET | net::AF_INET6 | net::AF_NETLINK => Err(Errno::INVAL),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    /// The bytes that a program of this domain is told.
    pub fn to_bytes(&self, domain: Domain) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ADDRESS_MAX);
        bytes.extend_from_slice(&(domain.number() as u16).to_ne_bytes());
        match self {
            Address::Unspecified => {}
            Address::Inet(address) if domain == Domain::Inet6 => {
                let ip = match address.ip() {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let address = SocketAddrV6::new(ip, address.port(), 0, 0);
                bytes.extend_from_slice(&address.port().to_be_bytes());
                bytes.extend_from_slice(&[0; 4]);
                bytes.extend_from_slice(&ip.octets());
                bytes.resize(INET6_BYTES, 0);
            }
            Address::Inet(address) => {
                bytes.extend_from_slice(&address.port().to_be_bytes());
                if let IpAddr::V4(ip) = address.ip() {
                    bytes.extend_from_slice(&ip.octets());
                }
                bytes.resize(INET_BYTES, 0);
            }
            Address::Netlink { port, groups } => {
                bytes.extend_from_slice(&[0; 2]);
                bytes.extend_from_slice(&port.to_ne_bytes());
                bytes.extend_from_slice(&groups.to_ne_bytes());
            }
            Address::Unix(UnixName::Unnamed) => {}
            Address::Unix(UnixName::Abstract(name)) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
            Address::Unix(UnixName::Path { text, .. }) => {
                bytes.extend_from_slice(text);
                bytes.push(0);
            }
        }
        bytes
    }

    /// As an internet address. EAFNOSUPPORT.
    pub fn inet(&self) -> Result<SocketAddr> {
        match self {
            Address::Inet(address) => Ok(*address),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    /// As a port and groups of AF_NETLINK. EINVAL.
    pub fn netlink(&self) -> Result<(u32, u32)> {
        match self {
            Address::Netlink { port, groups } => Ok((*port, *groups)),
            _ => Err(Errno::INVAL),
        }
    }

    /// As an AF_UNIX name. EINVAL.
    pub fn unix(&self) -> Result<&UnixName> {
        match self {
            Address::Unix(name) => Ok(name),
            _ => Err(Errno::INVAL),
        }
    }
}

/// `sun_path`, whose length is the address's.
fn parse_unix(path: &[u8]) -> Result<UnixName> {
    match path {
        [] => Ok(UnixName::Unnamed),
        _ if path.len() > PATH_MAX => Err(Errno::INVAL),
        [0, name @ ..] => Ok(UnixName::Abstract(name.to_vec())),
        _ => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            Ok(UnixName::Path { text: path[..end].to_vec(), node: None })
        }
    }
}

/// Where a packet to `address` arrives, if it arrives: to nowhere in particular is to this machine.
pub fn destination(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// The address that a connection to `peer` comes from.
pub fn source_for(peer: SocketAddr, port: u16) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, port).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_addresses_round_trip() {
        let bytes = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let address = Address::parse(&bytes).unwrap();
        assert_eq!(address, Address::Inet("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(address.to_bytes(Domain::Inet), bytes);
        let mapped = address.to_bytes(Domain::Inet6);
        assert_eq!(mapped.len(), INET6_BYTES);
        assert_eq!(mapped[18..24], [0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(Address::parse(&mapped).unwrap(), address, "one form for one address");
    }

    #[test]
    fn netlink_addresses_round_trip() {
        let bytes = [16, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0];
        let address = Address::parse(&bytes).unwrap();
        assert_eq!(address.netlink(), Ok((0x0403_0201, 5)));
        assert_eq!(address.to_bytes(Domain::Netlink), bytes);
        assert_eq!(address.unix(), Err(Errno::INVAL));
    }

    #[test]
    fn unix_names_keep_their_kind() {
        let parse = |path: &[u8]| Address::parse(&[&[1, 0], path].concat());
        let name = |name: UnixName| Ok(Address::Unix(name));
        assert_eq!(parse(b""), name(UnixName::Unnamed));
        assert_eq!(parse(b"\0a\0b"), name(UnixName::Abstract(b"a\0b".to_vec())));
        let path = UnixName::Path { text: b"/tmp/s".to_vec(), node: None };
        assert_eq!(parse(b"/tmp/s\0junk"), name(path.clone()));
        assert_eq!(Address::Unix(path).to_bytes(Domain::Unix), b"\x01\0/tmp/s\0");
        assert_eq!(parse(&[b'x'; PATH_MAX + 1]), Err(Errno::INVAL));
        assert!(parse(&[b'x'; PATH_MAX]).is_ok());
    }

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        assert_eq!(Address::parse(&[2]), Err(Errno::INVAL));
        assert_eq!(Address::parse(&[2, 0, 1, 2, 127, 0, 0, 1]), Err(Errno::INVAL));
        assert_eq!(Address::parse(&[10; 20]), Err(Errno::AFNOSUPPORT));
        assert_eq!(Address::parse(&[10, 0, 0, 0, 0, 0]), Err(Errno::INVAL));
        assert_eq!(Address::parse(&[16, 0, 0, 0, 1, 0, 0, 0]), Err(Errno::INVAL));
        assert_eq!(Address::parse(&[40, 0, 0, 0]), Err(Errno::AFNOSUPPORT));
    }
}
