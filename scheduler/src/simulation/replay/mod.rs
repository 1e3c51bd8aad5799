//! A trace, lived by the real core in virtual time: environments take a given time to start, invocations as long as
//! the trace says.
//!
//! ```text
//!   trace ── Invoke ─▶ Pool ── Start ────▶ Ready, a start later
//!                        │ ─── Dispatch ─▶ Responded and Ready, a duration later
//!                        │ ─── Kill ─────▶ Ended, at once
//!                        └──── next_deadline ─▶ Tick
//! ```
//!
//! Within its minute a function's invocations are spread evenly, from a second on that is always the same: so a timer
//! fires when a timer does. Nothing depends on the policy but the policy's own decisions.

mod account;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::Random;
use super::trace::{DURATION_MAX, Trace};
use crate::core::{
    Action, Deployment, DeploymentId, Ending, EnvironmentId, Event, FunctionId, InvocationId,
    Limits, Outcome, Pool,
};
use account::Account;
pub use account::Cost;

const MINUTE: Duration = Duration::from_secs(60);
/// So much happens between two moments at which somebody may look, or stop: some milliseconds.
const TURN_EVENTS: usize = 10_000;

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    /// One of a function's invocations in this minute, which brings the next one.
    Invoke(Calls),
    Ready(EnvironmentId),
    Responded(EnvironmentId, InvocationId),
}

/// A function's invocations in one minute, spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Calls {
    function: u32,
    /// Which of them is next.
    next: u32,
    count: u32,
}

/// A trace under way.
#[derive(Debug)]
pub struct Replay<'a> {
    trace: &'a Trace,
    pool: Pool,
    start_time: Duration,
    now: Duration,
    minute: usize,
    /// By time, then by the order in which it was made sure.
    coming: BinaryHeap<Reverse<(Duration, u64, Coming)>>,
    ordered: u64,
    /// Each function's own numbers: how long its next invocation takes does not depend on others.
    random: Vec<Random>,
    /// Whose invocation it is, until it has its outcome.
    open: BTreeMap<InvocationId, u32>,
    invocations: u64,
    account: Account,
}

impl<'a> Replay<'a> {
    /// A trace before its first minute, in a pool of these limits, where each environment takes `start_time` to start.
    pub fn new(trace: &'a Trace, limits: Limits, start_time: Duration, seed: u64) -> Replay<'a> {
        let root = Random::new(seed);
        let functions = trace.functions().len();
        Replay {
            trace,
            pool: Pool::new(limits),
            start_time,
            now: Duration::ZERO,
            minute: 0,
            coming: BinaryHeap::new(),
            ordered: 0,
            random: (0..functions as u64).map(|function| root.fork(function)).collect(),
            open: BTreeMap::new(),
            invocations: 0,
            account: Account::new(functions),
        }
    }

    /// Lives on for a while, at most to the end of a minute; whether anything is left.
    pub fn live(&mut self) -> bool {
        let trace = self.trace;
        if self.now == self.end() {
            if self.minute == trace.minutes() {
                return false;
            }
            for &(function, count) in trace.minute(self.minute) {
                self.expect_call(Calls { function, next: 0, count });
            }
            self.minute += 1;
        }
        self.turn();
        true
    }

    /// Minutes that have begun.
    pub fn minute(&self) -> usize {
        self.minute
    }

    /// The end of the minute that has begun last.
    fn end(&self) -> Duration {
        MINUTE * self.minute as u32
    }

    /// What it has cost, up to now.
    pub fn cost(self) -> Cost {
        self.account.close(self.now)
    }

    fn turn(&mut self) {
        let end = self.end();
        for _ in 0..TURN_EVENTS {
            let next = self.coming.peek().map(|Reverse((at, ..))| *at).filter(|at| *at < end);
            let tick = self.pool.next_deadline().filter(|tick| *tick < end);
            match (next, tick) {
                (Some(at), tick) if tick.is_none_or(|tick| at < tick) => {
                    let Some(Reverse((at, _, coming))) = self.coming.pop() else { return };
                    self.now = at;
                    self.happen(coming);
                }
                (_, Some(tick)) => {
                    self.now = self.now.max(tick);
                    self.event(Event::Tick);
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    /// Brings the next of these calls, within the minute that it is now.
    fn expect_call(&mut self, calls: Calls) {
        let start = MINUTE * (self.now.as_secs() / MINUTE.as_secs()) as u32;
        // A part of the gap between two.
        let phase = Random::new(u64::from(calls.function)).unit();
        let share = (f64::from(calls.next) + phase) / f64::from(calls.count);
        self.expect(start + MINUTE.mul_f64(share), Coming::Invoke(calls));
    }

    fn expect(&mut self, at: Duration, coming: Coming) {
        self.ordered += 1;
        self.coming.push(Reverse((at, self.ordered, coming)));
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Invoke(calls) => {
                let function = calls.function;
                if calls.next + 1 < calls.count {
                    self.expect_call(Calls { next: calls.next + 1, ..calls });
                }
                self.invocations += 1;
                let invocation = InvocationId(self.invocations);
                self.open.insert(invocation, function);
                let deployment = self.deployment(function);
                self.event(Event::Invoke { invocation, deployment });
            }
            Coming::Ready(environment) => self.event(Event::Ready { environment }),
            Coming::Responded(environment, invocation) => {
                self.account.rests(environment, self.now);
                self.event(Event::Responded { environment, invocation });
                self.event(Event::Ready { environment });
            }
        }
    }

    fn deployment(&self, function: u32) -> Deployment {
        Deployment {
            id: DeploymentId(function.into()),
            function: FunctionId(function.into()),
            memory_mib: self.trace.functions()[function as usize].memory_mib,
            // No invocation of a trace takes too long.
            timeout: 2 * DURATION_MAX,
        }
    }

    fn event(&mut self, event: Event) {
        self.pool.handle(event, self.now);
        while let Some(action) = self.pool.poll() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start { environment, deployment, .. } => {
                self.account.starts(environment, deployment.memory_mib, self.now);
                self.expect(self.now + self.start_time, Coming::Ready(environment));
            }
            Action::Dispatch { environment, invocation, is_cold } => {
                let Some(function) = self.open.get(&invocation).map(|function| *function as usize)
                else {
                    return;
                };
                self.account.works(environment, function, is_cold, self.now);
                let place = self.random[function].unit();
                let time = self.trace.functions()[function].duration(place);
                self.expect(self.now + time, Coming::Responded(environment, invocation));
            }
            Action::Kill { environment } => {
                self.account.ends(environment, self.now);
                self.event(Event::Ended { environment, ending: Ending::Killed });
            }
            Action::Complete { invocation, outcome, .. } => {
                self.open.remove(&invocation);
                if outcome != Outcome::Answered {
                    self.account.refuses();
                }
            }
            Action::Stopped => {}
        }
    }
}
