//! What Lambda says about an invocation: lines in the log, and error documents of the platform's own.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::records;
use crate::clock;
use crate::core::Ending;
use crate::function::{LogFormat, Logging, Version};
use crate::runtime_api;

/// What the last line reports.
pub(super) struct Measured {
    /// From dispatch to answer.
    pub(super) duration: Duration,
    /// The function's memory.
    pub(super) memory_mib: u32,
    /// Most of the host's memory that the environment was seen to take, bytes.
    pub(super) memory_used_max: Option<u64>,
    /// From the start of the environment to its readiness, if this invocation waited for it.
    pub(super) init: Option<Duration>,
}

impl Measured {
    pub(super) fn duration_ms(&self) -> f64 {
        self.duration.as_secs_f64() * 1e3
    }

    pub(super) fn billed_ms(&self) -> f64 {
        self.duration_ms().ceil()
    }

    /// What the host has seen the environment take, its monitor included, but no more than the function has; an
    /// environment that nobody has seen counts as 0.
    pub(super) fn used_mib(&self) -> u64 {
        let bytes = self.memory_used_max.unwrap_or(0);
        bytes.div_ceil(1 << 20).min(u64::from(self.memory_mib))
    }

    pub(super) fn init_ms(&self) -> Option<f64> {
        self.init.map(|init| init.as_secs_f64() * 1e3)
    }
}

/// `START …`, or its record.
pub(super) fn start_line(logging: &Logging, request_id: &str, version: Version) -> String {
    match logging.format {
        LogFormat::Text => format!("START RequestId: {request_id} Version: {version}\n"),
        LogFormat::Json => records::start(logging.system_level, request_id, version),
    }
}

/// `END …` and `REPORT …`, and before them what the platform has to say of an invocation that it ended; or their records.
pub(super) fn end_lines(
    logging: &Logging,
    request_id: &str,
    measured: &Measured,
    fault: Option<&Fault>,
) -> String {
    if logging.format == LogFormat::Json {
        return records::end(logging.system_level, request_id, measured, fault);
    }
    let (duration_ms, billed_ms) = (measured.duration_ms(), measured.billed_ms());
    let (memory_mib, used_mib) = (measured.memory_mib, measured.used_mib());
    let init = measured.init_ms().map(|init_ms| format!("Init Duration: {init_ms:.2} ms\t"));
    let why = fault.map(|fault| fault.line(request_id, clock::unix_ms())).unwrap_or_default();
    let status = fault.map(Fault::status).unwrap_or_default();
    format!(
        "{why}END RequestId: {request_id}\n\
         REPORT RequestId: {request_id}\tDuration: {duration_ms:.2} ms\tBilled Duration: {billed_ms} ms\t\
         Memory Size: {memory_mib} MB\tMax Memory Used: {used_mib} MB\t{}{status}\n",
        init.unwrap_or_default()
    )
}

/// An error that is the platform's to tell, since the runtime could not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: &'static str,
    /// Without the request's id.
    message: String,
}

const TIMED_OUT: &str = "Sandbox.Timedout";
const TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

impl Fault {
    /// What the client gets.
    pub(super) fn document(&self, request_id: &str) -> Bytes {
        let Fault { kind, message } = self;
        let message = match *kind {
            TOO_LARGE => message.clone(),
            _ => format!("RequestId: {request_id} Error: {message}"),
        };
        json!({ "errorType": kind, "errorMessage": message }).to_string().into()
    }

    /// Its type, such as `Runtime.ExitError`.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn is_timeout(&self) -> bool {
        self.kind == TIMED_OUT
    }

    /// What the log gets.
    pub(super) fn line(&self, request_id: &str, now_ms: i64) -> String {
        let Fault { kind, message } = self;
        match *kind {
            TIMED_OUT => format!("{} {request_id} {message}\n", clock::iso_time(now_ms)),
            _ => format!("RequestId: {request_id} Error: {message}\n{kind}\n"),
        }
    }

    /// What `REPORT` ends with.
    fn status(&self) -> String {
        match self.kind {
            TIMED_OUT => "Status: timeout".into(),
            kind => format!("Status: error\tError Type: {kind}"),
        }
    }
}

/// The function's time-out has passed, or the one for its start.
pub(super) fn timed_out(after: Duration) -> Fault {
    let message = format!("Task timed out after {:.2} seconds", after.as_secs_f64());
    Fault { kind: TIMED_OUT, message }
}

/// The environment ended; `detail` says more, where there is more.
pub(super) fn died(ending: Ending, detail: Option<String>) -> Fault {
    let (kind, message) = match ending {
        Ending::Exited(0) => {
            ("Runtime.ExitError", "Runtime exited without providing a reason".to_owned())
        }
        Ending::Exited(status) => {
            ("Runtime.ExitError", format!("Runtime exited with error: exit status {status}"))
        }
        Ending::Signaled(signal) => (
            "Runtime.ExitError",
            format!("Runtime exited with error: signal: {}", signal_name(signal)),
        ),
        Ending::InvalidEntrypoint => (
            "Runtime.InvalidEntrypoint",
            detail.unwrap_or_else(|| {
                "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned()
            }),
        ),
        Ending::Failed | Ending::Killed => {
            ("Runtime.ExitError", "Runtime exited without providing a reason".to_owned())
        }
    };
    Fault { kind, message }
}

/// The response had more bytes than a client may get.
pub(super) fn response_too_large() -> Fault {
    Fault { kind: TOO_LARGE, message: runtime_api::too_large_message() }
}

/// A signal as Lambda's own runtime names it.
fn signal_name(signal: u8) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_line_is_as_recorded_from_aws() {
        let text = Logging::default();
        let measured = Measured {
            duration: Duration::from_micros(3010),
            memory_mib: 128,
            memory_used_max: Some((35 << 20) + 1),
            init: Some(Duration::from_micros(110_100)),
        };
        assert_eq!(
            end_lines(&text, "id", &measured, None),
            "END RequestId: id\nREPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\t\
             Memory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"
        );
        let warm = end_lines(&text, "id", &Measured { init: None, ..measured }, None);
        assert!(warm.ends_with("Max Memory Used: 36 MB\t\n"));
    }

    #[test]
    fn endings_have_lambdas_words() {
        let document = |fault: Fault| String::from_utf8(fault.document("id").to_vec()).unwrap();
        let text = |ending| document(died(ending, None));
        assert!(text(Ending::Signaled(11)).contains("signal: segmentation fault"));
        assert!(
            text(Ending::Exited(2))
                .contains("RequestId: id Error: Runtime exited with error: exit status 2")
        );
        let timed_out = document(timed_out(Duration::from_secs(3)));
        assert!(timed_out.contains("RequestId: id Error: Task timed out after 3.00 seconds"));
    }

    #[test]
    fn the_log_says_why_an_invocation_ended() {
        let exited = died(Ending::Exited(2), None);
        assert_eq!(
            exited.line("id", 0),
            "RequestId: id Error: Runtime exited with error: exit status 2\nRuntime.ExitError\n"
        );
        assert_eq!(exited.status(), "Status: error\tError Type: Runtime.ExitError");
        let late = timed_out(Duration::from_secs(3));
        let line = "1970-01-01T00:00:00.000Z id Task timed out after 3.00 seconds\n";
        assert_eq!(
            (late.line("id", 0).as_str(), late.status().as_str()),
            (line, "Status: timeout")
        );
    }
}
