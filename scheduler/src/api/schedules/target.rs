//! What a schedule calls: a function of this platform, or a queue.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::check;
use super::error::ScheduleError;
use crate::api::name::FunctionName;
use crate::poller::Target as Place;
use crate::schedules::Target;
use crate::service::Identity;
use crate::sqs::is_id;

/// Largest input (EventBridge Scheduler API reference, "Target").
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Where nothing is said (EventBridge Scheduler user guide, "Managing a schedule").
const RETRIES: i64 = 185;
const AGE_S: i64 = 86_400;

/// Target.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TargetInput {
    arn: Option<String>,
    role_arn: Option<String>,
    dead_letter_config: Option<DeadLetterConfig>,
    retry_policy: Option<RetryPolicy>,
    input: Option<String>,
    sqs_parameters: Option<SqsParameters>,
    // Those of targets that are not here.
    ecs_parameters: Option<Value>,
    event_bridge_parameters: Option<Value>,
    kinesis_parameters: Option<Value>,
    sage_maker_pipeline_parameters: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetryPolicy {
    maximum_event_age_in_seconds: Option<i64>,
    maximum_retry_attempts: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SqsParameters {
    message_group_id: Option<String>,
}

/// Checks everything but whether it is there: that may change, and is asked at each run.
///
/// # Errors
/// ValidationException, about the first thing that is wrong.
pub(super) fn checked(identity: &Identity, target: TargetInput) -> Result<Target, ScheduleError> {
    let arn = target.arn.ok_or_else(|| ScheduleError::missing("target.arn"))?;
    check::length(&arn, "target.arn", 1..=1600)?;
    let role = target.role_arn.ok_or_else(|| ScheduleError::missing("target.roleArn"))?;
    check::role_arn(&role)?;
    let others = [
        target.ecs_parameters,
        target.event_bridge_parameters,
        target.kinesis_parameters,
        target.sage_maker_pipeline_parameters,
    ];
    if others.iter().any(Option::is_some) {
        return Err(unsupported(&arn));
    }
    let group = target.sqs_parameters.and_then(|parameters| parameters.message_group_id);
    if group.as_deref().is_some_and(|group| !is_id(group)) {
        return Err(ScheduleError::invalid(
            "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        ));
    }
    let is_json = match Place::parse(identity, &arn) {
        Some(Place::Function(..)) if FunctionName::parse(&arn, None).is_ok() => true,
        Some(Place::Queue(name)) => {
            if name.ends_with(".fifo") && group.is_none() {
                return Err(ScheduleError::invalid(
                    "A FIFO queue needs SqsParameters with a MessageGroupId.",
                ));
            }
            false
        }
        _ => return Err(unsupported(&arn)),
    };
    if let Some(input) = &target.input {
        check_input(input, is_json)?;
    }
    let dead_letters = target.dead_letter_config.and_then(|config| config.arn);
    if let Some(arn) = &dead_letters {
        check_dead_letters(identity, arn)?;
    }
    let policy = target.retry_policy.unwrap_or(RetryPolicy {
        maximum_event_age_in_seconds: None,
        maximum_retry_attempts: None,
    });
    let age_s = policy.maximum_event_age_in_seconds.unwrap_or(AGE_S);
    let retries = policy.maximum_retry_attempts.unwrap_or(RETRIES);
    Ok(Target {
        age_max_s: check::within(
            age_s,
            "target.retryPolicy.maximumEventAgeInSeconds",
            60..=86_400,
        )?,
        retries_max: check::within(retries, "target.retryPolicy.maximumRetryAttempts", 0..=185)?,
        arn,
        role,
        input: target.input,
        message_group: group,
        dead_letters,
    })
}

fn check_input(input: &str, is_json: bool) -> Result<(), ScheduleError> {
    if input.is_empty() {
        let must = "have length greater than or equal to 1";
        return Err(ScheduleError::constraint("", "target.input", must));
    }
    if input.len() > INPUT_BYTES_MAX {
        return Err(ScheduleError::invalid(format!(
            "The Input of a target has at most {INPUT_BYTES_MAX} bytes."
        )));
    }
    if is_json && serde_json::from_str::<&RawValue>(input).is_err() {
        return Err(ScheduleError::invalid("The Input of a function is well-formed JSON."));
    }
    Ok(())
}

fn check_dead_letters(identity: &Identity, arn: &str) -> Result<(), ScheduleError> {
    check::queue_arn(arn, "target.deadLetterConfig.arn")?;
    match Place::parse(identity, arn) {
        Some(Place::Queue(_)) => Ok(()),
        _ => Err(ScheduleError::invalid(format!("{arn} is no queue of this platform."))),
    }
}

fn unsupported(arn: &str) -> ScheduleError {
    ScheduleError::invalid(format!(
        "Provided Arn is not in correct format: {arn}. A schedule calls a function of this platform \
         (arn:aws:lambda:REGION:ACCOUNT:function:NAME, with a version or an alias where wanted) or a queue \
         (arn:aws:sqs:REGION:ACCOUNT:NAME)."
    ))
}

/// Target, as GetSchedule shows it.
pub(super) fn show(target: &Target) -> Value {
    let mut shown = json!({
        "Arn": target.arn,
        "RoleArn": target.role,
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": target.age_max_s,
            "MaximumRetryAttempts": target.retries_max,
        },
    });
    if let Some(input) = &target.input {
        shown["Input"] = input.as_str().into();
    }
    if let Some(group) = &target.message_group {
        shown["SqsParameters"] = json!({ "MessageGroupId": group });
    }
    if let Some(arn) = &target.dead_letters {
        shown["DeadLetterConfig"] = json!({ "Arn": arn });
    }
    shown
}
