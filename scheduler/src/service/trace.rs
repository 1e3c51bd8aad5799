//! X-Amzn-Trace-Id, by which a chain of requests knows how often it has invoked each function (X-Ray developer guide,
//! "Tracing header"; Lambda developer guide, "Use Lambda recursive loop detection").
//!
//! ```text
//!   Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=0000002a:3|00000007:1
//!                                                                              └ function 42, 3 invocations
//!   client ─▶ Invoke ─▶ function (_X_AMZN_TRACE_ID) ─ its SDK passes it on ─▶ Invoke, SendMessage, … ─▶ function
//! ```
//!
//! Nothing is sampled: what a client says of its trace is passed on, and the lineage is counted. A lineage is a help for whoever made
//! a loop without wanting one; a function can drop the header, so it is no wall.

use std::fmt::{self, Display, Formatter};

use crate::function::RecursiveLoop;

/// How often a chain of requests may invoke one function.
pub(crate) const RUNS_MAX: u32 = 16;
/// Longest header that is read: a lineage of [`FUNCTIONS_MAX`] and room for what others add.
const HEADER_BYTES_MAX: usize = 2048;
/// Functions in a lineage: with them a header has less than 1 KiB. A chain of more forgets the first ones.
const FUNCTIONS_MAX: usize = 64;
/// Counts go no further, where loops are allowed.
const COUNT_MAX: u32 = 255;

/// Such a header, as far as it makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    root: Option<String>,
    parent: Option<String>,
    sampled: Option<String>,
    /// Functions, and how often each was invoked; those invoked last are the last.
    lineage: Vec<(u32, u32)>,
}

impl Trace {
    /// Reads a header; what is no part of one is passed over.
    pub(crate) fn read(header: &str) -> Trace {
        let mut trace = Trace::default();
        if header.len() > HEADER_BYTES_MAX {
            return trace;
        }
        for (name, value) in header.split(';').filter_map(|part| part.trim().split_once('=')) {
            match name {
                "Root" => trace.root = is_root(value).then(|| value.to_owned()),
                "Parent" => trace.parent = is_hex(value, 16).then(|| value.to_owned()),
                "Sampled" => {
                    trace.sampled = ["0", "1"].contains(&value).then(|| value.to_owned());
                }
                "Lineage" => trace.lineage = lineage(value),
                _ => {}
            }
        }
        trace
    }

    /// Whether what has led here may not invoke a function of this number once more.
    pub(crate) fn ends_at(&self, function: u64, setting: RecursiveLoop) -> bool {
        let runs = self.lineage.iter().find(|(key, _)| *key == key_of(function));
        setting == RecursiveLoop::Terminate && runs.is_some_and(|(_, runs)| *runs >= RUNS_MAX)
    }

    /// The trace inside the function that it invokes.
    pub(crate) fn enter(&self, function: u64) -> Trace {
        let mut inside = self.clone();
        let runs = inside.take(key_of(function)).unwrap_or(0);
        inside.put(key_of(function), runs.saturating_add(1));
        inside
    }

    /// The trace of a batch: the first one's, and of each function the longest chain.
    pub(crate) fn join(traces: impl IntoIterator<Item = Trace>) -> Trace {
        let join = |mut all: Trace, one: Trace| {
            for (key, runs) in one.lineage {
                let known = all.take(key).unwrap_or(0);
                all.put(key, runs.max(known));
            }
            all
        };
        traces.into_iter().reduce(join).unwrap_or_default()
    }

    /// One that has a root: where it had none, made of a request's id.
    pub(crate) fn rooted(mut self, request_id: &str) -> Trace {
        if self.root.is_none() {
            let digits: String = request_id.chars().filter(char::is_ascii_hexdigit).collect();
            let (time, rest) = digits.split_at_checked(8).unwrap_or(("00000000", ""));
            self.root = Some(format!("1-{time}-{rest:0<24.24}"));
        }
        self.sampled.get_or_insert_with(|| "0".into());
        self
    }

    fn take(&mut self, key: u32) -> Option<u32> {
        let nth = self.lineage.iter().position(|(known, _)| *known == key)?;
        Some(self.lineage.remove(nth).1)
    }

    fn put(&mut self, key: u32, runs: u32) {
        if self.lineage.len() >= FUNCTIONS_MAX {
            self.lineage.remove(0);
        }
        self.lineage.push((key, runs.min(COUNT_MAX)));
    }
}

impl Display for Trace {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, value) in
            [("Root", &self.root), ("Parent", &self.parent), ("Sampled", &self.sampled)]
        {
            parts.extend(value.as_ref().map(|value| format!("{name}={value}")));
        }
        if !self.lineage.is_empty() {
            let lineage = self.lineage.iter().map(|(key, runs)| format!("{key:08x}:{runs}"));
            parts.push(format!("Lineage={}", lineage.collect::<Vec<_>>().join("|")));
        }
        to.write_str(&parts.join(";"))
    }
}

/// What a lineage has for a function: numbers count up from 1, and 32 bits of one tell functions apart.
fn key_of(function: u64) -> u32 {
    function as u32
}

fn lineage(value: &str) -> Vec<(u32, u32)> {
    let mut read = Trace::default();
    for part in value.split('|') {
        let Some((key, runs)) = part.split_once(':').filter(|(key, _)| is_hex(key, 8)) else {
            continue;
        };
        if let (Ok(key), Ok(runs)) = (u32::from_str_radix(key, 16), runs.parse::<u32>()) {
            let known = read.take(key).unwrap_or(0);
            read.put(key, runs.max(known));
        }
    }
    read.lineage
}

fn is_root(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    matches!(parts[..], ["1", time, rest] if is_hex(time, 8) && is_hex(rest, 24))
}

fn is_hex(value: &str, length: usize) -> bool {
    value.len() == length && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_made_of_the_request_id_where_there_is_none() {
        let made = |id| Trace::default().rooted(id).to_string();
        assert_eq!(
            made("0123abcd-1111-2222-3333-444455556666"),
            "Root=1-0123abcd-111122223333444455556666;Sampled=0"
        );
        assert_eq!(made(""), "Root=1-00000000-000000000000000000000000;Sampled=0");
    }

    #[test]
    fn what_came_is_passed_on_and_counted() {
        let came = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let inside = Trace::read(came).enter(42).enter(7).enter(42).rooted("id");
        assert_eq!(inside.to_string(), format!("{came};Lineage=00000007:1|0000002a:2"));
        assert_eq!(Trace::read(&inside.to_string()), inside);
    }

    #[test]
    fn the_seventeenth_time_is_one_too_many_unless_loops_are_allowed() {
        let mut trace = Trace::default();
        for _ in 0..RUNS_MAX {
            assert!(!trace.ends_at(7, RecursiveLoop::Terminate), "{trace}");
            trace = trace.enter(7).enter(8);
        }
        assert!(trace.ends_at(7, RecursiveLoop::Terminate), "{trace}");
        assert!(!trace.ends_at(7, RecursiveLoop::Allow));
        assert!(!trace.ends_at(9, RecursiveLoop::Terminate));
    }

    #[test]
    fn a_batch_has_each_functions_longest_chain() {
        let read = |lineage| Trace::read(&format!("Lineage={lineage}"));
        let joined = Trace::join([read("00000001:3|00000002:1"), read("00000001:2|00000003:9")]);
        assert_eq!(joined.to_string(), "Lineage=00000002:1|00000001:3|00000003:9");
        assert_eq!(Trace::join([]), Trace::default());
    }

    #[test]
    fn what_makes_no_sense_is_passed_over_and_what_is_long_is_bounded() {
        for none in [
            "",
            ";;=;",
            "Root=1-5759e988;Parent=x;Sampled=?",
            "Lineage=",
            "Lineage=1:00000001:2",
            "Lineage=00000001:-1|zzzzzzzz:1|00000001",
            "Root=1-5759e988-bd862e3fe1be46a99427279é",
            &format!("Lineage=00000001:1;{}", "x".repeat(HEADER_BYTES_MAX)),
        ] {
            assert_eq!(Trace::read(none), Trace::default(), "{none}");
        }
        let mut trace = Trace::read("Lineage=00000001:4294967295|00000001:1");
        assert_eq!(trace.to_string(), "Lineage=00000001:255");
        for function in 0..1000 {
            trace = trace.enter(function);
        }
        let header = trace.rooted("id").to_string();
        assert!(header.len() < 1024 && header.ends_with("|000003e7:1"), "{header}");
    }
}
