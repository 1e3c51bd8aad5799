//! KVM as this VMM uses it: no interrupt controller, no timer chip, one vCPU that starts at CPL 3.
//!
//! ```text
//!   Hypervisor ──create_vm──▶ Vm ──create_vcpu──▶ Vcpu ──run──▶ Exit
//!   /dev/kvm                  memory slots        registers      parsed once
//! ```
//!
//! Every `ioctl` of the VMM is in here.

mod alarm;
mod clock;
mod cpuid;
mod exit;
mod floor;
mod hypervisor;
mod kick;
mod refusal;
mod vcpu;
mod vm;

pub use alarm::Alarm;
pub use clock::{Moment, read_moment};
pub use cpuid::{Cpu, CpuError};
pub use exit::{Exit, Surprise};
pub use floor::{FloorError, floor};
pub use hypervisor::{Hypervisor, HypervisorError};
pub use kick::Kick;
pub use refusal::Refusal;
pub use vcpu::Vcpu;
pub use vm::Vm;

use thiserror::Error;

/// KVM refused a request: always the host's fault, or ours.
#[derive(Clone, Copy, Debug, Error)]
#[error("{request}: {error}")]
pub struct KvmError {
    /// The name of the `ioctl`.
    pub request: &'static str,
    /// What KVM said.
    pub error: kvm_ioctls::Error,
}

/// Turns KVM's bare error number into a [`KvmError`].
fn failed(request: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> KvmError {
    move |error| KvmError { request, error }
}
