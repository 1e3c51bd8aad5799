//! Why the guest stopped: KVM's exit record, parsed once.

use kvm_bindings::{
    KVM_EXIT_FAIL_ENTRY, KVM_EXIT_HLT, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_IO_OUT,
    KVM_EXIT_MMIO, KVM_EXIT_SHUTDOWN, kvm_run,
};
use mayfly_abi::channel::{PORT_ARM, PORT_END, PORT_KICK, PORT_WAIT};
use thiserror::Error;

/// What the guest wants of the VMM.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit<'a> {
    /// Serve every queue ([`PORT_KICK`]).
    Kick,
    /// Serve every queue, then sleep until there is something to do ([`PORT_WAIT`]).
    Wait,
    /// See when the program is to be interrupted ([`PORT_ARM`]).
    Arm,
    /// The guest is done ([`PORT_END`]).
    End,
    /// A load from where no RAM is; to be filled in.
    MmioRead(u64, &'a mut [u8]),
    /// A store to where no RAM is.
    MmioWrite(u64, &'a [u8]),
    /// A signal took the vCPU out of the guest.
    Interrupted,
    /// The guest can't go on.
    Surprise(Surprise),
}

/// Exits after which there is no guest to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Surprise {
    /// An exception that no handler could take (AMD APM vol 2 §8.2.9).
    #[error("the guest's processor shut down (triple fault)")]
    Shutdown,
    /// `hlt` at CPL 0, which only an interrupt ends: there are none.
    #[error("the guest's processor halted, and nothing can wake it")]
    Halted,
    /// KVM could not emulate an instruction, or met a bug of its own.
    #[error("KVM gave up on the guest (internal error {suberror})")]
    InternalError {
        /// KVM_INTERNAL_ERROR_…: 1 is an instruction that can't be emulated.
        suberror: u32,
    },
    /// The processor refused the vCPU's state.
    #[error("the processor refused to enter the guest (reason {reason:#x})")]
    FailEntry {
        /// The processor's own number.
        reason: u64,
    },
    /// An I/O port that nobody serves.
    #[error("the guest used I/O port {0:#x}, which does not exist")]
    Port(u16),
    /// A record that makes no sense.
    #[error("KVM reported exit reason {0}, which a guest of this kind can't cause")]
    Unexpected(u32),
}

/// Parses the record that KVM_RUN has left.
pub(super) fn parse(run: &mut kvm_run) -> Exit<'_> {
    match run.exit_reason {
        KVM_EXIT_IO => {
            // SAFETY: the exit reason says that this member of the union is the valid one.
            let io = unsafe { run.__bindgen_anon_1.io };
            match io.port {
                PORT_KICK if is_out(io.direction) => Exit::Kick,
                PORT_WAIT if is_out(io.direction) => Exit::Wait,
                PORT_ARM if is_out(io.direction) => Exit::Arm,
                PORT_END if is_out(io.direction) => Exit::End,
                port => Exit::Surprise(Surprise::Port(port)),
            }
        }
        KVM_EXIT_MMIO => {
            // SAFETY: as above.
            let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
            let (address, len) = (mmio.phys_addr, (mmio.len as usize).min(mmio.data.len()));
            let data = &mut mmio.data[..len];
            if mmio.is_write == 0 {
                Exit::MmioRead(address, data)
            } else {
                Exit::MmioWrite(address, data)
            }
        }
        KVM_EXIT_SHUTDOWN => Exit::Surprise(Surprise::Shutdown),
        KVM_EXIT_HLT => Exit::Surprise(Surprise::Halted),
        KVM_EXIT_INTERNAL_ERROR => {
            // SAFETY: as above.
            let suberror = unsafe { run.__bindgen_anon_1.internal.suberror };
            Exit::Surprise(Surprise::InternalError { suberror })
        }
        KVM_EXIT_FAIL_ENTRY => {
            // SAFETY: as above.
            let reason = unsafe { run.__bindgen_anon_1.fail_entry.hardware_entry_failure_reason };
            Exit::Surprise(Surprise::FailEntry { reason })
        }
        reason => Exit::Surprise(Surprise::Unexpected(reason)),
    }
}

fn is_out(direction: u8) -> bool {
    u32::from(direction) == KVM_EXIT_IO_OUT
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::{KVM_EXIT_DEBUG, KVM_EXIT_IO_IN};

    fn port(port: u16, direction: u32) -> kvm_run {
        let mut run = kvm_run { exit_reason: KVM_EXIT_IO, ..kvm_run::default() };
        run.__bindgen_anon_1.io.port = port;
        run.__bindgen_anon_1.io.direction = direction as u8;
        run
    }

    #[test]
    fn ports_mean_what_the_channel_says() {
        assert_eq!(parse(&mut port(PORT_KICK, KVM_EXIT_IO_OUT)), Exit::Kick);
        assert_eq!(parse(&mut port(PORT_WAIT, KVM_EXIT_IO_OUT)), Exit::Wait);
        assert_eq!(parse(&mut port(PORT_ARM, KVM_EXIT_IO_OUT)), Exit::Arm);
        assert_eq!(parse(&mut port(PORT_END, KVM_EXIT_IO_OUT)), Exit::End);
        assert_eq!(
            parse(&mut port(PORT_END, KVM_EXIT_IO_IN)),
            Exit::Surprise(Surprise::Port(PORT_END)),
            "nothing can be read from a port"
        );
        assert_eq!(parse(&mut port(0x3f8, KVM_EXIT_IO_OUT)), Exit::Surprise(Surprise::Port(0x3f8)));
    }

    #[test]
    fn memory_accesses_keep_address_direction_and_length() {
        let mut run = kvm_run { exit_reason: KVM_EXIT_MMIO, ..kvm_run::default() };
        run.__bindgen_anon_1.mmio.phys_addr = 0xd000_0070;
        run.__bindgen_anon_1.mmio.len = 4;
        run.__bindgen_anon_1.mmio.data = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(parse(&mut run), Exit::MmioRead(0xd000_0070, &mut [1, 2, 3, 4]));
        run.__bindgen_anon_1.mmio.is_write = 1;
        run.__bindgen_anon_1.mmio.len = 99;
        assert_eq!(parse(&mut run), Exit::MmioWrite(0xd000_0070, &[1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn what_ends_a_guest_is_told_apart() {
        let mut run = kvm_run { exit_reason: KVM_EXIT_INTERNAL_ERROR, ..kvm_run::default() };
        run.__bindgen_anon_1.internal.suberror = 1;
        assert_eq!(parse(&mut run), Exit::Surprise(Surprise::InternalError { suberror: 1 }));
        run.exit_reason = KVM_EXIT_HLT;
        assert_eq!(parse(&mut run), Exit::Surprise(Surprise::Halted));
        run.exit_reason = KVM_EXIT_DEBUG;
        assert_eq!(parse(&mut run), Exit::Surprise(Surprise::Unexpected(KVM_EXIT_DEBUG)));
    }
}
