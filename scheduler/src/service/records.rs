//! What Lambda says about an invocation where a function's log is JSON: records of the platform's events (Lambda developer
//! guide, "Lambda Telemetry API Event schema reference"), as far as the log's level lets them.

use serde_json::{Value, json};

use super::report::{Fault, Measured};
use crate::clock;
use crate::function::{LogLevel, Version};

/// `platform.start`.
pub(super) fn start(level: LogLevel, request_id: &str, version: Version) -> String {
    let record = json!({ "requestId": request_id, "version": version.to_string() });
    one(level, LogLevel::Info, "start", &record)
}

/// What the platform has to say of an invocation that it ended, `platform.runtimeDone` and `platform.report`.
pub(super) fn end(
    level: LogLevel,
    request_id: &str,
    measured: &Measured,
    fault: Option<&Fault>,
) -> String {
    let (done, report) = match fault {
        None => (LogLevel::Debug, LogLevel::Info),
        Some(_) => (LogLevel::Warn, LogLevel::Warn),
    };
    let status = fault.map_or("success", |one| if one.is_timeout() { "timeout" } else { "error" });
    let of = |metrics: Value| {
        let mut record = json!({ "requestId": request_id, "status": status, "metrics": metrics });
        if let Some(fault) = fault.filter(|fault| !fault.is_timeout()) {
            record["errorType"] = fault.kind().into();
        }
        record
    };
    let duration_ms = rounded(measured.duration_ms());
    let mut metrics = json!({
        "durationMs": duration_ms,
        "billedDurationMs": measured.billed_ms() as u64,
        "memorySizeMB": measured.memory_mib,
        "maxMemoryUsedMB": measured.used_mib(),
    });
    if let Some(init_ms) = measured.init_ms() {
        metrics["initDurationMs"] = rounded(init_ms).into();
    }
    let why = fault.map(|fault| fault.line(request_id, clock::unix_ms()));
    let why = why.map(|line| one(level, LogLevel::Warn, "fault", &line.trim_end().into()));
    [
        why.unwrap_or_default(),
        one(level, done, "runtimeDone", &of(json!({ "durationMs": duration_ms }))),
        one(level, report, "report", &of(metrics)),
    ]
    .concat()
}

/// A record on a line of its own, or nothing where it is not grave enough.
fn one(least: LogLevel, level: LogLevel, event: &str, record: &Value) -> String {
    if level < least {
        return String::new();
    }
    let time = clock::iso_time(clock::unix_ms());
    format!("{{\"time\":\"{time}\",\"type\":\"platform.{event}\",\"record\":{record}}}\n")
}

/// Milliseconds as Lambda tells them, to a µs.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::report::timed_out;

    fn measured() -> Measured {
        Measured {
            duration: Duration::from_nanos(3_010_400),
            memory_mib: 128,
            memory_used_max: Some((35 << 20) + 1),
            init: Some(Duration::from_micros(110_100)),
        }
    }

    fn read(lines: &str) -> Vec<Value> {
        let records = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        records
            .map(|mut one: Value| {
                assert!(one["time"].as_str().unwrap().ends_with('Z'));
                json!([one["type"].take(), one["record"].take()])
            })
            .collect()
    }

    #[test]
    fn records_are_lines_of_json() {
        let start = read(&start(LogLevel::Info, "id", Version::Published(2)));
        assert_eq!(start, [json!(["platform.start", { "requestId": "id", "version": "2" }])]);
        let metrics = json!({
            "durationMs": 3.01, "billedDurationMs": 4, "memorySizeMB": 128, "maxMemoryUsedMB": 36,
            "initDurationMs": 110.1,
        });
        let report = json!({ "requestId": "id", "status": "success", "metrics": metrics });
        let end = read(&end(LogLevel::Info, "id", &measured(), None));
        assert_eq!(end, [json!(["platform.report", report])]);
    }

    #[test]
    fn a_level_leaves_out_what_is_below() {
        let kinds = |level, fault: Option<&Fault>| -> Vec<String> {
            let lines = start(level, "id", Version::Latest) + &end(level, "id", &measured(), fault);
            read(&lines).iter().map(|one| one[0].as_str().unwrap()[9..].to_owned()).collect()
        };
        assert_eq!(kinds(LogLevel::Debug, None), ["start", "runtimeDone", "report"]);
        assert_eq!(kinds(LogLevel::Info, None), ["start", "report"]);
        assert_eq!(kinds(LogLevel::Warn, None), [""; 0]);
        let late = timed_out(Duration::from_secs(3));
        assert_eq!(kinds(LogLevel::Warn, Some(&late)), ["fault", "runtimeDone", "report"]);
        let last = read(&end(LogLevel::Warn, "id", &measured(), Some(&late))).pop().unwrap();
        assert_eq!((&last[1]["status"], last[1].get("errorType")), (&json!("timeout"), None));
    }
}
