//! Credit: how many bytes may be on their way to a receiver (virtio 1.2 §5.10.6.3).
//!
//! ```text
//!                 ┌── buf_alloc ──────────────────────┐
//!   ──────────────┼──────────────────┼────────────────┼──►  bytes of the stream, modulo 2³²
//!              fwd_cnt             sent          may be sent up to here
//! ```
//!
//! All counters wrap. A guest that lies about its own counters gets no credit; it can't get too much.

use serde::{Deserialize, Serialize};

/// The sender's view: what the guest will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendCredit {
    sent: u32,
    allocation: u32,
    forwarded: u32,
}

impl SendCredit {
    /// The receiver says: a buffer of `allocation` bytes, `forwarded` taken so far.
    pub(super) fn update(&mut self, allocation: u32, forwarded: u32) {
        self.allocation = allocation;
        self.forwarded = forwarded;
    }

    /// Bytes that may be sent now.
    pub fn available(&self) -> u32 {
        self.allocation.saturating_sub(self.sent.wrapping_sub(self.forwarded))
    }

    /// `count` bytes were sent; no more than [`Self::available`].
    pub(super) fn spend(&mut self, count: u32) {
        debug_assert!(count <= self.available());
        self.sent = self.sent.wrapping_add(count);
    }
}

/// The receiver's view: what the guest may send us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecvCredit {
    received: u32,
    forwarded: u32,
    told: u32,
}

impl RecvCredit {
    /// Bytes that a stream's sender may have on the way: `buf_alloc` of every packet we send. Enough to
    /// keep a socket busy through one turn of the loop; a page-cached write of this size takes some 50 µs.
    pub const ALLOCATION: u32 = 256 << 10;

    /// `count` bytes came in; `false` where the sender had no credit for them.
    #[must_use]
    pub(super) fn receive(&mut self, count: u32) -> bool {
        let within = count <= Self::ALLOCATION - self.held();
        if within {
            self.received = self.received.wrapping_add(count);
        }
        within
    }

    /// Bytes received and not yet taken.
    pub fn held(&self) -> u32 {
        self.received.wrapping_sub(self.forwarded)
    }

    /// `count` of the held bytes were taken.
    pub(super) fn forward(&mut self, count: u32) {
        debug_assert!(count <= self.held());
        self.forwarded = self.forwarded.wrapping_add(count);
    }

    /// The `fwd_cnt` for a header that is about to leave: the sender is told.
    pub(super) fn tell(&mut self) -> u32 {
        self.told = self.forwarded;
        self.forwarded
    }

    /// Whether the sender should be told at once: half of the buffer is free without its knowledge.
    pub(super) fn worth_telling(&self) -> bool {
        self.forwarded.wrapping_sub(self.told) >= Self::ALLOCATION / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lie_about_the_counters_gives_no_credit() {
        let mut credit = SendCredit::default();
        credit.update(1000, 5);
        assert_eq!(credit.available(), 0, "it claims to have taken what was never sent");
        credit.update(1000, 0);
        credit.spend(400);
        credit.update(100, 0);
        assert_eq!(credit.available(), 0, "a buffer that shrank below what is on its way");
        credit.update(1000, 300);
        assert_eq!(credit.available(), 900);
    }

    proptest! {
        /// Sender and receiver agree for ever, across the wrap of 32 bits; and a sender that has spent all
        /// its credit is always told of more in the end.
        #[test]
        fn both_views_agree(
            start in any::<u32>(),
            steps in proptest::collection::vec((0u32..300_000, 0u32..300_000), 1..200),
        ) {
            let mut send = SendCredit { sent: start, allocation: 0, forwarded: start };
            let mut recv = RecvCredit { received: start, forwarded: start, told: start };
            send.update(RecvCredit::ALLOCATION, recv.tell());
            for (want, take) in steps {
                let count = want.min(send.available());
                send.spend(count);
                prop_assert!(recv.receive(count));
                prop_assert!(!recv.receive(RecvCredit::ALLOCATION - recv.held() + 1));
                recv.forward(take.min(recv.held()));
                if recv.worth_telling() {
                    send.update(RecvCredit::ALLOCATION, recv.tell());
                }
                prop_assert!(send.available() > 0 || recv.held() > 0);
            }
        }
    }
}
