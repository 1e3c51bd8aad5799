//! The guest's clock: one moment, read on the guest's counter and on the host's clocks at once.

use mayfly_abi::channel::Clock;

use super::{KvmError, Vcpu};
use crate::time;

/// Reads the clock of a guest that runs on `vcpu`, whose counter ticks at `tsc_khz`.
///
/// The counter is read between two looks at CLOCK_MONOTONIC, and taken to be from their middle.
///
/// # Errors
/// What KVM says.
pub fn read(vcpu: &Vcpu, tsc_khz: u64) -> Result<Clock, KvmError> {
    let before = time::monotonic_ns();
    let base_tsc = vcpu.tsc()?;
    let after = time::monotonic_ns();
    let realtime_ns = time::realtime_ns();
    let monotonic_ns = before + (after - before) / 2;
    Ok(Clock {
        base_tsc,
        monotonic_ns,
        realtime_ns: realtime_ns - (time::monotonic_ns() - monotonic_ns).min(realtime_ns),
        mult: Clock::mult_for(tsc_khz),
    })
}
