//! Group commit: one thread owns the engine, takes what has come meanwhile as one transaction, and tells all
//! of it after the one flush.
//!
//! ```text
//!   client ─ job ─┐                    ┌ begin, job, job, job, commit ─▶ flush ┐
//!   client ─ job ─┼─▶ bounded channel ─┤                                       ├─▶ their answers
//!   client ─ job ─┘                    └ those that wait for no flush ─────────┘
//! ```
//!
//! The flush goes on beside the transactions (`flush.rs`). While it does, jobs that need one gather, for one flush
//! together; those that need none are not held up.
//!
//! A transaction that fails is taken apart: each job gets one of its own, so that a job that needs no room goes
//! through on a full disk, and none suffers for another. Not so where the database is lost, or so busy that time ran out:
//! that is no job's fault, each alone would wait as long, and what may have happened is not done again.

use std::thread;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::arrivals::{Arrivals, Bell};
use super::engine::{Durability, Engine, EngineError, Flush, Result as EngineResult};
use super::flush::Flusher;
use super::message::{Appended, Lease, Leased, New, Wanted};

/// Jobs that wait for the thread; whoever comes later waits for room.
const WAITING_MAX: usize = 1024;
/// Jobs in one transaction: more would make the first of them wait for nothing but the others.
const BATCH_MAX: usize = 256;
/// Messages that are removed in one transaction: some milliseconds' work.
const PURGED_MAX: usize = 1000;
/// Jobs that gather for a flush; the thread hears of nothing more then until one is over. Callers may go away and leave
/// theirs behind, so that their number is no bound.
const GATHERED_MAX: usize = 4096;
/// Jobs that are anywhere: waiting, gathered with a batch more than is asked for, and being flushed.
#[cfg(test)]
pub(super) const JOBS_MAX: usize = WAITING_MAX + GATHERED_MAX + 2 * BATCH_MAX;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// What the engine says. What was asked for has not happened, unless it is [`EngineError::Unknown`].
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The thread is gone. What was asked for may have happened.
    #[error("the queue has stopped")]
    Stopped,
}

/// Durable queues, for many to use at once.
#[derive(Debug)]
pub struct Queue {
    words: mpsc::Sender<Word>,
    arrivals: Arrivals,
}

impl Queue {
    /// Starts the thread that owns `engine`, and the one that flushes; they end with the queue.
    ///
    /// # Errors
    /// There is no thread to be had, or the engine does not let go of flushing.
    pub fn start(mut engine: Box<dyn Engine>) -> std::io::Result<Queue> {
        let flush = engine.flusher().map_err(std::io::Error::other)?;
        Self::start_with(engine, flush)
    }

    pub(super) fn start_with(
        engine: Box<dyn Engine>,
        flush: Option<Box<dyn Flush>>,
    ) -> std::io::Result<Queue> {
        let (words, waiting) = mpsc::channel(WAITING_MAX);
        let flusher = flush.map(|flush| Flusher::start(flush, words.downgrade())).transpose()?;
        let worker = Worker { engine, flusher, durable: Vec::new(), is_flushing: false };
        thread::Builder::new().name("queue".into()).spawn(move || worker.run(waiting))?;
        Ok(Queue { words, arrivals: Arrivals::default() })
    }

    /// Has the engine do some work, together with others' in one transaction. It may be done more than once, and
    /// happens once.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn work<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut dyn Engine) -> EngineResult<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Typed { durability, work, result: None, answer });
        self.words.send(Word::Job(job)).await.map_err(|_| QueueError::Stopped)?;
        answered.await.map_err(|_| QueueError::Stopped)?
    }

    /// Adds messages to a queue, all or none: they are on the medium when this returns.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn append(&self, lane: &str, new: Vec<New>) -> Result<Vec<Appended>, QueueError> {
        let owned = lane.to_owned();
        let appended = self.work(Durability::Power, move |engine| {
            new.iter().map(|one| engine.append(&owned, one)).collect()
        });
        let appended = appended.await?;
        self.arrivals.ring(lane);
        Ok(appended)
    }

    /// Leases messages that are due. A loss of power may end a lease early.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lease(&self, wanted: Wanted) -> Result<Vec<Leased>, QueueError> {
        self.work(Durability::Process, move |engine| engine.lease(&wanted)).await
    }

    /// Removes a message and adds what follows from it, as one. Nothing follows from a lease that is void. Where nothing
    /// does, a loss of power may bring the message back, as it may end a lease early.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn settle(
        &self,
        lease: Lease,
        follows: Vec<(String, New)>,
    ) -> Result<bool, QueueError> {
        let lanes: Vec<String> = follows.iter().map(|(lane, _)| lane.clone()).collect();
        let durability = if follows.is_empty() { Durability::Process } else { Durability::Power };
        let settled = self.work(durability, move |engine| {
            let is_valid = engine.complete(lease)?;
            for (lane, new) in follows.iter().filter(|_| is_valid) {
                engine.append(lane, new)?;
            }
            Ok(is_valid)
        });
        let is_valid = settled.await?;
        lanes.iter().for_each(|lane| self.ring(lane));
        Ok(is_valid)
    }

    /// Gives back what was leased, in queues whose names begin so, by who is gone. Whether there was room for that: if not,
    /// the leases end in their time.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn abandon(&self, prefix: &'static str, now_ms: i64) -> Result<bool, QueueError> {
        let abandoned =
            self.work(Durability::Process, move |engine| engine.abandon(prefix, now_ms)).await;
        match abandoned {
            Ok(_) => Ok(true),
            Err(QueueError::Engine(EngineError::Full)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the messages of a queue, in portions: others wait for no more than one. Those that come meanwhile may go,
    /// too. How many.
    ///
    /// # Errors
    /// [`QueueError`]: then some of them may be gone.
    pub async fn purge(&self, lane: &str) -> Result<u64, QueueError> {
        let mut all = 0;
        loop {
            let lane = lane.to_owned();
            let purge = move |engine: &mut dyn Engine| engine.purge(&lane, PURGED_MAX);
            let purged = self.work(Durability::Power, purge).await?;
            all += purged;
            if purged < PURGED_MAX as u64 {
                return Ok(all);
            }
        }
    }

    /// Wakes who waits for this queue.
    pub fn ring(&self, lane: &str) {
        self.arrivals.ring(lane);
    }

    /// Hears of messages in queues whose names begin so.
    pub fn bell(&self, prefix: &str) -> Bell<'_> {
        self.arrivals.bell(prefix)
    }
}

/// What the thread hears.
pub(super) enum Word {
    Job(Box<dyn Job>),
    /// Look whether the flush is over.
    Flushed,
}

/// Some work whose answer waits for the commit.
pub(super) trait Job: Send {
    fn durability(&self) -> Durability;
    fn run(&mut self, engine: &mut dyn Engine) -> EngineResult<()>;
    fn answer(self: Box<Self>, committed: EngineResult<()>);
}

struct Typed<T, F> {
    durability: Durability,
    work: F,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, QueueError>>,
}

impl<T: Send, F: FnMut(&mut dyn Engine) -> EngineResult<T> + Send> Job for Typed<T, F> {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, engine: &mut dyn Engine) -> EngineResult<()> {
        self.result = Some((self.work)(engine)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: EngineResult<()>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(QueueError::Stopped),
            (Err(error), _) => Err(error.into()),
        };
        // Whoever asked may have gone away.
        let _ = self.answer.send(result);
    }
}

/// The thread that owns the engine.
struct Worker {
    engine: Box<dyn Engine>,
    flusher: Option<Flusher>,
    /// Those that gather for the next flush, so many at most as [`GATHERED_MAX`] and a batch.
    durable: Vec<Box<dyn Job>>,
    is_flushing: bool,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Word>) {
        let (mut words, mut jobs) = (Vec::new(), Vec::new());
        while waiting.blocking_recv_many(&mut words, BATCH_MAX) > 0 {
            for word in words.drain(..) {
                match word {
                    Word::Flushed => {
                        let is_over = self.flusher.as_ref().is_none_or(Flusher::is_over);
                        self.is_flushing &= !is_over;
                    }
                    Word::Job(job) if self.waits(&*job) => self.durable.push(job),
                    Word::Job(job) => jobs.push(job),
                }
            }
            carry_out(&mut *self.engine, &mut jobs, Job::answer);
            self.flush();
            while self.durable.len() >= GATHERED_MAX {
                self.flusher.as_ref().inspect(|flusher| flusher.wait());
                self.is_flushing = false;
                self.flush();
            }
        }
    }

    /// Whether a job's answer waits for a flush that somebody else makes.
    fn waits(&self, job: &dyn Job) -> bool {
        self.flusher.is_some() && job.durability() == Durability::Power
    }

    /// Commits what has gathered, and has it flushed.
    fn flush(&mut self) {
        let Some(flusher) = &self.flusher else { return };
        // Where all of a batch fail there is nothing to flush, and the next one's turn comes at once.
        while !self.is_flushing && !self.durable.is_empty() {
            let count = self.durable.len().min(BATCH_MAX);
            let (mut jobs, mut done) = (self.durable.drain(..count).collect(), Vec::new());
            carry_out(&mut *self.engine, &mut jobs, |job, committed| match committed {
                Ok(()) => done.push(job),
                Err(_) => job.answer(committed),
            });
            self.is_flushing = !done.is_empty() && flusher.flush(done);
        }
    }
}

/// Does all of the jobs, or, if that fails, each by itself; `then` hears how each of them went.
fn carry_out(
    engine: &mut dyn Engine,
    jobs: &mut Vec<Box<dyn Job>>,
    mut then: impl FnMut(Box<dyn Job>, EngineResult<()>),
) {
    if jobs.is_empty() {
        return;
    }
    match transact(engine, jobs) {
        Err(EngineError::Full | EngineError::Failed(_)) if jobs.len() > 1 => {
            for job in jobs.drain(..) {
                let mut alone = [job];
                let committed = transact(engine, &mut alone);
                let [job] = alone;
                then(job, committed);
            }
        }
        committed => jobs.drain(..).for_each(|job| then(job, committed.clone())),
    }
}

/// Does all of the jobs, or none.
fn transact(engine: &mut dyn Engine, jobs: &mut [Box<dyn Job>]) -> EngineResult<()> {
    let durability = jobs.iter().map(|job| job.durability()).max();
    engine.begin(durability.unwrap_or(Durability::Power))?;
    let done = jobs.iter_mut().try_for_each(|job| job.run(engine));
    let committed = done.and_then(|()| engine.commit());
    if committed.is_err() {
        engine.rollback();
    }
    committed
}
