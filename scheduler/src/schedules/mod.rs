//! Schedules: functions and queues that are called by the clock (EventBridge Scheduler user guide).
//!
//! ```text
//!   api ── put, remove ──▶ Schedules ──▶ documents in the queues' database: schedule.rs, group.rs
//!                             │ tick: those alone that agenda.rs says are due
//!   plan.rs: which run it is ─┤        one transaction: the next time moves, the run's message is there
//!     └ expression/: when     └──▶ delivery.rs ──▶ events, sqs/NAME, dead letters
//!                                    └ notice.rs: what a target gets
//! ```
//!
//! A run happens once: a crash at any moment is before its transaction or behind it.

mod agenda;
mod delivery;
pub mod expression;
mod group;
mod notice;
mod plan;
mod replace;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock;
use crate::queue::retry::Delays;
use crate::queue::{Durability, EngineError, Queue, QueueError, Registry, Step, Wanted};
use crate::service::Identity;
use crate::sqs::Queues;
use crate::store::FunctionStore;
use agenda::Agenda;
use delivery::{Courier, LANE};
pub(crate) use group::{DEFAULT as DEFAULT_GROUP, Group};
pub(crate) use replace::START_PAST_MAX_MS;
pub(crate) use schedule::{Schedule, Target};

/// Schedules that run in one transaction: their inputs are in memory at once, 256 KB each.
const BATCH_MAX: usize = 64;
/// How long a retry may take before somebody else may take it: it is one transaction.
const LEASE_MS: i64 = 60_000;
/// How long to leave a database alone that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest sleep: a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// All schedules and their groups.
pub(crate) struct Schedules {
    pub(crate) groups: Registry<Group>,
    by_name: Registry<Schedule>,
    agenda: Agenda,
    queue: Arc<Queue>,
    courier: Courier,
    /// Held while a schedule is made and while a group goes: none is made in a group that is gone.
    membership: Mutex<()>,
    changed: Notify,
}

impl Schedules {
    /// The schedules in the database. Nothing runs yet.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(
        identity: Identity,
        functions: Arc<FunctionStore>,
        queues: Arc<Queues>,
        delays: Delays,
    ) -> Result<Arc<Schedules>, QueueError> {
        let queue = Arc::clone(&queues.queue);
        let groups: Registry<Group> = Registry::load(Arc::clone(&queue), "schedule-group").await?;
        let by_name: Registry<Schedule> = Registry::load(Arc::clone(&queue), "schedule").await?;
        let agenda = Agenda::default();
        agenda.make(|| by_name.list());
        let now_ms = clock::unix_ms();
        let kept = |group: Option<&Group>| match group {
            Some(group) => Ok::<_, QueueError>(group.clone()),
            None => Ok(Group {
                name: DEFAULT_GROUP.into(),
                created_ms: now_ms,
                modified_ms: now_ms,
                ..Group::default()
            }),
        };
        groups.change(DEFAULT_GROUP, kept).await?;
        // Whoever was at it is gone. Where there is no room to write that, it is tried again when the leases end.
        let _ = queue.abandon(LANE, now_ms).await?;
        let courier = Courier { identity, functions, queues, delays };
        let (membership, changed) = (Mutex::default(), Notify::new());
        Ok(Arc::new(Schedules { groups, by_name, agenda, queue, courier, membership, changed }))
    }

    /// Runs what is due, for ever.
    pub(crate) fn start(self: &Arc<Schedules>) -> JoinHandle<()> {
        let schedules = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let sleep = match schedules.tick(clock::unix_ms()).await {
                    Ok(due_ms) => {
                        let wait_ms = due_ms.saturating_sub(clock::unix_ms()).max(0);
                        Duration::from_millis(wait_ms.unsigned_abs()).min(SLEEP_MAX)
                    }
                    // It has not happened.
                    Err(_) => PATIENCE,
                };
                tokio::select! {
                    () = schedules.changed.notified() => {}
                    () = tokio::time::sleep(sleep) => {}
                }
            }
        })
    }

    pub(crate) fn get(&self, group: &str, name: &str) -> Option<Arc<Schedule>> {
        self.by_name.get(&Schedule::key(group, name))
    }

    /// All of them, by their groups and names.
    pub(crate) fn list(&self) -> Vec<Arc<Schedule>> {
        self.by_name.list()
    }

    pub(crate) fn count(&self) -> usize {
        self.by_name.count()
    }

    /// The bytes that all of them take, on the disk and about as many in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.by_name.bytes()
    }

    /// Puts what `change` makes of a schedule, or of none, in its place.
    ///
    /// # Errors
    /// What `change` says, or the database.
    pub(crate) async fn change<E: From<QueueError>>(
        &self,
        group: &str,
        name: &str,
        change: impl FnOnce(Option<&Schedule>) -> Result<Schedule, E>,
    ) -> Result<Arc<Schedule>, E> {
        let _membership = self.membership.lock().await;
        let (key, doubt) = (Schedule::key(group, name), self.agenda.doubt());
        let changed = self.by_name.change(&key, change).await?;
        self.refresh(&key);
        doubt.over();
        self.changed.notify_one();
        Ok(changed)
    }

    /// Removes a schedule. Whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn remove(&self, group: &str, name: &str) -> Result<bool, QueueError> {
        let (key, doubt) = (Schedule::key(group, name), self.agenda.doubt());
        let removed = self.by_name.remove(&key, |_| Ok(())).await?;
        self.refresh(&key);
        doubt.over();
        Ok(removed)
    }

    /// Removes a group, its schedules first. Whether there was one.
    ///
    /// # Errors
    /// The database's: then some of its schedules may be gone.
    pub(crate) async fn remove_group(&self, name: &str) -> Result<bool, QueueError> {
        let _membership: MutexGuard<'_, ()> = self.membership.lock().await;
        let of_group: Vec<String> = self
            .list()
            .iter()
            .filter(|one| one.group == name)
            .map(|one| Schedule::key(&one.group, &one.name))
            .collect();
        let gone = |_: Option<&Schedule>| Step { after: None, follows: Vec::new() };
        self.step_all(&of_group, gone).await?;
        self.groups.remove(name, |_| Ok(())).await
    }

    /// Does what is due at `now_ms`; when there is something next.
    async fn tick(&self, now_ms: i64) -> Result<i64, QueueError> {
        if self.agenda.is_doubtful() {
            // A step of nothing reads anew what a change has left in doubt.
            self.by_name
                .step(&[], |before| Step { after: before.cloned(), follows: Vec::new() })
                .await?;
            self.agenda.make(|| self.list());
        }
        let fired = self.fire_all(now_ms).await;
        while self.retry(now_ms).await? {}
        fired?;
        let retries = self.queue.work(Durability::Process, |engine| engine.heads(LANE)).await?;
        let retries = retries.into_iter().map(|head| head.due_ms);
        Ok(self.agenda.next().into_iter().chain(retries).min().unwrap_or(i64::MAX))
    }

    /// Runs all schedules that are due. Where one can't be run, it holds up none that are due with it.
    async fn fire_all(&self, now_ms: i64) -> Result<(), QueueError> {
        loop {
            let due = self.agenda.due(now_ms, BATCH_MAX);
            let step = |before: Option<&Schedule>| self.step(before, now_ms);
            match self.step_all(&due, step).await {
                Ok(()) if due.len() < BATCH_MAX => return Ok(()),
                Ok(()) => {}
                failed @ Err(QueueError::Engine(EngineError::Failed(_))) => {
                    for one in due.chunks(1) {
                        match self.step_all(one, step).await {
                            Ok(()) | Err(QueueError::Engine(EngineError::Failed(_))) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    return failed;
                }
                failed => return failed,
            }
        }
    }

    /// Takes these schedules one step further, and has the agenda know.
    async fn step_all(
        &self,
        keys: &[String],
        decide: impl FnMut(Option<&Schedule>) -> Step<Schedule>,
    ) -> Result<(), QueueError> {
        let doubt = self.agenda.doubt();
        self.by_name.step(keys, decide).await?;
        keys.iter().for_each(|key| self.refresh(key));
        doubt.over();
        Ok(())
    }

    fn refresh(&self, key: &str) {
        self.agenda.refresh(key, || self.by_name.get(key));
    }

    /// A schedule's run, if it is still due: a client may have changed it just now.
    fn step(&self, before: Option<&Schedule>, now_ms: i64) -> Step<Schedule> {
        let Some((schedule, fired)) = before.and_then(|one| Some((one, one.fire(now_ms)?))) else {
            let after = before.filter(|one| !one.is_over()).cloned();
            return Step { after, follows: Vec::new() };
        };
        let follows = self.courier.first(schedule, fired, now_ms).into_iter().collect();
        let is_gone = fired.next.is_none() && schedule.goes_when_done;
        let last_ms = Some(fired.run.scheduled_ms);
        let after = Schedule { next: fired.next, last_ms, ..schedule.clone() };
        Step { after: Some(after).filter(|_| !is_gone), follows }
    }

    /// Tries deliveries again that are due. Whether there may be more.
    async fn retry(&self, now_ms: i64) -> Result<bool, QueueError> {
        let wanted = Wanted {
            lane: LANE.into(),
            count: BATCH_MAX,
            now_ms,
            until_ms: now_ms + LEASE_MS,
            token: Uuid::new_v4().as_u64_pair().1,
            in_order: false,
            leases_max: None,
        };
        let leased = self.queue.lease(wanted).await?;
        for one in &leased {
            let follows = self.courier.again(&one.message, now_ms).into_iter().collect();
            self.queue.settle(one.lease, follows).await?;
        }
        Ok(leased.len() == BATCH_MAX)
    }
}
