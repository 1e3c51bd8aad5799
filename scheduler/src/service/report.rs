//! What Lambda says about an invocation: lines in the log, and error documents of the platform's own.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::core::Ending;
use crate::function::Version;
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

/// `START …`
pub(super) fn start_line(request_id: &str, version: Version) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

/// `END …` and `REPORT …`. The memory used is what the host has seen the environment take, its monitor
/// included, but no more than the function has; an environment that nobody has seen counts as 0.
pub(super) fn end_lines(request_id: &str, measured: &Measured) -> String {
    let Measured { duration, memory_mib, memory_used_max, init } = measured;
    let used_mib = memory_used_max.unwrap_or(0).div_ceil(1 << 20).min(u64::from(*memory_mib));
    let duration_ms = duration.as_secs_f64() * 1e3;
    let billed_ms = duration_ms.ceil();
    let init = init.map(|init| format!("Init Duration: {:.2} ms\t", init.as_secs_f64() * 1e3));
    format!(
        "END RequestId: {request_id}\n\
         REPORT RequestId: {request_id}\tDuration: {duration_ms:.2} ms\tBilled Duration: {billed_ms} ms\t\
         Memory Size: {memory_mib} MB\tMax Memory Used: {used_mib} MB\t{}\n",
        init.unwrap_or_default()
    )
}

/// The function's time-out has passed, or the one for its start.
pub(super) fn timed_out(request_id: &str, after: Duration) -> Bytes {
    let after_s = after.as_secs_f64();
    let message =
        format!("RequestId: {request_id} Error: Task timed out after {after_s:.2} seconds");
    document("Sandbox.Timedout", &message)
}

/// The environment ended; `detail` says more, where there is more.
pub(super) fn died(request_id: &str, ending: Ending, detail: Option<String>) -> Bytes {
    let (kind, why) = match ending {
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
    document(kind, &format!("RequestId: {request_id} Error: {why}"))
}

/// The response had more bytes than a client may get.
pub(super) fn response_too_large() -> Bytes {
    document("Function.ResponseSizeTooLarge", &runtime_api::too_large_message())
}

fn document(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
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
        let measured = Measured {
            duration: Duration::from_micros(3010),
            memory_mib: 128,
            memory_used_max: Some((35 << 20) + 1),
            init: Some(Duration::from_micros(110_100)),
        };
        assert_eq!(
            end_lines("id", &measured),
            "END RequestId: id\nREPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\t\
             Memory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"
        );
        let warm = end_lines("id", &Measured { init: None, ..measured });
        assert!(warm.ends_with("Max Memory Used: 36 MB\t\n"));
    }

    #[test]
    fn endings_have_lambdas_words() {
        let text = |ending| String::from_utf8(died("id", ending, None).to_vec()).unwrap();
        assert!(text(Ending::Signaled(11)).contains("signal: segmentation fault"));
        assert!(
            text(Ending::Exited(2))
                .contains("RequestId: id Error: Runtime exited with error: exit status 2")
        );
        let timed_out =
            String::from_utf8(timed_out("id", Duration::from_secs(3)).to_vec()).unwrap();
        assert!(timed_out.contains("RequestId: id Error: Task timed out after 3.00 seconds"));
    }
}
