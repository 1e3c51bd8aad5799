//! An unmodified program in a microVM, and a timeline of its short life.

use mayfly_abi::control::{Exits, Outcome, Report};
use mayfly_vmm::kvm;

use super::timeline::timeline;
use crate::args::Run;
use crate::failure::Failure;
use crate::guest::{Ended, Guest};
use crate::platform::print;
use crate::sample;
use crate::signals::Signals;

/// What the guest does.
const WORDS: [&str; 2] = ["echo", "Hello from a microVM: a Linux program, unmodified."];

/// Runs it; `Some` where a signal came first.
///
/// # Errors
/// A host that can't run it, and what to do.
pub fn show(signals: &Signals) -> Result<Option<u8>, Failure> {
    let program = sample::find()?;
    print(format!("$ {} {}\n\n", program.to_string_lossy(), WORDS.join(" ")).as_bytes())?.done();
    let begun_ns = mayfly_vmm::time::monotonic_ns();
    let words = [program].into_iter().chain(WORDS.iter().map(Into::into));
    let ended = Guest::spawn()?.start(Run::program(words))?.wait(signals)?;
    let report = match ended {
        Ended::Guest(Outcome::Exited(0), report) => report,
        Ended::Guest(Outcome::Failed(text), _) => return Err(Failure::new(text)),
        Ended::Signal(signal) => return Ok(Some(signal)),
        other => return Err(Failure::new(format!("the program ended strangely: {other:?}"))),
    };
    let floor_us = kvm::floor()?.as_micros() as u64;
    let text = format!("\n{}{}", phases(&report, begun_ns), notes(&report, begun_ns, floor_us));
    print(text.as_bytes())?.done();
    Ok(None)
}

fn phases(report: &Report, zero_ns: u64) -> String {
    timeline(
        zero_ns,
        &[
            ("the VM's process starts", report.process_started),
            ("KVM makes VM and vCPU", report.kvm_ready),
            ("memory, kernel, boot plan", report.guest_entered),
            ("the guest's kernel starts", report.kernel_ready),
            ("the program is loaded", report.user_entered),
            ("the program runs", report.exited),
        ],
    )
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
