//! One event, from its lease to what becomes of it.
//!
//! ```text
//!   taken ─▶ too old? no room reserved? a loop? ─────────────────────┐
//!     │ no                                                           ▼
//!     ▼                         error, no retry left      dead letters, OnFailure
//!   invoke ─┬─ function error ──────────────────────────────────────▶│
//!           │     └ a retry left ─▶ back, due in 1 or 2 min          ▼
//!           ├─ throttled, system error ─▶ back, due in 1 s … 5 min  gone
//!           └─ done ─▶ OnSuccess ───────────────────────────────────▶▲
//! ```

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::event::Event;
use super::record::{Condition, Ended, Response};
use super::{Pollers, lines};
use crate::clock;
use crate::function::{Entry, EventInvoke, Function};
use crate::queue::fair::Load;
use crate::queue::{Durability, Lease, Leased, Message, New, QueueError};
use crate::service::{Invocation, Reply};

/// Between two tries to tell a queue that does not listen what became of an event.
const PATIENCE: Duration = Duration::from_secs(1);

/// An event at work, and what is known of its function.
struct Work {
    lease: Lease,
    message: Message,
    event: Event,
    entry: Arc<Entry>,
    config: EventInvoke,
}

impl Pollers {
    /// Runs an event, or tries to.
    pub(super) async fn run(&self, leased: Leased) -> Load {
        let Leased { lease, message } = leased;
        let load = match self.work(lease, message) {
            Some(work) => self.carry_out(work).await,
            // Its function is gone, and so is whoever could want it.
            None => {
                self.settle(lease, Vec::new()).await;
                Load::Other
            }
        };
        self.held.release(lease);
        load
    }

    fn work(&self, lease: Lease, message: Message) -> Option<Work> {
        let event = Event::read(&message).ok()?;
        let entry = self.functions.get(&event.function);
        // Another function of the same name gets nothing that was meant for this one.
        let entry = entry.filter(|entry| Event::lane(&entry.latest) == self.lane_of(lease));
        let Some(entry) = entry else {
            let line =
                format!("RequestId: {} Event dropped: its function is gone", event.request_id);
            self.say(&event.function, &line);
            return None;
        };
        let config = entry.event_invoke(event.qualifier.as_deref());
        Some(Work { lease, message, event, entry, config })
    }

    async fn carry_out(&self, work: Work) -> Load {
        let age_max_ms = self.delays.age_ms(work.config.age());
        if clock::unix_ms() >= work.message.sent_ms.saturating_add(age_max_ms) {
            self.fail(&work, Condition::EventAgeExceeded, None).await;
            return Load::Other;
        }
        if work.entry.settings.reserved_concurrency == Some(0) {
            self.fail(&work, Condition::ZeroReservedConcurrency, None).await;
            return Load::Other;
        }
        let latest = &work.entry.latest;
        if work.event.trace().ends_at(latest.id, work.entry.settings.recursive_loop) {
            self.fail(&work, Condition::RecursiveLoop, None).await;
            return Load::Other;
        }
        let random = Uuid::new_v4().as_u128() as u32;
        let function = match work.event.qualifier.as_deref() {
            None => Some(latest),
            Some(qualifier) => work.entry.route(qualifier, random),
        };
        // A version or an alias may come back, until the event is too old.
        let Some(function) = function else {
            self.refuse(work, random, "its version or alias is gone").await;
            return Load::Other;
        };
        let reply = self.service.invoke(self.invocation(&work, function)).await;
        let why = reply.why_not_run().unwrap_or_default();
        match reply {
            Reply::Done { payload, is_error, .. } => {
                let response = Response { version: function.version, is_error, payload };
                self.done(work, response).await;
                Load::Ran
            }
            Reply::Throttled => {
                self.refuse(work, random, &why).await;
                Load::NoRoom
            }
            Reply::OverReserved | Reply::HostFailed(_) => {
                self.refuse(work, random, &why).await;
                Load::Other
            }
            Reply::Stopping => {
                self.give_back(&work).await;
                Load::Other
            }
        }
    }

    fn invocation(&self, work: &Work, function: &Arc<Function>) -> Invocation {
        let event = &work.event;
        let qualifier = event.qualifier.as_deref();
        Invocation {
            request_id: event.request_id.clone(),
            function: Arc::clone(function),
            function_arn: self.service.identity.qualified_arn(&event.function, qualifier),
            payload: work.message.body.clone(),
            client_context: event.client_context.clone(),
            trace: event.trace(),
        }
    }

    /// The function has run.
    async fn done(&self, mut work: Work, response: Response) {
        if response.is_error {
            work.event.failures += 1;
            let failures = work.event.failures;
            if failures > work.config.retries() {
                return self.fail(&work, Condition::RetriesExhausted, Some(response)).await;
            }
            let delay_ms = self.delays.after_error_ms(failures);
            let runs = work.event.runs(work.message.leases);
            let line = lines::failed(&work.event.request_id, runs, delay_ms);
            self.say(&work.event.function, &line);
            return self.retry(&work, delay_ms).await;
        }
        let on_success = work.config.on_success.clone();
        self.end(&work, Condition::Success, Some(response), on_success).await;
    }

    async fn fail(&self, work: &Work, condition: Condition, response: Option<Response>) {
        self.end(work, condition, response, work.config.on_failure.clone()).await;
    }

    /// The event is over: whoever wants to know is told in the same moment as it goes.
    async fn end(
        &self,
        work: &Work,
        condition: Condition,
        response: Option<Response>,
        destination: Option<String>,
    ) {
        let was_run = response.is_some();
        let runs = work.event.runs(work.message.leases).saturating_sub(u32::from(!was_run));
        let request = &work.message.body;
        let ended = Ended { event: &work.event, condition, runs, request, response };
        let told = destination.as_deref().and_then(|arn| self.told(arn, &ended));
        let named = work.event.qualifier.as_deref().and_then(|one| work.entry.find(one));
        let function = named.unwrap_or(&work.entry.latest);
        let letters = function.configuration.dead_letter.as_deref();
        let letters = letters.filter(|_| condition != Condition::Success);
        let dead_letter = letters.and_then(|arn| self.dead_letter(arn, &ended));
        if condition != Condition::Success {
            let destination = destination.as_deref().filter(|_| told.is_some());
            let letters = letters.filter(|_| dead_letter.is_some());
            self.say(&work.event.function, &lines::given_up(&ended, destination, letters));
        }
        self.settle(work.lease, told.into_iter().chain(dead_letter).collect()).await;
    }

    /// It could not be run. The log says so the first time, and not each time of a flood that waits for room.
    async fn refuse(&self, mut work: Work, random: u32, why: &str) {
        work.event.refusals += 1;
        let delay_ms = self.delays.after_refusal_ms(work.event.refusals, random);
        if work.event.refusals == 1 {
            self.say(&work.event.function, &lines::refused(&work.event.request_id, why, delay_ms));
        }
        self.retry(&work, delay_ms).await;
    }

    /// The platform goes down: the next one runs it, at once.
    async fn give_back(&self, work: &Work) {
        let event = Event { refusals: work.event.refusals + 1, ..work.event.clone() };
        self.retry_at(work.lease, clock::unix_ms(), event.head()).await;
    }

    async fn retry(&self, work: &Work, delay_ms: i64) {
        let expires_ms = work.message.sent_ms + self.delays.age_ms(work.config.age());
        // Whoever waits for its end waits no longer than it may live.
        let due_ms = clock::unix_ms().saturating_add(delay_ms).min(expires_ms);
        self.retry_at(work.lease, due_ms, work.event.head()).await;
    }

    async fn retry_at(&self, lease: Lease, due_ms: i64, head: String) {
        self.insist(|| {
            let head = head.clone();
            self.queue.work(Durability::Power, move |engine| engine.retry(lease, due_ms, &head))
        })
        .await;
        self.queue.ring(&self.lane_of(lease));
    }

    async fn settle(&self, lease: Lease, follows: Vec<(String, New)>) {
        self.insist(|| self.queue.settle(lease, follows.clone())).await;
    }

    /// Says it to the queue until that listens: a full disk is no reason to run an event twice. The lease is renewed
    /// meanwhile; if it is lost, there is nothing left to say.
    async fn insist<F: Future<Output = Result<bool, QueueError>>>(
        &self,
        mut say: impl FnMut() -> F,
    ) {
        while let Err(QueueError::Engine(_)) = say().await {
            tokio::time::sleep(PATIENCE).await;
        }
    }
}
