//! The one network interface: `lo` (netdevice(7)). It has been up since the boot, and nothing changes it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Its number.
pub const INDEX: u32 = 1;
/// Its name.
pub const NAME: &[u8] = b"lo";
/// IFF_UP, IFF_LOOPBACK, IFF_RUNNING.
pub const FLAGS: u32 = 0x49;
/// IFF_LOWER_UP, which does not fit the 16 bits of a struct ifreq.
pub const CARRIER: u32 = 0x1_0000;
/// Bytes of its largest packet, as on Linux.
pub const MTU: u32 = 65536;
/// Packets that its queue holds, as on Linux.
pub const QUEUE_PACKETS: u32 = 1000;
/// ARPHRD_LOOPBACK: what its hardware is.
pub const HARDWARE: u16 = 772;
/// Its hardware's address, and the one for all.
pub const HARDWARE_ADDRESS: [u8; 6] = [0; 6];

/// An address of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The address.
    pub ip: IpAddr,
    /// Bits that are the network's.
    pub prefix_len: u8,
}

/// The address of IPv4 that ioctls tell.
pub const IPV4: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The bits of [`IPV4`] that are the network's.
pub const IPV4_MASK: Ipv4Addr = Ipv4Addr::new(255, 0, 0, 0);
/// All addresses.
pub const ADDRESSES: [Assigned; 2] = [
    Assigned { ip: IpAddr::V4(IPV4), prefix_len: 8 },
    Assigned { ip: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix_len: 128 },
];
