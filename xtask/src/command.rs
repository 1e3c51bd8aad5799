//! Running other programs: with the terminal, with the output captured, or with each line looked at
//! as it passes.

use std::io::{BufRead, BufReader, pipe};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::failure::{Failure, Result};

/// Runs `command` on this terminal.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(start(command))?;
    succeeded(command, status, String::new())
}

/// Runs `command` out of sight and returns its standard output; a failure has the errors in it.
pub fn capture(command: &mut Command) -> Result<Vec<u8>> {
    capture_of(command, Stdio::null())
}

/// As [`capture`], for a command that reads `stdin`.
pub fn capture_of(command: &mut Command, stdin: impl Into<Stdio>) -> Result<Vec<u8>> {
    let output = command.stdin(stdin).output().map_err(start(command))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    succeeded(command, output.status, stderr)?;
    Ok(output.stdout)
}

/// Runs `command` with its errors on this terminal, and returns its standard output.
pub fn capture_stdout(command: &mut Command) -> Result<Vec<u8>> {
    let command = command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(start(command))?;
    succeeded(command, output.status, String::new())?;
    Ok(output.stdout)
}

/// Runs `command`, as [`capture`] does, for output that is text.
pub fn capture_text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&capture(command)?).into_owned())
}

/// Runs `command` with both output streams on one pipe, so that their order stays, prints each line
/// and hands it to `look`.
pub fn tee(command: &mut Command, mut look: impl FnMut(&str)) -> Result<ExitStatus> {
    let (reader, writer) = pipe().map_err(start(command))?;
    let stderr = writer.try_clone().map_err(start(command))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(stderr)
        .spawn()
        .map_err(start(command))?;
    // The command holds the pipe's write ends; the reader sees the end only once they are gone here.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(start(command))? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        println!("{text}");
        look(text);
        line.clear();
    }
    child.wait().map_err(start(command))
}

/// The command line as a person would type it.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    std::iter::once(program.file_name().unwrap_or(program.as_os_str()))
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A duration as people read it: `0.4 s`, `12.3 s`, `3 min 05 s`.
pub fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=99 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

fn succeeded(command: &Command, status: ExitStatus, stderr: String) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::Command { command: line(command), status, stderr })
}

fn start(command: &Command) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let command = line(command);
    move |source| Failure::Start { command, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tee_keeps_the_order_of_both_streams_and_the_last_line_without_a_newline() {
        let mut seen = Vec::new();
        let status = tee(
            Command::new("sh").args(["-c", "echo one; echo two >&2; printf three; exit 3"]),
            |line| seen.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(seen, ["one", "two", "three"]);
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_failed_command_says_what_it_wrote() {
        let failure = capture(Command::new("sh").args(["-c", "echo why >&2; false"])).unwrap_err();
        assert!(failure.to_string().contains("\n    why"), "{failure}");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(elapsed(Duration::from_millis(450)), "0.4 s");
        assert_eq!(elapsed(Duration::from_secs(99)), "99.0 s");
        assert_eq!(elapsed(Duration::from_secs(185)), "3 min 05 s");
    }
}
