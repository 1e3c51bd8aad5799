//! The host's services: addresses in the guest that are vsock streams to the host.
//!
//! ```text
//!   connect(127.0.0.1:9001) ─► REQUEST ─► the host ─► RESPONSE: connected · RST: ECONNREFUSED
//! ```

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;
use core::net::{Ipv4Addr, SocketAddr};

use mayfly_abi::ports::HOST_SERVICES;
use mayfly_drivers::vsock::{How, StreamError, StreamId};

use super::{Gateway, Remote, Shutdown};
use crate::devices::Devices;
use crate::errno::{Errno, Result};
use crate::fs::{Poll, Pulse};

/// The way to the host's services.
pub fn gateway(devices: Rc<Devices>) -> Box<Gateway> {
    Box::new(move |to: SocketAddr| {
        let service = HOST_SERVICES.iter().find(|service| {
            to == SocketAddr::from((Ipv4Addr::from(service.address), service.tcp_port))
        })?;
        Some(HostStream::connect(&devices, service.port).map(|stream| stream as Rc<dyn Remote>))
    })
}

/// One stream.
struct HostStream {
    devices: Rc<Devices>,
    id: StreamId,
    /// A write found too little room.
    choked: Cell<bool>,
    /// How often there was room again after that.
    relieved: Cell<u64>,
}

impl HostStream {
    /// Begins a stream to a host port. ENFILE.
    fn connect(devices: &Rc<Devices>, port: u32) -> Result<Rc<HostStream>> {
        let id = devices.with_vsock(|vsock| vsock.connect(port)).map_err(|_| Errno::NFILE)?;
        devices.kick_soon();
        let devices = devices.clone();
        Ok(Rc::new(HostStream { devices, id, choked: Cell::new(false), relieved: Cell::new(0) }))
    }
}

/// What a program is told. A stream that is not connected yet is just not ready.
fn errno(error: StreamError) -> Errno {
    match error {
        StreamError::WouldBlock | StreamError::NotConnected => Errno::AGAIN,
        StreamError::Refused => Errno::CONNREFUSED,
        StreamError::Reset => Errno::CONNRESET,
        StreamError::Closed => Errno::PIPE,
        StreamError::Unknown => Errno::NOTCONN,
    }
}

impl Remote for HostStream {
    fn is_connected(&self) -> Result<bool> {
        let ready = self.devices.with_vsock(|vsock| vsock.readiness(self.id));
        match ready.error {
            Some(StreamError::Refused) => Err(Errno::CONNREFUSED),
            _ => Ok(ready.connected || ready.hung_up),
        }
    }

    fn receive(&self, to: &mut [u8]) -> Result<usize> {
        self.devices.with_vsock(|vsock| vsock.recv(self.id, to)).map_err(errno)
    }

    fn send(&self, from: &[u8]) -> Result<usize> {
        let sent = self.devices.with_vsock(|vsock| vsock.send(self.id, from)).map_err(errno);
        self.choked.set(sent.map_or(true, |count| count < from.len()));
        if sent.is_ok() {
            self.devices.kick_soon();
        }
        sent
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown { receive: true, send: true } => How::Both,
            Shutdown { send: true, .. } => How::Send,
            _ => How::Receive,
        };
        let ended = self.devices.with_vsock(|vsock| vsock.shutdown(self.id, how));
        self.devices.kick_soon();
        ended.map_err(|_| Errno::NOTCONN)
    }

    fn poll(&self) -> Poll {
        self.devices.poll_stream(self.id)
    }

    fn pulse(&self) -> Pulse {
        let (arrivals, ready) = self
            .devices
            .with_vsock(|vsock| (vsock.received_bytes(self.id), vsock.readiness(self.id)));
        if ready.writable && self.choked.take() {
            self.relieved.update(|relieved| relieved + 1);
        }
        let ends = [ready.connected, ready.peer_done, ready.hung_up, ready.error.is_some()];
        let ends = ends.iter().fold(0, |bits, end| bits << 1 | u64::from(*end)) << 40;
        Pulse { input: u64::from(arrivals) ^ ends, output: self.relieved.get() ^ ends }
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        self.devices.with_vsock(|vsock| vsock.close(self.id));
        self.devices.kick_soon();
    }
}
