//! Socket options (socket(7), tcp(7), ip(7), ipv6(7)): data that programs set and read back.
//!
//! Few have an effect here, where nothing is lost, timed or routed: those are methods. The others are
//! remembered, so that a program finds what it set.

use alloc::collections::BTreeMap;

use linux_raw_sys::net;

use super::names::Sharing;
use super::{Domain, Head};
use crate::errno::{Errno, Result};

/// SO_SNDBUF and SO_RCVBUF at the start, bytes.
const BUFFER_BYTES: u32 = super::inbox::INBOX_BYTES as u32;
/// The least that SO_SNDBUF and SO_RCVBUF become, bytes (socket(7)).
const BUFFER_BYTES_MIN: u32 = 2304;
/// The most that can be asked of SO_SNDBUF and SO_RCVBUF (net.core.wmem_max).
const BUFFER_ASKED_MAX: u32 = 212_992;

/// Hops that a packet may take (net.ipv6.conf.*.hop_limit).
const HOP_LIMIT: u8 = 64;
/// How many bytes of a message are to arrive as they were (RFC 3828); here all do.
const UDPLITE_SEND_CSCOV: u32 = 10;
const UDPLITE_RECV_CSCOV: u32 = 11;

/// What an option's number is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// 0 or 1, whatever else is set.
    Flag,
    /// Any number.
    Number,
    /// Bytes: twice what is set, within bounds.
    Buffer,
}

/// The options that are numbers: level, name, shape, value at the start.
const NUMBERS: &[(u32, u32, Shape, u32)] = &[
    (net::SOL_SOCKET, net::SO_DEBUG, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_REUSEADDR, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_DONTROUTE, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_BROADCAST, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_SNDBUF, Shape::Buffer, BUFFER_BYTES),
    (net::SOL_SOCKET, net::SO_RCVBUF, Shape::Buffer, BUFFER_BYTES),
    (net::SOL_SOCKET, net::SO_SNDBUFFORCE, Shape::Buffer, BUFFER_BYTES),
    (net::SOL_SOCKET, net::SO_RCVBUFFORCE, Shape::Buffer, BUFFER_BYTES),
    (net::SOL_SOCKET, net::SO_KEEPALIVE, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_OOBINLINE, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_PRIORITY, Shape::Number, 0),
    (net::SOL_SOCKET, net::SO_REUSEPORT, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_PASSCRED, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_RCVLOWAT, Shape::Number, 1),
    (net::SOL_SOCKET, net::SO_TIMESTAMP_OLD, Shape::Flag, 0),
    (net::SOL_SOCKET, net::SO_MARK, Shape::Number, 0),
    (net::SOL_SOCKET, net::SO_BUSY_POLL, Shape::Number, 0),
    (net::SOL_SOCKET, net::SO_INCOMING_CPU, Shape::Number, 0),
    (net::SOL_TCP, net::TCP_NODELAY, Shape::Flag, 0),
    (net::SOL_TCP, net::TCP_MAXSEG, Shape::Number, 536),
    (net::SOL_TCP, net::TCP_CORK, Shape::Flag, 0),
    (net::SOL_TCP, net::TCP_KEEPIDLE, Shape::Number, 7200),
    (net::SOL_TCP, net::TCP_KEEPINTVL, Shape::Number, 75),
    (net::SOL_TCP, net::TCP_KEEPCNT, Shape::Number, 9),
    (net::SOL_TCP, net::TCP_SYNCNT, Shape::Number, 6),
    (net::SOL_TCP, net::TCP_DEFER_ACCEPT, Shape::Number, 0),
    (net::SOL_TCP, net::TCP_QUICKACK, Shape::Flag, 1),
    (net::SOL_TCP, net::TCP_USER_TIMEOUT, Shape::Number, 0),
    (net::SOL_TCP, net::TCP_FASTOPEN, Shape::Number, 0),
    (net::SOL_TCP, net::TCP_FASTOPEN_CONNECT, Shape::Flag, 0),
    (net::SOL_IP, net::IP_TOS, Shape::Number, 0),
    (net::SOL_IP, net::IP_TTL, Shape::Number, 64),
    (net::SOL_IP, net::IP_PKTINFO, Shape::Flag, 0),
    (net::SOL_IP, net::IP_MTU_DISCOVER, Shape::Number, 1),
    (net::SOL_IP, net::IP_RECVERR, Shape::Flag, 0),
    (net::SOL_IP, net::IP_FREEBIND, Shape::Flag, 0),
    (net::SOL_IP, net::IP_BIND_ADDRESS_NO_PORT, Shape::Flag, 0),
    (net::SOL_IP, net::IP_MULTICAST_TTL, Shape::Number, 1),
    (net::SOL_IP, net::IP_MULTICAST_LOOP, Shape::Flag, 1),
    (net::SOL_IPV6, net::IPV6_V6ONLY, Shape::Flag, 0),
    (net::SOL_IPV6, net::IPV6_UNICAST_HOPS, Shape::Number, HOP_LIMIT as u32),
    (net::SOL_IPV6, net::IPV6_MULTICAST_LOOP, Shape::Flag, 1),
    (net::SOL_IPV6, net::IPV6_MTU_DISCOVER, Shape::Number, 1),
    (net::SOL_IPV6, net::IPV6_RECVERR, Shape::Flag, 0),
    (net::SOL_IPV6, net::IPV6_RECVPKTINFO, Shape::Flag, 0),
    (net::SOL_IPV6, net::IPV6_TCLASS, Shape::Number, 0),
    (net::SOL_IPV6, net::IPV6_RECVHOPLIMIT, Shape::Flag, 0),
    (net::SOL_IPV6, net::IPV6_RECVTCLASS, Shape::Flag, 0),
    (net::SOL_UDPLITE, UDPLITE_SEND_CSCOV, Shape::Number, 0),
    (net::SOL_UDPLITE, UDPLITE_RECV_CSCOV, Shape::Number, 0),
];

/// A socket's options.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Numbers that were set.
    numbers: BTreeMap<(u32, u32), u32>,
    /// SO_LINGER: seconds that close(2) may wait; nothing here makes it.
    pub linger: Option<u32>,
    /// SO_RCVTIMEO, ns; `None`: for ever.
    pub receive_timeout_ns: Option<u64>,
    /// SO_SNDTIMEO, ns; `None`: for ever.
    pub send_timeout_ns: Option<u64>,
}

impl Options {
    /// getsockopt(2) of an option that is a number. ENOPROTOOPT.
    pub fn get(&self, level: u32, name: u32) -> Result<u32> {
        let (_, initial) = known(level, name)?;
        let name = plain(level, name);
        Ok(self.numbers.get(&(level, name)).copied().unwrap_or(initial))
    }

    /// setsockopt(2) of an option that is a number. ENOPROTOOPT.
    pub fn set(&mut self, level: u32, name: u32, value: u32) -> Result<()> {
        let (shape, _) = known(level, name)?;
        let value = match shape {
            Shape::Flag => u32::from(value != 0),
            Shape::Number => value,
            Shape::Buffer => (value.min(BUFFER_ASKED_MAX) * 2).max(BUFFER_BYTES_MIN),
        };
        self.numbers.insert((level, plain(level, name)), value);
        Ok(())
    }

    /// Bytes of data that were asked for with SO_SNDBUF or SO_RCVBUF: of what getsockopt(2) says, half is for the books
    /// (socket(7)). `None` where nothing was.
    pub fn buffer(&self, name: u32) -> Option<usize> {
        self.numbers.get(&(net::SOL_SOCKET, name)).map(|bytes| *bytes as usize / 2)
    }

    /// Whether a socket has options of this level. EOPNOTSUPP, ENOPROTOOPT.
    pub fn check_level(level: u32, domain: Domain, protocol: u32) -> Result<()> {
        match (level, domain) {
            (net::SOL_SOCKET, _) => Ok(()),
            (_, Domain::Unix) => Err(Errno::OPNOTSUPP),
            (_, Domain::Netlink) => Err(Errno::NOPROTOOPT),
            (net::SOL_IP, _) | (net::SOL_IPV6, Domain::Inet6) => Ok(()),
            (level, _) if level == protocol => Ok(()),
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    /// What the head of a packet says where its sender leaves it open.
    pub fn head(&self) -> Head {
        let number = |name| self.get(net::SOL_IPV6, name).unwrap_or_default();
        Head {
            // -1 is the default again (RFC 3542, section 6.3).
            hop_limit: Some(u8::try_from(number(net::IPV6_UNICAST_HOPS)).unwrap_or(HOP_LIMIT)),
            traffic_class: Some(u8::try_from(number(net::IPV6_TCLASS)).unwrap_or(0)),
        }
    }

    /// How its port is shared.
    pub fn sharing(&self) -> Sharing {
        let is_set = |level, name| self.get(level, name) == Ok(1);
        Sharing {
            reuse: is_set(net::SOL_SOCKET, net::SO_REUSEADDR),
            reuse_port: is_set(net::SOL_SOCKET, net::SO_REUSEPORT),
            v6_only: is_set(net::SOL_IPV6, net::IPV6_V6ONLY),
        }
    }
}

fn known(level: u32, name: u32) -> Result<(Shape, u32)> {
    let row = NUMBERS.iter().find(|row| (row.0, row.1) == (level, name));
    row.map(|row| (row.2, row.3)).ok_or(Errno::NOPROTOOPT)
}

/// The option that a privileged form of it changes.
fn plain(level: u32, name: u32) -> u32 {
    match (level, name) {
        (net::SOL_SOCKET, net::SO_SNDBUFFORCE) => net::SO_SNDBUF,
        (net::SOL_SOCKET, net::SO_RCVBUFFORCE) => net::SO_RCVBUF,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_remembered_in_their_shape() {
        let mut options = Options::default();
        assert_eq!(options.get(net::SOL_SOCKET, net::SO_RCVBUF), Ok(212_992));
        options.set(net::SOL_SOCKET, net::SO_RCVBUF, 10_000).unwrap();
        assert_eq!(options.get(net::SOL_SOCKET, net::SO_RCVBUF), Ok(20_000));
        options.set(net::SOL_SOCKET, net::SO_SNDBUFFORCE, u32::MAX).unwrap();
        assert_eq!(options.get(net::SOL_SOCKET, net::SO_SNDBUF), Ok(425_984));
        options.set(net::SOL_SOCKET, net::SO_REUSEADDR, 5).unwrap();
        assert_eq!(options.get(net::SOL_SOCKET, net::SO_REUSEADDR), Ok(1));
        assert!(options.sharing().reuse);
        assert_eq!(options.set(net::SOL_TCP, 999, 1), Err(Errno::NOPROTOOPT));
    }

    #[test]
    fn levels_belong_to_protocols() {
        let check = Options::check_level;
        assert_eq!(check(net::SOL_TCP, Domain::Inet, net::SOL_TCP), Ok(()));
        assert_eq!(check(net::SOL_TCP, Domain::Inet, net::SOL_UDP), Err(Errno::NOPROTOOPT));
        assert_eq!(check(net::SOL_TCP, Domain::Unix, 0), Err(Errno::OPNOTSUPP));
        assert_eq!(check(net::SOL_IPV6, Domain::Inet, net::SOL_TCP), Err(Errno::NOPROTOOPT));
        assert_eq!(check(net::SOL_UDPLITE, Domain::Inet, net::SOL_UDPLITE), Ok(()));
    }
}
