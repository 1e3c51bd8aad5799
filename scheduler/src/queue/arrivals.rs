//! Who waits for a message: in one queue, or in any whose name begins so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bells by what is waited for. A bell that nobody holds any more goes.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<HashMap<String, Arc<Notify>>>);

/// Waits for messages in queues whose names begin alike.
#[derive(Debug)]
pub struct Bell<'a> {
    arrivals: &'a Arrivals,
    prefix: String,
    notify: Arc<Notify>,
}

impl Arrivals {
    pub(super) fn bell(&self, prefix: &str) -> Bell<'_> {
        let notify = Arc::clone(self.lock().entry(prefix.to_owned()).or_default());
        Bell { arrivals: self, prefix: prefix.to_owned(), notify }
    }

    /// Wakes whoever waits for this queue.
    pub(super) fn ring(&self, lane: &str) {
        for (prefix, notify) in &*self.lock() {
            if lane.starts_with(prefix) {
                notify.notify_waiters();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell<'_> {
    /// Hears what comes from now on, also before it is awaited for the first time.
    pub fn listen(&self) -> impl Future<Output = ()> + '_ {
        let mut heard = Box::pin(self.notify.notified());
        heard.as_mut().enable();
        heard
    }
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        let mut bells = self.arrivals.lock();
        // The map's own and this one.
        if Arc::strong_count(&self.notify) <= 2 {
            bells.remove(&self.prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_rings_for_its_queues_and_goes_with_its_last_listener() {
        let arrivals = Arrivals::default();
        let (all, one) = (arrivals.bell("q/"), arrivals.bell("q/1"));
        let again = arrivals.bell("q/1");
        let (heard_all, heard_one) = (all.listen(), one.listen());
        arrivals.ring("q/1");
        tokio::join!(heard_all, heard_one);
        let deaf = one.listen();
        arrivals.ring("q/2");
        tokio::select! {
            biased;
            () = deaf => panic!("it was for another"),
            () = tokio::task::yield_now() => {}
        }
        drop(one);
        assert_eq!(arrivals.lock().len(), 2);
        drop((all, again));
        assert_eq!(arrivals.lock().len(), 0);
    }
}
