//! What KVM itself costs: the fewest calls that bring a guest to its first exit.
//!
//! Everything that this VMM does on top of it is judged against this, measured in the same run on the same
//! host.

use std::io;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use thiserror::Error;

use super::{KvmError, failed};

/// The floor could not be measured.
#[derive(Debug, Error)]
pub enum FloorError {
    /// KVM failed.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host failed.
    #[error("{0}")]
    Host(#[from] io::Error),
    /// The guest did something else than its one instruction.
    #[error("the guest did not come to its first instruction: {0}")]
    Guest(String),
}

/// Where the guest's one instruction lies: anywhere below 64 KiB, since it runs in real mode.
const CODE: usize = 0x1000;
/// `out 0x10, al`.
const INSTRUCTION: [u8; 2] = [0xe6, 0x10];
/// The guest's memory, bytes: as much as a `mayfly run` has.
const MEMORY: usize = 128 << 20;

/// Opens /dev/kvm, makes a VM with memory and one vCPU, and runs it to its first exit. How long that took,
/// without taking it all apart.
///
/// # Errors
/// [`FloorError`].
pub fn floor() -> Result<Duration, FloorError> {
    let start = Instant::now();
    let kvm = Kvm::new().map_err(failed("open /dev/kvm"))?;
    let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
    let memory = Mapping::new(MEMORY)?;
    // SAFETY: the code lies inside the mapping, which nobody else knows.
    unsafe {
        let code = memory.0.as_ptr().add(CODE);
        ptr::copy_nonoverlapping(INSTRUCTION.as_ptr(), code, INSTRUCTION.len());
    }
    let region = kvm_userspace_memory_region {
        memory_size: MEMORY as u64,
        userspace_addr: memory.0.as_ptr() as u64,
        ..kvm_userspace_memory_region::default()
    };
    // SAFETY: `memory` is dropped after the vCPU has run for the last time.
    unsafe { vm.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    let mut vcpu = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
    let cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
    vcpu.set_cpuid2(&cpuid).map_err(failed("KVM_SET_CPUID2"))?;
    let mut special = vcpu.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    (special.cs.base, special.cs.selector) = (0, 0);
    vcpu.set_sregs(&special).map_err(failed("KVM_SET_SREGS"))?;
    let mut registers = vcpu.get_regs().map_err(failed("KVM_GET_REGS"))?;
    (registers.rip, registers.rflags) = (CODE as u64, 2);
    vcpu.set_regs(&registers).map_err(failed("KVM_SET_REGS"))?;
    match vcpu.run().map_err(failed("KVM_RUN"))? {
        VcpuExit::IoOut(..) => Ok(start.elapsed()),
        exit => Err(FloorError::Guest(format!("{exit:?}"))),
    }
}

/// Anonymous memory.
struct Mapping(NonNull<u8>);

impl Mapping {
    fn new(len: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        match unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) } {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            address => NonNull::new(address.cast()).map(Mapping).ok_or(io::ErrorKind::Other.into()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nobody uses it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), MEMORY) };
    }
}
