//! An upcall: the VMM takes a program off the vCPU and enters the kernel instead, as an exception would (see
//! [`mayfly_abi::vcpu_page`]).

use mayfly_abi::KernelHeader;
use mayfly_abi::layout::USER_END;
use mayfly_abi::vcpu_page::{
    EXCEPTION_FRAME_GPA, ExceptionFrame, RFLAGS, UPCALL_VECTOR, USER_CODE, USER_DATA,
};
use zerocopy::IntoBytes;

use crate::plan::Write;
use crate::vcpu_page::EXCEPTION_STACK_TOP;

/// The registers that an upcall saves and replaces; all others stay the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the processor manuals' own names
pub struct Position {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
}

/// How a kernel is called up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upcall {
    entry: u64,
}

impl Upcall {
    /// Into the kernel with this header.
    pub(crate) fn new(kernel: &KernelHeader) -> Upcall {
        Upcall { entry: kernel.exception }
    }

    /// Whether a vCPU there runs the program, and not the kernel or a stub: only then is there an upcall.
    pub fn is_program(rip: u64, code: u16) -> bool {
        rip < USER_END && code == USER_CODE
    }

    /// What to write and where the vCPU goes on, for a program that is at `program`.
    pub fn at(&self, program: Position) -> (Write, Position) {
        let frame = ExceptionFrame {
            vector: UPCALL_VECTOR,
            error: 0,
            rip: program.rip,
            cs: USER_CODE.into(),
            rflags: program.rflags,
            rsp: program.rsp,
            ss: USER_DATA.into(),
        };
        let write = Write { gpa: EXCEPTION_FRAME_GPA, bytes: frame.as_bytes().to_vec() };
        (write, Position { rip: self.entry, rsp: EXCEPTION_STACK_TOP, rflags: RFLAGS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mayfly_abi::layout::{DIRECT_MAP, PAGE_SIZE, VCPU_PAGE};
    use mayfly_abi::vcpu_page::{SYSCALL_STUB, address};
    use zerocopy::{FromBytes, FromZeros};

    #[test]
    fn only_a_program_is_called_away() {
        assert!(Upcall::is_program(0x40_0000, USER_CODE));
        assert!(!Upcall::is_program(0x40_0000, 0x23), "32-bit code");
        assert!(!Upcall::is_program(address(SYSCALL_STUB), USER_CODE));
        assert!(!Upcall::is_program(DIRECT_MAP + 0x20_0000, USER_CODE));
        assert!(!Upcall::is_program(u64::MAX, USER_CODE));
    }

    #[test]
    fn the_frame_is_where_the_kernel_looks_and_keeps_what_was() {
        let kernel = KernelHeader { exception: 0x3333, ..KernelHeader::new_zeroed() };
        let program = Position { rip: 0x40_1234, rsp: 0x7000_0000, rflags: 0x246 };
        let (write, next) = Upcall::new(&kernel).at(program);
        assert_eq!(write.gpa + write.bytes.len() as u64, VCPU_PAGE + PAGE_SIZE);
        let frame = ExceptionFrame::read_from_bytes(&write.bytes).unwrap();
        assert_eq!((frame.rip, frame.rsp, frame.rflags), (0x40_1234, 0x7000_0000, 0x246));
        assert_eq!((next.rip, next.rflags), (0x3333, RFLAGS));
    }
}
