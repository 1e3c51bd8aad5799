//! A platform of the demonstration's own.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::failure::Failure;

/// What the platform says once it listens; its address follows.
const LISTENS: &str = "at http://";

/// A `mayfly serve` that ends with this value, or with this process.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where it listens, as --endpoint takes it.
    pub endpoint: String,
    _data: TempDir,
}

impl Server {
    /// Starts it, from a thread that lives as long as it shall.
    ///
    /// # Errors
    /// What the host says, or the platform.
    pub fn start() -> Result<Server, Failure> {
        let data = tempfile::Builder::new().prefix("mayfly-demo-").tempdir()?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
        // In a group of its own, the terminal's Ctrl-C does not reach it: this process ends it.
        command.stdin(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: between fork and exec, prctl(2) touches no memory.
        unsafe { command.pre_exec(die_with_the_demo) };
        let mut process = command.spawn()?;
        let Some(stderr) = process.stderr.take() else {
            return Err(Failure::new("the platform's stderr is lost"));
        };
        let mut stderr = BufReader::new(stderr);
        let mut line = String::new();
        stderr.read_line(&mut line)?;
        let address = line.split_once(LISTENS).map(|(_, address)| address.trim().to_owned());
        let server = Server {
            process,
            endpoint: format!("http://{}", address.as_deref().unwrap_or("")),
            _data: data,
        };
        if address.is_none() {
            let said = line.trim().trim_start_matches("mayfly: ");
            return Err(Failure::new(format!("the platform does not start: {said}")));
        }
        // What else it says is of no interest, but must not fill the pipe.
        thread::spawn(move || drop(io::copy(&mut stderr, &mut io::sink())));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its VMs die with it. Only a process that has ended already can't be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn die_with_the_demo() -> io::Result<()> {
    // SAFETY: the arguments are integers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
