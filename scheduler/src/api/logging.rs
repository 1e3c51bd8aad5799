//! From what a client says of a function's log to a [`Logging`].

use super::error::ApiError;
use super::shapes::LoggingConfig;
use super::violations::Violations;
use crate::function::{LogFormat, LogLevel, Logging};
use crate::logs::group::GROUP_CHARS_MAX;

/// The model's bounds of LogGroup.
const GROUP_CHARS: std::ops::RangeInclusive<usize> = 1..=512;

/// What a request makes of how a log is written. Levels are JSON's, and begin anew with it.
///
/// # Errors
/// InvalidParameterValueException: levels without JSON, or a group that can't be kept.
pub(super) fn logging(
    config: Option<&LoggingConfig>,
    before: &Logging,
    wrong: &mut Violations,
) -> Result<Logging, ApiError> {
    let Some(config) = config else { return Ok(before.clone()) };
    let format = match config.log_format.as_deref() {
        None => before.format,
        Some("Text") => LogFormat::Text,
        Some("JSON") => LogFormat::Json,
        Some(other) => {
            wrong.add(other, "loggingConfig.logFormat", "satisfy enum value set: [JSON, Text]");
            before.format
        }
    };
    let mut level = |name: Option<&str>, before: LogLevel, member: &str, all: &[&str]| match name {
        Some(name) if !all.contains(&name) => {
            let must = format!("satisfy enum value set: [{}]", all.join(", "));
            wrong.add(name, &format!("loggingConfig.{member}"), &must);
            before
        }
        Some(name) => LogLevel::named(name).unwrap_or(before),
        None if format == LogFormat::Text => LogLevel::default(),
        None => before,
    };
    let (application, system) = (&config.application_log_level, &config.system_log_level);
    let application_level = level(
        application.as_deref(),
        before.application_level,
        "applicationLogLevel",
        &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"],
    );
    let system_level =
        level(system.as_deref(), before.system_level, "systemLogLevel", &["DEBUG", "INFO", "WARN"]);
    if let Some(group) = &config.log_group {
        wrong.length(group, "loggingConfig.logGroup", GROUP_CHARS);
        if !group.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte)) {
            let must = r"satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+";
            wrong.add(group, "loggingConfig.logGroup", must);
        }
    }
    let group = config.log_group.clone().or_else(|| before.group.clone());
    if group.as_ref().is_some_and(|group| group.len() > GROUP_CHARS_MAX) {
        return Err(ApiError::invalid(format!(
            "The names of log groups have {GROUP_CHARS_MAX} characters at most on this platform."
        )));
    }
    if format == LogFormat::Text && (application.is_some() || system.is_some()) {
        return Err(ApiError::invalid(
            "Log levels are not supported with the log format Text: set LogFormat to JSON to filter by level.",
        ));
    }
    Ok(Logging { format, application_level, system_level, group })
}
