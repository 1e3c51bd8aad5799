//! Leases in hand: renewed until they are released, however long their work takes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::queue::{Durability, Lease, Queue, QueueError};

/// How long a lease lasts, ms: a process that hangs for so long loses its events to itself.
pub(super) const LEASE_MS: i64 = 60_000;

/// Leases by what they are on, and of which queue.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<Lease, String>>);

impl Held {
    pub(super) fn take(&self, lease: Lease, lane: &str) {
        self.lock().insert(lease, lane.to_owned());
    }

    pub(super) fn release(&self, lease: Lease) {
        self.lock().remove(&lease);
    }

    /// The queue of a lease in hand.
    pub(super) fn lane(&self, lease: Lease) -> String {
        self.lock().get(&lease).cloned().unwrap_or_default()
    }

    /// Renews all of them.
    pub(super) async fn renew(&self, queue: &Queue, now_ms: i64) -> Result<(), QueueError> {
        let leases: Vec<Lease> = self.lock().keys().copied().collect();
        if leases.is_empty() {
            return Ok(());
        }
        let renewed = queue.work(Durability::Process, move |engine| {
            let mut renew = |lease| engine.renew(lease, now_ms, now_ms + LEASE_MS);
            leases.iter().try_for_each(|lease| renew(*lease).map(drop))
        });
        renewed.await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::queue::{New, Sqlite, Wanted};

    #[tokio::test]
    async fn what_is_held_is_not_leased_to_another() {
        let data = tempfile::tempdir().unwrap();
        let queue = Queue::start(Box::new(Sqlite::open(data.path()).unwrap())).unwrap();
        let message = || New::now("h".into(), Bytes::new(), 0);
        queue.append("q", vec![message(), message()]).await.unwrap();
        let lease = async |now_ms, count| {
            let until_ms = now_ms + LEASE_MS;
            let (lane, in_order, leases_max) = ("q".into(), false, None);
            let wanted = Wanted { lane, count, now_ms, until_ms, token: 7, in_order, leases_max };
            queue.lease(wanted).await.unwrap()
        };
        let leased = lease(0, 2).await;
        let held = Held::default();
        held.take(leased[0].lease, "q");
        held.take(leased[1].lease, "q");
        held.release(leased[1].lease);
        held.renew(&queue, LEASE_MS / 2).await.unwrap();
        let again = lease(LEASE_MS, 2).await;
        assert_eq!(again.iter().map(|one| one.lease.id).collect::<Vec<_>>(), [leased[1].lease.id]);
        assert_eq!(lease(2 * LEASE_MS, 2).await.len(), 2, "nobody renews them any more");
    }
}
