//! Where records of events go: from an ARN to a message in a queue.

use uuid::Uuid;

use super::Pollers;
use super::event::{Event, HOPS_MAX};
use super::record::Ended;
use crate::clock;
use crate::queue::New;
use crate::service::Identity;

/// What an ARN of ours names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A function, and its qualifier.
    Function(&'a str, Option<&'a str>),
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
            _ => None,
        }
    }
}

impl Pollers {
    /// The message that tells the destination `arn` of an event's end, if there is such a one. Where there is not, the
    /// function's log says why.
    pub(super) fn told(&self, arn: &str, ended: &Ended<'_>) -> Option<(String, New)> {
        let identity = &self.service.identity;
        let now_ms = clock::unix_ms();
        let event = ended.event;
        let refused = |why: &str| {
            let line = format!("RequestId: {} Error: destination {arn} {why}", event.request_id);
            self.say(&event.function, &line);
            None
        };
        match Target::parse(identity, arn) {
            Some(Target::Function(name, qualifier)) => {
                let Some(entry) = self.functions.get(name) else { return refused("is gone") };
                if event.hops >= HOPS_MAX {
                    return refused("is part of a recursive loop, which ends here");
                }
                let next = Event {
                    request_id: Uuid::new_v4().to_string(),
                    function: name.to_owned(),
                    qualifier: qualifier.map(Into::into),
                    hops: event.hops + 1,
                    ..Event::default()
                };
                let message = next.message(ended.record(identity, now_ms), now_ms);
                Some((Event::lane(&entry.latest), message))
            }
            None => refused("is none of this platform's"),
        }
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
