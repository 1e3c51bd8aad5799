//! Opens /dev/kvm, or says what to do so that it can be opened.

use std::io;

use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;
use mayfly_abi::control::CpuidEntry;
use thiserror::Error;

use super::{KvmError, Refusal, Vm, cpuid, failed};

/// The host's KVM.
#[derive(Debug)]
pub struct Hypervisor {
    kvm: Kvm,
}

/// Why no VM can be made on this host.
#[derive(Debug, Error)]
pub enum HypervisorError {
    /// The device is not there.
    #[error(
        "there is no /dev/kvm: enable virtualization in the firmware (or nesting in the cloud's machine), \
         then `modprobe kvm_intel` or `modprobe kvm_amd`"
    )]
    Missing,
    /// It is, but not for us.
    #[error("this user may not open /dev/kvm: {0}")]
    Permission(Refusal),
    /// Any other refusal.
    #[error("/dev/kvm does not open: {0}")]
    Open(io::Error),
    /// Not the API that has been stable since Linux 2.6.22.
    #[error("/dev/kvm speaks version {0} of its API; this program needs {KVM_API_VERSION}")]
    Version(i32),
}

impl Hypervisor {
    /// Opens /dev/kvm.
    ///
    /// # Errors
    /// [`HypervisorError`], whose text says what the host's owner can do.
    pub fn open() -> Result<Hypervisor, HypervisorError> {
        let kvm = Kvm::new().map_err(|error| match error.errno() {
            libc::ENOENT | libc::ENODEV | libc::ENXIO => HypervisorError::Missing,
            errno @ (libc::EACCES | libc::EPERM) => HypervisorError::Permission(Refusal::of(errno)),
            errno => HypervisorError::Open(io::Error::from_raw_os_error(errno)),
        })?;
        match kvm.get_api_version() {
            version if version == KVM_API_VERSION as i32 => Ok(Hypervisor { kvm }),
            version => Err(HypervisorError::Version(version)),
        }
    }

    /// Creates a VM that has no memory yet.
    ///
    /// # Errors
    /// What KVM says.
    pub fn create_vm(&self) -> Result<Vm, KvmError> {
        // A signal that arrives meanwhile makes KVM_CREATE_VM return EINTR; kvm-ioctls tries again.
        self.kvm.create_vm().map_err(failed("KVM_CREATE_VM")).and_then(Vm::new)
    }

    /// What a guest on this host may see of the processor. It costs 0.4 ms on a software KVM and is the
    /// same for every VM, so ask once.
    ///
    /// # Errors
    /// What KVM says.
    pub fn supported_cpuid(&self) -> Result<Vec<CpuidEntry>, KvmError> {
        let table: CpuId = self
            .kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
        let mut entries = table.as_slice().iter().map(cpuid::entry_from_kvm).collect::<Vec<_>>();
        cpuid::fill_in_brand(&mut entries);
        Ok(entries)
    }
}
