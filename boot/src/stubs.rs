//! The few instructions that run at CPL 0, as bytes. A test disassembles them.
//!
//! Each is as short as can be: a software KVM interprets CPL 0 at about 0.65 µs for an instruction.
//! None touches a stack but CPL 0's own, and none changes a register that it does not document.

use mayfly_abi::vcpu_page::{
    CELL_R11, CELL_RAX, CELL_RCX, CELL_STEP, CELL_SYSCALL, EXCEPTION_IRET, EXCEPTION_STUBS,
    PAGE_FAULT_IRET, RFLAGS, STUBS_END, SYSCALL_STUB, VECTORS, address,
};

/// Vector of an invalid opcode, and of `ud2`.
pub(crate) const INVALID_OPCODE: u8 = 6;
/// Vector of a page fault.
pub(crate) const PAGE_FAULT: u8 = 14;

/// Bytes reserved for each exception stub; the two long ones follow the table.
const STUB_BYTES: u64 = 16;
const INVALID_OPCODE_STUB: u64 = EXCEPTION_STUBS + VECTORS as u64 * STUB_BYTES;
const PAGE_FAULT_STUB: u64 = INVALID_OPCODE_STUB + 64;

/// Code with the offset in the vCPU page at which it runs.
pub(crate) struct Stub {
    pub offset: u64,
    pub code: Vec<u8>,
}

impl Stub {
    fn at(offset: u64) -> Stub {
        Stub { offset, code: Vec::new() }
    }

    fn bytes(mut self, bytes: &[u8]) -> Stub {
        self.code.extend_from_slice(bytes);
        self
    }

    /// An instruction that ends in a RIP-relative reference to a cell of the vCPU page.
    fn cell(self, opcode: &[u8], cell: u64) -> Stub {
        let next = self.offset + (self.code.len() + opcode.len() + 4) as u64;
        let relative = cell.wrapping_sub(next) as u32;
        self.bytes(opcode).bytes(&relative.to_le_bytes())
    }

    /// `mov rsp, frame; iretq`: enters the kernel at CPL 3 through a constant frame.
    fn enter_kernel(self, frame: u64) -> Stub {
        self.bytes(&[0x48, 0xbc]).bytes(&address(frame).to_le_bytes()).bytes(&[0x48, 0xcf])
    }
}

/// Where LSTAR points. Serves both kinds of KVM by looking at its own CPL.
pub(crate) fn syscall() -> Stub {
    Stub::at(SYSCALL_STUB)
        .cell(&[0x48, 0x89, 0x0d], CELL_RCX) // mov [cell], rcx
        .cell(&[0x4c, 0x89, 0x1d], CELL_R11) // mov [cell], r11
        .bytes(&[0x8c, 0xc9]) // mov ecx, cs
        .bytes(&[0xf6, 0xc1, 0x03]) // test cl, 3
        .bytes(&[0x74, 0x06]) // jz over the next instruction
        .cell(&[0xff, 0x25], CELL_SYSCALL) // jmp [cell]
        .cell(&[0x48, 0x8b, 0x0d], CELL_SYSCALL) // mov rcx, [cell]
        .bytes(&[0x41, 0xbb]) // mov r11d, RFLAGS
        .bytes(&(RFLAGS as u32).to_le_bytes())
        .bytes(&[0x48, 0x0f, 0x07]) // sysretq
}

/// The stub of an exception vector.
pub(crate) fn exception(vector: u8) -> Stub {
    match vector {
        INVALID_OPCODE => invalid_opcode(),
        PAGE_FAULT => page_fault(),
        _ => ordinary(Stub::at(EXCEPTION_STUBS + u64::from(vector) * STUB_BYTES), vector),
    }
}

/// Pushes what the processor did not, so that the frame has one shape for all.
fn ordinary(stub: Stub, vector: u8) -> Stub {
    let stub = if has_error_code(vector) { stub } else { stub.bytes(&[0x6a, 0x00]) };
    stub.bytes(&[0x6a, vector]).enter_kernel(EXCEPTION_IRET)
}

/// CR2 can be read at CPL 0 only: RAX brings it to the kernel.
fn page_fault() -> Stub {
    Stub::at(PAGE_FAULT_STUB)
        .cell(&[0x48, 0x89, 0x05], CELL_RAX) // mov [cell], rax
        .bytes(&[0x0f, 0x20, 0xd0]) // mov rax, cr2
        .enter_kernel(PAGE_FAULT_IRET)
}

/// The kernel's own `ud2` asks for a load of CR3; any other is an exception like the rest.
fn invalid_opcode() -> Stub {
    let stub = Stub::at(INVALID_OPCODE_STUB)
        .bytes(&[0x50]) // push rax
        .cell(&[0x48, 0x8b, 0x05], CELL_STEP) // mov rax, [cell]
        .bytes(&[0x48, 0x3b, 0x44, 0x24, 0x08]) // cmp rax, [rsp + 8]: the RIP it happened at
        .bytes(&[0x58]) // pop rax
        .bytes(&[0x75, 0x0a]) // jne over the step
        .bytes(&[0x0f, 0x22, 0xdf]) // mov cr3, rdi
        .bytes(&[0x48, 0x83, 0x04, 0x24, 0x02]) // add qword [rsp], 2: past the ud2
        .bytes(&[0x48, 0xcf]); // iretq
    ordinary(stub, INVALID_OPCODE)
}

/// Whether the processor pushes an error code (AMD APM vol 2 §8.2).
fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

const _: () = assert!(PAGE_FAULT_STUB + 64 <= STUBS_END);

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

    fn disassemble(stub: &Stub) -> Vec<String> {
        let mut formatter = IntelFormatter::new();
        formatter.options_mut().set_rip_relative_addresses(false);
        Decoder::with_ip(64, &stub.code, address(stub.offset), DecoderOptions::NONE)
            .iter()
            .map(|instruction| {
                assert!(!instruction.is_invalid());
                let mut text = String::new();
                formatter.format(&instruction, &mut text);
                text
            })
            .collect()
    }

    #[test]
    fn the_syscall_stub_reads_as_meant() {
        assert_eq!(
            disassemble(&syscall()),
            [
                "mov [7F80000010C0h],rcx",
                "mov [7F80000010C8h],r11",
                "mov ecx,cs",
                "test cl,3",
                "je short 00007F800000119Bh",
                "jmp qword ptr [7F80000010D0h]",
                "mov rcx,[7F80000010D0h]",
                "mov r11d,3202h",
                "sysretq",
            ]
        );
        assert!(syscall().code.len() <= 0x80, "the IDT follows");
    }

    #[test]
    fn a_page_fault_takes_four_instructions() {
        assert_eq!(
            disassemble(&exception(PAGE_FAULT)),
            ["mov [7F80000010D8h],rax", "mov rax,cr2", "mov rsp,7F8000001060h", "iretq"]
        );
    }

    #[test]
    fn only_the_kernels_ud2_loads_cr3() {
        assert_eq!(
            disassemble(&exception(INVALID_OPCODE)),
            [
                "push rax",
                "mov rax,[7F80000010E0h]",
                "cmp rax,[rsp+8]",
                "pop rax",
                "jne short 00007F800000161Ah",
                "mov cr3,rdi",
                "add qword ptr [rsp],2",
                "iretq",
                "push 0",
                "push 6",
                "mov rsp,7F8000001090h",
                "iretq",
            ]
        );
    }

    #[test]
    fn stubs_do_not_overlap_and_frames_have_one_shape() {
        let mut end = EXCEPTION_STUBS;
        let mut stubs: Vec<Stub> = (0..VECTORS as u8).map(exception).collect();
        stubs.sort_by_key(|stub| stub.offset);
        for stub in &stubs {
            assert!(stub.offset >= end);
            end = stub.offset + stub.code.len() as u64;
        }
        assert!(end <= STUBS_END);
        assert_eq!(disassemble(&exception(13))[0], "push 0Dh", "the processor pushed the code");
        assert_eq!(disassemble(&exception(0))[0], "push 0", "it did not");
    }
}
