//! Where records of events go: from an ARN to a message in a queue.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::Pollers;
use super::event::Event;
use super::record::Ended;
use crate::clock;
use crate::queue::New;
use crate::service::{Identity, Trace};
use crate::sqs::{Attribute, Envelope};

/// What an ARN of ours names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A function, and its qualifier.
    Function(&'a str, Option<&'a str>),
    /// A queue.
    Queue(&'a str),
}

impl<'a> Target<'a> {
    /// Reads an ARN; `None` where it is no destination of this platform's.
    pub(crate) fn parse(identity: &Identity, arn: &'a str) -> Option<Target<'a>> {
        let parts: Vec<&str> = arn.splitn(9, ':').collect();
        let (["arn", _, service, region, account], rest) = parts.split_at_checked(5)? else {
            return None;
        };
        if *region != identity.region || *account != identity.account {
            return None;
        }
        match (*service, rest) {
            ("lambda", ["function", name]) => Some(Target::Function(name, None)),
            ("lambda", ["function", name, qualifier]) => {
                Some(Target::Function(name, Some(qualifier)))
            }
            ("sqs", [name]) => Some(Target::Queue(name)),
            _ => None,
        }
    }
}

impl Pollers {
    /// The message that tells the destination `arn` of an event's end, if there is such a one. Where there is not, the
    /// function's log says why.
    pub(super) fn told(&self, arn: &str, ended: &Ended<'_>) -> Option<(String, New)> {
        let told = match Target::parse(&self.service.identity, arn) {
            Some(Target::Function(name, qualifier)) => self.next(name, qualifier, ended),
            Some(Target::Queue(name)) => {
                let record = || ended.record(&self.service.identity, clock::unix_ms());
                self.queued(name, BTreeMap::new(), record, &self.onward(ended))
            }
            None => Err("is none of this platform's"),
        };
        self.or_say(arn, ended, told)
    }

    /// The event itself, for the queue `arn` of dead letters.
    pub(super) fn dead_letter(&self, arn: &str, ended: &Ended<'_>) -> Option<(String, New)> {
        let told = match Target::parse(&self.service.identity, arn) {
            Some(Target::Queue(name)) => {
                let trace = self.onward(ended);
                self.queued(name, ended.attributes(), || ended.request.clone(), &trace)
            }
            _ => Err("is no queue of this platform's"),
        };
        self.or_say(arn, ended, told)
    }

    /// An event for a function, which knows what led to it.
    fn next(
        &self,
        name: &str,
        qualifier: Option<&str>,
        ended: &Ended<'_>,
    ) -> Result<(String, New), &'static str> {
        let entry = self.functions.get(name).ok_or("is gone")?;
        let trace = self.onward(ended);
        if trace.ends_at(entry.latest.id, entry.settings.recursive_loop) {
            return Err("is part of a recursive loop, which ends here");
        }
        let next = Event {
            request_id: Uuid::new_v4().to_string(),
            function: name.to_owned(),
            qualifier: qualifier.map(Into::into),
            trace: trace.to_string(),
            ..Event::default()
        };
        let now_ms = clock::unix_ms();
        let record = ended.record(&self.service.identity, now_ms);
        Ok((Event::lane(&entry.latest), next.message(record, now_ms)))
    }

    /// The trace of what follows from an event.
    fn onward(&self, ended: &Ended<'_>) -> Trace {
        let trace = ended.event.trace();
        match self.functions.get(&ended.event.function) {
            Some(entry) => trace.enter(entry.latest.id),
            None => trace,
        }
    }

    fn queued(
        &self,
        name: &str,
        attributes: BTreeMap<String, Attribute>,
        body: impl FnOnce() -> Bytes,
        trace: &Trace,
    ) -> Result<(String, New), &'static str> {
        let queue = self.queues.get(name).ok_or("is gone")?;
        if queue.attributes.is_fifo {
            return Err("is a FIFO queue, which takes no records");
        }
        let trace = Some(trace.to_string()).filter(|trace| !trace.is_empty());
        let envelope = Envelope { trace, ..Envelope::new(attributes) };
        let message = envelope.message(&queue, body(), None, None, clock::unix_ms());
        Ok((queue.lane(), message))
    }

    fn or_say(
        &self,
        arn: &str,
        ended: &Ended<'_>,
        told: Result<(String, New), &'static str>,
    ) -> Option<(String, New)> {
        let event = ended.event;
        let say = |why: &&str| {
            let line = format!("RequestId: {} Error: destination {arn} {why}", event.request_id);
            self.say(&event.function, &line);
        };
        told.inspect_err(say).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arns_of_this_platform_are_destinations() {
        let identity = Identity::default();
        let arn = identity.function_arn("f");
        let qualified = format!("{arn}:1");
        let parse = |arn| Target::parse(&identity, arn);
        assert_eq!(parse(&arn), Some(Target::Function("f", None)));
        assert_eq!(parse(&qualified), Some(Target::Function("f", Some("1"))));
        let queue = identity.queue_arn("q");
        assert_eq!(parse(&queue), Some(Target::Queue("q")));
        for none in [
            "",
            "f",
            "arn:aws:lambda:us-east-1:000000000000:function",
            "arn:aws:lambda:us-east-1:000000000000:function:f:1:2",
            "arn:aws:lambda:eu-west-1:000000000000:function:f",
            "arn:aws:lambda:us-east-1:111111111111:function:f",
            "arn:aws:sns:us-east-1:000000000000:t",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
