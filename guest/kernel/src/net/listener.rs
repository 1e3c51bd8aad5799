//! A socket that listens: connections that wait for accept(2), and TCP's that wait for room among these, as a SYN that
//! is sent again until it is answered.
//!
//! ```text
//!   offer ──────────────────► waiting ── accept ──►
//!   knock ──► knocking ── room ──┘
//! ```

use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
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

/// What a connection that waits for room in a backlog is told.
#[derive(Default)]
pub struct Knock {
    answer: Cell<Option<Result<()>>>,
}

impl Knock {
    /// What came of it; nothing yet. ECONNREFUSED.
    pub fn answer(&self) -> Option<Result<()>> {
        self.answer.get()
    }
}

/// A backlog.
pub struct Listener {
    waiting: RefCell<VecDeque<Arrival>>,
    /// While somebody knocks, there is no room.
    knocking: RefCell<VecDeque<(Weak<Knock>, Arrival)>>,
    limit: Cell<usize>,
    arrivals: Cell<u64>,
    owner: Cell<Ucred>,
}

impl Listener {
    /// An empty backlog of `owner`'s for `limit` connections and one more, as Linux counts.
    pub fn new(limit: u32, owner: Ucred) -> Listener {
        let listener = Listener {
            waiting: RefCell::default(),
            knocking: RefCell::default(),
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
        self.admit();
    }

    /// Whether the backlog can take one more.
    pub fn has_room(&self) -> bool {
        self.waiting.borrow().len() <= self.limit.get()
    }

    /// Adds a connection, for which there is room.
    pub fn offer(&self, arrival: Arrival) {
        self.waiting.borrow_mut().push_back(arrival);
        self.arrivals.update(|arrivals| arrivals + 1);
    }

    /// Has a connection wait for room, as long as somebody keeps the answer.
    pub fn knock(&self, arrival: Arrival) -> Rc<Knock> {
        let knock = Rc::<Knock>::default();
        let mut knocking = self.knocking.borrow_mut();
        knocking.retain(|(knock, _)| knock.strong_count() > 0);
        knocking.push_back((Rc::downgrade(&knock), arrival));
        knock
    }

    /// Takes in those who have knocked, as far as there is room.
    fn admit(&self) {
        while self.has_room() {
            let Some((knock, arrival)) = self.knocking.borrow_mut().pop_front() else { return };
            if let Some(knock) = knock.upgrade() {
                knock.answer.set(Some(Ok(())));
                self.offer(arrival);
            }
        }
    }

    /// The connection that has waited longest. EAGAIN.
    pub fn accept(&self) -> Result<Arrival> {
        let arrival = self.waiting.borrow_mut().pop_front().ok_or(Errno::AGAIN)?;
        self.admit();
        Ok(arrival)
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
    /// Who was not accepted is reset, who has knocked is refused.
    fn drop(&mut self) {
        for (knock, _) in self.knocking.take() {
            if let Some(knock) = knock.upgrade() {
                knock.answer.set(Some(Err(Errno::CONNREFUSED)));
            }
        }
        for arrival in self.waiting.take() {
            arrival.side.set_resets();
        }
    }
}
