//! `mayfly run`: one program in one microVM.
//!
//! ```text
//!   this process      spawn ─ open files, build the root ─ start ─ … wait …  ─ exit with its status
//!   the VM's process     └─── create VM and vCPU ────────────┘ └─ run ─┘
//! ```

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use mayfly_abi::control::{Direction, Outcome, Report, Stream, VmSpec};
use mayfly_abi::ports::{STDERR, STDIN, STDOUT};
use mayfly_vmm::process::{Starting, Vm};

use crate::args::Run;
use crate::environment;
use crate::failure::{Failure, say};
use crate::program::Program;
use crate::root::Root;
use crate::signals::{First, Signals};
use crate::timing::{TimeZero, TimingFile};

/// The shell's way to say that a signal ended a program.
const SIGNALED: u8 = 128;

/// Runs the program and gives its exit status.
///
/// # Errors
/// Where Mayfly itself fails.
pub fn run(run: Run, zero: TimeZero) -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    let starting = Starting::spawn()?;
    let timing = run.timing.as_deref().map(TimingFile::create).transpose()?;
    let mut vm = start(starting, run)?;
    if let First::Signal(signal) = signals.or_readable(vm.as_fd())? {
        vm.kill();
        return Ok(ExitCode::from(SIGNALED + signal));
    }
    let (outcome, report) = vm.wait();
    // The VM's process gives its memory back by itself; nobody needs to wait for that.
    vm.forget();
    finish(outcome, report, timing, zero)
}

/// Tells the VM's process what to run.
fn start(starting: Starting, run: Run) -> Result<Vm, Failure> {
    if run.initrd.is_some() {
        return Err(Failure::new(
            "--initrd belongs to a Linux kernel, which this version does not boot: use --rootfs",
        ));
    }
    let called = run.program.first().cloned().unwrap_or_default();
    // In an image the program is where the user says; alone, it is all that /bin holds.
    let (root, program) = match &run.rootfs {
        Some(path) => (Root::at(path)?, called.into_vec()),
        None => {
            let program = Program::open(&called)?;
            let path = [b"/bin/", &program.name[..]].concat();
            (Root::of_program(program)?, path)
        }
    };
    let kernel = run.kernel.as_deref().map(open_kernel).transpose()?;
    let terminals = environment::terminals();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut descriptors = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), root.descriptor()];
    descriptors.extend(kernel.as_ref().map(File::as_fd));
    let stream = |port, descriptor, direction| Stream { port, descriptor, direction };
    let spec = VmSpec {
        memory_mib: run.mem,
        kernel: kernel.is_some().then_some(4),
        root: root.disk(3),
        program,
        argv: run.program.into_iter().map(OsStringExt::into_vec).collect(),
        env: environment::build(run.env, terminals)?,
        cwd: b"/".to_vec(),
        tmp_bytes_max: run.mem.saturating_mul(1 << 20) / 2,
        streams: vec![
            stream(STDIN, 0, Direction::ToGuest),
            stream(STDOUT, 1, Direction::FromGuest),
            stream(STDERR, 2, Direction::FromGuest),
        ],
        terminals,
        cpuid: Vec::new(),
    };
    Ok(starting.start(spec, &descriptors)?)
}

fn open_kernel(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::at(path, error))
}

/// Passes on how the program ended.
fn finish(
    outcome: Outcome,
    report: Report,
    timing: Option<TimingFile>,
    zero: TimeZero,
) -> Result<ExitCode, Failure> {
    if let Some(timing) = timing {
        timing.write(&report, zero)?;
    }
    match outcome {
        Outcome::Exited(status) => Ok(ExitCode::from(status)),
        Outcome::Signaled(signal, message) => {
            if !message.is_empty() {
                say(message.trim_start_matches("mayfly: "));
            }
            Ok(ExitCode::from(SIGNALED.saturating_add(signal)))
        }
        Outcome::Failed(message) => Err(Failure::new(message)),
    }
}
