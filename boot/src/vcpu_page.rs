//! Fills the vCPU page: descriptor tables, task state segment, stubs (see [`mayfly_abi::vcpu_page`]).

use mayfly_abi::KernelHeader;
use mayfly_abi::channel::PORTS_END;
use mayfly_abi::layout::{DIRECT_MAP, KERNEL_STACK_END, PAGE_SIZE};
use mayfly_abi::vcpu_page as page;

use crate::stubs;

/// Where the I/O permission bitmap begins in a 64-bit task state segment (AMD APM vol 2 §12.2.5).
const IO_BITMAP: u64 = 104;
/// Bytes of the segment: the bitmap for the ports up to the last one that is used, whole 16-bit words
/// since the processor reads two bytes at a time, and the byte of ones that ends it.
pub(crate) const TSS_BYTES: u64 = IO_BITMAP + (PORTS_END as u64).div_ceil(16) * 2 + 1;
/// Top of the stack for exceptions inside the kernel: the low end of the kernel's stack space is its,
/// since an exception handler must not run on the stack of the code that it interrupted.
pub(crate) const EXCEPTION_STACK_TOP: u64 = DIRECT_MAP + KERNEL_STACK_END + 0x8000;

const CODE_DPL0: u64 = 0x00af_9b00_0000_ffff;
const DATA_DPL0: u64 = 0x00cf_9300_0000_ffff;
const CODE32_DPL3: u64 = 0x00cf_fb00_0000_ffff;
const DATA_DPL3: u64 = 0x00cf_f300_0000_ffff;
const CODE_DPL3: u64 = 0x00af_fb00_0000_ffff;
/// Present, 64-bit TSS, busy: as after `ltr`.
const TSS_BUSY: u64 = 0x8b;

/// Vectors that a program may raise with `int n`: #BP and #OF.
const USER_VECTORS: [u8; 2] = [3, 4];

/// The page's bytes, up to the stack of CPL 0 (which is zero).
pub(crate) fn build(kernel: &KernelHeader) -> Vec<u8> {
    let mut bytes = vec![0; page::STUBS_END as usize];
    put_words(&mut bytes, page::GDT, &gdt());
    put_words(&mut bytes, page::PAGE_FAULT_IRET, &iret_frame(kernel.page_fault));
    put_words(&mut bytes, page::EXCEPTION_IRET, &iret_frame(kernel.exception));
    put_words(&mut bytes, page::CELL_SYSCALL, &[kernel.syscall]);
    put_words(&mut bytes, page::CELL_STEP, &[kernel.privileged_step]);
    put_tss(&mut bytes);
    put(&mut bytes, page::SYSCALL_STUB, &stubs::syscall().code);
    for vector in 0..page::VECTORS as u8 {
        let stub = stubs::exception(vector);
        put(&mut bytes, stub.offset, &stub.code);
        put_words(&mut bytes, page::IDT + u64::from(vector) * 16, &gate(vector, stub.offset));
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn gdt() -> [u64; page::GDT_ENTRIES] {
    let mut gdt = [0; page::GDT_ENTRIES];
    let mut set = |selector: u16, descriptor| gdt[usize::from(selector >> 3)] = descriptor;
    set(page::KERNEL_CODE, CODE_DPL0);
    set(page::KERNEL_DATA, DATA_DPL0);
    set(page::SYSRET_BASE, CODE32_DPL3);
    set(page::USER_DATA, DATA_DPL3);
    set(page::USER_CODE, CODE_DPL3);
    let base = page::address(page::TSS_OFFSET);
    let low =
        (TSS_BYTES - 1) | (base & 0xff_ffff) << 16 | TSS_BUSY << 40 | (base >> 24 & 0xff) << 56;
    set(page::TSS, low);
    set(page::TSS + 8, base >> 32);
    gdt
}

/// RIP, CS, RFLAGS, RSP, SS: the kernel at CPL 3, on its exception stack.
fn iret_frame(entry: u64) -> [u64; 5] {
    let (cs, ss) = (u64::from(page::USER_CODE), u64::from(page::USER_DATA));
    [entry, cs, page::RFLAGS, EXCEPTION_STACK_TOP, ss]
}

/// RSP0 is the CPL 0 stack. The bitmap's bits are zero (allowed) up to its end.
fn put_tss(bytes: &mut [u8]) {
    put(bytes, page::TSS_OFFSET + 4, &page::address(page::STACK_TOP).to_le_bytes());
    put(bytes, page::TSS_OFFSET + 102, &(IO_BITMAP as u16).to_le_bytes());
    put(bytes, page::TSS_OFFSET + TSS_BYTES - 1, &[0xff]);
}

/// A 64-bit interrupt gate (AMD APM vol 2 §4.8.4).
fn gate(vector: u8, stub: u64) -> [u64; 2] {
    let target = page::address(stub);
    let dpl = if USER_VECTORS.contains(&vector) { 3 } else { 0 };
    let kind = 0x8e | dpl << 5;
    let low = (target & 0xffff)
        | u64::from(page::KERNEL_CODE) << 16
        | kind << 40
        | (target >> 16 & 0xffff) << 48;
    [low, target >> 32]
}

fn put(bytes: &mut [u8], offset: u64, value: &[u8]) {
    let offset = offset as usize;
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

fn put_words(bytes: &mut [u8], offset: u64, words: &[u64]) {
    for (index, word) in words.iter().enumerate() {
        put(bytes, offset + index as u64 * 8, &word.to_le_bytes());
    }
}

const _: () = assert!(page::STACK_TOP == PAGE_SIZE);
const _: () = assert!(page::TSS_OFFSET + TSS_BYTES <= page::SYSCALL_STUB);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_lead_to_their_stubs() {
        let header = KernelHeader {
            magic: 0,
            version: 0,
            entry: 0,
            syscall: 0x1111,
            page_fault: 0x2222,
            exception: 0x3333,
            privileged_step: 0x4444,
            end: 0,
        };
        let bytes = build(&header);
        let word =
            |offset: u64| u64::from_le_bytes(bytes[offset as usize..][..8].try_into().unwrap());
        let gate = page::IDT + 14 * 16;
        let target = word(gate) & 0xffff | (word(gate) >> 48 & 0xffff) << 16 | word(gate + 8) << 32;
        assert_eq!(target, page::address(stubs::exception(14).offset));
        assert_eq!(word(page::PAGE_FAULT_IRET), 0x2222);
        assert_eq!(word(page::EXCEPTION_IRET), 0x3333);
        assert_eq!(word(page::CELL_SYSCALL), 0x1111);
        assert_eq!(word(page::TSS_OFFSET + 4), page::address(page::STACK_TOP));
    }
}
