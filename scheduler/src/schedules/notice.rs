//! What a target gets: the schedule's Input with its context attributes filled in, or else a notification that says
//! which schedule it is (EventBridge Scheduler user guide, "Adding context attributes").

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::delivery::Delivery;
use crate::service::Identity;

/// Begins the words that are replaced.
const WORDS: &str = "<aws.scheduler.";

impl Delivery {
    /// What the target gets at this attempt.
    pub(super) fn payload(&self, identity: &Identity, input: Option<&str>) -> Bytes {
        match input {
            Some(input) => self.filled(input).into(),
            None => self.notification(identity).into(),
        }
    }

    fn filled(&self, input: &str) -> String {
        if !input.contains(WORDS) {
            return input.to_owned();
        }
        input
            .replace("<aws.scheduler.schedule-arn>", &self.schedule_arn)
            .replace("<aws.scheduler.scheduled-time>", &time(self.scheduled_ms))
            .replace("<aws.scheduler.execution-id>", &self.execution_id)
            .replace("<aws.scheduler.attempt-number>", &self.attempt.to_string())
    }

    fn notification(&self, identity: &Identity) -> String {
        let notification = json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": identity.account,
            "time": time(self.scheduled_ms),
            "region": identity.region,
            "resources": [self.schedule_arn],
            "detail": "{}",
        });
        notification.to_string()
    }
}

/// `2022-03-22T18:59:43Z`.
pub(super) fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            schedule_arn: "arn:s".into(),
            scheduled_ms: 1_647_975_583_999,
            execution_id: "0123456789abcdef".into(),
            attempt: 2,
            ..Delivery::default()
        }
    }

    #[test]
    fn words_are_replaced_wherever_they_stand() {
        let input = r#"{"<aws.scheduler.schedule-arn>":["<aws.scheduler.scheduled-time>",
            "<aws.scheduler.execution-id> <aws.scheduler.attempt-number> <aws.scheduler.other>"]}"#;
        let payload = delivery().payload(&Identity::default(), Some(input));
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let wanted = json!({ "arn:s": ["2022-03-22T18:59:43Z", "0123456789abcdef 2 <aws.scheduler.other>"] });
        assert_eq!(payload, wanted);
        let plain = delivery().payload(&Identity::default(), Some("a < b"));
        assert_eq!(plain, "a < b");
    }

    #[test]
    fn without_input_there_is_a_notification() {
        let payload = delivery().payload(&Identity::default(), None);
        let mut payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["id"].take().as_str().unwrap().len(), 36);
        let wanted = json!({
            "version": "0", "id": null, "detail-type": "Scheduled Event", "source": "aws.scheduler",
            "account": "000000000000", "time": "2022-03-22T18:59:43Z", "region": "us-east-1",
            "resources": ["arn:s"], "detail": "{}",
        });
        assert_eq!(payload, wanted);
    }
}
