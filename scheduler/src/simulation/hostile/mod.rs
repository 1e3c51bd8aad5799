//! The pool in a hostile world: environments die at every step, hang, answer late or twice, or can't be started at all;
//! functions are replaced, published and deleted while they run, what is reserved and kept of them changes, aliases move;
//! and the clock jumps.
//!
//! ```text
//!   seed ─▶ world: what is true, clients: what they change ──▶ events ──▶ Pool
//!             ▲                                                            │
//!             └────── judge: was that right? rest: is all there? ◀──── actions
//! ```
//!
//! What has been found wrong comes back with its seed and its step; the same seed does the same again.

mod clients;
mod judge;
mod rest;
#[cfg(test)]
mod tests;
mod world;

use thiserror::Error;

use crate::core::Rule;
use world::World;

/// A rule that the pool has broken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("seed {seed}, step {step}: it does not hold that {rule}")]
pub struct Broken {
    /// The world's seed.
    pub seed: u64,
    /// After how many steps.
    pub step: u64,
    /// What should hold.
    pub rule: Rule,
}

/// What has happened in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that the pool was told.
    pub events: u64,
    /// Invocations that were asked for.
    pub invocations: u64,
    /// Invocations that were given to an environment.
    pub dispatched: u64,
    /// Invocations that were not accepted.
    pub refused: u64,
    /// Environments started for an invocation that was only expected.
    pub started_ahead: u64,
    /// Environments started to be kept.
    pub provisioned: u64,
    /// Environments that ended by themselves, or never got ready.
    pub deaths: u64,
    /// Environments that the host could not start.
    pub failed_starts: u64,
    /// Invocations and starts that took too long.
    pub time_outs: u64,
    /// Functions replaced, published, deleted, or given another bound or alias, while they were at work.
    pub updates: u64,
    /// Aliases among them that took environments along.
    pub moves: u64,
    /// Jumps of the clock, backwards or by many minutes.
    pub jumps: u64,
    /// Events that were lies, or came long after their time.
    pub lies: u64,
}

impl Tally {
    /// Everything that was done to hurt the pool.
    pub fn faults(&self) -> u64 {
        self.deaths + self.failed_starts + self.time_outs + self.updates + self.jumps + self.lies
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Tally) {
        let sums: [(&mut u64, u64); 13] = [
            (&mut self.events, other.events),
            (&mut self.invocations, other.invocations),
            (&mut self.dispatched, other.dispatched),
            (&mut self.refused, other.refused),
            (&mut self.started_ahead, other.started_ahead),
            (&mut self.provisioned, other.provisioned),
            (&mut self.deaths, other.deaths),
            (&mut self.failed_starts, other.failed_starts),
            (&mut self.time_outs, other.time_outs),
            (&mut self.updates, other.updates),
            (&mut self.moves, other.moves),
            (&mut self.jumps, other.jumps),
            (&mut self.lies, other.lies),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum += more);
    }
}

/// Lives one world of so many steps, and then lets it come to rest.
///
/// # Errors
/// The first rule that was broken.
pub fn run(seed: u64, steps: u64) -> Result<Tally, Broken> {
    let mut world = World::new(seed);
    let mut step = 0;
    let mut live = || {
        world.learn()?;
        while step < steps {
            world.step()?;
            step += 1;
        }
        world.wind_down()
    };
    live().map_err(|rule| Broken { seed, step, rule })?;
    Ok(world.tally)
}
