//! Environments that are started ahead and kept.

use super::*;

fn provision(bench: &mut Bench, of: u64, count: u32) -> Vec<Action> {
    bench.event(Event::Provision { deployment: deployment(of), count })
}

/// Wanted, allocated, available, and whether the last start failed.
fn provisioned(bench: &Bench, of: u64) -> (usize, usize, usize, bool) {
    let told = bench.pool.provisioned(DeploymentId(of));
    (told.wanted, told.allocated, told.available, told.is_failing)
}

#[test]
fn provisioned_environments_are_started_ahead_and_kept() {
    let mut bench = Bench::with_room_for(3);
    assert_eq!(provision(&mut bench, 1, 2), [start_of(1, 1, true), start_of(2, 1, true)]);
    assert_eq!(provisioned(&bench, 1), (2, 0, 0, false));
    bench.ready(1);
    bench.ready(2);
    assert_eq!(provisioned(&bench, 1), (2, 2, 2, false));
    assert_eq!(bench.pool.next_deadline(), None, "they are kept for ever");
    assert_eq!(bench.invoke(1, 1), [dispatch(2, 1, false)], "nobody waits for a start");
    assert_eq!(provisioned(&bench, 1), (2, 2, 1, false));
    // Others take what is left, and no more.
    assert_eq!(bench.invoke(2, 2), [start(3, 2)]);
    assert!(matches!(
        bench.invoke(3, 2)[..],
        [Action::Complete { outcome: Outcome::Throttled, .. }]
    ));
    assert_eq!(bench.ended(1, Ending::Exited(1)), [], "after a pause: it has not worked");
    assert_eq!(bench.after(SECOND), [start_of(4, 1, true)], "one that dies is replaced");
}

#[test]
fn one_that_dies_at_work_is_replaced_at_once() {
    let mut bench = Bench::with_room_for(3);
    provision(&mut bench, 1, 1);
    bench.ready(1);
    bench.invoke(1, 1);
    let actions = bench.ended(1, Ending::Exited(1));
    assert_eq!(actions.last(), Some(&start_of(2, 1, true)));
}

#[test]
fn a_provisioned_start_that_fails_is_tried_again_ever_more_seldom() {
    let mut bench = Bench::with_room_for(3);
    provision(&mut bench, 1, 1);
    for (number, pause) in [(1, 1), (2, 2), (3, 4)] {
        let environment = EnvironmentId(number);
        assert_eq!(bench.event(Event::InitFailed { environment }), [kill(number)]);
        assert_eq!(bench.ended(number, Ending::Killed), []);
        assert_eq!(provisioned(&bench, 1), (1, 0, 0, true));
        assert_eq!(bench.pool.next_deadline(), Some(bench.now + pause * SECOND));
        assert_eq!(bench.after(pause * SECOND), [start_of(number + 1, 1, true)]);
    }
    bench.ready(4);
    assert_eq!(provisioned(&bench, 1), (1, 1, 1, false));
}

#[test]
fn fewer_provisioned_environments_let_the_idle_go_and_the_busy_finish() {
    let mut bench = Bench::with_room_for(4);
    provision(&mut bench, 1, 3);
    (1..=3).for_each(|number| drop(bench.ready(number)));
    bench.invoke(1, 1);
    bench.invoke(2, 1);
    assert_eq!(
        provision(&mut bench, 1, 1),
        [kill(1)],
        "the idle one; of the others one is ordinary"
    );
    assert_eq!(provisioned(&bench, 1), (1, 1, 0, false));
    bench.ended(1, Ending::Killed);
    for (environment, invocation) in [(2, 2), (3, 1)] {
        bench.responded(environment, invocation);
        bench.ready(environment);
    }
    assert_eq!(provisioned(&bench, 1), (1, 1, 1, false));
    assert_eq!(bench.after(301 * SECOND), [kill(3)], "the ordinary one is not kept");
    let retired = bench.event(Event::Retire { deployment: DeploymentId(1) });
    assert_eq!(retired, [kill(2)]);
}

#[test]
fn provisioned_environments_take_the_room_of_idle_ones() {
    let mut bench = Bench::with_room_for(1);
    bench.invoke(1, 2);
    bench.ready(1);
    assert_eq!(provision(&mut bench, 1, 1), [], "not while it works");
    bench.responded(1, 1);
    assert_eq!(bench.ready(1), [kill(1)]);
    assert_eq!(bench.ended(1, Ending::Killed), [start_of(2, 1, true)]);
}

#[test]
fn provisioned_environments_count_for_what_is_reserved() {
    let mut bench = Bench::with_room_for(9);
    let over = |actions: &[Action]| {
        matches!(actions, [Action::Complete { outcome: Outcome::OverReserved, .. }])
    };
    bench.event(Event::Reserve { function: FunctionId(0), limit: Some(3) });
    provision(&mut bench, 1, 2);
    // Deployment 2 is of the same function: one of three is left for it.
    assert!(!over(&bench.invoke(1, 2)));
    assert!(over(&bench.invoke(2, 2)));
    assert!(!over(&bench.invoke(3, 1)) && !over(&bench.invoke(4, 1)), "they are held for these");
    assert!(over(&bench.invoke(5, 1)));
}

#[test]
fn a_shutdown_ends_what_is_provisioned() {
    let mut bench = Bench::with_room_for(2);
    provision(&mut bench, 1, 1);
    bench.ready(1);
    let deadline = bench.now + SECOND;
    assert_eq!(bench.event(Event::Shutdown { deadline }), [kill(1)]);
    assert_eq!(bench.ended(1, Ending::Killed), [Action::Stopped]);
    assert_eq!(provision(&mut bench, 1, 1), []);
}
