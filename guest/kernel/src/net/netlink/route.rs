//! What NETLINK_ROUTE answers (rtnetlink(7)): links and addresses, of which `lo` has all. They are told and not changed.

use core::net::IpAddr;

use linux_raw_sys::net;

use super::message::{DONE, DUMP, Header, MULTI, Message, Writer};
use crate::errno::{Errno, Result};
use crate::net::interface::{self, Assigned};

// Types of requests and answers (linux/rtnetlink.h). Of each four the third asks, and the others change something.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_MAX: u16 = 123;
const ASKS: u16 = 2;

// Attributes of links (linux/if_link.h).
const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
/// Bytes of a struct ifinfomsg.
const LINK_BYTES: usize = 16;

// Attributes of addresses (linux/if_addr.h).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_FLAGS: u16 = 8;
/// IFA_F_PERMANENT.
const PERMANENT: u8 = 0x80;
/// RT_SCOPE_HOST.
const SCOPE_HOST: u8 = 254;

/// Answers a request. EINVAL, ENODEV, EOPNOTSUPP; EPERM for
/// what changes something.
pub fn answer(request: &Message<'_>, port: u32, to: &mut Writer) -> Result<()> {
    let Header { kind, flags, sequence, .. } = request.header;
    if kind > RTM_MAX {
        return Err(Errno::OPNOTSUPP);
    }
    // As Linux, it is content with a request that asks nobody.
    let Some(family) = request.body().first().copied() else { return Ok(()) };
    if kind % 4 != ASKS {
        return Err(Errno::PERM);
    }
    let several = flags & DUMP != 0;
    let header = |kind| Header { kind, flags: if several { MULTI } else { 0 }, sequence, port };
    match (kind, several) {
        (RTM_GETLINK, true) => put_link(to.begin(header(RTM_NEWLINK))),
        (RTM_GETLINK, false) => {
            find_link(request)?;
            put_link(to.begin(header(RTM_NEWLINK)));
        }
        (RTM_GETADDR, true) => {
            for address in interface::ADDRESSES {
                if is_wanted(family, &address) {
                    put_address(to.begin(header(RTM_NEWADDR)), &address);
                }
            }
        }
        _ => return Err(Errno::OPNOTSUPP),
    }
    if several {
        to.begin(header(DONE)).put(&[0; 4]);
    }
    Ok(())
}

/// The link that is asked for, by its number or its name. ENODEV, EINVAL.
fn find_link(request: &Message<'_>) -> Result<()> {
    let body = request.body().first_chunk::<LINK_BYTES>().ok_or(Errno::INVAL)?;
    let [_, _, _, _, a, b, c, d, ..] = *body;
    let index = i32::from_ne_bytes([a, b, c, d]);
    let name = request.attribute(LINK_BYTES, IFLA_IFNAME);
    let found = match (index, name) {
        (1.., _) => index as u32 == interface::INDEX,
        (_, Some(name)) => name.strip_suffix(&[0]).unwrap_or(name) == interface::NAME,
        _ => return Err(Errno::INVAL),
    };
    if found { Ok(()) } else { Err(Errno::NODEV) }
}

/// A family that nobody knows gets everything, as AF_UNSPEC does.
fn is_wanted(family: u8, address: &Assigned) -> bool {
    match u32::from(family) {
        net::AF_INET => address.ip.is_ipv4(),
        net::AF_INET6 => address.ip.is_ipv6(),
        _ => true,
    }
}

fn put_link(to: &mut Writer) {
    let mut link = [0; LINK_BYTES];
    link[2..4].copy_from_slice(&interface::HARDWARE.to_ne_bytes());
    link[4..8].copy_from_slice(&interface::INDEX.to_ne_bytes());
    link[8..12].copy_from_slice(&(interface::FLAGS | interface::CARRIER).to_ne_bytes());
    to.put(&link)
        .attribute(IFLA_IFNAME, &[interface::NAME, b"\0"].concat())
        .attribute(IFLA_TXQLEN, &interface::QUEUE_PACKETS.to_ne_bytes())
        // IF_OPER_UNKNOWN and the default mode: nobody has set them.
        .attribute(IFLA_OPERSTATE, &[0])
        .attribute(IFLA_LINKMODE, &[0])
        .attribute(IFLA_MTU, &interface::MTU.to_ne_bytes())
        .attribute(IFLA_QDISC, b"noqueue\0")
        .attribute(IFLA_ADDRESS, &interface::HARDWARE_ADDRESS)
        .attribute(IFLA_BROADCAST, &interface::HARDWARE_ADDRESS);
}

fn put_address(to: &mut Writer, Assigned { ip, prefix_len }: &Assigned) {
    let family = if ip.is_ipv4() { net::AF_INET } else { net::AF_INET6 };
    let [a, b, c, d] = interface::INDEX.to_ne_bytes();
    to.put(&[family as u8, *prefix_len, PERMANENT, SCOPE_HOST, a, b, c, d]);
    match ip {
        IpAddr::V4(ip) => to
            .attribute(IFA_ADDRESS, &ip.octets())
            .attribute(IFA_LOCAL, &ip.octets())
            .attribute(IFA_LABEL, &[interface::NAME, b"\0"].concat()),
        IpAddr::V6(ip) => to.attribute(IFA_ADDRESS, &ip.octets()),
    };
    to.attribute(IFA_FLAGS, &u32::from(PERMANENT).to_ne_bytes());
}
