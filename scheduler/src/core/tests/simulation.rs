//! The pool in a hostile world: environments die at every step, hang, answer late, and the clock jumps.
//!
//! A world of its own keeps the truth about each environment and each invocation, and judges every action
//! by it. Everything follows from one seed; a failure prints it.

use std::collections::BTreeMap;

use super::*;

const SEEDS: u64 = 100;
const STEPS: usize = 1500;
const DEPLOYMENTS: u64 = 5;
const BUDGET_MIB: u64 = 1024;

#[test]
fn no_fault_breaks_the_pool() {
    for seed in 0..SEEDS {
        simulate(seed);
    }
}

#[test]
#[ignore = "for long nights: as above, with a hundred times as many seeds"]
fn no_fault_breaks_the_pool_for_long() {
    for seed in SEEDS..100 * SEEDS {
        simulate(seed);
    }
}

fn simulate(seed: u64) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the seed was {}", self.0);
            }
        }
    }
    let _printed_on_failure = Seed(seed);
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.wind_down();
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Booting,
    Waiting,
    Running(InvocationId),
    Answered,
}

#[derive(Debug)]
struct Process {
    deployment: Deployment,
    phase: Phase,
    since: Duration,
    is_killed: bool,
}

struct World {
    random: Random,
    pool: Pool,
    now: Duration,
    processes: BTreeMap<EnvironmentId, Process>,
    /// Invocations without an outcome: what they want.
    open: BTreeMap<InvocationId, Deployment>,
    reserved: BTreeMap<FunctionId, u32>,
    invocations: u64,
    stopped: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let limits = Limits { memory_mib: BUDGET_MIB, environments_max: 6, ..Limits::default() };
        World {
            random: Random(seed),
            pool: Pool::new(limits),
            now: Duration::ZERO,
            processes: BTreeMap::new(),
            open: BTreeMap::new(),
            reserved: BTreeMap::new(),
            invocations: 0,
            stopped: false,
        }
    }

    fn deployment(&mut self) -> Deployment {
        let id = self.random.below(DEPLOYMENTS);
        let memory_mib = 128 << (id % 3);
        let function = FunctionId(id / 2);
        let timeout = (1 + id as u32) * SECOND;
        Deployment { id: DeploymentId(id), function, memory_mib, timeout }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..30 => {
                self.invocations += 1;
                let (invocation, deployment) = (InvocationId(self.invocations), self.deployment());
                let is_over = self.is_over_reserved(deployment.function);
                self.open.insert(invocation, deployment);
                self.event(Event::Invoke { invocation, deployment });
                let is_accepted = self.open.contains_key(&invocation);
                assert!(!(is_over && is_accepted), "more at once than is reserved");
            }
            30..86 => self.live(),
            86..88 => {
                let function = self.deployment().function;
                let limit = Some(self.random.below(5) as u32).filter(|limit| *limit < 4);
                match limit {
                    Some(limit) => self.reserved.insert(function, limit),
                    None => self.reserved.remove(&function),
                };
                self.event(Event::Reserve { function, limit });
            }
            88..94 => self.pass(ms(1 + self.random.0 % 50)),
            94..96 => self.pass(ms(self.random.0 % 20_000)),
            96 => self.pass(ms(self.random.0 % 1_000_000)),
            97 => {
                let deployment = self.deployment().id;
                self.event(Event::Retire { deployment });
            }
            // A clock that runs backwards, for one event.
            98 => self.pool.handle(Event::Tick, self.now / 2),
            _ => self.nonsense(),
        }
    }

    /// Whether as many invocations of the function have no answer yet as are reserved for it.
    fn is_over_reserved(&self, function: FunctionId) -> bool {
        let open = self.open.values().filter(|one| one.function == function).count();
        self.reserved.get(&function).is_some_and(|limit| open >= *limit as usize)
    }

    /// Something happens in one environment: it goes on as it should, or does not.
    fn live(&mut self) {
        let count = self.processes.len() as u64;
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count) as usize;
        let environment = *self.processes.keys().nth(chosen).unwrap();
        let fate = self.random.below(100);
        let process = self.processes.get_mut(&environment).unwrap();
        if process.is_killed || fate < 5 {
            let ending =
                if process.is_killed { Ending::Killed } else { Ending::Exited(fate as u8) };
            self.processes.remove(&environment);
            return self.event(Event::Ended { environment, ending });
        }
        match (process.phase, fate) {
            (Phase::Booting, 5..10) => self.event(Event::InitFailed { environment }),
            (Phase::Booting | Phase::Answered, 10..) => {
                process.phase = Phase::Waiting;
                process.since = self.now;
                self.event(Event::Ready { environment });
            }
            (Phase::Running(invocation), 10..) => {
                process.phase = Phase::Answered;
                self.event(Event::Responded { environment, invocation });
            }
            _ => {}
        }
    }

    /// An event that fits no state: from a runtime that lies, or from one long gone.
    fn nonsense(&mut self) {
        let environment = EnvironmentId(self.random.below(50));
        let invocation = InvocationId(self.random.below(self.invocations + 2));
        // Only where it would be a lie: the truth is `live`'s matter.
        match self.processes.get(&environment).map(|process| process.phase) {
            None => self.event(Event::Ended { environment, ending: Ending::Failed }),
            Some(Phase::Waiting) => {
                self.event(Event::Ready { environment });
                self.event(Event::Responded { environment, invocation });
                self.event(Event::InitFailed { environment });
            }
            Some(Phase::Running(running)) => {
                self.event(Event::Ready { environment });
                if running != invocation {
                    self.event(Event::Responded { environment, invocation });
                }
            }
            Some(_) => {}
        }
    }

    /// Lets time pass as a shell does: with a tick at each deadline, if a late one.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.pool.next_deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now, "a deadline that has passed");
            self.now = deadline;
            self.event(Event::Tick);
        }
        self.now = end;
    }

    fn event(&mut self, event: Event) {
        self.pool.handle(event, self.now);
        self.pool.check();
        while let Some(action) = self.pool.poll() {
            self.judge(action);
        }
        self.judge_state();
    }

    fn judge(&mut self, action: Action) {
        match action {
            Action::Start { environment, deployment } => {
                let phase = Phase::Booting;
                let process = Process { deployment, phase, since: self.now, is_killed: false };
                assert!(self.processes.insert(environment, process).is_none(), "a number twice");
            }
            Action::Dispatch { environment, invocation, .. } => {
                let process = self.processes.get_mut(&environment).expect("dispatched to nobody");
                assert!(!process.is_killed, "dispatched to the dying");
                assert_eq!(process.phase, Phase::Waiting, "dispatched to one who did not ask");
                assert_eq!(process.deployment, self.open[&invocation], "another function's");
                process.phase = Phase::Running(invocation);
                process.since = self.now;
            }
            Action::Kill { environment } => {
                let process = self.processes.get_mut(&environment).expect("killed nobody");
                assert!(!process.is_killed, "killed twice");
                process.is_killed = true;
            }
            Action::Complete { invocation, environment, outcome } => {
                let deployment =
                    self.open.remove(&invocation).expect("answered twice, or never asked");
                self.judge_outcome(invocation, deployment, environment, outcome);
            }
            Action::Stopped => {
                assert!(self.processes.is_empty() && self.open.is_empty(), "stopped too early");
                assert!(!self.stopped, "stopped twice");
                self.stopped = true;
            }
        }
    }

    fn judge_outcome(
        &self,
        invocation: InvocationId,
        deployment: Deployment,
        environment: Option<EnvironmentId>,
        outcome: Outcome,
    ) {
        let process = environment.and_then(|environment| self.processes.get(&environment));
        match outcome {
            Outcome::Answered => {
                assert_eq!(process.expect("answered by nobody").phase, Phase::Answered);
            }
            Outcome::TimedOut => {
                let process = process.expect("timed out nowhere");
                assert_eq!(process.phase, Phase::Running(invocation));
                assert_eq!(self.now - process.since, deployment.timeout, "not its time-out");
            }
            Outcome::Throttled => {
                let working = self
                    .processes
                    .values()
                    .filter(|process| !process.is_killed && process.phase != Phase::Waiting);
                // Some memory may be promised to environments that wait for room; the budget in
                // `Pool::check` sees to those.
                let taken: u64 = working.clone().map(|one| one.deployment.memory_mib).sum();
                let promised: u64 = self.open.values().map(|one| one.memory_mib).sum();
                let is_full = taken + promised + deployment.memory_mib > BUDGET_MIB
                    || working.count() + self.open.len() >= 6;
                assert!(is_full, "throttled with room left");
            }
            Outcome::OverReserved => {
                assert!(self.is_over_reserved(deployment.function), "fewer than are reserved");
            }
            Outcome::Stopping | Outcome::InitTimedOut | Outcome::InitFailed | Outcome::Died(_) => {}
        }
    }

    fn judge_state(&self) {
        let held: u64 = self.processes.values().map(|process| process.deployment.memory_mib).sum();
        assert!(held <= BUDGET_MIB, "the machine has no such memory");
        assert!(self.processes.len() <= 6, "too many processes");
        for process in self.processes.values().filter(|process| !process.is_killed) {
            if let Phase::Running(_) = process.phase {
                assert!(self.now - process.since < process.deployment.timeout, "runs for too long");
            }
        }
    }

    /// Nothing is left for ever: after a shutdown and a while, all have their answer and all are gone.
    fn wind_down(&mut self) {
        if self.random.below(2) == 0 {
            self.event(Event::Shutdown { deadline: self.now + SECOND });
        }
        for _ in 0..40 {
            self.pass(1000 * SECOND);
            let killed =
                |(id, process): (&EnvironmentId, &Process)| process.is_killed.then_some(*id);
            for environment in self.processes.iter().filter_map(killed).collect::<Vec<_>>() {
                self.processes.remove(&environment);
                self.event(Event::Ended { environment, ending: Ending::Killed });
            }
        }
        assert!(self.open.is_empty(), "calls without an answer: {:?}", self.open);
        assert!(self.processes.is_empty(), "environments for ever: {:?}", self.processes);
        assert_eq!(self.pool.environment_count(), 0);
    }
}
