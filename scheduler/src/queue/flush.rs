//! The thread that flushes, one batch after the other, and tells those in it that they are on the medium.
//!
//! ```text
//!   the engine's thread ── committed jobs ──▶ flush ──▶ their answers
//!            ▲                                  │
//!            └──────── over, Flushed ──────────┘
//!
//! `Flushed` wakes the engine's thread among others' words, as soon as it comes to it; `over` is what it waits for while it
//! hears no others.
//! ```

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::mpsc;

use super::commit::{Job, Word};
use super::engine::Flush;

/// Jobs that have been committed.
type Batch = Vec<Box<dyn Job>>;

/// The flushing thread, as the engine's sees it; it ends with this.
pub(super) struct Flusher {
    batches: SyncSender<Batch>,
    over: Receiver<()>,
}

impl Flusher {
    /// Starts it. After each batch it says so to `words`, unless nobody listens any more.
    pub(super) fn start(
        flush: Box<dyn Flush>,
        words: mpsc::WeakSender<Word>,
    ) -> std::io::Result<Flusher> {
        // One is flushed at a time: the next one is committed when this one is over.
        let (batches, committed) = sync_channel(1);
        let (done, over) = sync_channel(1);
        thread::Builder::new()
            .name("queue-flush".into())
            .spawn(move || run(flush, &committed, &done, &words))?;
        Ok(Flusher { batches, over })
    }

    /// Has a batch flushed and answered. Whether the thread is there to do it: the answers of those that it does not take
    /// are dropped, which tells whoever waits.
    pub(super) fn flush(&self, batch: Batch) -> bool {
        self.batches.send(batch).is_ok()
    }

    /// Whether the last batch has been flushed; it is said once.
    pub(super) fn is_over(&self) -> bool {
        self.over.try_recv().is_ok()
    }

    /// Waits until the last batch has been flushed, or the thread is gone.
    pub(super) fn wait(&self) {
        let _ = self.over.recv();
    }
}

fn run(
    mut flush: Box<dyn Flush>,
    committed: &Receiver<Batch>,
    over: &SyncSender<()>,
    words: &mpsc::WeakSender<Word>,
) {
    let mut so_far = Ok(());
    for batch in committed {
        // A kernel that could not write may forget it and say that all is well the next time: never ask again.
        if so_far.is_ok() {
            so_far = flush.flush();
        }
        batch.into_iter().for_each(|job| job.answer(so_far.clone()));
        // The last one has been heard of, or there would be no next batch: neither waits for room here.
        let _ = over.send(());
        if let Some(words) = words.upgrade() {
            // The engine's thread ends when nobody is left to ask it for anything.
            let _ = words.blocking_send(Word::Flushed);
        }
    }
}
