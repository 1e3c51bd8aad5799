//! Accepted events survive a disk without room: what can't be kept is refused, what was accepted comes to its end.
//!
//! ```text
//!   events ──▶ serve ─ 202 ─▶ accepted      the disk: ░░░░ ▒▒▒▒ ████ full ████ ░░░░
//!                └── 500 ──▶ refused, and told why                │             └─ each of the accepted is told of
//!                                                                 └─ calls are answered; a new start works
//! ```
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mayfly_tests::disk::SmallDisk;
use mayfly_tests::events::{self, FUNCTIONS};
use mayfly_tests::http::Answer;
use mayfly_tests::platform::{Platform, invocations};

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(240);
/// MiB: room for the platform with its functions, and some events.
const DISK_MIB: u32 = 12;
const EVENTS: usize = 100;
/// Bytes that an event takes along more than the one before.
const PADDING: usize = 2000;

fn send(platform: &Platform, name: &str, padding: usize) -> Answer {
    // What stands behind a text is white space to JSON, and room to a disk.
    let word = if name == "succeeds" { "\"count\"" } else { "\"error\"" };
    let payload = format!("{word}{}", " ".repeat(padding));
    let event = [("x-amz-invocation-type", "Event")];
    platform.request("POST", &invocations(name), &event, payload.as_bytes())
}

fn id(answer: &Answer) -> String {
    answer.header("x-amzn-requestid").unwrap().to_owned()
}

#[test]
fn what_was_accepted_comes_to_its_end_and_what_was_not_is_told() {
    let Some(disk) = SmallDisk::new(DISK_MIB) else { return };
    let data = tempfile::tempdir_in(disk.path()).unwrap();
    let mut platform = Platform::start_in(data, &events::OPTIONS);
    events::create(&platform);
    let mut accepted = BTreeSet::new();
    let mut refused = None;
    for n in 0..EVENTS {
        // The first are at work when the room goes.
        if n == EVENTS / 2 {
            disk.fill();
        }
        let answer = send(&platform, FUNCTIONS[n % FUNCTIONS.len()], n * PADDING);
        match answer.status {
            202 => drop(accepted.insert(id(&answer))),
            _ => refused = Some(answer),
        }
    }
    let refused = refused.expect("more fits than there is room for");
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert_eq!(refused.header("x-amzn-errortype"), Some("ServiceException"));
    assert!(refused.text().contains("full"), "{}", refused.text());
    // Calls that need no room are answered, also by a platform that was killed here.
    assert_eq!(platform.invoke("succeeds", b"\"count\"").header("x-amz-function-error"), None);
    platform = Platform::start_in(platform.kill(), &events::OPTIONS);
    assert_eq!(platform.invoke("succeeds", b"\"count\"").header("x-amz-function-error"), None);
    println!("{} of {EVENTS} accepted", accepted.len());
    // It recovers by itself.
    disk.free();
    let start = Instant::now();
    loop {
        let answer = send(&platform, "succeeds", 0);
        if answer.status == 202 {
            accepted.insert(id(&answer));
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{}", answer.text());
    }
    let count = accepted.len();
    while !accepted.is_empty() {
        assert!(start.elapsed() < PATIENCE, "lost, of {count}: {accepted:?}");
        for id in events::receive(&platform) {
            accepted.remove(&id);
        }
    }
    platform.stop();
    drop(disk);
}
