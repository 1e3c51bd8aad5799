//! Where the time of a warm invocation goes, between the platform's service and the program in its microVM and back:
//! one VM without the HTTP before it, whose moments are taken on both sides of each step.
//!
//! ```text
//!   deliver ──▶ socket ─▶ VMM wakes ─▶ guest ──▶ the program has it          to_program
//!                                                   │                        program
//!   answered ◀── socket ◀── VMM ◀── guest waits ◀── it answers               to_platform
//!   ready    ◀── … its next request, once the answer has been taken          next
//! ```
//!
//! The guest's CLOCK_MONOTONIC is the host's, so the program's own moments need no translation.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mayfly_abi::control::{Direction, Exits, Outcome, Report, Stream, VmSpec};
use mayfly_abi::ports::{RUNTIME_API, STDERR, STDIN, STDOUT};
use mayfly_scheduler::launcher::GuestStream;
use mayfly_scheduler::runtime_api::{self, Answer, Fault, Session, Watcher, Work};
use mayfly_vmm::process::{Starting, Vm};
use mayfly_vmm::time::monotonic_ns;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::summary::latencies;
use crate::args::MEMORY_MIB;
use crate::failure::Failure;
use crate::filesystems::Filesystems;
use crate::program::Program;
use crate::root::Root;

/// How long one step may take before the guest counts as hung.
const PATIENCE: Duration = Duration::from_secs(10);
/// Makes the program answer with its own moments (tests/fixtures/bootstrap.c).
const MOMENTS: &[u8] = b"MOMENTS=1";
/// The steps, in order.
pub const STEPS: [&str; 4] = ["to_program", "program", "to_platform", "next"];

/// `calls` warm invocations: their steps, and the exits that one takes.
///
/// # Errors
/// A VM that does not start, or a program that is no runtime.
pub async fn measure(bootstrap: &Path, calls: u32) -> Result<Value, Failure> {
    // What a VM's start and end take is not an invocation's.
    let (_, idle) = Traced::start(bootstrap)?.run(0).await?;
    let (mut steps, busy) = Traced::start(bootstrap)?.run(calls).await?;
    let us: Map<String, Value> = STEPS
        .into_iter()
        .zip(&mut steps)
        .map(|(name, samples_ns)| (name.to_owned(), latencies(samples_ns)))
        .collect();
    let per_call = |of: fn(&Exits) -> u64| {
        let exits = of(&busy.exits).saturating_sub(of(&idle.exits));
        (exits as f64 / f64::from(calls.max(1)) * 100.0).round() / 100.0
    };
    let exits = json!({
        "kick": per_call(|exits| exits.kick),
        "wait": per_call(|exits| exits.wait),
        "interrupted": per_call(|exits| exits.interrupted),
        "other": per_call(|exits| exits.mmio + exits.other),
    });
    Ok(json!({ "calls": calls, "us": us, "exits_per_call": exits }))
}

/// A VM whose runtime is listened to.
struct Traced {
    vm: Vm,
    session: Arc<Session>,
    serving: tokio::task::JoinHandle<()>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

/// What the runtime did, and when.
enum Heard {
    Ready(u64),
    Answered(u64, Bytes),
    Failed,
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Watcher for Ear {
    fn ready(&self) {
        // Whoever listened may have given up.
        let _ = self.0.send(Heard::Ready(monotonic_ns()));
    }

    fn answered(&self, _: &str, answer: Answer) {
        let now = monotonic_ns();
        let _ = self.0.send(match answer {
            Answer::Response(body) => Heard::Answered(now, body),
            Answer::Streamed | Answer::Error(_) | Answer::TooLarge => Heard::Failed,
        });
    }

    fn init_failed(&self, _: Fault) {
        let _ = self.0.send(Heard::Failed);
    }
}

impl Traced {
    fn start(bootstrap: &Path) -> Result<Traced, Failure> {
        let program = Program::open(bootstrap.as_os_str())?;
        let path = [b"/bin/", &program.name[..]].concat();
        let filesystems = Filesystems::new(Root::of_program(program)?);
        let (ours, theirs) = StdStream::pair()?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let mut descriptors = vec![null.as_fd(), theirs.as_fd()];
        descriptors.extend(filesystems.files.iter().map(File::as_fd));
        let stream = |port, descriptor, direction| Stream { port, descriptor, direction };
        let spec = VmSpec {
            memory_mib: MEMORY_MIB,
            kernel: None,
            root: filesystems.disk.behind(2),
            mounts: filesystems.mounts,
            argv: vec![path.clone()],
            program: path,
            env: vec![b"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001".to_vec(), MOMENTS.to_vec()],
            cwd: b"/".to_vec(),
            tmp_bytes_max: MEMORY_MIB << 19,
            streams: vec![
                stream(STDIN, 0, Direction::ToGuest),
                stream(STDOUT, 0, Direction::FromGuest),
                stream(STDERR, 0, Direction::FromGuest),
                stream(RUNTIME_API, 1, Direction::Both),
            ],
            services: Vec::new(),
            keeps_calls: false,
            tells_start: false,
            terminals: 0,
            cpuid: Vec::new(),
        };
        let vm = Starting::spawn_program()?.start(spec, &descriptors)?;
        let (ear, heard) = mpsc::unbounded_channel();
        let session = Arc::new(Session::new(Box::new(Ear(ear))));
        let serving = runtime_api::serve(GuestStream::new(ours)?, Arc::clone(&session));
        Ok(Traced { vm, session, serving: tokio::spawn(serving), heard })
    }

    /// Invokes it, then takes its API away, which ends the program; the steps' times and the VM's report.
    async fn run(mut self, calls: u32) -> Result<([Vec<u64>; 4], Report), Failure> {
        let mut steps = STEPS.map(|_| Vec::with_capacity(calls as usize));
        self.ready().await?;
        for call in 0..calls {
            let began = monotonic_ns();
            self.session.deliver(Arc::new(Work {
                request_id: format!("00000000-0000-0000-0000-{call:012}"),
                payload: Bytes::from_static(b"{}"),
                deadline_ms: i64::MAX,
                function_arn: String::new(),
                trace_id: String::new(),
                client_context: None,
            }));
            let Heard::Answered(answered, body) = self.hear().await? else {
                return Err(Failure::new("the program asked twice, or failed"));
            };
            let ready = self.ready().await?;
            let moments: Value = serde_json::from_slice(&body)?;
            let moment = |name: &str| {
                let number = moments[name].as_u64();
                number.ok_or_else(|| Failure::new(format!("an answer without {name}: {moments}")))
            };
            let (got, gave) = (moment("received_ns")?, moment("answered_ns")?);
            let times = [began, got, gave, answered, ready];
            for (samples, pair) in steps.iter_mut().zip(times.windows(2)) {
                samples.push(pair[1].saturating_sub(pair[0]));
            }
        }
        self.session.close();
        self.serving.abort();
        // The connection is closed once the task is gone.
        let _ = self.serving.await;
        match self.vm.wait() {
            (Outcome::Failed(why), _) => Err(Failure::new(why)),
            (_, report) => Ok((steps, report)),
        }
    }

    async fn ready(&mut self) -> Result<u64, Failure> {
        match self.hear().await? {
            Heard::Ready(moment) => Ok(moment),
            _ => Err(Failure::new("the program answered what nobody asked, or failed")),
        }
    }

    async fn hear(&mut self) -> Result<Heard, Failure> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard
            .ok()
            .flatten()
            .ok_or_else(|| Failure::new("the program has stopped asking for events"))
    }
}
