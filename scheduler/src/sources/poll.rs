//! One mapping at work: from its queue, batch by batch, to its function.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::filter::Pattern;
use super::mapping::Mapping;
use super::pace::{Outcome, Pace};
use super::{Sources, event};
use crate::clock;
use crate::queue::{Durability, Lease, Leased, QueueError, Wanted};
use crate::service::{Invocation, Reply, Trace};
use crate::sqs::{Definition, Envelope};

/// Batches at work at once where nothing is said: what Lambda begins with.
const CONCURRENCY: u32 = 5;
/// Largest event: what a synchronous invocation takes.
const EVENT_BYTES_MAX: usize = 6 << 20;
/// How long to leave alone a queue that is not there, or does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Why messages come again that a function has run on.
const REPORTED: &str = "the function says that they failed";
const NO_ANSWER: &str = "what the function says of failures names no messages of the batch";
/// Longest wait for a message, so that a clock that was set is noticed.
const WAIT_MAX: Duration = Duration::from_secs(10);

impl Sources {
    /// Works until it is told to stop, and until what it has taken is done.
    pub(super) async fn poll(
        self: Arc<Sources>,
        mapping: Arc<Mapping>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut batches = JoinSet::new();
        let mut pace = Pace::default();
        let heard = |pace: &mut Pace, ended: Result<Outcome, JoinError>| {
            let random = Uuid::new_v4().as_u128() as u32;
            pace.heard(ended.unwrap_or(Outcome::Refused), self.delays, random, Instant::now());
        };
        let concurrency = mapping.concurrency_max.unwrap_or(CONCURRENCY) as usize;
        while !*stopping.borrow() {
            while let Some(ended) = batches.try_join_next() {
                heard(&mut pace, ended);
            }
            let rests = pace.rests(Instant::now());
            if rests.is_some() || batches.len() >= concurrency {
                tokio::select! {
                    Some(ended) = batches.join_next() => heard(&mut pace, ended),
                    () = tokio::time::sleep_until(rests.unwrap_or_else(Instant::now)), if rests.is_some() => {}
                    _ = stopping.changed() => {}
                }
                continue;
            }
            let taken = tokio::select! {
                taken = self.gather(&mapping) => taken,
                // What was taken and not begun is visible again when its time-out ends.
                _ = stopping.changed() => break,
            };
            match taken {
                Ok(Some((queue, batch))) => {
                    let (sources, mapping) = (Arc::clone(&self), Arc::clone(&mapping));
                    batches.spawn(async move { sources.run(&mapping, &queue, batch).await });
                }
                Ok(None) | Err(_) => tokio::time::sleep(PATIENCE).await,
            }
        }
        while batches.join_next().await.is_some() {}
    }

    /// Waits for a batch: a full one, or what has come within the window behind its first message. `None` where there
    /// is no queue.
    async fn gather(
        &self,
        mapping: &Mapping,
    ) -> Result<Option<(Arc<Definition>, Vec<Leased>)>, QueueError> {
        let window = Duration::from_secs(mapping.window_s.into());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut deadline: Option<Instant> = None;
        loop {
            let Some(queue) = self.queues.get(&mapping.queue) else { return Ok(None) };
            let lane = queue.lane();
            let bell = self.queues.queue.bell(&lane);
            let heard = bell.listen();
            let now_ms = clock::unix_ms();
            let leased = self.lease(&queue, mapping.batch_size - batch.len(), now_ms).await?;
            bytes += leased.iter().map(|one| one.message.body.len()).sum::<usize>();
            batch.extend(leased);
            let is_full = batch.len() >= mapping.batch_size || bytes >= EVENT_BYTES_MAX / 2;
            if !batch.is_empty() {
                let until = *deadline.get_or_insert_with(|| Instant::now() + window);
                if is_full || Instant::now() >= until {
                    return Ok(Some((queue, batch)));
                }
            }
            let wait = self.queues.visible(&queue, now_ms, WAIT_MAX).await?;
            let until = deadline.map_or(wait, |deadline| deadline.min(wait));
            tokio::select! {
                () = heard => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn lease(
        &self,
        queue: &Definition,
        count: usize,
        now_ms: i64,
    ) -> Result<Vec<Leased>, QueueError> {
        let wanted = Wanted {
            lane: queue.lane(),
            // Each is up to 1 MiB: few at a time.
            count: count.min(10),
            now_ms,
            until_ms: now_ms + 1000 * i64::from(queue.attributes.visibility_s),
            token: Uuid::new_v4().as_u64_pair().1,
            in_order: queue.attributes.is_fifo,
            leases_max: self.queues.dead_letters(queue),
        };
        self.queues.lease(wanted).await
    }

    /// Runs the function on a batch. What has failed becomes visible again when its time-out ends.
    async fn run(&self, mapping: &Mapping, queue: &Definition, batch: Vec<Leased>) -> Outcome {
        let identity = &self.service.identity;
        let patterns: Vec<Pattern> =
            mapping.filters.iter().filter_map(|text| Pattern::parse(text)).collect();
        let batch = self.without_loops(mapping, batch);
        let records = batch.iter().map(|one| (one, event::record(identity, queue, one)));
        let is_wanted =
            |record: &Value| patterns.is_empty() || patterns.iter().any(|one| one.fits(record));
        let (wanted, passed): (Vec<_>, Vec<_>) = records.partition(|(_, record)| is_wanted(record));
        self.complete(passed.iter().map(|(one, _)| one.lease).collect()).await;
        if wanted.is_empty() {
            return Outcome::Passed;
        }
        let ids: Vec<String> =
            wanted.iter().map(|(one, _)| Envelope::of(&one.message).id).collect();
        let records: Vec<&Value> = wanted.iter().map(|(_, record)| record).collect();
        let payload = json!({ "Records": records }).to_string().into();
        let trace = Trace::join(wanted.iter().map(|(one, _)| trace_of(one)));
        let request_id = Uuid::new_v4().to_string();
        let failed = match self.invoke(mapping, &request_id, payload, trace).await {
            Err(why) => Err(why),
            Ok(_) if !mapping.reports_failures => Ok(BTreeSet::new()),
            Ok(response) => {
                let ids = ids.iter().map(String::as_str).collect();
                event::failures(&response, &ids).ok_or_else(|| NO_ANSWER.to_owned())
            }
        };
        let count = failed.as_ref().map_or(ids.len(), BTreeSet::len);
        if count > 0 {
            let why = failed.as_ref().map_or_else(String::as_str, |_| REPORTED);
            let queue = queue.arn(identity);
            let line = format!("{count} of {} messages of {queue} come again: {why}", ids.len());
            let line = format!("RequestId: {request_id} {line}");
            self.logs.say_of_events(&self.functions.log_of(&mapping.function), &line);
        }
        let Ok(failed) = failed else { return Outcome::Refused };
        let done = wanted.iter().zip(&ids).filter(|(_, id)| !failed.contains(*id));
        self.complete(done.map(|((one, _), _)| one.lease).collect()).await;
        self.queues.queue.ring(&queue.lane());
        Outcome::Worked
    }

    /// The messages that may be run: what has led to others has invoked the function too often. They become visible again,
    /// until the queue has them as dead letters, or keeps them no longer.
    fn without_loops(&self, mapping: &Mapping, mut batch: Vec<Leased>) -> Vec<Leased> {
        let Some(entry) = self.functions.get(&mapping.function) else { return batch };
        batch.retain(|one| {
            let is_loop = trace_of(one).ends_at(entry.latest.id, entry.settings.recursive_loop);
            if is_loop {
                let id = Envelope::of(&one.message).id;
                let line = "is part of a recursive loop, which ends here";
                let line = format!("Message: {id} of queue {} {line}", mapping.queue);
                self.logs.say_of_events(&self.functions.log_of(&mapping.function), &line);
            }
            !is_loop
        });
        batch
    }

    /// What the function answers, or why it did not.
    async fn invoke(
        &self,
        mapping: &Mapping,
        request_id: &str,
        payload: bytes::Bytes,
        trace: Trace,
    ) -> Result<bytes::Bytes, String> {
        let entry = self.functions.get(&mapping.function).ok_or("the function is gone")?;
        let qualifier = mapping.qualifier.as_deref();
        let random = Uuid::new_v4().as_u128() as u32;
        let function = match qualifier {
            None => &entry.latest,
            Some(qualifier) => {
                entry.route(qualifier, random).ok_or("its version or alias is gone")?
            }
        };
        let invocation = Invocation {
            request_id: request_id.to_owned(),
            function: Arc::clone(function),
            function_arn: self.service.identity.qualified_arn(&mapping.function, qualifier),
            payload,
            client_context: None,
            trace,
        };
        match self.service.invoke(invocation).await {
            Reply::Done { payload, is_error: false, .. } => Ok(payload),
            Reply::Done { .. } => Err("the function failed".into()),
            other => Err(other.why_not_run().unwrap_or_default()),
        }
    }

    /// Removes messages that are done with. Where that fails they come again.
    async fn complete(&self, leases: Vec<Lease>) {
        let work = self.queues.queue.work(Durability::Power, move |engine| {
            leases.iter().try_for_each(|lease| engine.complete(*lease).map(drop))
        });
        let _ = work.await;
    }
}

/// What has led to a message.
fn trace_of(leased: &Leased) -> Trace {
    Envelope::of(&leased.message).trace.as_deref().map(Trace::read).unwrap_or_default()
}
