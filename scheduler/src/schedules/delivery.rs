//! A run on its way to its target: until it is there, or given up.
//!
//! ```text
//!   run ─▶ attempt ─┬─ there is such a target ─▶ its queue of events, its queue of messages
//!            ▲      ├─ not now ─┬─ a retry is left ─▶ LANE, due in 1 s … 5 min ─┐
//!            │      │           └─ none, or too old ─▶ dead letters             │
//!            │      └─ never ──────────────────────▶ dead letters               │
//!            └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Each arrow is a message, which is written in the same moment as what it comes from goes. What a function makes of its
//! event is not of interest here: it is an asynchronous invocation as any other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::notice::time;
use super::plan::Fired;
use super::schedule::{Schedule, Target};
use crate::poller::{EVENT_BYTES_MAX, Event, Target as Place};
use crate::queue::retry::Delays;
use crate::queue::{Message, New};
use crate::service::Identity;
use crate::sqs::{Attribute, Definition, Envelope, Queues, is_sendable, name_of_content};
use crate::store::FunctionStore;

/// Where deliveries wait that are to be tried again.
pub(super) const LANE: &str = "schedule/retries";

/// What is known of a delivery besides the target's input, which is the message's body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Delivery {
    pub(super) schedule_arn: String,
    /// Without its input.
    pub(super) target: Target,
    pub(super) scheduled_ms: i64,
    pub(super) due_ms: i64,
    pub(super) execution_id: String,
    /// From 1 on.
    pub(super) attempt: u32,
}

/// Why a delivery has failed.
struct Failure {
    code: &'static str,
    message: String,
    /// Whether it makes no sense to try again.
    is_final: bool,
}

/// Who knows the targets.
pub(super) struct Courier {
    pub(super) identity: Identity,
    pub(super) functions: Arc<FunctionStore>,
    pub(super) queues: Arc<Queues>,
    pub(super) delays: Delays,
}

impl Delivery {
    fn read(message: &Message) -> Option<Delivery> {
        serde_json::from_str(&message.head).ok()
    }

    fn head(&self) -> String {
        serde_json::to_string(self).expect("text and numbers are JSON")
    }

    /// One that failed at its only attempt to be in time.
    fn age_exceeded() -> Failure {
        let message = "The run was missed, and is older than MaximumEventAgeInSeconds.".into();
        Failure { code: "EventAgeExceeded", message, is_final: false }
    }
}

impl Failure {
    fn not_now(code: &'static str, message: String) -> Failure {
        Failure { code, message, is_final: false }
    }

    fn never(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), is_final: true }
    }
}

impl Courier {
    /// What follows from a run that is due: a message, and the queue that it is for.
    pub(super) fn first(
        &self,
        schedule: &Schedule,
        fired: Fired,
        now_ms: i64,
    ) -> Option<(String, New)> {
        let input = schedule.target.input.clone().unwrap_or_default();
        let delivery = Delivery {
            schedule_arn: self.identity.schedule_arn(&schedule.group, &schedule.name),
            target: Target { input: None, ..schedule.target.clone() },
            scheduled_ms: fired.run.scheduled_ms,
            due_ms: fired.run.due_ms,
            execution_id: schedule.execution_id(fired.run),
            attempt: 1,
        };
        match fired.is_too_old {
            true => self.give_up(&delivery, &input, &Delivery::age_exceeded(), now_ms),
            false => self.attempt(&delivery, &input, now_ms),
        }
    }

    /// What follows from a delivery that is tried again.
    pub(super) fn again(&self, message: &Message, now_ms: i64) -> Option<(String, New)> {
        let mut delivery = Delivery::read(message)?;
        delivery.attempt = delivery.attempt.saturating_add(1);
        self.attempt(&delivery, str::from_utf8(&message.body).ok()?, now_ms)
    }

    fn attempt(&self, delivery: &Delivery, input: &str, now_ms: i64) -> Option<(String, New)> {
        let failure = match self.deliver(delivery, input, now_ms) {
            Ok(delivered) => return Some(delivered),
            Err(failure) => failure,
        };
        let is_last = failure.is_final || delivery.attempt > delivery.target.retries_max;
        if is_last || now_ms >= self.expires_ms(delivery) {
            return self.give_up(delivery, input, &failure, now_ms);
        }
        let random = Uuid::new_v4().as_u128() as u32;
        let delay_ms = self.delays.after_refusal_ms(delivery.attempt, random);
        let due_ms = now_ms.saturating_add(delay_ms).min(self.expires_ms(delivery));
        let body = Bytes::copy_from_slice(input.as_bytes());
        Some((LANE.into(), New { due_ms, ..New::now(delivery.head(), body, now_ms) }))
    }

    fn expires_ms(&self, delivery: &Delivery) -> i64 {
        let age = Duration::from_secs(delivery.target.age_max_s.into());
        delivery.due_ms.saturating_add(self.delays.age_ms(age))
    }

    fn deliver(
        &self,
        delivery: &Delivery,
        input: &str,
        now_ms: i64,
    ) -> Result<(String, New), Failure> {
        let payload = self.payload(delivery, input);
        let arn = &delivery.target.arn;
        match Place::parse(&self.identity, arn) {
            Some(Place::Function(name, qualifier)) => {
                self.event(name, qualifier, arn, payload, now_ms)
            }
            Some(Place::Queue(name)) => self.message(name, delivery, payload, now_ms),
            None => Err(Failure::never("ValidationException", format!("{arn} can't be called."))),
        }
    }

    fn payload(&self, delivery: &Delivery, input: &str) -> Bytes {
        delivery.payload(&self.identity, Some(input).filter(|input| !input.is_empty()))
    }

    /// An asynchronous invocation.
    fn event(
        &self,
        name: &str,
        qualifier: Option<&str>,
        arn: &str,
        payload: Bytes,
        now_ms: i64,
    ) -> Result<(String, New), Failure> {
        let entry = self.functions.get(name);
        let is_there =
            |qualifier| entry.as_ref().is_some_and(|entry| entry.find(qualifier).is_some());
        let Some(entry) = entry.as_ref().filter(|_| qualifier.is_none_or(is_there)) else {
            let message = format!("Function not found: {arn}");
            return Err(Failure::not_now("ResourceNotFoundException", message));
        };
        if payload.len() > EVENT_BYTES_MAX {
            let message = format!("An event has at most {EVENT_BYTES_MAX} bytes.");
            return Err(Failure::never("RequestTooLargeException", message));
        }
        let event = Event {
            request_id: Uuid::new_v4().to_string(),
            function: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
            ..Event::default()
        };
        Ok((Event::lane(&entry.latest), event.message(payload, now_ms)))
    }

    fn message(
        &self,
        name: &str,
        delivery: &Delivery,
        payload: Bytes,
        now_ms: i64,
    ) -> Result<(String, New), Failure> {
        let queue = self.queues.get(name).ok_or_else(|| {
            let message = format!("Queue not found: {}", delivery.target.arn);
            Failure::not_now("QueueDoesNotExist", message)
        })?;
        let attributes = &queue.attributes;
        if payload.len() > attributes.message_bytes_max as usize {
            let message = format!("A message has at most {} bytes.", attributes.message_bytes_max);
            return Err(Failure::never("InvalidParameterValue", message));
        }
        if !str::from_utf8(&payload).is_ok_and(is_sendable) {
            return Err(Failure::never(
                "InvalidMessageContents",
                "The input has characters that no message may have.",
            ));
        }
        let mut envelope = Envelope::new(BTreeMap::new());
        let mut group = None;
        if attributes.is_fifo {
            if !attributes.is_deduplicated_by_content {
                let message = "The queue has no ContentBasedDeduplication.".to_owned();
                return Err(Failure::not_now("InvalidParameterValue", message));
            }
            group = Some(delivery.target.message_group.clone().unwrap_or_default());
            envelope.name = Some(name_of_content(&payload));
        }
        Ok((queue.lane(), envelope.message(&queue, payload, group, None, now_ms)))
    }

    /// The dead letter, where somebody wants it and there is such a queue (EventBridge Scheduler user guide, "Configuring a
    /// dead-letter queue").
    fn give_up(
        &self,
        delivery: &Delivery,
        input: &str,
        failure: &Failure,
        now_ms: i64,
    ) -> Option<(String, New)> {
        let arn = delivery.target.dead_letters.as_deref()?;
        let Some(Place::Queue(name)) = Place::parse(&self.identity, arn) else { return None };
        let queue = self.queues.get(name).filter(|queue| !queue.attributes.is_fifo)?;
        let (body, is_truncated) = letter(&queue, self.payload(delivery, input));
        let exhausted = match now_ms >= self.expires_ms(delivery) {
            _ if failure.is_final => None,
            true => Some("MaximumEventAgeInSeconds"),
            false => Some("MaximumRetryAttempts"),
        };
        let attributes = [
            ("ERROR_CODE", Some(failure.code.to_owned())),
            ("ERROR_MESSAGE", Some(failure.message.clone())),
            ("EXECUTION_ID", Some(delivery.execution_id.clone())),
            ("EXHAUSTED_RETRY_CONDITION", exhausted.map(str::to_owned)),
            ("IS_PAYLOAD_TRUNCATED", Some(is_truncated.to_string())),
            ("RETRY_ATTEMPTS", Some(delivery.attempt.saturating_sub(1).to_string())),
            ("SCHEDULED_TIME", Some(time(delivery.scheduled_ms))),
            ("SCHEDULE_ARN", Some(delivery.schedule_arn.clone())),
            ("TARGET_ARN", Some(delivery.target.arn.clone())),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| {
            let attribute =
                Attribute { data_type: "String".into(), string: Some(value?), binary: None };
            Some((name.to_owned(), attribute))
        });
        let message = Envelope::new(attributes.collect()).message(&queue, body, None, None, now_ms);
        Some((queue.lane(), message))
    }
}

/// As much of a payload as a queue takes, and whether that is less than all.
fn letter(queue: &Definition, payload: Bytes) -> (Bytes, bool) {
    let bytes_max = queue.attributes.message_bytes_max as usize;
    match str::from_utf8(&payload) {
        Ok(text) if text.len() > bytes_max => {
            (payload.slice(..text.floor_char_boundary(bytes_max)), true)
        }
        _ => (payload, false),
    }
}
