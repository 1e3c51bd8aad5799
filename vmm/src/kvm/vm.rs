//! A virtual machine: its memory slots and its one vCPU.

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::{KvmError, Vcpu, failed};
use crate::memory::Memory;

/// A virtual machine without interrupt controller.
#[derive(Debug)]
pub struct Vm {
    fd: VmFd,
}

/// Where Intel's VMX wants three pages for a task state segment and one for an identity page table
/// (Linux Documentation/virt/kvm/api.rst, KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR): below 4 GiB
/// and outside RAM and devices.
const TSS_ADDRESS: usize = 0xfffb_d000;
const IDENTITY_MAP_ADDRESS: u64 = 0xfffb_c000;

impl Vm {
    pub(super) fn new(fd: VmFd) -> Result<Vm, KvmError> {
        // Asked for by KVM's documentation on Intel hosts only. Not tried on VMX by the authors.
        if is_intel() {
            fd.set_identity_map_address(IDENTITY_MAP_ADDRESS)
                .map_err(failed("KVM_SET_IDENTITY_MAP_ADDR"))?;
            fd.set_tss_address(TSS_ADDRESS).map_err(failed("KVM_SET_TSS_ADDR"))?;
        }
        Ok(Vm { fd })
    }

    /// Gives the guest its memory, one slot for each region.
    ///
    /// # Errors
    /// What KVM says.
    ///
    /// # Safety
    /// `memory` stays mapped for as long as this VM exists.
    pub unsafe fn set_memory(&self, memory: &Memory) -> Result<(), KvmError> {
        for (slot, region) in memory.guest().iter().enumerate() {
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                guest_phys_addr: region.start_addr().raw_value(),
                memory_size: region.len(),
                userspace_addr: region.as_ptr() as u64,
                flags: 0,
            };
            // SAFETY: the region is mapped, and the caller keeps it so. Nothing in this process holds a
            // Rust reference into it: vm-memory reaches it through raw pointers only.
            unsafe { self.fd.set_user_memory_region(region) }
                .map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
        }
        Ok(())
    }

    /// Creates the vCPU.
    ///
    /// # Errors
    /// What KVM says.
    pub fn create_vcpu(&self) -> Result<Vcpu, KvmError> {
        self.fd.create_vcpu(0).map(Vcpu::new).map_err(failed("KVM_CREATE_VCPU"))
    }
}

/// Whether the processor names itself GenuineIntel (CPUID 0).
fn is_intel() -> bool {
    let leaf = core::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}
