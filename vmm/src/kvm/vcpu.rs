//! The vCPU: its first state, and the call that runs it.

use kvm_bindings::{Msrs, kvm_dtable, kvm_msr_entry, kvm_regs, kvm_segment, kvm_xcrs};
use kvm_ioctls::VcpuFd;
use mayfly_boot::{CpuState, Position, Segment, Table, Upcall};

use super::{Cpu, Exit, Kick, KvmError, exit, failed};

/// A virtual processor. It works only in the process that made it.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
}

/// Model-specific registers (AMD APM vol 2 §A.1 and §3.2).
const TSC: u32 = 0x10;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;

impl Vcpu {
    pub(super) fn new(fd: VcpuFd) -> Vcpu {
        Vcpu { fd }
    }

    /// Lets the signal of `kick` through while the guest runs, and no other time.
    ///
    /// # Errors
    /// What KVM says.
    pub fn open_to(&self, kick: &Kick) -> Result<(), KvmError> {
        kick.let_through(&self.fd).map_err(failed("KVM_SET_SIGNAL_MASK"))
    }

    /// Puts the vCPU into the state that a boot plan names, on the processor `cpu`.
    ///
    /// # Errors
    /// What KVM says.
    pub fn load(&self, cpu: &Cpu, state: &CpuState) -> Result<(), KvmError> {
        // The processor comes first: KVM checks CR4 and XCR0 against it.
        self.fd.set_cpuid2(&cpu.table).map_err(failed("KVM_SET_CPUID2"))?;
        self.load_special(state)?;
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        xcrs.xcrs[0].value = cpu.info.xcr0;
        self.fd.set_xcrs(&xcrs).map_err(failed("KVM_SET_XCRS"))?;
        self.load_msrs(&[(STAR, state.star), (LSTAR, state.lstar), (FMASK, state.fmask)])?;
        let &CpuState { rip, rsp, rdi, rflags, .. } = state;
        let registers = kvm_regs { rip, rsp, rdi, rflags, ..kvm_regs::default() };
        self.fd.set_regs(&registers).map_err(failed("KVM_SET_REGS"))
    }

    fn load_special(&self, state: &CpuState) -> Result<(), KvmError> {
        let mut special = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
        special.cs = segment(&state.code);
        for register in
            [&mut special.ds, &mut special.es, &mut special.fs, &mut special.gs, &mut special.ss]
        {
            *register = segment(&state.data);
        }
        special.tr = segment(&state.tss);
        special.gdt = table(&state.gdt);
        special.idt = table(&state.idt);
        special.cr0 = state.cr0;
        special.cr3 = state.cr3;
        special.cr4 = state.cr4;
        special.efer = state.efer;
        self.fd.set_sregs(&special).map_err(failed("KVM_SET_SREGS"))
    }

    fn load_msrs(&self, values: &[(u32, u64)]) -> Result<(), KvmError> {
        let refused =
            || KvmError { request: "KVM_SET_MSRS", error: kvm_ioctls::Error::new(libc::EINVAL) };
        let entries: Vec<_> = values.iter().map(|&(index, data)| msr(index, data)).collect();
        let msrs = Msrs::from_entries(&entries).map_err(|_| refused())?;
        match self.fd.set_msrs(&msrs).map_err(failed("KVM_SET_MSRS"))? {
            done if done == values.len() => Ok(()),
            _ => Err(refused()),
        }
    }

    /// The guest's time-stamp counter, now.
    ///
    /// # Errors
    /// What KVM says.
    pub fn tsc(&self) -> Result<u64, KvmError> {
        let refused =
            || KvmError { request: "KVM_GET_MSRS", error: kvm_ioctls::Error::new(libc::EINVAL) };
        let mut msrs = Msrs::from_entries(&[msr(TSC, 0)]).map_err(|_| refused())?;
        match self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))? {
            1 => Ok(msrs.as_slice()[0].data),
            _ => Err(refused()),
        }
    }

    /// How fast the guest's time-stamp counter runs, kHz.
    ///
    /// # Errors
    /// What KVM says.
    pub fn tsc_khz(&self) -> Result<u32, KvmError> {
        self.fd.get_tsc_khz().map_err(failed("KVM_GET_TSC_KHZ"))
    }

    /// Where the guest is, for a message about a guest that can't go on.
    pub fn instruction_pointer(&self) -> Option<u64> {
        self.registers().ok().map(|registers| registers.rip)
    }

    /// Where the program is, if the vCPU was interrupted while it ran the program, and with nothing of the
    /// processor's own half done, as far as KVM tells: of what an instruction asks for (`int3`) it does not (Linux's
    /// kvm_vcpu_ioctl_x86_get_vcpu_events).
    ///
    /// # Errors
    /// What KVM says.
    pub fn program(&self) -> Result<Option<Position>, KvmError> {
        let kvm_regs { rip, rsp, rflags, .. } = self.registers()?;
        let code = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?.cs.selector;
        let events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
        let busy = events.exception.injected != 0
            || events.exception.pending != 0
            || events.interrupt.injected != 0
            || events.nmi.injected != 0;
        let is_program = !busy && Upcall::is_program(rip, code);
        Ok(is_program.then_some(Position { rip, rsp, rflags }))
    }

    /// Guest-physical address of what the guest finds at `address`, where it finds something.
    ///
    /// # Errors
    /// What KVM says.
    pub fn translate(&self, address: u64) -> Result<Option<u64>, KvmError> {
        let found = self.fd.translate_gva(address).map_err(failed("KVM_TRANSLATE"))?;
        Ok((found.valid != 0).then_some(found.physical_address))
    }

    /// Lets the guest go on elsewhere, with its other registers as they are. An `int3` that was being delivered may be
    /// lost: see [`Vcpu::program`].
    ///
    /// # Errors
    /// What KVM says.
    pub fn go_on_at(&self, position: Position) -> Result<(), KvmError> {
        // What is left of an exception that KVM does not tell of would be delivered at the new place. What it told, set,
        // takes that away.
        let events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
        self.fd.set_vcpu_events(&events).map_err(failed("KVM_SET_VCPU_EVENTS"))?;
        let Position { rip, rsp, rflags } = position;
        let registers = kvm_regs { rip, rsp, rflags, ..self.registers()? };
        self.fd.set_regs(&registers).map_err(failed("KVM_SET_REGS"))
    }

    fn registers(&self) -> Result<kvm_regs, KvmError> {
        self.fd.get_regs().map_err(failed("KVM_GET_REGS"))
    }

    /// Runs the guest until it wants something.
    ///
    /// After an exit for I/O the instruction pointer may not have moved on yet: only the next call
    /// completes the access. Nothing here may change registers in between.
    ///
    /// # Errors
    /// What KVM says.
    pub fn run(&mut self) -> Result<Exit<'_>, KvmError> {
        match self.fd.run() {
            // Parsed from the record below, which outlives this borrow.
            Ok(_) => Ok(exit::parse(self.fd.get_kvm_run())),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(KvmError { request: "KVM_RUN", error }),
        }
    }
}

fn msr(index: u32, data: u64) -> kvm_msr_entry {
    kvm_msr_entry { index, data, ..kvm_msr_entry::default() }
}

fn segment(segment: &Segment) -> kvm_segment {
    kvm_segment {
        base: segment.base,
        limit: segment.limit,
        selector: segment.selector,
        type_: segment.kind,
        present: 1,
        dpl: segment.dpl,
        db: segment.db,
        s: segment.s,
        l: segment.long,
        g: segment.granularity,
        avl: 0,
        unusable: 0,
        padding: 0,
    }
}

fn table(table: &Table) -> kvm_dtable {
    kvm_dtable { base: table.base, limit: table.limit, padding: [0; 3] }
}
