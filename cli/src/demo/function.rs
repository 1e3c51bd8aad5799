//! A Lambda function on a platform of its own: the way of its first answer, and the time of many more.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use mayfly_vmm::time::monotonic_ns;
use serde_json::Value;

use super::server::Server;
use super::timeline::timeline;
use crate::args::Place;
use crate::failure::Failure;
use crate::platform::{self, Api, Settings, Wanted, print};
use crate::progress::Progress;
use crate::signals::{First, Signals};

const NAME: &str = "hello";
const EVENT: &str = r#"{"name":"you"}"#;
/// Invocations of a function that is warm, and how long they may take together: in an emulator all is slow.
const WARM: usize = 1000;
const WARM_MAX: Duration = Duration::from_secs(20);
/// The environment's own word on its start comes beside the first answer, and may come after it.
const LOOKS: usize = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Runs it; `Some` where a signal came first.
///
/// # Errors
/// A host that can't run it, or a program that is no function.
pub fn show(signals: &Signals, program: PathBuf) -> Result<Option<u8>, Failure> {
    let server = Server::start()?;
    let endpoint = server.endpoint.clone();
    let (ended, end) = io::pipe()?;
    // The signals are this thread's to wait for, and the server's life hangs on this thread.
    let work = thread::spawn(move || {
        let result = measure(&endpoint, program);
        drop(end);
        result
    });
    if let First::Signal(signal) = signals.or_readable(ended.as_fd())? {
        return Ok(Some(signal));
    }
    let text = work.join().map_err(|_| Failure::new("the demonstration is broken"))??;
    print(text.as_bytes())?.done();
    Ok(None)
}

fn measure(endpoint: &str, program: PathBuf) -> Result<String, Failure> {
    let typed = format!(
        "\n$ mayfly deploy {NAME} {}\n$ mayfly invoke {NAME} --payload '{EVENT}'\n",
        program.display()
    );
    print(typed.as_bytes())?.done();
    let place = Place { endpoint: Some(endpoint.into()), json: false };
    let mut api = Api::at(&place)?;
    let settings = Settings { timeout: Some(60), ..Settings::default() };
    let wanted = Wanted { name: NAME.into(), path: program, settings };
    platform::put(&mut api, &wanted, &Progress::silent())?;
    let zero_ns = monotonic_ns();
    let answer = invoke(&mut api)?;
    let answered_ns = monotonic_ns();
    print(format!("{}\n\n", String::from_utf8_lossy(&answer)).as_bytes())?.done();
    let moments = moments(&mut api)?;
    let first_us = (answered_ns - zero_ns) / 1000;
    let mut text = way_of_the_first(&moments, zero_ns, answered_ns);
    text += &format!(
        "\n  From the request to the answer: {first_us} µs, and a microVM was made on the way. It is kept for the \
         next:\n\n"
    );
    let (mut warm, mut alone) = (Vec::new(), Vec::new());
    let start = Instant::now();
    // In turn, so that both see the same host.
    while warm.len() < WARM && start.elapsed() < WARM_MAX {
        warm.push(timed(|| invoke(&mut api).map(drop))?);
        alone.push(timed(|| Ok(api.configuration(NAME).map(drop)?))?);
    }
    let count = warm.len();
    text += &format!(
        "  {:<38} {:>10} {:>10}\n",
        format!("{count} more, over one connection"),
        "p50",
        "p99"
    );
    text += &row("an invocation, there and back", &mut warm);
    text += &row("the same platform, without a function", &mut alone);
    Ok(text)
}

fn invoke(api: &mut Api) -> Result<Bytes, Failure> {
    let answer = api.invoke(NAME, &[], EVENT.into())?;
    if answer.header("x-amz-function-error").is_some() {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(Failure::new(format!("the function failed: {text}")));
    }
    Ok(answer.body)
}

/// When what happened in the start of the one environment.
fn moments(api: &mut Api) -> Result<Value, Failure> {
    let mut found = Value::Null;
    for _ in 0..LOOKS {
        found = api.environments()?["Environments"][0]["MomentsNs"].take();
        if !found["user_entered"].is_null() {
            break;
        }
        api.pause(BETWEEN_LOOKS);
    }
    Ok(found)
}

fn way_of_the_first(moments: &Value, zero_ns: u64, answered_ns: u64) -> String {
    let moment = |name: &str| moments[name].as_u64().unwrap_or(0);
    timeline(
        zero_ns,
        &[
            ("the request asks for an environment", moment("asked")),
            ("the function's image is built", moment("image_ready")),
            ("the VM's process starts", moment("process_started")),
            ("KVM makes VM and vCPU", moment("kvm_ready")),
            ("memory, kernel, boot plan", moment("guest_entered")),
            ("the guest's kernel starts", moment("kernel_ready")),
            ("the program is loaded", moment("user_entered")),
            ("it asks for its first event", moment("runtime_ready")),
            ("it answers, and the client has it", answered_ns),
        ],
    )
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<u64, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_micros() as u64)
}

fn row(name: &str, samples: &mut [u64]) -> String {
    samples.sort_unstable();
    let at = |percent: usize| samples.get((samples.len() * percent / 100).min(samples.len() - 1));
    let [p50, p99] = [50, 99].map(|percent| format!("{} µs", at(percent).copied().unwrap_or(0)));
    format!("  {name:<38} {p50:>10} {p99:>10}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_way_of_the_first_answer_leaves_out_what_is_not_known() {
        let moments = json!({ "asked": 2_000, "process_started": 5_000, "user_entered": null });
        let text = way_of_the_first(&moments, 1_000, 9_000);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().last().unwrap().contains("      4 µs"), "{text}");
    }

    #[test]
    fn percentiles_are_of_sorted_samples() {
        let mut samples: Vec<u64> = (1..=100).rev().collect();
        assert!(row("x", &mut samples).ends_with("     51 µs     100 µs\n"));
        assert!(row("x", &mut [7]).ends_with("      7 µs       7 µs\n"));
    }
}
