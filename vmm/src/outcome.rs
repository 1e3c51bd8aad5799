//! What a guest says about its end, believed only as far as it makes sense.

use std::io;

use mayfly_abi::channel::{Channel, Clock, End, end};
use mayfly_abi::control::{GuestCounters, Outcome, Report};

/// The signals that exist (Linux has 64).
const SIGNAL_MAX: u32 = 64;

/// How the guest ended, as it says.
pub fn of(end: &End) -> Outcome {
    let message = message(end);
    match (end.kind, end.code) {
        (end::EXITED, code @ 0..=255) => Outcome::Exited(code as u8),
        (end::SIGNALED, signal @ 1..=SIGNAL_MAX) => Outcome::Signaled(signal as u8, message),
        (end::NOT_STARTED, errno) if message.is_empty() => {
            let reason = io::Error::from_raw_os_error(errno as i32);
            Outcome::NotStarted(format!("the program could not be started: {reason}"))
        }
        (end::NOT_STARTED, _) => Outcome::NotStarted(message),
        (end::PANIC, _) => Outcome::Failed(format!("the guest's kernel failed: {message}")),
        (kind, code) => Outcome::Failed(format!(
            "the guest ended in a way that does not exist ({kind}, {code})"
        )),
    }
}

/// The guest's line for a person. It goes to a terminal, so control characters are not passed on.
fn message(end: &End) -> String {
    let len = (end.message_len as usize).min(end.message.len());
    let text = String::from_utf8_lossy(&end.message[..len]);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Adds what the guest has noted to `report`. Moments that it could not have seen are moved to the nearest
/// that it could.
pub fn fill(report: &mut Report, channel: &Channel, clock: &Clock) {
    let last = if report.exited == 0 { u64::MAX } else { report.exited };
    let moment = |tsc: u64, first: u64| match tsc {
        0 => 0,
        tsc => clock.monotonic_at(tsc).clamp(first.min(last), last),
    };
    report.kernel_ready = moment(channel.marks.kernel_ready, report.guest_entered);
    let first = report.guest_entered.max(report.kernel_ready);
    report.user_entered = moment(channel.marks.user_entered, first);
    let counters = &channel.counters;
    report.guest = GuestCounters {
        system_calls: counters.system_calls,
        unknown_calls: counters.unknown_calls,
        page_faults: counters.page_faults,
        frames: counters.frames,
        block_requests: counters.block_requests,
        jumped_calls: counters.jumped_calls,
        rewritten_sites: counters.rewritten_sites,
        trapping_sites: counters.trapping_sites,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn said(kind: u32, code: u32, message: &[u8]) -> Outcome {
        let mut end = End::new_zeroed();
        (end.kind, end.code, end.message_len) = (kind, code, message.len() as u32);
        end.message[..message.len()].copy_from_slice(message);
        of(&end)
    }

    #[test]
    fn ends_that_exist_are_passed_on() {
        assert_eq!(said(end::EXITED, 3, b""), Outcome::Exited(3));
        assert_eq!(said(end::SIGNALED, 11, b"at 0x0\n"), Outcome::Signaled(11, "at 0x0".into()));
        assert!(
            matches!(said(end::NOT_STARTED, 2, b""), Outcome::NotStarted(text) if text.contains("No such file"))
        );
    }

    #[test]
    fn a_lying_guest_is_a_failure_and_one_line() {
        for (kind, code) in
            [(0, 0), (end::EXITED, 256), (end::SIGNALED, 0), (end::SIGNALED, 65), (9, 9)]
        {
            assert!(matches!(said(kind, code, b""), Outcome::Failed(_)), "{kind} {code}");
        }
        let Outcome::Failed(text) = said(end::PANIC, 0, b"a\nb\x1b[31m\xff") else { panic!() };
        assert!(!text.chars().any(char::is_control), "{text:?}");
        let mut long = End::new_zeroed();
        long.message_len = u32::MAX;
        assert!(matches!(of(&long), Outcome::Failed(_)));
    }

    #[test]
    fn moments_stay_between_entry_and_end() {
        let clock =
            Clock { base_tsc: 100, monotonic_ns: 1000, realtime_ns: 0, mult: 1 << 32, version: 0 };
        let mut report = Report { guest_entered: 2000, exited: 5000, ..Report::default() };
        let mut channel = Channel::new_zeroed();
        (channel.marks.kernel_ready, channel.marks.user_entered) = (2600, 2100);
        fill(&mut report, &channel, &clock);
        assert_eq!((report.kernel_ready, report.user_entered), (3500, 3500), "never backwards");
        (channel.marks.kernel_ready, channel.marks.user_entered) = (1, u64::MAX / 2);
        fill(&mut report, &channel, &clock);
        assert_eq!((report.kernel_ready, report.user_entered), (2000, 5000));
        (channel.marks.kernel_ready, channel.marks.user_entered) = (0, 0);
        fill(&mut report, &channel, &clock);
        assert_eq!((report.kernel_ready, report.user_entered), (0, 0), "it did not come to that");
    }
}
