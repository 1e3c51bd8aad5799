//! One moment, read on the guest's counter and on the host's clocks at once.

use super::{KvmError, Vcpu};
use crate::time;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The guest's time-stamp counter.
    pub tsc: u64,
    /// CLOCK_MONOTONIC of the host, ns.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME of the host, ns since 1970.
    pub realtime_ns: u64,
    /// How long it took to read the counter: the clocks may be wrong by half of that, ns.
    pub window_ns: u64,
}

/// Reads the moment of a guest that runs on `vcpu`.
///
/// The counter is read between two looks at CLOCK_MONOTONIC, and taken to be from their middle.
///
/// # Errors
/// What KVM says.
pub fn read_moment(vcpu: &Vcpu) -> Result<Moment, KvmError> {
    let before = time::monotonic_ns();
    let tsc = vcpu.tsc()?;
    let after = time::monotonic_ns();
    let realtime_ns = time::realtime_ns();
    let monotonic_ns = before + (after - before) / 2;
    let since_ns = time::monotonic_ns() - monotonic_ns;
    let realtime_ns = realtime_ns - since_ns.min(realtime_ns);
    Ok(Moment { tsc, monotonic_ns, realtime_ns, window_ns: after - before })
}
