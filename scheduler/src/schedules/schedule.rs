//! What a schedule is, as it is kept.

use serde::{Deserialize, Serialize};

use super::expression::{Expression, Timetable, Zone};

/// A schedule, limits checked. Times are ms since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Schedule {
    /// A UUID: another one of the same name is another.
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// As it came.
    pub(crate) expression: String,
    /// The zone's IANA name.
    pub(crate) zone: String,
    pub(crate) start_ms: Option<i64>,
    pub(crate) end_ms: Option<i64>,
    /// How long after its time a run may be, minutes, where that is left to us.
    pub(crate) window_min: Option<u32>,
    pub(crate) is_enabled: bool,
    /// Whether it goes with its last run.
    pub(crate) goes_when_done: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) target: Target,
    /// Of the request that made it.
    pub(crate) client_token: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    /// The first run of a rate.
    pub(crate) anchor_ms: i64,
    /// The time of the last run; nothing runs twice for the same.
    pub(crate) last_ms: Option<i64>,
    /// The next run, of one that is enabled and not done.
    pub(crate) next: Option<Run>,
}

/// What a schedule calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Target {
    /// Of a function, which may be qualified, or a queue.
    pub(crate) arn: String,
    pub(crate) role: String,
    /// What it gets, as it came.
    pub(crate) input: Option<String>,
    /// The message group, for a FIFO queue.
    pub(crate) message_group: Option<String>,
    /// How often a delivery that failed is tried again, 0 to 185 times.
    pub(crate) retries_max: u32,
    /// How old a run may become until it is delivered, 60 to 86,400 s.
    pub(crate) age_max_s: u32,
    /// The ARN of the queue that gets what could not be delivered.
    pub(crate) dead_letters: Option<String>,
}

/// A run to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The time that the expression names.
    pub(crate) scheduled_ms: i64,
    /// When it is to be: within the window behind that.
    pub(crate) due_ms: i64,
}

impl Schedule {
    /// What it is kept by; its group's come before it, with this before the name.
    pub(crate) fn key(group: &str, name: &str) -> String {
        format!("{group}/{name}")
    }

    /// When its runs are; `None` where its texts make no sense any more.
    pub(crate) fn timetable(&self) -> Option<Timetable> {
        Some(Timetable {
            expression: Expression::parse(&self.expression).ok()?,
            zone: Zone::find(&self.zone)?,
            anchor_ms: self.anchor_ms,
            start_ms: self.start_ms,
            end_ms: self.end_ms,
        })
    }
}
