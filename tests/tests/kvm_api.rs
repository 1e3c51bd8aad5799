//! What everything else stands on: /dev/kvm speaks the stable API and runs guest code, on both kinds.
//!
//! No part of Mayfly takes part here: where these fail, the host is at fault.

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// One page, at the address where real mode sees segment 0x100.
const CODE_GPA: u64 = 0x1000;
const PAGE_BYTES: usize = 0x1000;

#[test]
fn the_api_is_the_stable_one() {
    // KVM's API document, §4.1: applications refuse anything but 12.
    assert_eq!(Kvm::new().unwrap().get_api_version(), 12);
}

#[test]
fn a_guest_runs_to_its_exit() {
    let memory: GuestMemoryMmap =
        GuestMemoryMmap::from_ranges(&[(GuestAddress(CODE_GPA), PAGE_BYTES)]).unwrap();
    let code = [
        0x00, 0xd8, // add al, bl
        0xee, //       out dx, al
        0xf4, //       hlt
    ];
    memory.write_slice(&code, GuestAddress(CODE_GPA)).unwrap();

    let vm = Kvm::new().unwrap().create_vm().unwrap();
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: CODE_GPA,
        memory_size: PAGE_BYTES as u64,
        userspace_addr: memory.get_host_address(GuestAddress(CODE_GPA)).unwrap() as u64,
        flags: 0,
    };
    // SAFETY: the region is the one mapping of `memory`, which lives until the VM is gone.
    unsafe { vm.set_user_memory_region(region) }.unwrap();

    let mut vcpu = vm.create_vcpu(0).unwrap();
    let mut sregs = vcpu.get_sregs().unwrap();
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).unwrap();
    let mut regs = vcpu.get_regs().unwrap();
    (regs.rip, regs.rflags) = (CODE_GPA, 0x2);
    (regs.rax, regs.rbx, regs.rdx) = (40, 2, 0x3f8);
    vcpu.set_regs(&regs).unwrap();

    match vcpu.run().unwrap() {
        VcpuExit::IoOut(port, data) => assert_eq!((port, data), (0x3f8, &[42][..])),
        exit => panic!("expected an `out`, got {exit:?}"),
    }
}

#[test]
fn the_lane_is_a_hardware_kvm() {
    if std::env::var_os("MAYFLY_LANE").is_some() {
        assert!(std::path::Path::new("/sys/module/kvm_amd").is_dir());
    }
}
