//! `mayfly demo`: an unmodified program in a microVM, and a timeline of its short life.

use std::io::Write;
use std::process::ExitCode;

use mayfly_abi::control::{Exits, Outcome, Report};
use mayfly_vmm::kvm;

use crate::args::Run;
use crate::failure::Failure;
use crate::guest::{Ended, Guest};
use crate::sample;
use crate::signals::Signals;

/// What the guest does.
const WORDS: [&str; 2] = ["echo", "Hello from a microVM: a Linux program, unmodified."];
/// Columns of the timeline.
const COLUMNS: u64 = 48;

/// Runs the demonstration.
///
/// # Errors
/// A host that can't run it, and what to do.
pub fn demo() -> Result<ExitCode, Failure> {
    let program = sample::find()?;
    let signals = Signals::new()?;
    println!("$ {} {}\n", program.to_string_lossy(), WORDS.join(" "));
    let begun_ns = mayfly_vmm::time::monotonic_ns();
    let words = [program].into_iter().chain(WORDS.iter().map(Into::into));
    let ended = Guest::spawn()?.start(Run::program(words))?.wait(&signals)?;
    let report = match ended {
        Ended::Guest(Outcome::Exited(0), report) => report,
        Ended::Guest(Outcome::NotStarted(text) | Outcome::Failed(text), _) => {
            return Err(Failure::new(text));
        }
        other => return Err(Failure::new(format!("the program ended strangely: {other:?}"))),
    };
    let floor_us = kvm::floor()?.as_micros() as u64;
    let text = timeline(&report, begun_ns) + &notes(&report, begun_ns, floor_us);
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each phase: when it ended, how long it took, and a bar where it lies in the whole.
fn timeline(report: &Report, zero_ns: u64) -> String {
    let phases = [
        ("the VM's process starts", report.process_started),
        ("KVM makes VM and vCPU", report.kvm_ready),
        ("memory, kernel, boot plan", report.guest_entered),
        ("the guest's kernel starts", report.kernel_ready),
        ("the program is loaded", report.user_entered),
        ("the program runs", report.exited),
    ];
    let us = |moment: u64| moment.saturating_sub(zero_ns) / 1000;
    let total = us(report.exited).max(1);
    let mut text = String::from("\n");
    let mut before = 0;
    for (name, moment) in phases {
        let end = us(moment).max(before);
        let (from, to) = (before * COLUMNS / total, (end * COLUMNS).div_ceil(total).min(COLUMNS));
        let bar = "█".repeat((to - from).max(1) as usize);
        let indent = " ".repeat(from.min(COLUMNS - 1) as usize);
        text += &format!("  {name:<26} {:>7} µs  {indent}{bar}\n", end - before);
        before = end;
    }
    text
}

fn notes(report: &Report, zero_ns: u64, floor_us: u64) -> String {
    let user_us = report.user_entered.saturating_sub(zero_ns) / 1000;
    let Exits { kick, wait, mmio, interrupted, other } = report.exits;
    let times = user_us as f64 / floor_us.max(1) as f64;
    format!(
        "\n  From nothing to the program's first instruction: {user_us} µs. The bare calls to KVM that run \
         any\n  guest at all take {floor_us} µs here: this is {times:.1} times the floor.\n\n  \
         {} exits to the VMM: {kick} to serve the queues, {wait} to wait, {mmio} for registers, \
         {interrupted} interrupted, {other} other.\n  {} system calls and {} page faults never left the \
         guest.\n",
        report.exits.total(),
        report.guest.system_calls,
        report.guest.page_faults,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_adds_up_and_stays_in_its_columns() {
        let report = Report {
            process_started: 1_001_000,
            kvm_ready: 1_002_000,
            guest_entered: 1_002_000,
            kernel_ready: 1_003_000,
            user_entered: 1_000_000,
            exited: 1_010_000,
            ..Report::default()
        };
        let text = timeline(&report, 1_000_000);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains('µ')).collect();
        assert_eq!(lines.len(), 6);
        let us: u64 = lines.iter().map(|line| number(line)).sum();
        assert_eq!(us, 10);
        let end = |line: &str| line.split_once("µs  ").unwrap().1.chars().count() as u64;
        assert!(lines.iter().all(|line| end(line) <= COLUMNS), "{text}");
    }

    fn number(line: &str) -> u64 {
        line[..line.find(" µs").unwrap()].split_whitespace().last().unwrap().parse().unwrap()
    }
}
