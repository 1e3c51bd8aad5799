//! What is true: each environment's process and each invocation, and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Tally;
use crate::core::{
    Deployment, DeploymentId, Ending, EnvironmentId, Event, FunctionId, InvocationId,
    KeepAlivePolicy, Limits, Pool, Rule,
};
use crate::simulation::Random;

/// Functions at a time, each of one deployment at a time.
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
const HABIT: Duration = Duration::from_secs(1800);
/// Longest that anything takes to end once it is over: a start, a run and a keep-alive.
const REST: Duration = Duration::from_secs(6 * 3600);

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
    /// Whether it was started to be kept.
    pub(super) is_provisioned: bool,
}

/// One that wants an outcome.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) deployment: Deployment,
    pub(super) is_dispatched: bool,
}

pub(super) struct World {
    random: Random,
    pub(super) limits: Limits,
    pub(super) pool: Pool,
    pub(super) now: Duration,
    pub(super) processes: BTreeMap<EnvironmentId, Process>,
    pub(super) open: BTreeMap<InvocationId, Open>,
    pub(super) reserved: BTreeMap<FunctionId, u32>,
    /// How many environments are to be kept, of deployments of which any are.
    pub(super) provisioned: BTreeMap<DeploymentId, (Deployment, u32)>,
    /// What is invoked, unless it is late.
    functions: Vec<Deployment>,
    next_id: u64,
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
            is_stopping: false,
            has_stopped: false,
            tally: Tally::default(),
        };
        for number in 0..FUNCTIONS {
            let function = FunctionId(number);
            let deployment = world.deployment(function);
            world.functions.push(deployment);
        }
        world
    }

    /// Another deployment of a function.
    fn deployment(&mut self, function: FunctionId) -> Deployment {
        self.next_id += 1;
        let memory_mib = 128 << self.random.below(3);
        let timeout = Duration::from_secs(1 + self.random.below(5));
        Deployment { id: DeploymentId(self.next_id), function, memory_mib, timeout }
    }

    fn any(&mut self) -> usize {
        self.random.below(FUNCTIONS) as usize
    }

    /// Functions that are called regularly, for a while, by environments that do as they should.
    pub(super) fn learn(&mut self) -> Judgement {
        for _ in 0..12 {
            for index in 0..self.functions.len() {
                self.invoke(self.functions[index])?;
                self.settle()?;
            }
            self.pass(HABIT)?;
        }
        Ok(())
    }

    /// All that is started gets ready, all that runs answers, all that is killed ends.
    fn settle(&mut self) -> Judgement {
        loop {
            let at_work = |process: &Process| process.is_killed || process.phase != Phase::Waiting;
            let Some((id, _)) = self.processes.iter().find(|(_, process)| at_work(process)) else {
                return Ok(());
            };
            self.go_on(*id)?;
        }
    }

    pub(super) fn step(&mut self) -> Judgement {
        match self.random.below(1000) {
            0..300 => {
                let index = self.any();
                self.invoke(self.functions[index])
            }
            300..860 => self.live(),
            860..875 => self.reserve(),
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
            965..970 => self.replace(),
            970..973 => self.delete(),
            973..980 => self.provision(),
            _ => self.lie(),
        }
    }

    fn invoke(&mut self, deployment: Deployment) -> Judgement {
        self.next_id += 1;
        self.tally.invocations += 1;
        let invocation = InvocationId(self.next_id);
        let is_over = self.is_over_reserved(&deployment);
        self.open.insert(invocation, Open { deployment, is_dispatched: false });
        self.event(Event::Invoke { invocation, deployment })?;
        let is_accepted = self.open.contains_key(&invocation);
        holds(!(is_over && is_accepted), "no more is under way than is reserved")
    }

    /// Whether one more invocation would be more than is reserved for its function. Each deployment takes what has no
    /// answer yet, or what is provisioned for it where that is more.
    pub(super) fn is_over_reserved(&self, deployment: &Deployment) -> bool {
        let Some(limit) = self.reserved.get(&deployment.function) else { return false };
        let mut taken: BTreeMap<DeploymentId, usize> = BTreeMap::from([(deployment.id, 1)]);
        let ours = |one: &Deployment| one.function == deployment.function;
        for open in self.open.values().filter(|open| ours(&open.deployment)) {
            *taken.entry(open.deployment.id).or_default() += 1;
        }
        for (one, count) in self.provisioned.values().filter(|(one, _)| ours(one)) {
            let taken = taken.entry(one.id).or_default();
            *taken = (*taken).max(*count as usize);
        }
        taken.values().sum::<usize>() > *limit as usize
    }

    /// More or fewer environments of a function are to be kept.
    fn provision(&mut self) -> Judgement {
        self.tally.updates += 1;
        let index = self.any();
        let deployment = self.functions[index];
        let count = self.random.below(4) as u32;
        if count == 0 {
            self.provisioned.remove(&deployment.id);
        } else {
            self.provisioned.insert(deployment.id, (deployment, count));
        }
        self.event(Event::Provision { deployment, count })
    }

    /// Environments of a deployment that were started to be kept, and are.
    pub(super) fn kept(&self, deployment: DeploymentId) -> usize {
        let kept = |one: &&Process| {
            one.is_provisioned && !one.is_killed && one.deployment.id == deployment
        };
        self.processes.values().filter(kept).count()
    }

    /// Whether all that is to be kept has room at once.
    fn has_room_for_provisioned(&self) -> bool {
        let all = self.provisioned.values();
        let (memory_mib, count) = all.fold((0, 0), |(memory_mib, sum), (one, count)| {
            (memory_mib + one.memory_mib * u64::from(*count), sum + *count as usize)
        });
        memory_mib <= self.limits.memory_mib && count <= self.limits.environments_max
    }

    /// In a world that does as it should for an hour, all that is to be kept comes to wait for work.
    fn come_to_rest(&mut self) -> Judgement {
        self.settle()?;
        let end = self.now + 2 * HABIT;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.event(Event::Tick)?;
            self.settle()?;
        }
        let has_room = self.has_room_for_provisioned();
        for (deployment, count) in self.provisioned.values() {
            let told = self.pool.provisioned(deployment.id);
            holds(told.wanted == *count as usize, "the pool knows what is to be kept")?;
            holds(told.available == told.allocated, "what rests is available")?;
            holds(!has_room || told.available == told.wanted, "what is to be kept is there")?;
        }
        let all: Vec<Deployment> = self.provisioned.values().map(|(one, _)| *one).collect();
        self.provisioned.clear();
        for deployment in all {
            self.event(Event::Provision { deployment, count: 0 })?;
        }
        Ok(())
    }

    fn reserve(&mut self) -> Judgement {
        self.tally.updates += 1;
        let index = self.any();
        let function = self.functions[index].function;
        let limit = Some(self.random.below(5) as u32).filter(|limit| *limit < 4);
        match limit {
            Some(limit) => self.reserved.insert(function, limit),
            None => self.reserved.remove(&function),
        };
        self.event(Event::Reserve { function, limit })
    }

    /// A function gets new code. Now and then an invocation that set out before comes after.
    fn replace(&mut self) -> Judgement {
        self.tally.updates += 1;
        let index = self.any();
        let old = self.functions[index];
        self.functions[index] = self.deployment(old.function);
        self.provisioned.remove(&old.id);
        self.event(Event::Retire { deployment: old.id })?;
        if self.random.below(2) == 0 { self.invoke(old) } else { Ok(()) }
    }

    /// A function goes, and another one comes.
    fn delete(&mut self) -> Judgement {
        self.tally.updates += 1;
        let index = self.any();
        let old = self.functions[index];
        self.next_id += 1;
        self.functions[index] = self.deployment(FunctionId(self.next_id));
        self.reserved.remove(&old.function);
        self.provisioned.remove(&old.id);
        self.event(Event::Retire { deployment: old.id })?;
        self.event(Event::Forget { function: old.function })
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

    /// One environment does the next thing that it should.
    fn go_on(&mut self, environment: EnvironmentId) -> Judgement {
        let Some(process) = self.processes.get_mut(&environment) else { return Ok(()) };
        if process.is_killed {
            self.processes.remove(&environment);
            return self.event(Event::Ended { environment, ending: Ending::Killed });
        }
        match process.phase {
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
    fn pass(&mut self, time: Duration) -> Judgement {
        let end = self.now + time;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= end) {
            holds(deadline > self.now, "a deadline lies ahead")?;
            self.now = deadline;
            self.event(Event::Tick)?;
        }
        self.now = end;
        Ok(())
    }

    /// Nothing is left for ever: after a shutdown or a while, all have their answer; and all are gone, but what a
    /// policy keeps until its memory is wanted.
    pub(super) fn wind_down(&mut self) -> Judgement {
        self.come_to_rest()?;
        let keeps = self.limits.keep_alive == KeepAlivePolicy::LeastRecentlyUsed;
        if keeps || self.random.below(2) == 0 {
            let deadline = self.now + Duration::from_secs(1);
            self.is_stopping = true;
            self.event(Event::Shutdown { deadline })?;
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
