//! Each rule of the pool, alone. Their interplay is `crate::simulation`'s matter.

mod provisioned;

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn deployment(id: u64) -> Deployment {
    Deployment {
        id: DeploymentId(id),
        function: FunctionId(id / 10),
        memory_mib: 128,
        timeout: 3 * SECOND,
    }
}

/// A pool under a clock that the test moves.
struct Bench {
    pool: Pool,
    now: Duration,
}

impl Bench {
    fn with_room_for(environments: u64) -> Bench {
        Bench::keeping(environments, KeepAlivePolicy::default())
    }

    fn keeping(environments: u64, keep_alive: KeepAlivePolicy) -> Bench {
        let limits = Limits { memory_mib: 128 * environments, keep_alive, ..Limits::default() };
        Bench { pool: Pool::new(limits), now: Duration::ZERO }
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.pool.handle(event, self.now);
        std::iter::from_fn(|| self.pool.poll()).collect()
    }

    fn invoke(&mut self, invocation: u64, of: u64) -> Vec<Action> {
        let invocation = InvocationId(invocation);
        self.event(Event::Invoke { invocation, deployment: deployment(of) })
    }

    fn ready(&mut self, environment: u64) -> Vec<Action> {
        self.event(Event::Ready { environment: EnvironmentId(environment) })
    }

    fn responded(&mut self, environment: u64, invocation: u64) -> Vec<Action> {
        let (environment, invocation) = (EnvironmentId(environment), InvocationId(invocation));
        self.event(Event::Responded { environment, invocation })
    }

    fn ended(&mut self, environment: u64, ending: Ending) -> Vec<Action> {
        self.event(Event::Ended { environment: EnvironmentId(environment), ending })
    }

    fn after(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.event(Event::Tick)
    }

    /// Runs one invocation from its start to an idle environment.
    fn run(&mut self, invocation: u64, of: u64, environment: u64) {
        self.invoke(invocation, of);
        self.ready(environment);
        self.responded(environment, invocation);
        self.ready(environment);
    }
}

fn start(environment: u64, of: u64) -> Action {
    start_of(environment, of, false)
}

fn start_of(environment: u64, of: u64, is_provisioned: bool) -> Action {
    let environment = EnvironmentId(environment);
    Action::Start { environment, deployment: deployment(of), is_provisioned }
}

fn dispatch(environment: u64, invocation: u64, is_cold: bool) -> Action {
    let (environment, invocation) = (EnvironmentId(environment), InvocationId(invocation));
    Action::Dispatch { environment, invocation, is_cold }
}

fn kill(environment: u64) -> Action {
    Action::Kill { environment: EnvironmentId(environment) }
}

fn complete(invocation: u64, environment: impl Into<Option<u64>>, outcome: Outcome) -> Action {
    let environment = environment.into().map(EnvironmentId);
    Action::Complete { invocation: InvocationId(invocation), environment, outcome }
}

#[test]
fn the_first_call_is_cold_and_the_second_is_not() {
    let mut bench = Bench::with_room_for(2);
    assert_eq!(bench.invoke(1, 7), [start(1, 7)]);
    assert_eq!(bench.ready(1), [dispatch(1, 1, true)]);
    assert_eq!(bench.responded(1, 1), [complete(1, 1, Outcome::Answered)]);
    assert_eq!(bench.ready(1), []);
    assert_eq!(bench.invoke(2, 7), [dispatch(1, 2, false)]);
}

#[test]
fn another_deployment_never_gets_an_idle_environment() {
    let mut bench = Bench::with_room_for(2);
    bench.run(1, 7, 1);
    assert_eq!(bench.invoke(2, 8), [start(2, 8)]);
}

#[test]
fn the_environment_used_last_is_used_first() {
    let mut bench = Bench::with_room_for(2);
    bench.invoke(1, 7);
    bench.invoke(2, 7);
    bench.ready(1);
    bench.ready(2);
    bench.responded(2, 2);
    bench.ready(2);
    bench.responded(1, 1);
    bench.ready(1);
    assert_eq!(bench.invoke(3, 7), [dispatch(1, 3, false)]);
}

#[test]
fn a_call_waits_for_an_environment_that_is_about_to_ask() {
    let mut bench = Bench::with_room_for(2);
    bench.invoke(1, 7);
    bench.ready(1);
    bench.responded(1, 1);
    assert_eq!(bench.invoke(2, 7), []);
    assert_eq!(bench.ready(1), [dispatch(1, 2, false)]);
}

#[test]
fn it_waits_as_long_as_a_start_took() {
    let mut bench = Bench::with_room_for(2);
    bench.invoke(1, 7);
    bench.after(ms(500));
    bench.ready(1);
    bench.responded(1, 1);
    assert_eq!(bench.invoke(2, 7), []);
    assert_eq!(bench.after(ms(499)), [], "a start would not have been sooner");
    assert_eq!(bench.after(ms(1)), [start(2, 7)]);
    assert_eq!(bench.ready(1), [dispatch(1, 2, false)], "whichever is sooner has the call");
}

#[test]
fn it_does_not_wait_for_long() {
    let mut bench = Bench::with_room_for(2);
    bench.invoke(1, 7);
    bench.ready(1);
    bench.responded(1, 1);
    bench.invoke(2, 7);
    assert_eq!(bench.pool.next_deadline(), Some(ms(20)));
    assert_eq!(bench.after(ms(20)), [start(2, 7)]);
}

#[test]
fn memory_is_taken_from_the_least_recently_used_idle_environment() {
    let mut bench = Bench::with_room_for(2);
    bench.run(1, 7, 1);
    bench.now += SECOND;
    bench.run(2, 8, 2);
    assert_eq!(bench.invoke(3, 9), [kill(1)]);
    assert_eq!(bench.ended(1, Ending::Killed), [start(3, 9)]);
}

#[test]
fn without_memory_a_call_is_throttled() {
    let mut bench = Bench::with_room_for(1);
    bench.invoke(1, 7);
    assert_eq!(bench.invoke(2, 7), [complete(2, None, Outcome::Throttled)]);
    assert_eq!(bench.invoke(3, 8), [complete(3, None, Outcome::Throttled)]);
    assert_eq!(bench.ready(1), [dispatch(1, 1, true)]);
}

#[test]
fn a_function_gets_no_more_than_is_reserved_for_it() {
    let mut bench = Bench::with_room_for(5);
    let reserve = |limit| Event::Reserve { function: FunctionId(7), limit };
    bench.run(1, 70, 1);
    assert_eq!(bench.event(reserve(Some(2))), []);
    assert_eq!(bench.invoke(2, 70), [dispatch(1, 2, false)]);
    assert_eq!(bench.invoke(3, 71), [start(2, 71)], "another version, which counts, too");
    assert_eq!(bench.invoke(4, 70), [complete(4, None, Outcome::OverReserved)]);
    assert_eq!(bench.invoke(5, 71), [complete(5, None, Outcome::OverReserved)]);
    assert_eq!(bench.invoke(6, 80), [start(3, 80)], "another function");
    assert_eq!(bench.event(reserve(Some(0))), [], "what is accepted goes on");
    assert_eq!(bench.ready(2), [dispatch(2, 3, true)]);
    bench.responded(1, 2);
    bench.ready(1);
    bench.responded(2, 3);
    assert_eq!(bench.invoke(7, 70), [complete(7, None, Outcome::OverReserved)]);
    bench.event(reserve(None));
    assert_eq!(bench.invoke(8, 70), [dispatch(1, 8, false)]);
}

#[test]
fn a_time_out_kills_and_the_next_call_starts_anew() {
    let mut bench = Bench::with_room_for(1);
    bench.invoke(1, 7);
    bench.ready(1);
    assert_eq!(bench.after(ms(2999)), []);
    assert_eq!(bench.after(ms(1)), [kill(1), complete(1, 1, Outcome::TimedOut)]);
    assert_eq!(bench.responded(1, 1), [], "too late");
    assert_eq!(bench.invoke(2, 7), [], "its memory is still held");
    assert_eq!(bench.ended(1, Ending::Killed), [start(2, 7)]);
}

#[test]
fn a_death_at_work_is_told() {
    let mut bench = Bench::with_room_for(1);
    bench.invoke(1, 7);
    bench.ready(1);
    let died = Outcome::Died(Ending::Signaled(11));
    assert_eq!(bench.ended(1, Ending::Signaled(11)), [complete(1, 1, died)]);
    assert_eq!(bench.invoke(2, 7), [start(2, 7)]);
}

#[test]
fn whoever_never_becomes_ready_fails_one_call() {
    let mut bench = Bench::with_room_for(3);
    bench.invoke(1, 7);
    bench.invoke(2, 7);
    bench.invoke(3, 7);
    let died = Outcome::Died(Ending::Exited(1));
    assert_eq!(bench.ended(2, Ending::Exited(1)), [complete(1, 2, died)]);
    let failed = bench.event(Event::InitFailed { environment: EnvironmentId(1) });
    assert_eq!(failed, [kill(1), complete(2, 1, Outcome::InitFailed)]);
    assert_eq!(bench.after(10 * SECOND), [kill(3), complete(3, 3, Outcome::InitTimedOut)]);
}

#[test]
fn idle_environments_grow_old() {
    let mut bench = Bench::with_room_for(1);
    bench.run(1, 7, 1);
    assert_eq!(bench.pool.next_deadline(), Some(300 * SECOND));
    assert_eq!(bench.after(300 * SECOND), [kill(1)]);
    assert_eq!(bench.ended(1, Ending::Killed), []);
    assert_eq!(bench.pool.environment_count(), 0);
}

#[test]
fn least_recently_used_keeps_all_that_fits() {
    let mut bench = Bench::keeping(2, KeepAlivePolicy::LeastRecentlyUsed);
    bench.run(1, 7, 1);
    bench.run(2, 8, 2);
    assert_eq!(bench.pool.next_deadline(), None);
    assert_eq!(bench.after(1_000_000 * SECOND), []);
    assert_eq!(bench.invoke(3, 9), [kill(1)]);
}

/// A pool that has learnt that deployment 7 is called each half hour; its last environment is gone, and the time is
/// that of the last answer.
fn with_a_habit(room_for: u64) -> (Bench, u64) {
    let mut bench = Bench::keeping(room_for, KeepAlivePolicy::Hybrid);
    let mut environments = 0;
    for invocation in 1..=11 {
        if let [Action::Start { environment, .. }] = bench.invoke(invocation, 7)[..] {
            environments = environment.0;
            bench.ready(environments);
        }
        bench.responded(environments, invocation);
        let rests = bench.ready(environments);
        if invocation < 11 {
            assert_eq!(rests, [], "nothing is known yet");
            bench.after(1800 * SECOND);
        } else {
            assert_eq!(rests, [kill(environments)]);
            bench.ended(environments, Ending::Killed);
        }
    }
    (bench, environments + 1)
}

#[test]
fn an_invocation_that_is_expected_finds_an_environment() {
    let (mut bench, next) = with_a_habit(2);
    assert_eq!(bench.pool.environment_count(), 0);
    assert_eq!(bench.pool.next_deadline(), Some(bench.now + 1620 * SECOND), "10 % before");
    assert_eq!(bench.after(1620 * SECOND), [start(next, 7)]);
    assert_eq!(bench.ready(next), []);
    bench.now += 180 * SECOND;
    assert_eq!(bench.invoke(12, 7), [dispatch(next, 12, false)], "nobody waited for its start");
}

#[test]
fn an_expectation_that_fails_costs_its_window() {
    let (mut bench, next) = with_a_habit(2);
    bench.after(1620 * SECOND);
    bench.ready(next);
    assert_eq!(bench.after(426 * SECOND), [kill(next)]);
    bench.ended(next, Ending::Killed);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn nobody_loses_anything_for_an_expectation() {
    let (mut bench, next) = with_a_habit(1);
    bench.now += 1600 * SECOND;
    bench.run(12, 8, next);
    assert_eq!(bench.after(20 * SECOND), [], "an idle environment of another's stays");
    assert_eq!(bench.pool.environment_count(), 1);
}

#[test]
fn nothing_is_started_for_a_deployment_that_is_gone() {
    let (mut bench, _) = with_a_habit(2);
    bench.event(Event::Retire { deployment: DeploymentId(7) });
    assert_eq!(bench.pool.next_deadline(), None);
    let (mut bench, _) = with_a_habit(2);
    assert_eq!(bench.event(Event::Shutdown { deadline: bench.now }), [Action::Stopped]);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn an_early_invocation_takes_the_place_of_the_expected_one() {
    let (mut bench, next) = with_a_habit(2);
    bench.now += SECOND;
    assert_eq!(bench.invoke(12, 7), [start(next, 7)]);
    assert_eq!(bench.pool.next_deadline(), Some(bench.now + 10 * SECOND), "its own start's");
}

#[test]
fn an_invocation_that_comes_after_its_deployment_is_gone_leaves_nothing_behind() {
    let mut bench = Bench::keeping(1, KeepAlivePolicy::LeastRecentlyUsed);
    bench.event(Event::Retire { deployment: DeploymentId(7) });
    bench.invoke(1, 7);
    bench.ready(1);
    bench.responded(1, 1);
    assert_eq!(bench.ready(1), [kill(1)]);
}

#[test]
fn a_retired_deployment_finishes_and_keeps_nothing_warm() {
    let mut bench = Bench::with_room_for(2);
    bench.run(1, 7, 1);
    bench.invoke(2, 7);
    bench.run(3, 7, 2);
    let retire = Event::Retire { deployment: DeploymentId(7) };
    assert_eq!(bench.event(retire), [kill(2)]);
    assert_eq!(bench.responded(1, 2), [complete(2, 1, Outcome::Answered)]);
    assert_eq!(bench.ready(1), [kill(1)]);
}

#[test]
fn a_shutdown_lets_work_end_and_then_cuts_it_off() {
    let mut bench = Bench::with_room_for(3);
    bench.run(1, 7, 1);
    bench.invoke(2, 7);
    bench.invoke(3, 8);
    let shutdown = Event::Shutdown { deadline: SECOND };
    assert_eq!(bench.event(shutdown), [complete(3, None, Outcome::Stopping), kill(2)]);
    assert_eq!(bench.invoke(4, 7), [complete(4, None, Outcome::Stopping)]);
    assert_eq!(bench.ended(2, Ending::Killed), []);
    assert_eq!(bench.after(SECOND), [complete(2, 1, Outcome::Stopping), kill(1)]);
    assert_eq!(bench.ended(1, Ending::Killed), [Action::Stopped]);
}

#[test]
fn a_clock_that_runs_backwards_changes_nothing() {
    let mut bench = Bench::with_room_for(1);
    bench.now = 10 * SECOND;
    bench.invoke(1, 7);
    bench.now = Duration::ZERO;
    assert_eq!(bench.ready(1), [dispatch(1, 1, true)]);
    assert_eq!(bench.pool.next_deadline(), Some(13 * SECOND));
}
