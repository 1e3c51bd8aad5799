//! Runs a machine to its end, in one thread.
//!
//! ```text
//!            ┌───────────────────────── KVM_RUN ◀───────────────────────┐
//!            ▼                                                          │
//!          Kick ──▶ serve the queues ──────────────────────────────────▶┤
//!          Wait ──▶ serve; if nothing changed for the guest: sleep ────▶┤
//!          MMIO ──▶ the device's register ─────────────────────────────▶┤
//!           Arm ──▶ when is the program to be interrupted? ────────────▶┤
//!   Interrupted ──▶ serve; does the outside say something? is it time? ▶┘
//!           End ──▶ write out what the guest has sent
//! ```

use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mayfly_abi::channel::{Channel, NO_DEADLINE};
use mayfly_abi::control::{Exits, FromVmm, Outcome, Report, ToVmm};
use mayfly_abi::layout::CHANNEL;
use thiserror::Error;

use crate::devices::DeviceFault;
use crate::kvm::{Exit, KvmError, Surprise};
use crate::machine::Machine;
use crate::preemption::PreemptionError;
use crate::process::control::{self, FrameError};
use crate::streams::{Lost, Streams};
use crate::waiter::{Ready, Token, Waiter, Watch};
use crate::{outcome, poll, time};

/// Why a machine did not come to its end.
#[derive(Debug, Error)]
pub enum RunError {
    /// Whoever started it has gone, or makes no sense.
    #[error("the VM was abandoned: {0}")]
    Abandoned(#[source] FrameError),
    /// The guest broke a device.
    #[error("the guest's kernel broke the rules: {0}")]
    Device(#[from] DeviceFault),
    /// The guest can't go on.
    #[error("{surprise}{}", at(.rip))]
    Surprise {
        /// What happened.
        surprise: Surprise,
        /// Where, as far as KVM tells.
        rip: Option<u64>,
    },
    /// The host did not take what the guest has sent.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The guest could not be interrupted.
    #[error(transparent)]
    Preemption(#[from] PreemptionError),
    /// KVM failed.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host failed.
    #[error("the host failed: {0}")]
    Host(#[from] io::Error),
}

fn at(rip: &Option<u64>) -> String {
    rip.map_or_else(String::new, |rip| format!(" at rip {rip:#x}"))
}

/// What ends the wait for a host's descriptor: which moments and reasons count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// For anything, until the guest's deadline.
    ForGuest,
    /// For room to write out what the guest has sent.
    ToDrain,
}

/// A machine that runs, and what has been seen of it.
pub struct Runner<'a> {
    machine: Machine,
    control: Option<&'a UnixStream>,
    waiter: Option<Waiter>,
    report: Report,
    /// Whether the starter is still to hear that the program has begun.
    owes_start: bool,
    /// Something was handed over while the guest ran: it may have looked for it before, and be about to wait.
    has_news: bool,
}

impl<'a> Runner<'a> {
    /// Will run `machine` for whoever holds the other end of `control`: it is asked for connections to
    /// services, and when it is gone, the machine ends. Without one there are no services.
    pub fn new(machine: Machine, control: Option<&'a UnixStream>) -> Runner<'a> {
        let report = Report { kvm_ready: machine.kvm_ready_ns, ..Report::default() };
        Runner { machine, control, waiter: None, report, owes_start: false, has_news: false }
    }

    /// Will tell `control` how the boot went, as soon as the program has begun and waits. `started_ns` is when
    /// this process reached main.
    pub fn tell_start(&mut self, started_ns: u64) {
        self.report.process_started = started_ns;
        self.owes_start = true;
    }

    /// Runs the machine to its end. What the guest has sent is with the host's descriptors by then.
    ///
    /// Taking the machine apart is left to the drop of this: it takes as long as making it.
    pub fn run(&mut self) -> (Outcome, Report) {
        self.report.guest_entered = time::monotonic_ns();
        let ended = self.run_guest().and_then(|()| {
            self.report.exited = time::monotonic_ns();
            self.drain()?;
            self.machine.devices.streams.lost().map_or(Ok(()), |lost| Err(lost.into()))
        });
        let channel = self.machine.memory.channel();
        outcome::fill(&mut self.report, &channel, &self.machine.clock.at_boot());
        let outcome = match ended {
            Ok(()) => outcome::of(&channel.end),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        (outcome, self.report)
    }

    /// Lets go of the streams' descriptors: whoever reads from the guest sees the end.
    pub fn close_streams(&mut self) {
        self.waiter = None;
        self.machine.devices.streams = Streams::default();
    }

    fn run_guest(&mut self) -> Result<(), RunError> {
        loop {
            let Machine { vcpu, devices, clock, memory, .. } = &mut self.machine;
            clock.keep(vcpu, memory)?;
            let Exits { kick, wait, mmio, interrupted, other } = &mut self.report.exits;
            match vcpu.run()? {
                Exit::Kick => {
                    *kick += 1;
                    self.serve()?;
                }
                Exit::Wait => {
                    *wait += 1;
                    self.wait_for_guest()?;
                }
                Exit::MmioRead(address, data) => {
                    *mmio += 1;
                    devices.read(address, data);
                }
                Exit::MmioWrite(address, data) => {
                    *mmio += 1;
                    devices.write(address, data)?;
                    self.serve()?;
                }
                Exit::Arm => {
                    *other += 1;
                    self.machine.preemption.arm(&self.machine.memory)?;
                }
                Exit::Interrupted => {
                    *interrupted += 1;
                    self.look_around()?;
                    let Machine { vcpu, memory, preemption, .. } = &mut self.machine;
                    preemption.interrupted(vcpu, memory)?;
                }
                Exit::End => {
                    *other += 1;
                    return Ok(());
                }
                Exit::Surprise(surprise) => {
                    *other += 1;
                    return Err(RunError::Surprise { surprise, rip: vcpu.instruction_pointer() });
                }
            }
        }
    }

    /// A guest that does not exit all the same gets what there is, and gets rid of what it has.
    fn look_around(&mut self) -> Result<(), RunError> {
        self.listen()?;
        self.serve()?;
        self.sleep(Sleep::ForGuest, Some(Duration::ZERO))?;
        self.serve()?;
        self.has_news |= self.machine.devices.announce(&self.machine.memory)?;
        Ok(())
    }

    /// Serves the queues, and asks the starter for what that has brought up. `true` where there is more.
    fn serve(&mut self) -> Result<bool, RunError> {
        let more = self.machine.devices.serve(&self.machine.memory)?;
        let Some(starter) = self.control else { return Ok(more) };
        for (request, port) in self.machine.devices.requests.unsent() {
            let message = FromVmm::Connect { request, port };
            control::send(starter, &message, &[]).map_err(RunError::Abandoned)?;
        }
        Ok(more)
    }

    /// Serves the queues, and sleeps until that changes something for the guest or its deadline has come; one
    /// that has come already is a look at the outside.
    fn wait_for_guest(&mut self) -> Result<(), RunError> {
        let Machine { devices, memory, .. } = &mut self.machine;
        // What was handed over before, it has seen, unless it was not asked for: then it is to look again.
        devices.announce(memory)?;
        if std::mem::take(&mut self.has_news) {
            return self.serve().map(drop);
        }
        let deadline: Option<u64> = memory.read(DEADLINE);
        let deadline_ns = deadline.filter(|&deadline| deadline != NO_DEADLINE);
        let mut has_looked = false;
        loop {
            let more = self.serve()?;
            // What the guest waits for is on its way by now: nobody waits for this.
            if self.owes_start {
                self.say_start()?;
            }
            if self.machine.devices.announce(&self.machine.memory)? {
                return Ok(());
            }
            let left = deadline_ns.map(|deadline| deadline.saturating_sub(time::monotonic_ns()));
            if left == Some(0) && has_looked {
                return Ok(());
            }
            // With more to do there is no sleep, but a look at the outside there must be.
            let left = if more { Some(0) } else { left };
            self.sleep(Sleep::ForGuest, left.map(Duration::from_nanos))?;
            has_looked = true;
        }
    }

    fn say_start(&mut self) -> Result<(), RunError> {
        let mut report = self.report;
        outcome::fill(&mut report, &self.machine.memory.channel(), &self.machine.clock.at_boot());
        if let (Some(starter), true) = (self.control, report.user_entered != 0) {
            self.owes_start = false;
            control::send(starter, &FromVmm::Begun { report }, &[]).map_err(RunError::Abandoned)?;
        }
        Ok(())
    }

    /// Writes out what the guest has sent. Only a reader that never reads makes this wait for ever; one
    /// that goes away ends it.
    fn drain(&mut self) -> Result<(), RunError> {
        loop {
            let more = self.serve()?;
            let devices = &self.machine.devices;
            let is_held = devices.streams.interests(devices.vsock()).any(|(_, i)| i.write);
            match (more, is_held) {
                (false, false) => return Ok(()),
                (true, _) => self.listen()?,
                (false, true) => self.sleep(Sleep::ToDrain, None)?,
            }
        }
    }

    /// Sleeps until a stream is ready, the starter has something to say, or `after` has passed, and tells
    /// the device.
    fn sleep(&mut self, sleep: Sleep, after: Option<Duration>) -> Result<(), RunError> {
        for Ready { token, read, write } in self.ready(sleep, after)? {
            match token {
                Token::Control => self.listen()?,
                Token::Deadline => {}
                Token::Stream(index) => {
                    let devices = &mut self.machine.devices;
                    let interests: Vec<_> = devices.streams.interests(devices.vsock()).collect();
                    if let Some((_, interest)) = interests.iter().find(|(other, _)| *other == index)
                    {
                        devices.handle_ready(interest.id, read, write);
                    }
                }
            }
        }
        Ok(())
    }

    fn ready(&mut self, sleep: Sleep, after: Option<Duration>) -> Result<Vec<Ready>, RunError> {
        let devices = &self.machine.devices;
        let mut watches = Vec::new();
        let mut ready = Vec::new();
        for (index, interest) in devices.streams.interests(devices.vsock()) {
            let Some(end) = devices.streams.at(index) else { continue };
            let token = Token::Stream(index);
            let (read, write) = (interest.read && sleep == Sleep::ForGuest, interest.write);
            if end.is_always_ready() {
                ready.push(Ready { token, read, write });
            } else if read || write {
                watches.push(Watch { token, descriptor: end.as_fd(), read, write });
            }
        }
        if !ready.is_empty() {
            return Ok(ready);
        }
        if let Some(control) = self.control {
            watches.push(Watch {
                token: Token::Control,
                descriptor: control.as_fd(),
                read: true,
                write: false,
            });
        }
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            None => self.waiter.insert(Waiter::new()?),
        };
        let ready = waiter.wait(&watches, after)?;
        self.machine.devices.streams.drop_spent();
        Ok(ready)
    }

    /// Takes what the starter has to say; one that is gone is an error.
    fn listen(&mut self) -> Result<(), RunError> {
        self.machine.kick.clear();
        let Some(starter) = self.control else { return Ok(()) };
        while poll::is_ready(starter.as_fd(), libc::POLLIN)? {
            let (message, descriptors) = control::receive(starter).map_err(RunError::Abandoned)?;
            let devices = &mut self.machine.devices;
            match message {
                ToVmm::Accept { request } => {
                    devices.handle_answer(request, descriptors.into_iter().next());
                }
                ToVmm::Refuse { request } => devices.handle_answer(request, None),
                // A machine is what it is.
                ToVmm::Start(_) => {}
            }
        }
        Ok(())
    }
}

/// Where the guest puts its deadline.
const DEADLINE: u64 = CHANNEL + offset_of!(Channel, deadline_ns) as u64;
