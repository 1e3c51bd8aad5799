//! Interrupts a program that runs for longer than the guest's kernel wants (see
//! [`Channel::upcall_ns`](mayfly_abi::Channel::upcall_ns)).
//!
//! ```text
//!   kernel: upcall_ns ──(PORT_ARM, where it is before armed_ns)──▶ the alarm is set
//!   alarm ──▶ KVM_RUN is interrupted ──▶ is it time, and does the program run? ── an upcall
//!                                        └ and the alarm is set anew: to what the kernel wants by then
//! ```
//!
//! The kernel changes its mind without an exit: it is asked when the alarm rings. So a guest whose threads share the
//! processor costs one kick for each slice, and one that has a single thread none.

use std::io;
use std::mem::offset_of;

use mayfly_abi::channel::{Channel, NO_DEADLINE};
use mayfly_abi::layout::CHANNEL;
use mayfly_boot::Upcall;
use thiserror::Error;
use vm_memory::GuestMemoryError;

use crate::kvm::{Alarm, KvmError, Vcpu};
use crate::memory::Memory;
use crate::time;

/// When to look again after an upcall, if the kernel names no moment by then that is later: the length of its slices.
const AGAIN_NS: u64 = 4_000_000;
/// A moment that is so near has come: an alarm of its own would cost more.
const NEAR_NS: u64 = 50_000;
/// How often in a row an upcall may be put off. An exception that was being delivered is over at the next alarm, and the
/// kernel, which has seen it, names another moment; a loop beside bytes that look like an `int3` must end too.
const DELAYS_MAX: u32 = 3;

/// The alarm of one guest.
#[derive(Debug)]
pub struct Preemption {
    upcall: Upcall,
    /// Made when it is first wanted: most guests have one thread.
    alarm: Option<Alarm>,
    /// What `armed_ns` says: the guest could write there.
    armed_ns: u64,
    /// The moment whose upcall was put off, and how often.
    delayed: (u64, u32),
}

/// Why a guest could not be interrupted.
#[derive(Debug, Error)]
#[allow(missing_docs)] // each is the error of one step
pub enum PreemptionError {
    #[error(transparent)]
    Kvm(#[from] KvmError),
    #[error("the host's timer failed: {0}")]
    Alarm(#[from] io::Error),
    #[error("the channel is not in the guest's memory: {0}")]
    Memory(#[from] GuestMemoryError),
}

impl Preemption {
    /// Will call up the kernel so.
    pub fn new(upcall: Upcall) -> Preemption {
        Preemption { upcall, alarm: None, armed_ns: NO_DEADLINE, delayed: (NO_DEADLINE, 0) }
    }

    /// The kernel has named an earlier moment.
    ///
    /// # Errors
    /// [`PreemptionError`].
    pub fn arm(&mut self, memory: &Memory) -> Result<(), PreemptionError> {
        match wanted_ns(memory) {
            Some(wanted_ns) => self.look_at(wanted_ns, memory),
            None => Ok(()),
        }
    }

    /// The guest was interrupted, perhaps by the alarm: calls up its kernel if it is time.
    ///
    /// # Errors
    /// [`PreemptionError`].
    pub fn interrupted(&mut self, vcpu: &Vcpu, memory: &Memory) -> Result<(), PreemptionError> {
        let now_ns = time::monotonic_ns();
        if now_ns < self.armed_ns {
            return Ok(());
        }
        match wanted_ns(memory) {
            None => self.note(NO_DEADLINE, memory),
            Some(wanted_ns) if wanted_ns.saturating_sub(now_ns) > NEAR_NS => {
                self.look_at(wanted_ns, memory)
            }
            Some(wanted_ns) => {
                // Where the kernel runs it sees by itself that it is time.
                if let Some(program) = vcpu.program()?
                    && !self.delays(wanted_ns, program.rip, vcpu, memory)?
                {
                    let (write, kernel) = self.upcall.at(program);
                    memory.write(&write)?;
                    vcpu.go_on_at(kernel)?;
                }
                self.look_at(now_ns + AGAIN_NS, memory)
            }
        }
    }

    /// Whether to wait for the next alarm, because an exception that the program has asked for may be half delivered.
    fn delays(
        &mut self,
        wanted_ns: u64,
        rip: u64,
        vcpu: &Vcpu,
        memory: &Memory,
    ) -> Result<bool, PreemptionError> {
        let before = if self.delayed.0 == wanted_ns { self.delayed.1 } else { 0 };
        self.delayed = (wanted_ns, before + 1);
        Ok(before < DELAYS_MAX && asks_for_exception(rip, vcpu, memory)?)
    }

    fn look_at(&mut self, moment_ns: u64, memory: &Memory) -> Result<(), PreemptionError> {
        let alarm = match &mut self.alarm {
            Some(alarm) => alarm,
            None => self.alarm.insert(Alarm::new()?),
        };
        alarm.set(moment_ns)?;
        self.note(moment_ns, memory)
    }

    fn note(&mut self, armed_ns: u64, memory: &Memory) -> Result<(), PreemptionError> {
        self.armed_ns = armed_ns;
        Ok(memory.write_at(ARMED, &armed_ns.to_le_bytes())?)
    }
}

/// Whether the instruction at `rip`, or one that ends there, may ask for an exception: `int3`, `int n` (AMD APM vol 3).
/// While that is delivered, RIP is still at the instruction or already behind it.
fn asks_for_exception(rip: u64, vcpu: &Vcpu, memory: &Memory) -> Result<bool, KvmError> {
    const INT3: u8 = 0xcc;
    const INT: u8 = 0xcd;
    for (bytes_before, opcodes) in [(0, &[INT3, INT][..]), (1, &[INT3]), (2, &[INT])] {
        let place = vcpu.translate(rip.wrapping_sub(bytes_before))?;
        let byte: Option<u8> = place.and_then(|gpa| memory.read(gpa));
        if byte.is_some_and(|byte| opcodes.contains(&byte)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The moment that the kernel names.
fn wanted_ns(memory: &Memory) -> Option<u64> {
    memory.read(WANTED).filter(|ns| *ns != NO_DEADLINE)
}

const WANTED: u64 = CHANNEL + offset_of!(Channel, upcall_ns) as u64;
const ARMED: u64 = CHANNEL + offset_of!(Channel, armed_ns) as u64;
