//! The small run. `MAYFLY_SEED=N cargo test` lives one world again; `mayfly simulate check` lives many.

use super::*;

const SEEDS: u64 = 60;
const STEPS: u64 = 1500;

#[test]
fn no_fault_breaks_the_pool() {
    let seeds = match std::env::var("MAYFLY_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("MAYFLY_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    let mut all = Tally::default();
    let is_whole = seeds.end - seeds.start == SEEDS;
    for seed in seeds {
        // A panic inside the pool says no seed; the last line printed does.
        println!("seed {seed}");
        match run(seed, STEPS) {
            Ok(tally) => all.add(&tally),
            Err(broken) => panic!("{broken}"),
        }
    }
    let ahead = [all.started_ahead, all.provisioned];
    let deaths = [all.deaths, all.failed_starts, all.time_outs];
    let rare = [all.refused, all.updates, all.moves, all.jumps].into_iter().chain(deaths);
    let mut rare = rare.chain(ahead);
    assert!(!is_whole || rare.all(|count| count >= 50), "a world without trouble: {all:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    assert_eq!(run(5, 500), run(5, 500));
    assert_ne!(run(5, 500), run(8, 500));
}
