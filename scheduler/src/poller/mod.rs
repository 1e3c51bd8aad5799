//! Pollers: take events that are due and see them through.
//!
//! ```text
//!   Queue ── heads: who has what, since when ──▶ Shares: whose turn, how many
//!     ▲ ◀───────────── lease ─────────────────────┘
//!     │                                            a task for each: run.rs ─▶ Service
//!     └── settle, retry ◀──────────────────────────┘      └─▶ destination.rs, record.rs
//! ```
//!
//! Leases are renewed while work goes on (`held.rs`). One platform works on its queues, so what was leased when it starts
//! was leased by one that is gone, and is due at once.

mod destination;
mod event;
mod held;
mod lines;
mod record;
mod run;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::clock;
use crate::logs::Logs;
use crate::queue::fair::{Load, Shares};
use crate::queue::retry::Delays;
use crate::queue::{Durability, Lease, Leased, Queue, QueueError, Wanted};
use crate::service::Service;
use crate::sqs::Queues;
use crate::store::FunctionStore;

pub(crate) use destination::Target;
use event::LANES;
pub(crate) use event::{EVENT_BYTES_MAX, Event};
use held::{Held, LEASE_MS};

/// How long to leave a queue alone that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest sleep: a clock that was set back, or forth, is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// What events are run with.
pub(crate) struct Pollers {
    pub(crate) queue: Arc<Queue>,
    queues: Arc<Queues>,
    pub(crate) functions: Arc<FunctionStore>,
    pub(crate) service: Arc<Service>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) delays: Delays,
    held: Held,
    stopping: watch::Sender<bool>,
}

impl Pollers {
    pub(crate) fn new(
        queue: Arc<Queue>,
        queues: Arc<Queues>,
        functions: Arc<FunctionStore>,
        service: Arc<Service>,
        logs: Arc<Logs>,
        delays: Delays,
    ) -> Arc<Pollers> {
        let (held, stopping) = (Held::default(), watch::Sender::new(false));
        Arc::new(Pollers { queue, queues, functions, service, logs, delays, held, stopping })
    }

    /// Begins to work, on what is left from before first.
    ///
    /// # Errors
    /// The queue's.
    pub(crate) async fn start(self: &Arc<Pollers>) -> Result<JoinHandle<()>, QueueError> {
        let is_ours = self.queue.abandon(LANES, clock::unix_ms()).await?;
        Ok(tokio::spawn(Arc::clone(self).poll(is_ours)))
    }

    /// Takes nothing more; whoever waits for the task that [`Self::start`] made waits for what has been taken.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Drops the events of a function that is gone, and says so in its log.
    pub(crate) async fn drop_events(&self, function: &str, lane: String) -> Result<(), QueueError> {
        let dropped = self.queue.purge(&lane).await?;
        if dropped > 0 {
            self.say(
                function,
                &format!("{dropped} queued events dropped: their function is deleted"),
            );
        }
        Ok(())
    }

    /// Takes and runs events until it is stopped. Unless `is_ours`, what is leased is still another's who is gone: nothing is
    /// taken before there is room to write that.
    async fn poll(self: Arc<Pollers>, mut is_ours: bool) {
        let renewing = tokio::spawn(Arc::clone(&self).renew());
        let mut stopping = self.stopping.subscribe();
        let mut shares = Shares::new(self.service.concurrency_max());
        let mut tasks: JoinSet<(String, Load)> = JoinSet::new();
        let bell = self.queue.bell(LANES);
        while !*stopping.borrow() {
            let heard = bell.listen();
            if !is_ours {
                is_ours = self.queue.abandon(LANES, clock::unix_ms()).await.unwrap_or(false);
            }
            let sleep = match is_ours {
                true => self.take(&mut shares, &mut tasks).await.unwrap_or(PATIENCE),
                false => PATIENCE,
            };
            tokio::select! {
                () = heard => {}
                () = tokio::time::sleep(sleep) => {}
                _ = stopping.changed() => {}
                Some(ended) = tasks.join_next() => finished(&mut shares, ended),
            }
            while let Some(ended) = tasks.try_join_next() {
                finished(&mut shares, ended);
            }
        }
        while tasks.join_next().await.is_some() {}
        renewing.abort();
    }

    /// Takes what is due and may run; for how long there is nothing more, unless something comes or ends.
    async fn take(
        self: &Arc<Pollers>,
        shares: &mut Shares,
        tasks: &mut JoinSet<(String, Load)>,
    ) -> Result<Duration, QueueError> {
        loop {
            let heads = self.queue.work(Durability::Process, |engine| engine.heads(LANES)).await?;
            let now_ms = clock::unix_ms();
            let (due, later): (Vec<_>, Vec<_>) =
                heads.into_iter().partition(|head| head.due_ms <= now_ms);
            let due: BTreeSet<String> = due.into_iter().map(|head| head.lane).collect();
            let limits = if due.is_empty() { HashMap::new() } else { self.limits() };
            let plan = shares.plan(&due, |lane| limits.get(lane).copied().unwrap_or(usize::MAX));
            if plan.is_empty() {
                let next_ms = later.iter().map(|head| head.due_ms - now_ms).min();
                let next = next_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
                return Ok(next.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
            }
            for (lane, count, leased) in self.lease(plan, now_ms, shares).await? {
                shares.give_back(&lane, count - leased.len());
                for one in leased {
                    self.held.take(one.lease, &lane);
                    let (pollers, lane) = (Arc::clone(self), lane.clone());
                    tasks.spawn(async move { (lane, pollers.run(one).await) });
                }
            }
        }
    }

    /// Leases what was planned, all in one go.
    async fn lease(
        &self,
        plan: Vec<(String, usize)>,
        now_ms: i64,
        shares: &mut Shares,
    ) -> Result<Vec<(String, usize, Vec<Leased>)>, QueueError> {
        let token = Uuid::new_v4().as_u64_pair().1;
        let wanted = plan.iter().map(|(lane, count)| Wanted {
            lane: lane.clone(),
            count: *count,
            now_ms,
            until_ms: now_ms + LEASE_MS,
            token,
            in_order: false,
            leases_max: None,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let leased = self.queue.work(Durability::Process, move |engine| {
            wanted.iter().map(|wanted| engine.lease(wanted)).collect::<Result<Vec<_>, _>>()
        });
        match leased.await {
            Ok(leased) => {
                let planned = plan.into_iter().zip(leased);
                Ok(planned.map(|((lane, count), leased)| (lane, count, leased)).collect())
            }
            Err(error) => {
                plan.iter().for_each(|(lane, count)| shares.give_back(lane, *count));
                Err(error)
            }
        }
    }

    /// How many events of a queue may run at once, where that is bounded: as many as are reserved for its function. Where
    /// none are, they do not run: they fail.
    fn limits(&self) -> HashMap<String, usize> {
        let entries = self.functions.list(None, usize::MAX).into_iter();
        let bounded = entries.filter_map(|entry| {
            let reserved = entry.settings.reserved_concurrency.filter(|reserved| *reserved > 0)?;
            Some((Event::lane(&entry.latest), reserved as usize))
        });
        bounded.collect()
    }

    async fn renew(self: Arc<Pollers>) {
        let mut every = tokio::time::interval(Duration::from_millis(LEASE_MS.unsigned_abs() / 4));
        loop {
            every.tick().await;
            // What the queue refuses now it may take next time.
            let _ = self.held.renew(&self.queue, clock::unix_ms()).await;
        }
    }

    fn lane_of(&self, lease: Lease) -> String {
        self.held.lane(lease)
    }

    /// Writes a line into a function's log.
    fn say(&self, function: &str, line: &str) {
        self.logs.say_of_events(&self.functions.log_of(function), line);
    }
}

fn finished(shares: &mut Shares, ended: Result<(String, Load), tokio::task::JoinError>) {
    // A task that panics ends the process.
    if let Ok((lane, load)) = ended {
        shares.finished(&lane, load);
    }
}
