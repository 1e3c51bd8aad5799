//! What a replay costs: starts that somebody waited for, and memory that was held for nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::EnvironmentId;

/// What a policy has cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// Invocations that ran.
    pub invocations: u64,
    /// Of those, the ones that waited for a start.
    pub cold: u64,
    /// Invocations that found no room.
    pub refused: u64,
    /// Environments that were started, for an invocation that waited or one that was expected.
    pub started: u64,
    /// Memory that environments held while they ran nothing, MiB · s.
    pub wasted_mib_s: f64,
    /// Memory that they held altogether, MiB · s.
    pub held_mib_s: f64,
    /// Most that they held at once, MiB.
    pub memory_mib_max: u64,
    /// For each function that ran: the part of its invocations that waited for a start. Sorted.
    pub cold_shares: Vec<f64>,
}

impl Cost {
    /// The part of all invocations that waited for a start, 0 to 1.
    pub fn cold_share(&self) -> f64 {
        self.cold as f64 / (self.invocations as f64).max(1.0)
    }

    /// The share of cold invocations that so many functions, of all, stay at or below: 0.75 is the paper's measure.
    pub fn cold_share_at(&self, part: f64) -> f64 {
        let count = self.cold_shares.len();
        let rank = ((count as f64 * part).ceil() as usize).clamp(1, count.max(1));
        self.cold_shares.get(rank - 1).copied().unwrap_or_default()
    }
}

/// One environment's life.
#[derive(Clone, Copy, Debug)]
struct Life {
    memory_mib: u64,
    started: Duration,
    worked: Duration,
    /// Since when it runs something.
    works_since: Option<Duration>,
}

/// The books of a replay.
#[derive(Debug)]
pub(super) struct Account {
    cost: Cost,
    /// For each function: invocations that ran, and cold ones.
    functions: Vec<(u64, u64)>,
    lives: BTreeMap<EnvironmentId, Life>,
    memory_mib: u64,
}

impl Account {
    pub(super) fn new(functions: usize) -> Account {
        Account {
            cost: Cost::default(),
            functions: vec![(0, 0); functions],
            lives: BTreeMap::new(),
            memory_mib: 0,
        }
    }

    pub(super) fn starts(&mut self, environment: EnvironmentId, memory_mib: u64, now: Duration) {
        let life = Life { memory_mib, started: now, worked: Duration::ZERO, works_since: None };
        self.lives.insert(environment, life);
        self.cost.started += 1;
        self.memory_mib += memory_mib;
        self.cost.memory_mib_max = self.cost.memory_mib_max.max(self.memory_mib);
    }

    pub(super) fn works(
        &mut self,
        environment: EnvironmentId,
        function: usize,
        is_cold: bool,
        now: Duration,
    ) {
        self.cost.invocations += 1;
        self.cost.cold += u64::from(is_cold);
        if let Some((ran, cold)) = self.functions.get_mut(function) {
            *ran += 1;
            *cold += u64::from(is_cold);
        }
        if let Some(life) = self.lives.get_mut(&environment) {
            life.works_since = Some(now);
        }
    }

    pub(super) fn rests(&mut self, environment: EnvironmentId, now: Duration) {
        if let Some(life) = self.lives.get_mut(&environment)
            && let Some(since) = life.works_since.take()
        {
            life.worked += now.saturating_sub(since);
        }
    }

    pub(super) fn ends(&mut self, environment: EnvironmentId, now: Duration) {
        self.rests(environment, now);
        let Some(life) = self.lives.remove(&environment) else { return };
        let held = now.saturating_sub(life.started);
        let memory_mib = life.memory_mib as f64;
        self.cost.held_mib_s += memory_mib * held.as_secs_f64();
        self.cost.wasted_mib_s += memory_mib * held.saturating_sub(life.worked).as_secs_f64();
        self.memory_mib -= life.memory_mib;
    }

    pub(super) fn refuses(&mut self) {
        self.cost.refused += 1;
    }

    /// Ends what is alive, and adds up.
    pub(super) fn close(mut self, now: Duration) -> Cost {
        for environment in self.lives.keys().copied().collect::<Vec<_>>() {
            self.ends(environment, now);
        }
        let ran = self.functions.iter().filter(|(ran, _)| *ran > 0);
        self.cost.cold_shares = ran.map(|(ran, cold)| *cold as f64 / *ran as f64).collect();
        self.cost.cold_shares.sort_unstable_by(f64::total_cmp);
        self.cost
    }
}
