//! `mayfly bench burst`: many cold starts at once, beside as many processes of the same program on the host.
//!
//! ```text
//!   t = 0 ──┬─▶ function 1, never invoked before ─▶ microVM ─▶ answer ─┐
//!           ├─▶ function 2 …                                           ├─▶ all have answered
//!           └─▶ function N …                                           ┘
//!   t = 0 ──┬─▶ process 1 ─▶ asks the Runtime API ─▶ answer ───────────┐
//!           └─▶ process N …                                            ┴─▶ all have answered
//! ```
//!
//! Each function is new, so that no environment can serve two: all starts are cold, and the platform's own count has
//! to say so. The two bursts take turns, so that both see the same host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use mayfly_scheduler::runtime_api::{self, Answer, Fault, Session, Watcher, Work};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::function::{self, Code};
use super::load::Client;
use super::server::Server;
use super::summary::summary;
use crate::args::{BenchBurst, MEMORY_MIB};
use crate::failure::Failure;
use crate::platform::print;

const EVENT: &[u8] = b"{}";
/// How long a process of the host's may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures.
///
/// # Errors
/// A host that can't run it, or a start that was not cold.
pub fn burst(options: &BenchBurst) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(options))?;
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &BenchBurst) -> Result<Value, Failure> {
    let count = u64::from(options.count);
    let data = tempfile::tempdir()?;
    let memory = (count * MEMORY_MIB).to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--memory", &memory, "--data"];
    let serve = serve.map(AsRef::as_ref).into_iter().chain([data.path().as_os_str()]);
    let platform = Server::of_ours(serve)?;
    let code = Code::of(&options.bootstrap)?;
    let (mut all_us, mut each_us, mut host_us) = (Vec::new(), Vec::new(), Vec::new());
    let mut at_once_min = u64::MAX;
    for round in 0..options.rounds {
        let functions: Vec<String> = (0..count).map(|one| format!("burst-{round}-{one}")).collect();
        let seen = cold(platform.address, &code, &functions).await?;
        all_us.push(seen.all_us);
        each_us.extend(seen.each_us);
        at_once_min = at_once_min.min(seen.at_once);
        host_us.push(on_the_host(&options.bootstrap, count).await?);
    }
    let (all, host) = (summary(&mut all_us), summary(&mut host_us));
    let median = |summary: &Value| summary["p50"].as_f64().unwrap_or_default();
    let ratio = median(&all) / median(&host).max(1.0);
    Ok(json!({
        "count": count,
        "rounds": options.rounds,
        "all_us": all,
        "each_us": summary(&mut each_us),
        "host_processes_us": host,
        "starting_at_once_min": at_once_min,
        "to_host_processes": (ratio * 100.0).round() / 100.0,
    }))
}

/// What one burst showed.
struct Seen {
    /// From the first request to the last answer.
    all_us: u64,
    /// From each request to its answer.
    each_us: Vec<u64>,
    /// Most environments that were starting at the same moment.
    at_once: u64,
}

async fn cold(address: SocketAddr, code: &Code, functions: &[String]) -> Result<Seen, Failure> {
    let mut operator = Client::connect(address).await?;
    let mut clients = Vec::new();
    for name in functions {
        code.create(&mut operator, name).await?;
        clients.push((Client::connect(address).await?, function::path(name)));
    }
    let before = pool(&mut operator).await?;
    let start = Instant::now();
    let mut at_work = JoinSet::new();
    for (mut client, path) in clients {
        at_work.spawn(async move {
            let start = Instant::now();
            client.send(Method::POST, &path, Bytes::from_static(EVENT)).await?;
            Ok::<_, Failure>(start.elapsed().as_micros() as u64)
        });
    }
    let mut each_us = Vec::new();
    while let Some(answered) = at_work.join_next().await {
        each_us.push(answered??);
    }
    let all_us = start.elapsed().as_micros() as u64;
    let after = pool(&mut operator).await?;
    let cold = |told: &Value| told["Pool"]["Invocations"]["Cold"].as_u64().unwrap_or_default();
    let starts = cold(&after) - cold(&before);
    if starts != functions.len() as u64 {
        return Err(Failure::new(format!("{starts} of {} starts were cold", functions.len())));
    }
    for name in functions {
        function::delete(&mut operator, name).await?;
    }
    Ok(Seen { all_us, each_us, at_once: at_once(&after) })
}

async fn pool(client: &mut Client) -> Result<Value, Failure> {
    let told = client.send(Method::GET, "/mayfly/environments", Bytes::new()).await?;
    Ok(serde_json::from_slice(&told)?)
}

/// Most of the environments that were between the decision to start them and their first question at one moment.
fn at_once(told: &Value) -> u64 {
    let environments = told["Environments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut moments: Vec<(u64, i64)> = Vec::new();
    for environment in environments {
        let moment = |name: &str| environment["MomentsNs"][name].as_u64();
        if let (Some(asked), Some(ready)) = (moment("asked"), moment("runtime_ready")) {
            moments.extend([(asked, 1), (ready, -1)]);
        }
    }
    moments.sort_unstable();
    let starting = moments.iter().scan(0, |starting, (_, change)| {
        *starting += change;
        Some(*starting)
    });
    starting.max().unwrap_or_default() as u64
}

/// As many processes of the program, each with a Runtime API of its own that has one event; until all have answered.
async fn on_the_host(program: &Path, count: u64) -> Result<u64, Failure> {
    let (ear, mut heard) = mpsc::unbounded_channel();
    let (mut addresses, mut sessions) = (Vec::new(), Vec::new());
    let mut serving = JoinSet::new();
    for program in 0..count as usize {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        let session = Arc::new(Session::new(Box::new(Ear { program, said: ear.clone() })));
        sessions.push(Arc::clone(&session));
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                runtime_api::serve(stream, Arc::clone(&session)).await;
            }
        });
    }
    let start = Instant::now();
    let mut processes = Vec::new();
    for address in addresses {
        let mut command = Command::new(program);
        command.env_clear().env("AWS_LAMBDA_RUNTIME_API", address.to_string()).kill_on_drop(true);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        processes.push(command.spawn().map_err(|error| Failure::at(program, error))?);
    }
    let mut answers = 0;
    // Whoever has answered asks for more, and waits.
    let mut is_served = vec![false; sessions.len()];
    while answers < count {
        match tokio::time::timeout(PATIENCE, heard.recv()).await.ok().flatten() {
            Some(Heard::Ready(program)) if !std::mem::replace(&mut is_served[program], true) => {
                sessions[program].deliver(Arc::new(event()));
            }
            Some(Heard::Ready(_)) => {}
            Some(Heard::Answered) => answers += 1,
            Some(Heard::Failed) | None => {
                return Err(Failure::at(program, "a process on the host gave no answer"));
            }
        }
    }
    let all_us = start.elapsed().as_micros() as u64;
    for mut process in processes {
        process.kill().await?;
    }
    Ok(all_us)
}

fn event() -> Work {
    Work {
        request_id: "00000000-0000-0000-0000-000000000000".into(),
        payload: Bytes::from_static(EVENT),
        deadline_ms: i64::MAX,
        function_arn: String::new(),
        trace_id: String::new(),
        client_context: None,
    }
}

/// What one of the programs did.
enum Heard {
    Ready(usize),
    Answered,
    Failed,
}

struct Ear {
    program: usize,
    said: mpsc::UnboundedSender<Heard>,
}

impl Ear {
    fn say(&self, what: Heard) {
        // Whoever listened may have given up.
        let _ = self.said.send(what);
    }
}

impl Watcher for Ear {
    fn ready(&self) {
        self.say(Heard::Ready(self.program));
    }

    fn answered(&self, _: &str, answer: Answer) {
        self.say(match answer {
            Answer::Response(_) => Heard::Answered,
            Answer::Streamed | Answer::Error(_) | Answer::TooLarge => Heard::Failed,
        });
    }

    fn init_failed(&self, _: Fault) {
        self.say(Heard::Failed);
    }
}

fn table(report: &Value) -> String {
    let row = |name: &str, summary: &Value| {
        let cells = ["min", "p50", "p90"].map(|key| format!(" {:>9}", summary[key].to_string()));
        format!("{name:<38}{}\n", cells.concat())
    };
    let (count, rounds) = (&report["count"], &report["rounds"]);
    let mut text = format!(
        "{:<38} {:>9} {:>9} {:>9}\n",
        format!("{count} at once, {rounds} rounds, µs"),
        "min",
        "p50",
        "p90"
    );
    text += &row("cold starts: until all have answered", &report["all_us"]);
    text += &row("cold starts: each", &report["each_us"]);
    text += &row("processes on the host: until all have", &report["host_processes_us"]);
    text + &format!(
        "\nAt least {} of them were starting at the same moment. Their answers take {} times as long as the processes'.\n",
        report["starting_at_once_min"], report["to_host_processes"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_overlap_are_counted() {
        let environment = |asked: u64, ready: Value| json!({ "MomentsNs": { "asked": asked, "runtime_ready": ready } });
        let told = json!({ "Environments": [
            environment(1, json!(5)), environment(2, json!(3)), environment(3, json!(9)),
            environment(4, Value::Null),
        ] });
        assert_eq!(at_once(&told), 2);
        assert_eq!(at_once(&Value::Null), 0);
    }
}
