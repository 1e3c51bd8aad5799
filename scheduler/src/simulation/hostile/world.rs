//! What is true: each environment's process and each invocation, and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Tally;
use super::clients::Function;
use crate::core::{
    Deployment, DeploymentId, Ending, EnvironmentId, Event, FunctionId, InvocationId,
    KeepAlivePolicy, Limits, Pool, Rule,
};
use crate::simulation::Random;

/// Functions at a time.
const FUNCTIONS: u64 = 5;
/// The policies, one for each world.
const POLICIES: [KeepAlivePolicy; 3] = [
    KeepAlivePolicy::Fixed(Duration::from_secs(300)),
    KeepAlivePolicy::LeastRecentlyUsed,
    KeepAlivePolicy::Hybrid,
];
/// Budgets, one for each world: MiB, environments. Small ones are full most of the time.
const BUDGETS: [(u64, usize); 4] = [(1024, 6), (512, 40), (1 << 20, 3), (8192, 40)];
/// What the policies that learn see regularly.
pub(super) const HABIT: Duration = Duration::from_secs(1800);
/// Longest time in which the host can start nothing, ms.
const SCARCE_MS_MAX: u64 = 30_000;

pub(super) type Judgement = Result<(), Rule>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Booting,
    Waiting,
    Running(InvocationId),
    Answered,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) deployment: Deployment,
    pub(super) phase: Phase,
    pub(super) since: Duration,
    pub(super) is_killed: bool,
    /// Whether it was started to be kept, and is wanted still.
    pub(super) is_provisioned: bool,
}

impl Process {
    /// Whether it counts for what is to be kept of its deployment.
    pub(super) fn is_kept(&self) -> bool {
        self.is_provisioned && !self.is_killed
    }
}

/// One that wants an outcome.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) deployment: Deployment,
    pub(super) is_dispatched: bool,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) limits: Limits,
    pub(super) pool: Pool,
    pub(super) now: Duration,
    pub(super) processes: BTreeMap<EnvironmentId, Process>,
    pub(super) open: BTreeMap<InvocationId, Open>,
    pub(super) reserved: BTreeMap<FunctionId, u32>,
    /// How many environments are to be kept, of deployments of which any are.
    pub(super) provisioned: BTreeMap<DeploymentId, (Deployment, u32)>,
    /// What is invoked, unless it is late.
    pub(super) functions: Vec<Function>,
    next_id: u64,
    /// Until then the host has nothing to start an environment with.
    scarce_until: Duration,
    pub(super) is_stopping: bool,
    pub(super) has_stopped: bool,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let (memory_mib, environments_max) = BUDGETS[(seed / 3 % 4) as usize];
        let keep_alive = POLICIES[(seed % 3) as usize];
        let limits = Limits { memory_mib, environments_max, keep_alive, ..Limits::default() };
        let mut world = World {
            random: Random::new(seed),
            limits,
            pool: Pool::new(limits),
            now: Duration::ZERO,
            processes: BTreeMap::new(),
            open: BTreeMap::new(),
            reserved: BTreeMap::new(),
            provisioned: BTreeMap::new(),
            functions: Vec::new(),
            next_id: 0,
            scarce_until: Duration::ZERO,
            is_stopping: false,
            has_stopped: false,
            tally: Tally::default(),
        };
        for number in 0..FUNCTIONS {
            let function = world.function(FunctionId(number));
            world.functions.push(function);
        }
        world
    }

    /// A number that nothing had before.
    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Somebody wants an outcome.
    pub(super) fn ask(&mut self, invocation: InvocationId, deployment: Deployment) {
        self.tally.invocations += 1;
        self.open.insert(invocation, Open { deployment, is_dispatched: false });
    }

    /// Environments of a deployment that were started to be kept, and are.
    pub(super) fn kept(&self, deployment: DeploymentId) -> usize {
        let kept = |one: &&Process| one.is_kept() && one.deployment.id == deployment;
        self.processes.values().filter(kept).count()
    }

    /// Functions that are called regularly, for a while, by environments that do as they should.
    pub(super) fn learn(&mut self) -> Judgement {
        for _ in 0..12 {
            for deployment in self.latest() {
                self.invoke(deployment)?;
                self.settle()?;
            }
            self.pass(HABIT)?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self) -> Judgement {
        match self.random.below(1000) {
            0..300 => {
                let deployment = self.any_version();
                self.invoke(deployment)
            }
            300..860 => self.live(),
            860..873 => self.change(),
            873..875 => self.come_to_rest(),
            875..935 => {
                let time = 1 + self.random.below(50);
                self.pass(Duration::from_millis(time))
            }
            935..955 => {
                let time = self.random.below(20_000);
                self.pass(Duration::from_millis(time))
            }
            955..960 => {
                self.tally.jumps += 1;
                self.pass(HABIT)
            }
            960..965 => self.jump(),
            965..967 => {
                let time = self.random.below(SCARCE_MS_MAX);
                self.scarce_until = self.now + Duration::from_millis(time);
                Ok(())
            }
            967..980 => self.change(),
            _ => self.lie(),
        }
    }

    /// Something happens in one environment: it goes on as it should, or does not.
    fn live(&mut self) -> Judgement {
        let count = self.processes.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let chosen = self.random.below(count) as usize;
        let Some((&environment, process)) = self.processes.iter().nth(chosen) else {
            return Ok(());
        };
        match self.random.below(100) {
            fate @ 0..5 if !process.is_killed => {
                self.tally.deaths += 1;
                self.processes.remove(&environment);
                self.event(Event::Ended { environment, ending: Ending::Exited(fate as u8) })
            }
            5..10 if !process.is_killed && process.phase == Phase::Booting => {
                self.tally.deaths += 1;
                self.event(Event::InitFailed { environment })
            }
            _ => self.go_on(environment),
        }
    }

    /// One environment does the next thing that it should; only a host without memory has it end in its start.
    pub(super) fn go_on(&mut self, environment: EnvironmentId) -> Judgement {
        let Some(process) = self.processes.get_mut(&environment) else { return Ok(()) };
        if process.is_killed {
            self.processes.remove(&environment);
            return self.event(Event::Ended { environment, ending: Ending::Killed });
        }
        match process.phase {
            Phase::Booting if self.now < self.scarce_until => {
                self.tally.failed_starts += 1;
                self.processes.remove(&environment);
                self.event(Event::Ended { environment, ending: Ending::Failed })
            }
            Phase::Booting | Phase::Answered => {
                (process.phase, process.since) = (Phase::Waiting, self.now);
                self.event(Event::Ready { environment })
            }
            Phase::Running(invocation) => {
                process.phase = Phase::Answered;
                self.event(Event::Responded { environment, invocation })
            }
            Phase::Waiting => Ok(()),
        }
    }

    /// An event that fits no state: from a runtime that lies, or from one long gone.
    fn lie(&mut self) -> Judgement {
        self.tally.lies += 1;
        let environment = match self.processes.keys().next_back() {
            Some(last) => EnvironmentId(self.random.below(last.0 + 2)),
            None => EnvironmentId(self.random.below(50)),
        };
        let invocation = InvocationId(self.random.below(self.next_id + 2));
        // Only where it would be a lie: the truth is `live`'s matter.
        match self.processes.get(&environment).map(|process| process.phase) {
            None => self.event(Event::Ended { environment, ending: Ending::Failed }),
            Some(Phase::Waiting) => {
                self.event(Event::Ready { environment })?;
                self.event(Event::Responded { environment, invocation })?;
                self.event(Event::InitFailed { environment })
            }
            Some(Phase::Running(running)) => {
                self.event(Event::Ready { environment })?;
                if running == invocation {
                    return Ok(());
                }
                self.event(Event::Responded { environment, invocation })
            }
            Some(_) => Ok(()),
        }
    }

    /// The clock runs backwards for one event, or past many deadlines in one go.
    fn jump(&mut self) -> Judgement {
        self.tally.jumps += 1;
        if self.random.below(2) == 0 {
            self.pool.handle(Event::Tick, self.now / 2);
        } else {
            self.now += Duration::from_millis(self.random.below(10_000_000));
        }
        self.event(Event::Tick)
    }

    /// Lets time pass as a shell does: with a tick at each deadline.
    pub(super) fn pass(&mut self, time: Duration) -> Judgement {
        let end = self.now + time;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= end) {
            holds(deadline > self.now, "a deadline lies ahead")?;
            self.now = deadline;
            self.event(Event::Tick)?;
        }
        self.now = end;
        Ok(())
    }

    pub(super) fn event(&mut self, event: Event) -> Judgement {
        self.tally.events += 1;
        self.pool.handle(event, self.now);
        self.pool.check()?;
        while let Some(action) = self.pool.poll() {
            self.judge(action)?;
        }
        self.judge_state()
    }
}

pub(super) fn holds(condition: bool, rule: Rule) -> Judgement {
    if condition { Ok(()) } else { Err(rule) }
}
