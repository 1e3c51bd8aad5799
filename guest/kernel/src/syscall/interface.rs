//! ioctl(2) of sockets that asks about network interfaces (netdevice(7)): there is `lo`, which nobody may change.
//!
//! ```text
//!   struct ifreq    name (16) │ an address, a number, … (24)
//!   struct ifconf   bytes u32 │ pad │ where the structs ifreq go, one for each address of IPv4; 0: how much room they take
//! ```

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use linux_raw_sys::ioctl;

use super::Call;
use crate::errno::{Errno, Result};
use crate::fs::OpenFile;
use crate::net::interface::{self, NAME};
use crate::net::{Address, Domain};

/// Bytes of a name, its NUL among them (IFNAMSIZ).
const NAME_BYTES: usize = 16;
/// Bytes of a struct ifreq.
const REQUEST_BYTES: usize = 40;
/// The requests of <linux/sockios.h> that begin with SIOC[GS]IF.
const REQUESTS: core::ops::RangeInclusive<u32> = ioctl::SIOCGIFNAME..=ioctl::SIOCSIFTXQLEN;

/// What a request about an interface answers; `None` where it is no such request, or the file no socket.
pub fn ioctl(call: &Call<'_>, file: &OpenFile, request: u32, at: u64) -> Option<Result<()>> {
    let socket = file.file().and_then(|file| file.socket())?;
    if !REQUESTS.contains(&request) {
        return None;
    }
    Some(match request {
        ioctl::SIOCGIFCONF => list(call, at),
        _ => answer(call, request, at, socket.domain()),
    })
}

/// SIOCGIFCONF. EFAULT.
fn list(call: &Call<'_>, at: u64) -> Result<()> {
    let [room, to] = call.get_words(at)?;
    // Who asks how much room it takes may say any number, and a negative one is too little (Java's libnet leaves it unset).
    let room = usize::try_from(room as u32 as i32).unwrap_or(0);
    let mut told = 0;
    if to == 0 {
        told = REQUEST_BYTES;
    } else if room >= REQUEST_BYTES {
        let mut entry = [0; REQUEST_BYTES];
        entry[..NAME.len()].copy_from_slice(NAME);
        let address = inet(interface::IPV4);
        entry[NAME_BYTES..][..address.len()].copy_from_slice(&address);
        call.put(to, &entry)?;
        told = REQUEST_BYTES;
    }
    call.put(at, &(told as u32).to_le_bytes())
}

/// Any other request, whose answer stands behind the interface's name. EFAULT, ENODEV, ENOTTY; EPERM for what changes it.
fn answer(call: &Call<'_>, request: u32, at: u64, domain: Domain) -> Result<()> {
    let asked: [u8; REQUEST_BYTES] = call.get(at)?;
    let (name, value) = asked.split_at(NAME_BYTES);
    if request == ioctl::SIOCGIFNAME {
        let index = value.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let is_there = index == Some(interface::INDEX);
        return if is_there { call.put(at, &[NAME, b"\0"].concat()) } else { Err(Errno::NODEV) };
    }
    // Addresses are the business of IPv4's sockets alone.
    let is_address = matches!(
        request,
        ioctl::SIOCGIFADDR | ioctl::SIOCGIFDSTADDR | ioctl::SIOCGIFBRDADDR | ioctl::SIOCGIFNETMASK
    );
    if is_address && domain != Domain::Inet {
        return Err(Errno::NOTTY);
    }
    let answer = match request {
        ioctl::SIOCGIFFLAGS => (interface::FLAGS as u16).to_le_bytes().to_vec(),
        ioctl::SIOCGIFADDR | ioctl::SIOCGIFDSTADDR => inet(interface::IPV4),
        ioctl::SIOCGIFBRDADDR => inet(Ipv4Addr::UNSPECIFIED),
        ioctl::SIOCGIFNETMASK => inet(interface::IPV4_MASK),
        ioctl::SIOCGIFMETRIC => 0u32.to_le_bytes().to_vec(),
        ioctl::SIOCGIFMTU => interface::MTU.to_le_bytes().to_vec(),
        ioctl::SIOCGIFINDEX => interface::INDEX.to_le_bytes().to_vec(),
        ioctl::SIOCGIFTXQLEN => interface::QUEUE_PACKETS.to_le_bytes().to_vec(),
        ioctl::SIOCGIFHWADDR => {
            [&interface::HARDWARE.to_le_bytes()[..], &interface::HARDWARE_ADDRESS, &[0; 8]].concat()
        }
        ioctl::SIOCSIFFLAGS
        | ioctl::SIOCSIFADDR
        | ioctl::SIOCSIFDSTADDR
        | ioctl::SIOCSIFBRDADDR
        | ioctl::SIOCSIFNETMASK
        | ioctl::SIOCSIFMETRIC
        | ioctl::SIOCSIFMTU
        | ioctl::SIOCSIFNAME
        | ioctl::SIOCSIFHWADDR
        | ioctl::SIOCSIFTXQLEN => return Err(Errno::PERM),
        _ => return Err(Errno::NOTTY),
    };
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    if name != NAME {
        return Err(Errno::NODEV);
    }
    call.put(at + NAME_BYTES as u64, &answer)
}

/// A struct sockaddr_in without a port.
fn inet(ip: Ipv4Addr) -> Vec<u8> {
    Address::Inet((ip, 0).into()).to_bytes(Domain::Inet)
}
