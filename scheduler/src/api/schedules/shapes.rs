//! What clients send of a schedule, checked, and what they are told of one.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::check;
use super::error::ScheduleError;
use super::target::{self, TargetInput};
use crate::schedules::expression::{Expression, Zone};
use crate::schedules::{DEFAULT_GROUP, START_PAST_MAX_MS, Schedule};
use crate::service::Identity;

/// Dates that a calendar has, s.
const DATE_S_MAX: f64 = 253_402_207_200.0;

/// CreateScheduleInput, UpdateScheduleInput.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleInput {
    group_name: Option<String>,
    schedule_expression: Option<String>,
    /// s since 1970.
    start_date: Option<f64>,
    end_date: Option<f64>,
    description: Option<String>,
    schedule_expression_timezone: Option<String>,
    state: Option<String>,
    kms_key_arn: Option<String>,
    target: Option<TargetInput>,
    flexible_time_window: Option<FlexibleTimeWindow>,
    client_token: Option<String>,
    action_after_completion: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FlexibleTimeWindow {
    mode: Option<String>,
    maximum_window_in_minutes: Option<i64>,
}

impl ScheduleInput {
    /// A schedule that has no times yet, limits checked.
    ///
    /// # Errors
    /// ValidationException, about the first thing that is wrong.
    pub(super) fn schedule(
        self,
        identity: &Identity,
        name: String,
    ) -> Result<Schedule, ScheduleError> {
        check::name(&name, "name")?;
        let group = self.group_name.unwrap_or_else(|| DEFAULT_GROUP.into());
        check::name(&group, "groupName")?;
        if let Some(token) = &self.client_token {
            check::client_token(token)?;
        }
        if let Some(text) = &self.description {
            check::length(text, "description", 0..=512)?;
        }
        if let Some(arn) = &self.kms_key_arn {
            check::key_arn(arn)?;
        }
        let required = ScheduleError::missing;
        let expression = self.schedule_expression.ok_or_else(|| required("scheduleExpression"))?;
        let zone = self.schedule_expression_timezone.unwrap_or_else(|| "UTC".into());
        times(&expression, &zone)?;
        let window = self.flexible_time_window.ok_or_else(|| required("flexibleTimeWindow"))?;
        let target = self.target.ok_or_else(|| required("target"))?;
        let state = self.state.as_deref().unwrap_or("ENABLED");
        let action = self.action_after_completion.as_deref().unwrap_or("NONE");
        Ok(Schedule {
            window_min: window.minutes()?,
            start_ms: date(self.start_date, "startDate")?,
            end_ms: date(self.end_date, "endDate")?,
            is_enabled: check::one_of(state, "state", [("ENABLED", true), ("DISABLED", false)])?,
            goes_when_done: check::one_of(
                action,
                "actionAfterCompletion",
                [("NONE", false), ("DELETE", true)],
            )?,
            target: target::checked(identity, target)?,
            description: self.description,
            kms_key: self.kms_key_arn,
            client_token: self.client_token,
            group,
            name,
            expression,
            zone,
            ..Schedule::default()
        })
    }
}

impl FlexibleTimeWindow {
    fn minutes(&self) -> Result<Option<u32>, ScheduleError> {
        let mode = self.mode.as_deref();
        let mode = mode.ok_or_else(|| ScheduleError::missing("flexibleTimeWindow.mode"))?;
        let words = [("FLEXIBLE", true), ("OFF", false)];
        let is_flexible = check::one_of(mode, "flexibleTimeWindow.mode", words)?;
        match (is_flexible, self.maximum_window_in_minutes) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(ScheduleError::invalid(
                "MaximumWindowInMinutes is of a flexible time window whose mode is FLEXIBLE.",
            )),
            (true, None) => Err(ScheduleError::invalid(
                "A flexible time window whose mode is FLEXIBLE has MaximumWindowInMinutes.",
            )),
            (true, Some(minutes)) => {
                let member = "flexibleTimeWindow.maximumWindowInMinutes";
                check::within(minutes, member, 1..=1440).map(Some)
            }
        }
    }
}

/// Checks the dates of a schedule that comes new, or whose dates are not those that it had.
pub(super) fn dates(schedule: &Schedule, now_ms: i64) -> Result<(), ScheduleError> {
    if Expression::parse(&schedule.expression).is_ok_and(|expression| expression.is_once()) {
        return Ok(());
    }
    let (start_ms, end_ms) = (schedule.start_ms, schedule.end_ms);
    if start_ms.is_some_and(|start_ms| start_ms < now_ms - START_PAST_MAX_MS) {
        return Err(ScheduleError::invalid(
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ));
    }
    if end_ms.is_some_and(|end_ms| end_ms < now_ms) {
        return Err(ScheduleError::invalid("The EndDate you specify cannot be in the past."));
    }
    if end_ms.zip(start_ms).is_some_and(|(end_ms, start_ms)| end_ms < start_ms) {
        return Err(ScheduleError::invalid(
            "The EndDate you specify must come after the StartDate.",
        ));
    }
    Ok(())
}

fn times(expression: &str, zone: &str) -> Result<(), ScheduleError> {
    check::length(expression, "scheduleExpression", 1..=256)?;
    check::length(zone, "scheduleExpressionTimezone", 1..=50)?;
    Expression::parse(expression).map_err(|error| {
        ScheduleError::invalid(format!("Invalid Schedule Expression {expression}: {error}."))
    })?;
    match Zone::find(zone) {
        Some(_) => Ok(()),
        None => Err(ScheduleError::invalid(format!(
            "The provided timezone is not supported: {zone} is no name of the IANA time zone database."
        ))),
    }
}

/// ms since 1970.
fn date(seconds: Option<f64>, member: &str) -> Result<Option<i64>, ScheduleError> {
    match seconds {
        Some(seconds) if !(0.0..=DATE_S_MAX).contains(&seconds) => {
            Err(ScheduleError::constraint(&seconds.to_string(), member, "be a time from 1970 on"))
        }
        seconds => Ok(seconds.map(|seconds| (seconds * 1e3) as i64)),
    }
}

/// GetScheduleOutput.
pub(super) fn show(identity: &Identity, schedule: &Schedule) -> Value {
    let mut shown = summary(identity, schedule);
    let window = match schedule.window_min {
        Some(minutes) => json!({ "Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes }),
        None => json!({ "Mode": "OFF" }),
    };
    shown["ScheduleExpression"] = schedule.expression.as_str().into();
    shown["ScheduleExpressionTimezone"] = schedule.zone.as_str().into();
    shown["FlexibleTimeWindow"] = window;
    shown["ActionAfterCompletion"] = if schedule.goes_when_done { "DELETE" } else { "NONE" }.into();
    shown["Target"] = target::show(&schedule.target);
    let optional = [
        ("Description", schedule.description.clone().map(Value::from)),
        ("KmsKeyArn", schedule.kms_key.clone().map(Value::from)),
        ("StartDate", schedule.start_ms.map(seconds)),
        ("EndDate", schedule.end_ms.map(seconds)),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            shown[member] = value;
        }
    }
    shown
}

/// ScheduleSummary.
pub(super) fn summary(identity: &Identity, schedule: &Schedule) -> Value {
    json!({
        "Arn": identity.schedule_arn(&schedule.group, &schedule.name),
        "GroupName": schedule.group,
        "Name": schedule.name,
        "State": if schedule.is_enabled { "ENABLED" } else { "DISABLED" },
        "CreationDate": seconds(schedule.created_ms),
        "LastModificationDate": seconds(schedule.modified_ms),
        "Target": { "Arn": schedule.target.arn },
    })
}

/// A timestamp as REST-JSON has it.
pub(super) fn seconds(ms: i64) -> Value {
    (ms as f64 / 1e3).into()
}

/// A page of things that are in the order of their keys, behind `token`: `member`, and NextToken where there is more.
pub(super) fn page<T>(
    member: &str,
    found: impl Iterator<Item = Arc<T>>,
    key: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
    (token, count): (Option<&str>, usize),
) -> Value {
    let mut behind = found.filter(|one| token.is_none_or(|token| *key(one) > *token));
    let page: Vec<Arc<T>> = behind.by_ref().take(count).collect();
    let mut answer = json!({ member: page.iter().map(|one| show(one)).collect::<Vec<_>>() });
    if let (Some(_), Some(last)) = (behind.next(), page.last()) {
        answer["NextToken"] = key(last).into();
    }
    answer
}
