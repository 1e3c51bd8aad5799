//! Kernels of a few instructions, put together byte by byte: one for each thing that a VMM must take.

use mayfly_abi::channel::{Channel, PORT_END, end};
use mayfly_abi::layout::{CHANNEL, DIRECT_MAP, KERNEL_LOAD};
use mayfly_abi::vcpu_page::EXCEPTION_FRAME;
use mayfly_abi::{KERNEL_MAGIC, KernelHeader, VERSION};
use std::mem::offset_of;
use zerocopy::IntoBytes;

/// Where the code begins, from the image's start.
const CODE: u64 = 0x100;
/// The kind of end that an exception leads to.
pub const UNEXPECTED: u8 = 0x70;

/// A kernel's code. RBX holds the channel's address throughout; RAX, RCX and RDX are anyone's.
#[derive(Clone, Default)]
pub struct TinyKernel {
    code: Vec<u8>,
    /// Offset of the privileged `ud2` in the code.
    step: usize,
}

impl TinyKernel {
    pub fn new() -> TinyKernel {
        // mov rbx, channel
        TinyKernel::default().bytes(&[0x48, 0xbb]).bytes(&(DIRECT_MAP + CHANNEL).to_le_bytes())
    }

    pub fn bytes(mut self, bytes: &[u8]) -> TinyKernel {
        self.code.extend_from_slice(bytes);
        self
    }

    /// `mov rax, value`.
    pub fn load(self, value: u64) -> TinyKernel {
        self.bytes(&[0x48, 0xb8]).bytes(&value.to_le_bytes())
    }

    /// `mov [rbx + offset], rax`: an offset in the channel.
    pub fn store(self, offset: usize) -> TinyKernel {
        self.bytes(&[0x48, 0x89, 0x83]).bytes(&(offset as u32).to_le_bytes())
    }

    /// `mov rax, [rbx + offset]`.
    pub fn fetch(self, offset: usize) -> TinyKernel {
        self.bytes(&[0x48, 0x8b, 0x83]).bytes(&(offset as u32).to_le_bytes())
    }

    /// Stores `value` at a guest-physical address.
    pub fn poke(self, gpa: u64, value: u64) -> TinyKernel {
        // mov rcx, address; mov [rcx], rax
        self.load(value)
            .bytes(&[0x48, 0xb9])
            .bytes(&(DIRECT_MAP + gpa).to_le_bytes())
            .bytes(&[0x48, 0x89, 0x01])
    }

    /// Loads EAX from a guest-physical address.
    pub fn peek(self, gpa: u64) -> TinyKernel {
        // mov rcx, address; mov eax, [rcx]
        self.bytes(&[0x48, 0xb9]).bytes(&(DIRECT_MAP + gpa).to_le_bytes()).bytes(&[0x8b, 0x01])
    }

    /// The time-stamp counter into the channel.
    pub fn stamp(self, offset: usize) -> TinyKernel {
        // rdtsc; shl rdx, 32; or rax, rdx
        self.bytes(&[0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0]).store(offset)
    }

    /// `mov edx, port; out dx, eax`.
    pub fn out(self, port: u16) -> TinyKernel {
        self.bytes(&[0xba]).bytes(&u32::from(port).to_le_bytes()).bytes(&[0xef])
    }

    /// The one `ud2` that loads CR3 from RDI.
    pub fn privileged_step(mut self) -> TinyKernel {
        self.step = self.code.len();
        self.bytes(&[0x0f, 0x0b])
    }

    /// Ends with a status.
    pub fn exit(self, status: u32) -> TinyKernel {
        self.end(end::EXITED, status)
    }

    /// Ends as the channel says it.
    pub fn end(self, kind: u32, code: u32) -> TinyKernel {
        self.load(u64::from(kind) | u64::from(code) << 32)
            .store(offset_of!(Channel, end))
            .out(PORT_END)
            .spin()
    }

    /// `jmp $`.
    pub fn spin(self) -> TinyKernel {
        self.bytes(&[0xeb, 0xfe])
    }

    /// What exceptions lead to: an end that is none, with the exception's vector as its code.
    fn exception() -> TinyKernel {
        let frame = EXCEPTION_FRAME - DIRECT_MAP;
        // shl rax, 32; or rax, UNEXPECTED
        let kernel =
            TinyKernel::new().peek(frame).bytes(&[0x48, 0xc1, 0xe0, 0x20, 0x48, 0x83, 0xc8]);
        kernel.bytes(&[UNEXPECTED]).store(offset_of!(Channel, end)).out(PORT_END).spin()
    }

    /// The image as it lies in memory.
    pub fn image(&self) -> Vec<u8> {
        let at = DIRECT_MAP + KERNEL_LOAD + CODE;
        let exception = at + self.code.len() as u64;
        let handler = TinyKernel::exception().code;
        let header = KernelHeader {
            magic: KERNEL_MAGIC,
            version: VERSION.into(),
            entry: at,
            syscall: at,
            page_fault: exception,
            exception,
            privileged_step: at + self.step as u64,
            end: exception + handler.len() as u64,
        };
        let mut image = header.as_bytes().to_vec();
        image.resize(CODE as usize, 0);
        image.extend_from_slice(&self.code);
        image.extend_from_slice(&handler);
        image
    }

    /// The image in an ELF file.
    pub fn elf(&self) -> Vec<u8> {
        elf(&self.image(), KERNEL_LOAD, None)
    }
}

/// An ELF file with one segment, to lie at `physical`, and of `memory_len` bytes if that is given.
pub fn elf(content: &[u8], physical: u64, memory_len: Option<u64>) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend_from_slice(&2u16.to_le_bytes()); // ET_EXEC
    file.extend_from_slice(&62u16.to_le_bytes()); // EM_X86_64
    file.extend_from_slice(&1u32.to_le_bytes());
    for word in [DIRECT_MAP.wrapping_add(physical), 64, 0] {
        file.extend_from_slice(&word.to_le_bytes()); // entry, program headers, section headers
    }
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&1u32.to_le_bytes()); // PT_LOAD
    file.extend_from_slice(&7u32.to_le_bytes()); // RWX
    let len = content.len() as u64;
    for word in
        [HEADERS, DIRECT_MAP.wrapping_add(physical), physical, len, memory_len.unwrap_or(len), 8]
    {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(content);
    file
}
