//! What must be so once nothing more happens: all that is to be kept is there; and at the end of the world, nothing is.

use std::time::Duration;

use super::world::{HABIT, Judgement, Phase, Process, World, holds};
use crate::core::{Event, KeepAlivePolicy};

/// Longest that anything takes to end once it is over: a start, a run and a keep-alive.
const REST: Duration = Duration::from_secs(6 * 3600);
/// Long enough for what failed again and again to be tried once more.
const CALM: Duration = HABIT;

impl World {
    /// All that is started gets ready, all that runs answers, all that is killed ends.
    pub(super) fn settle(&mut self) -> Judgement {
        loop {
            let at_work = |process: &Process| process.is_killed || process.phase != Phase::Waiting;
            let Some((id, _)) = self.processes.iter().find(|(_, process)| at_work(process)) else {
                return Ok(());
            };
            self.go_on(*id)?;
        }
    }

    /// In a world that does as it should for a while, all that is to be kept comes to wait for work: whatever has died
    /// before, and as far as there is room.
    pub(super) fn come_to_rest(&mut self) -> Judgement {
        self.settle()?;
        let end = self.now + CALM;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.event(Event::Tick)?;
            self.settle()?;
        }
        self.now = end;
        let kept = || self.processes.values().filter(|process| process.is_kept());
        let memory_mib: u64 = kept().map(|process| process.deployment.memory_mib).sum();
        let is_full = kept().count() >= self.limits.environments_max;
        for (deployment, count) in self.provisioned.values() {
            let told = self.pool.provisioned(deployment.id);
            holds(told.wanted == *count as usize, "the pool knows what is to be kept")?;
            holds(told.available == self.kept(deployment.id), "what rests is available")?;
            let has_room = !is_full && memory_mib + deployment.memory_mib <= self.limits.memory_mib;
            let is_there = told.available == told.wanted;
            holds(is_there || !has_room, "what is to be kept is there, as far as there is room")?;
        }
        Ok(())
    }

    /// Nothing is left for ever: after a shutdown or a while, all have their answer; and all are gone, but what a
    /// policy keeps until its memory is wanted.
    pub(super) fn wind_down(&mut self) -> Judgement {
        self.come_to_rest()?;
        let keeps = self.limits.keep_alive == KeepAlivePolicy::LeastRecentlyUsed;
        if keeps || self.random.below(2) == 0 {
            self.shut_down()?;
        } else {
            self.ask_for_none()?;
        }
        for _ in 0..40 {
            self.pass(REST / 10)?;
            let killed = self.processes.iter().filter(|(_, process)| process.is_killed);
            for environment in killed.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.go_on(environment)?;
            }
        }
        holds(self.open.is_empty(), "every invocation has its outcome")?;
        holds(self.processes.is_empty(), "no environment stays for ever")?;
        holds(self.pool.environment_count() == 0, "the pool knows that all are gone")?;
        holds(self.has_stopped == self.is_stopping, "a shutdown comes to its end")
    }

    fn shut_down(&mut self) -> Judgement {
        let deadline = self.now + Duration::from_secs(1);
        self.is_stopping = true;
        self.provisioned.clear();
        self.processes.values_mut().for_each(|process| process.is_provisioned = false);
        self.event(Event::Shutdown { deadline })
    }
}
