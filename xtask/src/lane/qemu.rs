//! The machine: QEMU's emulated AMD processor with SVM, watched from its start to its end.
//!
//! It ends in one of five ways: every job has run; whoever looks has seen enough, and it is killed; QEMU went away; nothing
//! was heard for too long; the whole took too long. Whichever it is, no process stays behind.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::console::{Console, Event};
use super::{LANE_SECONDS_MAX, SILENCE_SECONDS_MAX};
use crate::command::{self, elapsed};
use crate::failure::{Failure, Result};

/// Enough for the packed programs twice (while they move off the initramfs) and a few guests.
pub const MEMORY_MIB: u32 = 2048;

/// `nokaslr`, `mitigations=off`: a faster boot. `reboot=t panic=1`: with `-no-reboot` a panic ends QEMU.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 reboot=t panic=1 quiet nokaslr mitigations=off \
                                random.trust_cpu=on";

/// After so long without an event, a line says that the lane is still at it.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long a machine whose jobs have run may take to power off.
const POWER_OFF: Duration = Duration::from_secs(10);

/// Lines of the console that a failure shows.
const TAIL_LINES: usize = 30;

/// Bytes of each of those lines.
const TAIL_LINE_BYTES: usize = 400;

/// Pieces of console output between the reader and the watcher.
const CHUNKS: usize = 64;

/// A machine to boot.
pub struct Machine<'a> {
    /// The kernel's bzImage.
    pub kernel: &'a Path,
    /// The first root file system.
    pub initramfs: &'a Path,
    /// Where the whole console is kept.
    pub log: PathBuf,
    /// See [`Console::new`].
    pub nonce: &'a str,
    /// More of QEMU's arguments.
    pub devices: &'a [String],
    /// Begins what is said of it.
    pub prefix: &'a str,
}

impl Machine<'_> {
    /// Boots the machine and hands each event to `look`, until that breaks, which kills the machine on the spot, or it has
    /// powered off.
    ///
    /// # Errors
    ///
    /// [`Failure::Lane`] where it ended before [`Event::Done`], with the end of its console.
    pub fn run(&self, look: impl FnMut(Event) -> ControlFlow<()>) -> Result<()> {
        let mut log = File::create(&self.log).map_err(Failure::file("creating", &self.log))?;
        let errors = log.try_clone().map_err(Failure::file("creating", &self.log))?;
        let mut qemu = self.command();
        let mut child = Reaped(
            qemu.stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(errors)
                .spawn()
                .map_err(|source| Failure::Start { command: command::line(&qemu), source })?,
        );
        let (sender, receiver) = sync_channel(CHUNKS);
        if let Some(console) = child.0.stdout.take() {
            std::thread::spawn(move || read(console, &sender));
        }
        let mut tail = Tail::default();
        let verdict = watch(&receiver, Console::new(self.nonce), self.prefix, look, |bytes| {
            tail.feed(bytes);
            log.write_all(bytes).map_err(Failure::file("writing", &self.log))
        });
        match verdict {
            Ok(ControlFlow::Continue(())) => {
                child.wait(POWER_OFF);
                Ok(())
            }
            Ok(ControlFlow::Break(())) => Ok(()),
            Err(Failure::Lane(why)) => Err(Failure::Lane(format!(
                "{why}\nThe end of its console (the whole is in {}):\n{}",
                self.log.display(),
                tail.text()
            ))),
            Err(failure) => Err(failure),
        }
    }

    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", &MEMORY_MIB.to_string()])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-nographic",
                "-no-reboot",
                "-serial",
                "stdio",
            ])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", KERNEL_ARGUMENTS])
            .args(self.devices);
        qemu
    }
}

/// Follows the console until [`Event::Done`], or until `look` breaks.
fn watch(
    chunks: &Receiver<Vec<u8>>,
    mut console: Console,
    prefix: &str,
    mut look: impl FnMut(Event) -> ControlFlow<()>,
    mut keep: impl FnMut(&[u8]) -> Result<()>,
) -> Result<ControlFlow<()>> {
    let start = Instant::now();
    let (lane_max, silence_max) =
        (Duration::from_secs(LANE_SECONDS_MAX), Duration::from_secs(SILENCE_SECONDS_MAX));
    let (mut heard, mut told, mut job) = (start, start, String::from("booting"));
    loop {
        match chunks.recv_timeout(Duration::from_secs(1)) {
            Ok(bytes) => {
                heard = Instant::now();
                keep(&bytes)?;
                for event in console.feed(&bytes) {
                    told = heard;
                    match &event {
                        Event::Done => return Ok(ControlFlow::Continue(())),
                        Event::Begin(name) => job.clone_from(name),
                        _ => {}
                    }
                    if look(event).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Lane(format!("QEMU ended too early ({job})")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if heard.elapsed() > silence_max {
            let silence = elapsed(heard.elapsed());
            return Err(Failure::Lane(format!("nothing heard for {silence} ({job}); stopped it")));
        }
        if start.elapsed() > lane_max {
            return Err(Failure::Lane(format!("not done after {} ({job})", elapsed(lane_max))));
        }
        if told.elapsed() > HEARTBEAT {
            told = Instant::now();
            println!("{prefix}… {job}: {} so far", elapsed(start.elapsed()));
        }
    }
}

fn read(mut console: ChildStdout, chunks: &SyncSender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = console.read(&mut buffer) {
        // The watcher is gone: it has seen enough.
        if chunks.send(buffer[..length].to_vec()).is_err() {
            break;
        }
    }
}

/// A child process that does not outlive this value.
struct Reaped(Child);

impl Reaped {
    fn wait(&mut self, patience: Duration) {
        let start = Instant::now();
        while start.elapsed() < patience && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only where it is already gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last lines of the console.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    partial: Vec<u8>,
}

impl Tail {
    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.partial);
                    self.lines.push_back(String::from_utf8_lossy(&line).into_owned());
                    if self.lines.len() > TAIL_LINES {
                        self.lines.pop_front();
                    }
                }
                byte if !byte.is_ascii_control() && self.partial.len() < TAIL_LINE_BYTES => {
                    self.partial.push(*byte);
                }
                _ => {}
            }
        }
    }

    fn text(&self) -> String {
        let partial = String::from_utf8_lossy(&self.partial);
        self.lines
            .iter()
            .map(String::as_str)
            .chain([&*partial])
            .filter(|line| !line.is_empty())
            .map(|line| format!("  | {line}\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(chunks: &[&str]) -> Result<Vec<Event>> {
        let (sender, receiver) = sync_channel(CHUNKS);
        for chunk in chunks {
            sender.send(chunk.as_bytes().to_vec()).unwrap();
        }
        drop(sender);
        let mut events = Vec::new();
        let look = |event| {
            let is_enough = event == Event::Output("enough".into());
            events.push(event);
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let _: ControlFlow<()> = watch(&receiver, Console::new("n0"), "", look, |_| Ok(()))?;
        Ok(events)
    }

    #[test]
    fn nothing_is_looked_at_behind_what_was_enough() {
        let events = follow(&["n0 begin a\nenough\nmore\n", "n0 end a 3\n"]).unwrap();
        assert_eq!(events, [Event::Begin("a".into()), Event::Output("enough".into())]);
    }

    #[test]
    fn the_end_of_all_jobs_is_a_success() {
        let events = follow(&["n0 begin a\nhello\n", "n0 end a 3\nn0 done\n"]).unwrap();
        assert_eq!(events.last(), Some(&Event::End("a".into(), 3)));
    }

    #[test]
    fn a_machine_that_goes_away_names_its_last_job() {
        let failure = follow(&["n0 begin a\nn0 end a 0\nn0 begin b\nn0 end b"]).unwrap_err();
        assert!(failure.to_string().contains("QEMU ended too early (b)"), "{failure}");
    }

    #[test]
    fn a_command_that_is_no_machine_is_reaped_and_shown() {
        let log = std::env::temp_dir().join(format!("xtask-lane-{}.log", std::process::id()));
        let missing = Path::new("/nonexistent");
        let machine = Machine {
            kernel: missing,
            initramfs: missing,
            log: log.clone(),
            nonce: "n0",
            devices: &[],
            prefix: "",
        };
        let failure = machine.run(|_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(failure, Failure::Lane(_) | Failure::Start { .. }), "{failure}");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        (0..100).for_each(|i| tail.feed(format!("line {i}\r\n").as_bytes()));
        tail.feed(b"half");
        assert_eq!(tail.text().lines().count(), TAIL_LINES + 1);
        assert!(tail.text().starts_with("  | line 70\n") && tail.text().ends_with("  | half\n"));
    }
}
