//! Connections that the guest asks for and that are the starter's to grant.
//!
//! ```text
//!   Effect::Connect ──▶ open() ──▶ unsent() ──▶ FromVmm::Connect { request, port }
//!                                                    │
//!   Vsock::accept, refuse ◀── answered(request) ◀────┘ ToVmm::Accept, Refuse
//! ```
//!
//! A stream's name may come again before the answer does, so a request has a number of its own: an answer
//! that comes too late finds nothing.

use std::collections::BTreeMap;

use mayfly_abi::control::REQUESTS_MAX;
use mayfly_devices::vsock::StreamId;

/// Requests on their way, and the ports for which there may be any.
#[derive(Debug, Default)]
pub struct Requests {
    services: Vec<u32>,
    waiting: BTreeMap<u64, StreamId>,
    unsent: Vec<(u64, u32)>,
    next: u64,
    /// Requests that the starter owes an answer, wanted or not.
    unanswered: usize,
}

impl Requests {
    /// Requests for these host ports only.
    pub fn new(services: Vec<u32>) -> Requests {
        Requests { services, ..Requests::default() }
    }

    /// Asks for the stream `id`; `false` where it is to be refused at once.
    pub fn open(&mut self, id: StreamId) -> bool {
        if !self.services.contains(&id.host_port) || self.unanswered >= REQUESTS_MAX {
            return false;
        }
        self.waiting.insert(self.next, id);
        self.unsent.push((self.next, id.host_port));
        self.next += 1;
        self.unanswered += 1;
        true
    }

    /// The guest wants the stream no more.
    pub fn forget(&mut self, id: StreamId) {
        self.waiting.retain(|_, other| *other != id);
    }

    /// What the starter has not heard yet: request and port.
    pub fn unsent(&mut self) -> impl Iterator<Item = (u64, u32)> {
        self.unsent.drain(..)
    }

    /// The starter has answered: which stream waits for it, if any does.
    pub fn answered(&mut self, request: u64) -> Option<StreamId> {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.waiting.remove(&request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u32 = 9001;

    fn id(guest_port: u32) -> StreamId {
        StreamId { guest_port, host_port: PORT }
    }

    #[test]
    fn only_services_may_be_asked_for() {
        let mut requests = Requests::new(vec![PORT]);
        assert!(!requests.open(StreamId { guest_port: 1, host_port: PORT + 1 }));
        assert!(requests.open(id(1)));
        assert_eq!(requests.unsent().collect::<Vec<_>>(), [(0, PORT)]);
        assert_eq!(requests.unsent().count(), 0, "it is said once");
        assert_eq!(requests.answered(0), Some(id(1)));
        assert_eq!(requests.answered(0), None);
    }

    #[test]
    fn a_late_answer_is_not_taken_for_a_new_request() {
        let mut requests = Requests::new(vec![PORT]);
        requests.open(id(1));
        requests.forget(id(1));
        requests.open(id(1));
        assert_eq!(requests.answered(0), None);
        assert_eq!(requests.answered(1), Some(id(1)));
    }

    #[test]
    fn a_guest_that_opens_and_closes_does_not_flood_the_starter() {
        let mut requests = Requests::new(vec![PORT]);
        for port in 0..1000 {
            assert_eq!(requests.open(id(port)), (port as usize) < REQUESTS_MAX);
            requests.forget(id(port));
        }
        assert_eq!(requests.unsent().count(), REQUESTS_MAX);
        requests.answered(0);
        assert!(requests.open(id(1000)));
    }
}
