//! The hardware lane: a true kvm-amd on any machine.
//!
//! ```text
//!   this host                    │ QEMU, TCG: an emulated AMD processor with SVM
//!                                │
//!   kernel   Debian's vmlinuz ───┼─▶ Linux, irqbypass, kvm, kvm-amd ── /dev/kvm
//!   initramfs  mayfly, tests, ───┼─▶ init.sh: one job after the other        │
//!              fixtures, libs    │      └─ kvm_api --test-threads=1 ──▶ VMs ◀┘
//!   console  events ◀── serial ──┼──────── begin, output, end, done
//! ```
//!
//! There CPL 0 is native and `syscall` enters CPL 0, as on real hardware and unlike on a software KVM. It
//! is for correctness: its times mean nothing.

mod console;
mod cpio;
mod disk;
mod initramfs;
mod kernel;
mod modules;
pub mod power;
mod qemu;

use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use console::Event;
use initramfs::Contents;
use kernel::Kernel;
use qemu::Machine;

use crate::cargo::Workspace;
use crate::command::elapsed;
use crate::failure::{Failure, Result};
use crate::host;
use crate::suites::{self, ENV_BINARY, ENV_FIXTURES};
use crate::tally::Tally;

/// The whole lane. With the rest of `cargo xtask test` it must stay well under half an hour.
const LANE_SECONDS_MAX: u64 = 20 * 60;

/// Machines at once: with the tests' halves on two, the lane takes half as long.
const MACHINES_MAX: usize = 2;

/// One job. It is stopped in the lane, and the next one runs.
const JOB_SECONDS_MAX: u64 = 5 * 60;

/// A machine that says nothing for so long hangs. A single test takes a few seconds there.
const SILENCE_SECONDS_MAX: u64 = 120;

/// Loaded where the kernel has them as modules: KVM itself, then what tests mount and talk through, and a disk.
const MODULES: [&str; 9] = [
    "kvm-amd",
    "loop",
    "erofs",
    "overlay",
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "vmw_vsock_virtio_transport",
    "vhost_vsock",
];

const MAYFLY: &str = "/mayfly/bin/mayfly";
const FIXTURES: &str = "/mayfly/fixtures";
const FUNCTION: &str = "/mayfly/fixtures/function";
const TESTS: &str = "/mayfly/tests";

/// A command to run in the lane.
struct Job {
    /// One word.
    name: String,
    seconds_max: u64,
    /// One program with its arguments, for the lane's shell.
    command: String,
}

/// A lane that is ready to boot.
pub struct Lane {
    kernel: Arc<Kernel>,
    dir: PathBuf,
    /// Begins what is said of its machine.
    prefix: String,
}

impl Lane {
    /// Fetches what it boots.
    pub fn new(workspace: &Workspace) -> Result<Self> {
        let dir = workspace.target.join("lane");
        let kernel = Arc::new(Kernel::obtain(&dir.join("kernel"))?);
        Ok(Self { kernel, dir, prefix: "  ".into() })
    }

    /// Another machine with the same kernel and files of its own, one of several.
    fn beside(&self, index: usize) -> Result<Self> {
        let number = index + 1;
        let dir = self.dir.join(number.to_string());
        fs::create_dir_all(&dir).map_err(Failure::file("creating", &dir))?;
        Ok(Self { kernel: Arc::clone(&self.kernel), dir, prefix: format!("  {number}│ ") })
    }

    /// Runs jobs to their end.
    fn run(
        &self,
        jobs: &[Job],
        files: &[(String, PathBuf)],
        mut look: impl FnMut(Event),
    ) -> Result<()> {
        self.boot(jobs, files, &[], |event| {
            look(event);
            ControlFlow::Continue(())
        })
    }

    /// Runs jobs on a machine with more devices, to their end or until `look` breaks: then it is killed.
    fn boot(
        &self,
        jobs: &[Job],
        files: &[(String, PathBuf)],
        devices: &[String],
        look: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        let nonce = nonce()?;
        let modules = self.kernel.modules.in_order(&MODULES)?;
        let initramfs = self.dir.join("initramfs.cpio");
        initramfs::pack(&Contents { modules, jobs, files, nonce: &nonce }, &initramfs)?;
        println!("{}Booting Linux {} in QEMU …", self.prefix, self.kernel.version());
        let log = self.dir.join("console.log");
        let (kernel, initramfs, prefix) = (&self.kernel.image, &initramfs, &self.prefix);
        Machine { kernel, initramfs, log, nonce: &nonce, devices, prefix }.run(look)
    }
}

/// Runs the KVM tests in the lane, on machines side by side: each has one processor.
pub fn test(lane: &Lane, workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let executables = suites::kvm_executables(workspace)?;
    let machines = machines().min(executables.len()).max(1);
    let ends: Vec<Result<Tally>> = thread::scope(|scope| {
        let run = |index| {
            let share = executables.iter().skip(index).step_by(machines);
            let share: Vec<_> = share.cloned().collect();
            scope.spawn(move || test_share(&lane.beside(index)?, workspace, share, filter))
        };
        let running: Vec<_> = (0..machines).map(run).collect();
        let ends =
            running.into_iter().map(|one| one.join().unwrap_or_else(|why| resume_unwind(why)));
        ends.collect()
    });
    let mut all = Tally::default();
    for end in ends {
        all.add(end?);
    }
    Ok(all)
}

/// How many machines this host has processors and memory for.
fn machines() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let room = host::available_mib() / (2 * u64::from(qemu::MEMORY_MIB));
    processors.min(usize::try_from(room).unwrap_or(MACHINES_MAX)).clamp(1, MACHINES_MAX)
}

/// Runs some of the tests on one machine.
fn test_share(
    lane: &Lane,
    workspace: &Workspace,
    executables: Vec<(String, PathBuf)>,
    filter: Option<&str>,
) -> Result<Tally> {
    let jobs: Vec<Job> = executables.iter().map(|(name, _)| test_job(name, filter)).collect();
    let mut files =
        vec![(MAYFLY.to_owned(), workspace.mayfly()), (FIXTURES.to_owned(), workspace.fixtures())];
    files.extend(executables.into_iter().map(|(name, path)| (format!("{TESTS}/{name}"), path)));

    let mut results = Results { prefix: lane.prefix.clone(), ..Results::default() };
    let start = Instant::now();
    let end = lane.run(&jobs, &files, |event| results.take(event, start));
    let (tally, prefix) = (results.tally, results.prefix);
    match end {
        Ok(()) => Ok(tally),
        Err(failure) => {
            let (ended, all) = (tally.programs, jobs.len());
            let passed = tally.passed;
            println!("{prefix}{passed} tests passed in {ended} of {all} test programs; then:");
            Err(failure)
        }
    }
}

/// Runs `mayfly demo` in the lane; its exit status is ours.
///
/// `function`: the variable that names a program to it, and the program.
pub fn demo(
    lane: &Lane,
    workspace: &Workspace,
    function: (&str, PathBuf),
    args: &[String],
) -> Result<ExitCode> {
    let quoted: String = args.iter().map(|arg| format!(" {}", quote(arg))).collect();
    let job = Job {
        name: "demo".into(),
        seconds_max: JOB_SECONDS_MAX,
        command: format!("env {}={FUNCTION} {MAYFLY} demo{quoted}", function.0),
    };
    let files = [(MAYFLY.to_owned(), workspace.mayfly()), (FUNCTION.to_owned(), function.1)];
    let mut status = ExitCode::FAILURE;
    lane.run(&[job], &files, |event| match event {
        Event::Output(line) => println!("{line}"),
        Event::End(_, code) => status = code.into(),
        Event::Ready(_) | Event::Begin(_) | Event::Done => {}
    })?;
    Ok(status)
}

fn test_job(name: &str, filter: Option<&str>) -> Job {
    let filter = filter.map(|text| format!(" {}", quote(text))).unwrap_or_default();
    Job {
        name: name.to_owned(),
        seconds_max: JOB_SECONDS_MAX,
        // One thread: the machine has one processor, and the console then shows which test runs.
        command: format!(
            "env {ENV_BINARY}={MAYFLY} {ENV_FIXTURES}={FIXTURES} {TESTS}/{name} --test-threads=1{filter}"
        ),
    }
}

/// `text` as one word for a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What the test programs came to.
#[derive(Default)]
struct Results {
    /// Begins each line.
    prefix: String,
    tally: Tally,
    /// Programs that had come to their `test result` when the running one began.
    programs_before: u64,
}

impl Results {
    fn take(&mut self, event: Event, start: Instant) {
        let prefix = &self.prefix;
        match event {
            Event::Ready(version) => {
                println!("{prefix}Linux {version} is up after {}", elapsed(start.elapsed()));
            }
            Event::Begin(name) => {
                println!("{prefix}{name}, at {}", elapsed(start.elapsed()));
                self.programs_before = self.tally.programs;
            }
            Event::Output(line) => {
                println!("{prefix}  {line}");
                self.tally.line(&line);
            }
            Event::End(name, status) => {
                // Failed tests are counted already, and the test harness's status for them is 101.
                let has_result = self.tally.programs > self.programs_before;
                if !(has_result && (status == 0 || status == 101)) {
                    self.tally.failed += 1;
                    self.tally.failures.push(format!("{name}, which ended with {}", ended(status)));
                }
            }
            Event::Done => {}
        }
    }
}

/// A shell's exit status in words.
fn ended(status: u8) -> String {
    match status {
        137 => "signal 9: it took too long, or memory ran out".into(),
        129.. => format!("signal {}", status - 128),
        _ => format!("status {status} and no result"),
    }
}

/// A word that no job can guess.
fn nonce() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(path)
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(Failure::file("reading", path))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
