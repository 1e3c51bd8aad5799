//! The device's state as plain data: taken out at rest, and checked on its way back in.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StreamId;
use super::connection::{Connection, Listed, State};
use super::device::{FIRST_HOST_PORT, RESETS_MAX, STREAMS_MAX, Vsock};

/// A saved state that no device can be in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the saved state of the vsock device is damaged")]
pub struct RestoreError;

/// The device's state as plain data; the VMM gives each stream a socket again by its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VsockState {
    guest_cid: u64,
    pub(super) streams: Vec<(StreamId, Connection)>,
    resets: Vec<StreamId>,
    next_host_port: u32,
    transport_reset: bool,
}

impl VsockState {
    /// The streams whose sockets the VMM must provide, or that it has yet to accept or refuse.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        let open = self.streams.iter().filter(|(_, stream)| stream.state != State::Closing);
        open.map(|(id, _)| *id)
    }
}

impl Vsock {
    /// The state as plain data. `None` in the middle of something: poll until there is nothing left.
    pub fn state(&self) -> Option<VsockState> {
        if self.pending.is_some() || !self.notes.is_empty() {
            return None;
        }
        Some(VsockState {
            guest_cid: self.guest_cid,
            streams: self.streams.iter().map(|(id, stream)| (*id, stream.clone())).collect(),
            resets: self.resets.iter().copied().collect(),
            next_host_port: self.next_host_port,
            transport_reset: self.transport_reset,
        })
    }

    /// A device in a saved state.
    ///
    /// # Errors
    /// [`RestoreError`]: a state that [`Self::state`] did not give.
    pub fn restore(state: VsockState) -> Result<Vsock, RestoreError> {
        let mut vsock = Vsock::new(state.guest_cid);
        let bounded = state.streams.len() <= STREAMS_MAX
            && state.resets.len() <= RESETS_MAX + STREAMS_MAX
            && state.streams.iter().all(|(_, stream)| stream.plausible());
        if !bounded {
            return Err(RestoreError);
        }
        vsock.resets = state.resets.into();
        vsock.next_host_port = state.next_host_port.max(FIRST_HOST_PORT);
        vsock.transport_reset = state.transport_reset;
        vsock.streams = state.streams.into_iter().collect();
        vsock.held = vsock.streams.values().map(|stream| stream.held.len()).sum();
        let ids: Vec<_> = vsock.streams.keys().copied().collect();
        for id in ids {
            if let Some(stream) = vsock.streams.get_mut(&id) {
                stream.listed = Listed::default();
                stream.starved &= stream.send.available() == 0;
            }
            vsock.list_owing(id);
        }
        Ok(vsock)
    }
}
