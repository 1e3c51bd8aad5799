//! One stream, as the device sees it.
//!
//! ```text
//!      guest: REQUEST                                 host: connect()
//!            │                                              │
//!            ▼                                              ▼
//!      ┌───────────┐ refuse()                        ┌────────────┐ guest: RST
//!      │ Requested ├──────────► RST, gone            │ Connecting ├──────────► gone
//!      └─────┬─────┘                                 └─────┬──────┘
//!   accept() │ RESPONSE                    guest: RESPONSE │
//!            └──────────────►┌─────────────┐◄──────────────┘
//!                            │ Established │   each direction may end by itself
//!                            └──┬───────┬──┘
//!    close(): SHUTDOWN, both    │       │ guest: SHUTDOWN both, and its bytes delivered: RST, gone
//!                               ▼       │ guest: SHUTDOWN send, and our SHUTDOWN send told: RST, gone
//!                          ┌─────────┐  │ anything that breaks the protocol: RST, gone
//!                          │ Closing ├──┴──────► guest: RST or SHUTDOWN both: gone
//!                          └─────────┘
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::credit::{RecvCredit, SendCredit};
use super::packet::Op;

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// The guest asked for it; the VMM has not answered.
    Requested,
    /// The host asked for it; the guest has not answered.
    Connecting,
    /// Data flows, in each direction that has not ended.
    Established,
    /// The VMM has let go; the guest has not confirmed.
    Closing,
}

/// Control packets that a stream owes the guest: at most one of each, whatever happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Debts {
    pub request: bool,
    pub response: bool,
    pub credit_update: bool,
    pub credit_request: bool,
    pub shutdown: bool,
}

/// Which of the device's lists a stream stands in. Rebuilt, not saved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub owing: bool,
    pub readable: bool,
    pub writable: bool,
}

/// A stream's state: plain data, complete for a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub(super) state: State,
    pub(super) send: SendCredit,
    pub(super) recv: RecvCredit,
    /// Bytes from the guest that the socket did not take yet; as many as `recv` says.
    pub(super) held: VecDeque<u8>,
    pub(super) debts: Debts,
    /// The guest will send no more.
    pub(super) guest_done_sending: bool,
    /// The guest will take no more.
    pub(super) guest_done_receiving: bool,
    /// The VMM knows that the guest will send no more.
    pub(super) end_passed_on: bool,
    /// The socket has ended.
    pub(super) host_done_sending: bool,
    /// The guest knows that: our SHUTDOWN is in its hands.
    pub(super) shutdown_told: bool,
    /// The socket has data, but the guest no credit.
    pub(super) starved: bool,
    #[serde(skip)]
    pub(super) listed: Listed,
}

impl Connection {
    pub(super) fn new(state: State) -> Connection {
        Connection {
            state,
            send: SendCredit::default(),
            recv: RecvCredit::default(),
            held: VecDeque::new(),
            debts: Debts::default(),
            guest_done_sending: false,
            guest_done_receiving: false,
            end_passed_on: false,
            host_done_sending: false,
            shutdown_told: false,
            starved: false,
            listed: Listed::default(),
        }
    }

    /// Data may flow from the socket to the guest.
    pub(super) fn host_may_send(&self) -> bool {
        self.state == State::Established && !self.guest_done_receiving && !self.host_done_sending
    }

    /// All that the guest will ever send has reached the socket.
    pub(super) fn delivered(&self) -> bool {
        self.guest_done_sending && self.held.is_empty()
    }

    /// Both directions have ended, and both sides know.
    pub(super) fn finished(&self) -> bool {
        self.delivered() && (self.guest_done_receiving || self.shutdown_told)
    }

    /// The next packet owed, in the order that makes sense to a receiver. Paying a debt clears it; every
    /// packet carries the credit, so any of them pays that one too.
    pub(super) fn pay_debt(&mut self) -> Option<Op> {
        let debts = &mut self.debts;
        let op = if std::mem::take(&mut debts.request) {
            Op::Request
        } else if std::mem::take(&mut debts.response) {
            Op::Response
        } else if std::mem::take(&mut debts.credit_request) {
            Op::CreditRequest
        } else if std::mem::take(&mut debts.shutdown) {
            self.shutdown_told = true;
            Op::Shutdown { receive: self.state == State::Closing, send: true }
        } else if debts.credit_update {
            Op::CreditUpdate
        } else {
            return None;
        };
        self.debts.credit_update = false;
        Some(op)
    }

    /// Whether the state is one that the device can be in: what was saved may have been damaged.
    pub(super) fn plausible(&self) -> bool {
        let held = self.held.len() as u64;
        held == u64::from(self.recv.held()) && held <= u64::from(RecvCredit::ALLOCATION)
    }
}
