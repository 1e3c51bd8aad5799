//! Assembles a VM from its specification.
//!
//! ```text
//!   Prepared::new()          /dev/kvm, VM, vCPU: needs no specification, so it goes first
//!        │  + VmSpec, descriptors
//!        ▼
//!   Machine::new()           memory ─▶ kernel ─▶ boot plan ─▶ writes ─▶ vCPU state
//!        │
//!        ▼
//!   Machine::run()           (runner)
//! ```

use std::io;

use mayfly_abi::SEED_BYTES;
use mayfly_abi::control::{self, VmSpec};
use mayfly_abi::layout::{MEMORY_MIB_MAX, MEMORY_MIB_MIN};
use mayfly_boot::{BootError, BootPlan, Command, Mount};
use mayfly_devices::mmio::AttachError;
use thiserror::Error;
use vm_memory::GuestMemoryError;

use crate::clock::GuestClock;
use crate::descriptors::Descriptors;
use crate::devices::Devices;
use crate::disk::{Disk, DiskError};
use crate::kernel_image::{self, LoadError, Loaded};
use crate::kvm::{
    self, Alarm, Cpu, CpuError, Hypervisor, HypervisorError, Kick, KvmError, Vcpu, Vm,
};
use crate::memory::{Memory, MemoryError};
use crate::preemption::Preemption;
use crate::requests::Requests;
use crate::streams::{StreamError, Streams};
use crate::time;

/// Processor time after which a guest that has not exited is looked after. The host minds its own ticks only, so it
/// comes to 4 ms where it has 250 of them in a second: 0.1 % of the time on hardware, 1 % on a software KVM.
const TICK_NS: u64 = 2_000_000;

/// A VM without memory: all that can be made before anyone knows what it is to run.
#[derive(Debug)]
pub struct Prepared {
    hypervisor: Hypervisor,
    vm: Vm,
    vcpu: Vcpu,
    kick: Kick,
    tick: Alarm,
    /// When this was ready: CLOCK_MONOTONIC, ns.
    ready_ns: u64,
}

/// A VM at its first instruction.
#[derive(Debug)]
pub struct Machine {
    // In the order in which they must go: `vm` holds on to `memory`.
    pub(crate) vcpu: Vcpu,
    _vm: Vm,
    pub(crate) kick: Kick,
    _tick: Alarm,
    pub(crate) memory: Memory,
    pub(crate) devices: Devices,
    pub(crate) clock: GuestClock,
    pub(crate) preemption: Preemption,
    pub(crate) kvm_ready_ns: u64,
}

/// Why a machine could not be made.
#[derive(Debug, Error)]
#[allow(missing_docs)] // each is the error of one step
pub enum MachineError {
    #[error(transparent)]
    Hypervisor(#[from] HypervisorError),
    #[error(transparent)]
    Kvm(#[from] KvmError),
    #[error(transparent)]
    Cpu(#[from] CpuError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the specification names kernel descriptor {0}, which did not come with it")]
    KernelDescriptor(u8),
    #[error("the devices do not fit their boot plan: {0}")]
    Attach(#[from] AttachError),
    #[error("the boot plan does not fit the guest's memory: {0}")]
    Write(#[from] GuestMemoryError),
    #[error("the host failed: {0}")]
    Host(#[from] io::Error),
}

impl Prepared {
    /// Opens KVM and creates a VM with its vCPU. Every later step must run in this thread.
    ///
    /// # Errors
    /// [`MachineError::Hypervisor`] with advice, or what KVM says.
    pub fn new() -> Result<Prepared, MachineError> {
        let kick = Kick::new()?;
        let tick = Alarm::ticking(TICK_NS)?;
        let hypervisor = Hypervisor::open()?;
        let vm = hypervisor.create_vm()?;
        let vcpu = vm.create_vcpu()?;
        vcpu.open_to(&kick)?;
        Ok(Prepared { hypervisor, vm, vcpu, kick, tick, ready_ns: time::monotonic_ns() })
    }

    /// The signal that takes this VM's vCPU out of the guest.
    pub fn kick(&self) -> &Kick {
        &self.kick
    }
}

impl Machine {
    /// The VM that `spec` describes, with the descriptors that came along.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn new(
        prepared: Prepared,
        mut spec: VmSpec,
        descriptors: &Descriptors,
    ) -> Result<Machine, MachineError> {
        let Prepared { hypervisor, vm, vcpu, kick, tick, ready_ns } = prepared;
        if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&spec.memory_mib) {
            return Err(BootError::Memory(spec.memory_mib).into());
        }
        let memory = Memory::new(spec.memory_mib << 20)?;
        let kernel = load_kernel(&spec, descriptors, &memory)?;
        // SAFETY: `Machine` drops the VM before the memory; where an error returns before there is one,
        // no vCPU has run, and KVM touches no memory by itself.
        unsafe { vm.set_memory(&memory)? };
        let mut cpu = match &spec.cpuid[..] {
            [] => Cpu::new(&hypervisor.supported_cpuid()?)?,
            known => Cpu::new(known)?,
        };
        cpu.info.tsc_khz = u64::from(vcpu.tsc_khz()?);
        let disk = Disk::new(std::mem::take(&mut spec.root), descriptors)?;
        let streams = Streams::new(&spec.streams, descriptors)?;
        let requests = Requests::new(std::mem::take(&mut spec.services));
        let clock = GuestClock::new(kvm::read_moment(&vcpu)?, cpu.info.tsc_khz);
        let plan = plan(spec, kernel, &cpu, &clock, &disk)?;
        for write in &plan.writes {
            memory.write(write)?;
        }
        vcpu.load(&cpu, &plan.cpu)?;
        let devices = Devices::new(disk, streams, requests, &plan.devices)?;
        let preemption = Preemption::new(plan.upcall);
        let kvm_ready_ns = ready_ns;
        let _tick = tick;
        Ok(Machine { vcpu, _vm: vm, kick, _tick, memory, devices, clock, preemption, kvm_ready_ns })
    }
}

fn load_kernel(
    spec: &VmSpec,
    descriptors: &Descriptors,
    memory: &Memory,
) -> Result<Loaded, MachineError> {
    let Some(index) = spec.kernel else { return Ok(kernel_image::load(memory, None)?) };
    let file = descriptors.get(index).ok_or(MachineError::KernelDescriptor(index))?;
    Ok(kernel_image::load(memory, Some(&file))?)
}

fn plan(
    spec: VmSpec,
    kernel: Loaded,
    cpu: &Cpu,
    clock: &GuestClock,
    disk: &Disk,
) -> Result<BootPlan, MachineError> {
    let machine = mayfly_boot::Machine {
        memory_bytes: spec.memory_mib << 20,
        kernel: kernel.header,
        kernel_end: kernel.end,
        cpu: cpu.info,
        seed: random()?,
        clock: *clock.published(),
        tmp_bytes_max: spec.tmp_bytes_max,
        keeps_calls: spec.keeps_calls,
        devices: Devices::requests(disk),
    };
    let VmSpec { program, argv, env, cwd, terminals, mounts, .. } = spec;
    // A length that leads past all numbers is refused with the place.
    let mounts = mounts.into_iter().map(|control::Mount { path, offset, len }| Mount {
        path,
        place: offset..offset.checked_add(len).unwrap_or(offset),
    });
    let mounts = mounts.collect();
    Ok(mayfly_boot::plan(&machine, &Command { program, argv, env, cwd, terminals, mounts })?)
}

/// Bytes from the host's generator.
fn random() -> io::Result<[u8; SEED_BYTES]> {
    let mut seed = [0; SEED_BYTES];
    // SAFETY: the buffer is as long as said.
    match unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) } {
        count if count == seed.len() as isize => Ok(seed),
        // Up to 256 bytes come whole, or not at all (getrandom(2)).
        _ => Err(io::Error::last_os_error()),
    }
}
