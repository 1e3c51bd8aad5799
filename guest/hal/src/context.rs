//! A program's registers while the kernel runs, and why it stopped.

/// The general registers of a program, as the entry code saves them. The entry code knows the offsets.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
#[allow(missing_docs)] // the processor manuals' own names
pub struct Context {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    /// What the last exception said; meaningless after a system call.
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) cr2: u64,
    /// 0: return as `sysretq` would, with RCX and R11 clobbered. 1: restore every register.
    pub(crate) full: u64,
    /// XMM0 to XMM15: Linux keeps them across a system call, and the kernel's own code uses them.
    pub(crate) xmm: [[u64; 2]; 16],
}

impl Context {
    /// The registers of a new program (System V x86-64 ABI §3.4.1: all but RSP unspecified, so zero).
    pub fn new(rip: u64, rsp: u64) -> Context {
        Context { rip, rsp, rflags: mayfly_abi::vcpu_page::RFLAGS, full: 1, ..Context::default() }
    }

    /// Makes the next return restore every register, RCX and R11 too: they were set anew.
    pub fn restore_all(&mut self) {
        self.rflags |= mayfly_abi::vcpu_page::RFLAGS;
        self.full = 1;
    }

    /// A system call's number.
    pub fn call_number(&self) -> u64 {
        self.rax
    }

    /// A system call's arguments.
    pub fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }
}

/// Why a program stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// It made a system call; number and arguments are in its context.
    SystemCall {
        /// By the instruction `syscall`, and not through a stub ([`crate::jump`]).
        trapped: bool,
    },
    /// It touched memory that is not mapped so.
    PageFault {
        /// The address.
        address: u64,
        /// What it did.
        access: Access,
        /// The error code (AMD APM vol 2 §8.4.2).
        error: u64,
    },
    /// It raised another exception (AMD APM vol 2 §8.2).
    Exception {
        /// Which.
        vector: u8,
        /// The error code, 0 where there is none.
        error: u64,
    },
    /// The VMM took it out: the moment has come that the channel names.
    Upcall,
}

/// What a program did to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It fetched an instruction.
    Execute,
}

impl Access {
    /// From a page fault's error code (AMD APM vol 2 §8.4.2): bit 1 is a write, bit 4 a fetch.
    pub fn from_error_code(error: u64) -> Access {
        match error {
            error if error & 1 << 4 != 0 => Access::Execute,
            error if error & 1 << 1 != 0 => Access::Write,
            _ => Access::Read,
        }
    }
}
