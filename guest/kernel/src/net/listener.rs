//! A socket that listens: connections that wait for accept(2).

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};

use super::connection::Side;
use super::{Address, Ucred};
use crate::errno::{Errno, Result};

/// Most connections that wait, whatever the program asks for (net.core.somaxconn).
pub const BACKLOG_MAX: usize = 4096;

/// A connection that waits.
pub struct Arrival {
    /// The listener's side of it.
    pub side: Side,
    /// The address that was connected to.
    pub local: Address,
    /// The address that it came from.
    pub peer: Address,
    /// Who has connected.
    pub from: Ucred,
    /// Its place among the sockets.
    pub(super) seat: super::Seat,
}

/// A backlog.
pub struct Listener {
    waiting: RefCell<VecDeque<Arrival>>,
    limit: Cell<usize>,
    arrivals: Cell<u64>,
    owner: Cell<Ucred>,
}

impl Listener {
    /// An empty backlog of `owner`'s for `limit` connections and one more, as Linux counts.
    pub fn new(limit: u32, owner: Ucred) -> Listener {
        let listener = Listener {
            waiting: RefCell::default(),
            limit: Cell::new(0),
            arrivals: Cell::new(0),
            owner: Cell::new(owner),
        };
        listener.set_limit(limit, owner);
        listener
    }

    /// Who listened last.
    pub fn owner(&self) -> Ucred {
        self.owner.get()
    }

    /// listen(2) again: changes the limit.
    pub fn set_limit(&self, limit: u32, owner: Ucred) {
        self.owner.set(owner);
        self.limit.set(usize::try_from(limit).unwrap_or(usize::MAX).min(BACKLOG_MAX));
    }

    /// EAGAIN where the backlog is full.
    pub fn check_room(&self) -> Result<()> {
        if self.waiting.borrow().len() > self.limit.get() { Err(Errno::AGAIN) } else { Ok(()) }
    }

    /// Adds a connection, for which there is room.
    pub fn offer(&self, arrival: Arrival) {
        self.waiting.borrow_mut().push_back(arrival);
        self.arrivals.update(|arrivals| arrivals + 1);
    }

    /// The connection that has waited longest. EAGAIN.
    pub fn accept(&self) -> Result<Arrival> {
        self.waiting.borrow_mut().pop_front().ok_or(Errno::AGAIN)
    }

    /// Whether one waits.
    pub fn is_ready(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// How many have come.
    pub fn arrivals(&self) -> u64 {
        self.arrivals.get()
    }
}

impl Drop for Listener {
    /// Who was not accepted is reset.
    fn drop(&mut self) {
        for arrival in self.waiting.take() {
            arrival.side.set_resets();
        }
    }
}
