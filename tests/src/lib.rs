//! Tests that cross crates: what they share.

pub mod disk;
pub mod events;
pub mod http;
pub mod platform;
pub mod random;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time that a single program may take: generous, since the hardware lane is emulated.
const PATIENCE: Duration = Duration::from_secs(300);

/// The release binary.
pub fn mayfly() -> PathBuf {
    from_environment("MAYFLY_BIN", "target/release/mayfly")
}

/// A program that runs in guests: see docs/testing.md for where they come from.
pub fn fixture(name: &str) -> PathBuf {
    from_environment("MAYFLY_FIXTURES", "target/fixtures").join(name)
}

/// Whether this is the hardware lane.
pub fn in_lane() -> bool {
    std::env::var_os("MAYFLY_LANE").is_some()
}

fn from_environment(variable: &str, default: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(default),
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Its exit status, 128 + n where signal n ended it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// `mayfly run ARGS… -- PROGRAM…`, to be finished by the caller.
pub fn mayfly_run<A: AsRef<OsStr>>(
    options: &[&str],
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(mayfly());
    command.arg("run").args(options).arg("--").arg(program).args(arguments);
    command
}

/// Runs a command with this standard input to its end.
///
/// # Panics
/// Where it cannot be started or does not end in time.
pub fn finish(mut command: Command, stdin: &[u8]) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut input = child.stdin.take().expect("piped");
    let bytes = stdin.to_vec();
    // A program may end without reading its input: then the pipe breaks, which is its right.
    let writer = thread::spawn(move || drop(input.write_all(&bytes)));
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let status = wait(&mut child, PATIENCE).unwrap_or_else(|| {
        let _ = child.kill();
        panic!("{command:?} did not end within {PATIENCE:?}")
    });
    writer.join().expect("the writer does not panic");
    Finished {
        status,
        stdout: stdout.join().expect("the reader does not panic"),
        stderr: stderr.join().expect("the reader does not panic"),
    }
}

/// Waits for a child, `None` where it is still there after `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if start.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).expect("a pipe can be read");
        all
    })
}
