//! `mayfly schedule create|list|delete`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::api::Api;
use super::deploy::ROLE;
use super::output::print;
use super::table::table;
use crate::args::{ScheduleCommand, ScheduleTarget};
use crate::failure::{Failure, say};

const HEADS: [&str; 5] = ["SCHEDULE", "WHEN", "ZONE", "STATE", "TARGET"];
/// The group that is meant where none is named.
const GROUP: &str = "default";

/// Carries one out.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn schedule(command: &ScheduleCommand) -> Result<ExitCode, Failure> {
    let text = match command {
        ScheduleCommand::Create { name, expression, target, place } => {
            let mut api = Api::at(place)?;
            // A name that is none is told now, and not by a run that fails.
            let function = api.configuration(&target.function)?;
            api.create_schedule(name, &request(expression, target, &function["FunctionArn"]))?;
            match place.json {
                true => format!("{:#}\n", api.schedule(GROUP, name)?),
                false => format!("{name}: {expression} invokes {}\n", target.function),
            }
        }
        ScheduleCommand::Delete { name, place } => {
            Api::at(place)?.delete_schedule(name)?;
            match place.json {
                true => format!("{:#}\n", json!({ "Removed": name })),
                false => format!("{name}: removed\n"),
            }
        }
        ScheduleCommand::List { place } => {
            let mut api = Api::at(place)?;
            let listed = api.schedules()?;
            match place.json {
                true => format!("{:#}\n", json!({ "Schedules": listed })),
                false => list(&mut api, &listed)?,
            }
        }
    };
    if text.is_empty() {
        say(
            "there are no schedules yet: make one with `mayfly schedule create NAME 'rate(5 minutes)' --function F`",
        );
    }
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// CreateScheduleInput.
fn request(expression: &str, target: &ScheduleTarget, function: &Value) -> Value {
    let mut called = json!({ "Arn": function, "RoleArn": ROLE });
    if let Some(input) = &target.input {
        called["Input"] = input.as_str().into();
    }
    json!({
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": target.timezone,
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "Target": called,
    })
}

/// A list does not say when a schedule runs: each of them does.
fn list(api: &mut Api, listed: &[Value]) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for one in listed {
        let text = |member: &str| one[member].as_str().unwrap_or_default();
        match api.schedule(text("GroupName"), text("Name")) {
            Ok(found) => rows.push(row(&found)),
            // It has gone meanwhile.
            Err(problem) if problem.is("ResourceNotFoundException") => {}
            Err(problem) => return Err(problem.into()),
        }
    }
    Ok(if rows.is_empty() { String::new() } else { table(HEADS, &rows) })
}

fn row(schedule: &Value) -> [String; 5] {
    let text = |key: &str| schedule[key].as_str().unwrap_or("-").to_owned();
    let name = match schedule["GroupName"].as_str() {
        Some(group) if group != GROUP => format!("{group}/{}", text("Name")),
        _ => text("Name"),
    };
    let target = schedule["Target"]["Arn"].as_str().unwrap_or("-");
    // What an ARN names is behind its account.
    let target = target.splitn(6, ':').last().unwrap_or(target).to_owned();
    let (when, zone) = (text("ScheduleExpression"), text("ScheduleExpressionTimezone"));
    [name, when, zone, text("State").to_lowercase(), target]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_a_row() {
        let mut schedule = json!({
            "Name": "s", "GroupName": "default", "State": "ENABLED",
            "ScheduleExpression": "rate(1 day)", "ScheduleExpressionTimezone": "UTC",
            "Target": { "Arn": "arn:aws:lambda:us-east-1:000000000000:function:f:live" },
        });
        assert_eq!(row(&schedule), ["s", "rate(1 day)", "UTC", "enabled", "function:f:live"]);
        schedule["GroupName"] = "g".into();
        assert_eq!(row(&schedule)[0], "g/s");
    }

    #[test]
    fn a_request_names_its_function_by_its_arn() {
        let (function, timezone) = ("f".to_owned(), "Europe/Berlin".to_owned());
        let mut target = ScheduleTarget { function, input: None, timezone };
        let plain = request("rate(1 day)", &target, &json!("arn"));
        assert_eq!(plain["Target"], json!({ "Arn": "arn", "RoleArn": ROLE }));
        assert_eq!(plain["ScheduleExpressionTimezone"], "Europe/Berlin");
        target.input = Some("[1]".into());
        assert_eq!(request("rate(1 day)", &target, &json!("arn"))["Target"]["Input"], "[1]");
    }
}
