//! What each policy makes of a function's habits.

use super::*;

const F: FunctionId = FunctionId(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Has a function come back after each of these idle times; what becomes of it then.
fn learnt(policy: &mut dyn KeepAlive, idle_times: impl IntoIterator<Item = Duration>) -> Windows {
    let mut now = Duration::ZERO;
    policy.arrived(F, now);
    for idle in idle_times {
        policy.rested(F, now);
        now += idle;
        policy.arrived(F, now);
    }
    policy.windows(F)
}

fn windows(pre_warming_s: u64, keep_alive_s: u64) -> Windows {
    Windows {
        pre_warming: Duration::from_secs(pre_warming_s),
        keep_alive: Some(Duration::from_secs(keep_alive_s)),
    }
}

#[test]
fn a_function_that_comes_each_half_hour_is_loaded_before_it_comes() {
    let minutes = std::iter::repeat_n(30 * MINUTE, 20);
    // From 10 % before the 30th minute to 10 % behind its end.
    assert_eq!(learnt(&mut Hybrid::default(), minutes), windows(27 * 60, 2046 - 27 * 60));
}

#[test]
fn a_function_that_comes_within_the_minute_is_never_unloaded() {
    let often = std::iter::repeat_n(MINUTE / 6, 20);
    assert_eq!(learnt(&mut Hybrid::default(), often), windows(0, 66));
}

#[test]
fn whoever_is_new_or_shows_no_habit_is_kept_for_long() {
    let standard = windows(0, 4 * 3600);
    assert_eq!(Hybrid::default().windows(F), standard);
    let few = std::iter::repeat_n(30 * MINUTE, 9);
    assert_eq!(learnt(&mut Hybrid::default(), few), standard);
    let even = (0..240).map(|minutes| minutes * MINUTE);
    assert_eq!(learnt(&mut Hybrid::default(), even), standard);
}

#[test]
fn what_comes_once_in_five_hours_is_forecast() {
    let hours = std::iter::repeat_n(300 * MINUTE, 10);
    // 15 % of five hours are 45 minutes.
    assert_eq!(learnt(&mut Hybrid::default(), hours), windows(255 * 60, 90 * 60));
}

#[test]
fn new_habits_outweigh_old_ones() {
    let mut policy = Hybrid::default();
    let old = std::iter::repeat_n(30 * MINUTE, 1 << 15);
    let new = std::iter::repeat_n(5 * MINUTE, 1 << 17);
    let found = learnt(&mut policy, old.chain(new));
    assert_eq!(found.pre_warming, 5 * MINUTE * 90 / 100);
    assert_eq!(found.pre_warming + found.keep_alive.unwrap(), 6 * MINUTE * 110 / 100);
}

#[test]
fn what_is_deleted_is_forgotten() {
    let mut policy = Hybrid::default();
    learnt(&mut policy, std::iter::repeat_n(30 * MINUTE, 20));
    policy.forget(F);
    assert_eq!(policy.windows(F), windows(0, 4 * 3600));
}

#[test]
fn variation_is_none_where_all_bins_are_alike_and_most_where_one_has_all() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.variation(), 0.0);
    histogram.record(MINUTE);
    assert!((histogram.variation() - 239f64.sqrt()).abs() < 1e-9);
    let mut even = Histogram::default();
    (0..240).for_each(|minute| even.record(minute * MINUTE));
    assert_eq!(even.variation(), 0.0);
    even.record(240 * MINUTE);
    assert_eq!((even.count(), even.beyond()), (241, 1));
}

#[test]
fn policies_are_named_as_they_are_shown() {
    for name in ["lru", "hybrid", "fixed:90s", "fixed:10m", "fixed:2h", "fixed:0s"] {
        assert_eq!(name.parse::<KeepAlivePolicy>().unwrap().to_string(), name);
    }
    for name in ["", "fixed", "fixed:", "fixed:m", "fixed:+1m", "fixed:10", "fixed:10ü", "LRU"] {
        assert_eq!(name.parse::<KeepAlivePolicy>(), Err(NoPolicy), "{name:?}");
    }
    assert_eq!(KeepAlivePolicy::default().to_string(), "fixed:5m");
}
