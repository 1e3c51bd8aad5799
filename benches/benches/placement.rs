//! One placement: an invocation, which environment gets it, its answer, and the environment idle again. What the
//! scheduler's core costs, with environments that cost nothing, in pools of different sizes.

use criterion::{Criterion, criterion_group, criterion_main};
use mayfly_scheduler::simulation::Crowd;

fn placement(c: &mut Criterion) {
    for environments in [100, 10_000] {
        let mut crowd = Crowd::new(environments);
        c.bench_function(&format!("placement/warm/{environments}-environments"), |b| {
            b.iter(|| crowd.place_warm());
        });
        c.bench_function(&format!("placement/cold/{environments}-environments"), |b| {
            b.iter(|| crowd.place_cold());
        });
    }
}

criterion_group!(benches, placement);
criterion_main!(benches);
