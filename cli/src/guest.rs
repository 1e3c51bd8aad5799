//! One program in one microVM, from the command line's words to its end.
//!
//! ```text
//!   this process      spawn ─ CPUID, files, root disk ─ start ─ … wait …  ─ its outcome
//!   the VM's process     └─── create VM and vCPU ─────────┘ └─ run ─┘
//! ```

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use mayfly_abi::control::{CpuidEntry, Direction, Outcome, Report, Stream, VmSpec};
use mayfly_abi::ports::{STDERR, STDIN, STDOUT};
use mayfly_vmm::kvm::Hypervisor;
use mayfly_vmm::process::{Starting, Vm};

use crate::args::Run;
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::filesystems::Filesystems;
use crate::program::Program;
use crate::root::Root;
use crate::signals::{First, Signals};

/// A VM's process that waits to be told what to run.
#[derive(Debug)]
pub struct Guest(Starting);

/// A program that runs.
#[derive(Debug)]
pub struct Running(Vm);

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself, or with its VM.
    Guest(Outcome, Report),
    /// Because this process got a signal.
    Signal(u8),
}

/// The descriptors that a program gets as its standard streams.
#[derive(Clone, Copy, Debug)]
pub struct Standard<'a> {
    /// Standard input.
    pub stdin: BorrowedFd<'a>,
    /// Standard output.
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    pub stderr: BorrowedFd<'a>,
}

/// Descriptors before those of the root disk's files.
const STANDARD_STREAMS: u8 = 3;

impl Guest {
    /// Starts the VM's process.
    ///
    /// # Errors
    /// What the host says.
    pub fn spawn() -> Result<Guest, Failure> {
        Ok(Guest(Starting::spawn()?))
    }

    /// Has it run what the command line says, on this process's standard streams.
    ///
    /// # Errors
    /// A command line that can't be carried out, and why.
    pub fn start(self, run: Run) -> Result<Running, Failure> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let standard =
            Standard { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() };
        self.start_on(run, standard)
    }

    /// As [`Self::start`], on other streams.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(self, run: Run, standard: Standard<'_>) -> Result<Running, Failure> {
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
        let mut filesystems = Filesystems::new(root);
        for (path, image) in &run.mount {
            filesystems.mount(path.as_os_str().as_bytes(), Root::at(image)?)?;
        }
        let kernel = run.kernel.as_deref().map(open_kernel).transpose()?;
        let Standard { stdin, stdout, stderr } = standard;
        let mut descriptors = vec![stdin, stdout, stderr];
        descriptors.extend(filesystems.files.iter().map(File::as_fd));
        let kernel_at = u8::try_from(descriptors.len()).map_err(Failure::new)?;
        descriptors.extend(kernel.as_ref().map(File::as_fd));
        let stream = |port, descriptor, direction| Stream { port, descriptor, direction };
        let terminals = environment::terminals(&descriptors[..3]);
        let spec = VmSpec {
            memory_mib: run.mem,
            kernel: kernel.is_some().then_some(kernel_at),
            root: filesystems.disk.behind(STANDARD_STREAMS),
            mounts: filesystems.mounts,
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
            services: Vec::new(),
            keeps_calls: run.no_syscall_rewrite,
            tells_start: false,
            terminals,
            cpuid: cpuid(),
        };
        Ok(Running(self.0.start(spec, &descriptors)?))
    }
}

impl Running {
    /// The id of the VM's process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the end, or for a signal that says to end it.
    ///
    /// # Errors
    /// What the host says.
    pub fn wait(mut self, signals: &Signals) -> Result<Ended, Failure> {
        if let First::Signal(signal) = signals.or_readable(self.0.as_fd())? {
            self.0.kill();
            return Ok(Ended::Signal(signal));
        }
        let (outcome, report) = self.0.wait();
        // The VM's process gives its memory back by itself; nobody needs to wait for that.
        self.0.forget();
        Ok(Ended::Guest(outcome, report))
    }
}

/// The host's answer, asked for while the VM's process still starts. Where there is none, that process
/// finds out too, and says why.
fn cpuid() -> Vec<CpuidEntry> {
    let answer = Hypervisor::open().ok().and_then(|hypervisor| hypervisor.supported_cpuid().ok());
    answer.unwrap_or_default()
}

fn open_kernel(path: &Path) -> Result<File, Failure> {
    files::open(path).map_err(|error| Failure::at(path, error))
}
