//! Small traces whose costs can be told by hand.

use super::*;
use crate::core::KeepAlivePolicy;
use crate::simulation::trace::MINUTES;

/// A day of one function, invoked once in each of these minutes, for a second, with 128 MiB.
fn day(minutes: impl Fn(usize) -> bool) -> Trace {
    busy_day("1", minutes)
}

/// As [`day`], invoked so often.
fn busy_day(count: &str, minutes: impl Fn(usize) -> bool) -> Trace {
    let heads: Vec<String> = (1..=MINUTES).map(|minute| minute.to_string()).collect();
    let cells: Vec<&str> =
        (0..MINUTES).map(|minute| if minutes(minute) { count } else { "0" }).collect();
    let text = format!(
        "HashOwner,HashApp,HashFunction,Trigger,{}\no,a,f,http,{}\n",
        heads.join(","),
        cells.join(",")
    );
    let mut trace = Trace::default();
    trace.add_day(text.as_bytes()).unwrap();
    trace
}

fn cost(trace: &Trace, policy: &str) -> Cost {
    let keep_alive: KeepAlivePolicy = policy.parse().unwrap();
    let limits = Limits { keep_alive, ..Limits::default() };
    let mut replay = Replay::new(trace, limits, Duration::from_millis(500), 1);
    while replay.live() {}
    replay.cost()
}

#[test]
fn a_fixed_time_is_wasted_after_each_call_that_stays_alone() {
    let each_hour = day(|minute| minute % 60 == 0);
    let cost = cost(&each_hour, "fixed:10m");
    assert_eq!((cost.invocations, cost.cold, cost.started, cost.refused), (24, 24, 24, 0));
    // The start and ten minutes, each time; a little of the last start's wait is nobody's.
    let wanted = 24.0 * 128.0 * 600.5;
    assert!((cost.wasted_mib_s - wanted).abs() < 1.0, "{cost:?}, not {wanted}");
    assert!((cost.held_mib_s - cost.wasted_mib_s - 24.0 * 128.0).abs() < 1.0);
    assert_eq!((cost.memory_mib_max, cost.cold_share(), cost.cold_share_at(0.75)), (128, 1.0, 1.0));
}

#[test]
fn within_a_fixed_time_all_but_the_first_are_warm() {
    let cost = cost(&day(|minute| minute % 5 == 0), "fixed:10m");
    assert_eq!((cost.invocations, cost.cold, cost.started), (288, 1, 1));
}

#[test]
fn a_habit_is_learnt_and_costs_less() {
    let each_hour = day(|minute| minute % 60 == 0);
    let (fixed, hybrid) = (cost(&each_hour, "fixed:2h"), cost(&each_hour, "hybrid"));
    assert_eq!((fixed.cold, hybrid.cold), (1, 1), "nobody waits but the first");
    assert!(hybrid.started > 10, "it was started ahead");
    assert!(hybrid.wasted_mib_s < 0.7 * fixed.wasted_mib_s, "{hybrid:?} {fixed:?}");
}

#[test]
fn what_lives_at_the_end_has_cost_what_it_has() {
    let cost = cost(&day(|minute| minute == 0), "lru");
    assert!((cost.held_mib_s - 128.0 * 86_400.0).abs() < 128.0 * 60.0, "{cost:?}");
}

#[test]
fn the_calls_of_a_minute_are_all_made_and_spread_over_it() {
    // Each second one: the one before has just ended, or has not.
    let cost = cost(&busy_day("60", |minute| minute == 7), "fixed:1m");
    assert_eq!(cost.invocations, 60);
    assert!(cost.started <= 2, "{cost:?}");
    // More than happens in one turn.
    let many = busy_day("40000", |minute| minute == 7);
    let mut replay = Replay::new(&many, Limits::default(), Duration::ZERO, 1);
    let mut turns = 0;
    while replay.live() {
        turns += 1;
    }
    assert!(turns > MINUTES, "somebody may look within a minute");
    let cost = replay.cost();
    assert_eq!(cost.invocations + cost.refused, 40_000);
}
