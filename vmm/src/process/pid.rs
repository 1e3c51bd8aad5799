//! A child process, by its id: made, killed, reaped.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

/// A child of this process that nobody else waits for.
#[derive(Debug)]
pub struct Process {
    id: libc::pid_t,
    /// Its end, once it has been reaped: from then on the id may be somebody else's.
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// What the host says.
    pub fn spawn(command: &mut Command) -> io::Result<Process> {
        let child = command.spawn()?;
        Ok(Process { id: child.id() as libc::pid_t, status: None })
    }

    /// A copy of this process; `None` in the copy.
    ///
    /// # Errors
    /// What the host says; [`io::ErrorKind::Unsupported`] where other threads run: what they hold would
    /// stay held in the copy for ever.
    pub fn fork() -> io::Result<Option<Process>> {
        if !is_only_thread() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: this is the only thread, so the copy is in a state that a single process can be in.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(None),
            id => Ok(Some(Process { id, status: None })),
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.id as u32
    }

    /// Kills the process, unless it has been reaped.
    pub fn kill(&self) {
        if self.status.is_none() {
            // SAFETY: the id is still that of our child: nobody has reaped it. It may have ended.
            unsafe { libc::kill(self.id, libc::SIGKILL) };
        }
    }

    /// Waits for the end, and reaps.
    ///
    /// # Errors
    /// What the host says.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        while self.status.is_none() {
            let mut status = 0;
            // SAFETY: the status is valid for the call.
            if unsafe { libc::waitpid(self.id, &mut status, 0) } == self.id {
                self.status = Some(ExitStatus::from_raw(status));
            } else {
                match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                }
            }
        }
        Ok(self.status.unwrap_or_default())
    }
}

/// A directory has two links and one more for each of its own: here, for each thread (proc(5)).
const LINKS_OF_ONE_THREAD: u64 = 3;

fn is_only_thread() -> bool {
    std::fs::metadata("/proc/self/task").is_ok_and(|task| task.nlink() == LINKS_OF_ONE_THREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_killed_and_reaped_once() {
        let mut process = Process::spawn(Command::new("sleep").arg("100")).unwrap();
        process.kill();
        assert_eq!(process.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(process.wait().unwrap().signal(), Some(libc::SIGKILL), "it is remembered");
        process.kill();
    }

    #[test]
    fn a_process_with_threads_is_not_copied() {
        // Tests run in threads of their own, beside the harness's.
        let error = Process::fork().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
