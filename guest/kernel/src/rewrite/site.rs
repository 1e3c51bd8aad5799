//! Whether the bytes before a `syscall` are a `mov eax, nr` that may be written over.
//!
//! Instructions have no marks at their ends: `b8 27 00 00 00` may be the tail of a longer one. Two things speak against
//! that. The caller knows that RAX held this very number when `syscall` ran; and of the few longer instructions with
//! such a tail that leave or find this number in RAX, those that can be executed at all are recognised by the bytes
//! before, and their sites stay traps. (An operand at RAX + disp32 would be below 64 KiB, where nothing is mapped.)

/// Bytes of `mov eax, imm32`.
pub const MOV_BYTES: usize = 5;
/// Bytes of `syscall`.
pub const SYSCALL_BYTES: usize = 2;
/// Bytes of both.
pub const SITE_BYTES: usize = MOV_BYTES + SYSCALL_BYTES;
/// Bytes before the pair that are looked at: as much of one instruction as can be.
pub const CONTEXT_BYTES: usize = 10;

const MOV_EAX: u8 = 0xb8;
const SYSCALL: [u8; SYSCALL_BYTES] = [0x0f, 0x05];
/// Numbers below this are calls (Linux 6 has 470); a larger one is something else's operand.
const NUMBERS: u32 = 1024;

/// Whether `bytes`, [`CONTEXT_BYTES`] and a site of [`SITE_BYTES`], may be rewritten, where the call that was made is
/// `number`.
pub fn may_be_rewritten(bytes: &[u8; CONTEXT_BYTES + SITE_BYTES], number: u64) -> bool {
    let (before, site) = bytes.split_at(CONTEXT_BYTES);
    let Ok(imm) = <[u8; 4]>::try_from(&site[1..MOV_BYTES]) else { return false };
    let imm = u32::from_le_bytes(imm);
    site[0] == MOV_EAX
        && site[MOV_BYTES..] == SYSCALL
        && u64::from(imm) == number
        && imm < NUMBERS
        && !may_be_a_tail(before)
}

/// What is written over the mov: `jmp [slot_address]`, but for the last two bytes of the address, which are there.
///
/// # Panics
/// Where the address's upper half is not 0x050f.
pub fn jump_through(slot_address: u64) -> [u8; MOV_BYTES] {
    assert_eq!(slot_address >> 16, u64::from(u16::from_le_bytes(SYSCALL)));
    let [low, high, ..] = slot_address.to_le_bytes();
    [0xff, 0x24, 0x25, low, high]
}

/// Whether `b8` and the four bytes after it may end an instruction that begins in `before`.
fn may_be_a_tail(before: &[u8]) -> bool {
    // Counted from the mov: at(1) is right before it.
    let at = |distance: usize| before[before.len() - distance];
    is_prefix(at(1))
        || is_address_arithmetic(at(2), at(1))
        || (2..=4).any(|distance| matches!(at(distance), 0x64 | 0x65))
        || has_sib_and_disp32(at(1))
        || is_store_of_imm32(at(3), at(2), at(1))
        || is_imm8_behind_disp32(at(4), at(3), at(2), at(1))
        || is_imm64(at(5), at(4))
}

/// Segment, operand-size, address-size, lock, repeat and REX prefixes (AMD APM vol 3 §1.2): they belong to the mov, and
/// would to the jump; `41 b8` moves to R8D.
fn is_prefix(byte: u8) -> bool {
    matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
}

/// `b8` is a ModRM byte, [RAX + disp32], of an instruction that touches nothing there: lea, prefetch, nop.
fn is_address_arithmetic(escape: u8, opcode: u8) -> bool {
    opcode == 0x8d || (escape == 0x0f && matches!(opcode, 0x0d | 0x18..=0x1f))
}

/// `b8` is a SIB byte, [RAX + 4 RDI + disp32]: mod 2, r/m 4 before it.
fn has_sib_and_disp32(modrm: u8) -> bool {
    modrm & 0xc7 == 0x84
}

/// The four bytes are an immediate operand, `b8` its address's last byte: [reg − 0x48], [RAX + 4 RDI].
fn is_store_of_imm32(third: u8, second: u8, first: u8) -> bool {
    let has_imm32 = |opcode: u8| matches!(opcode, 0x69 | 0x81 | 0xc7 | 0xf7);
    has_imm32(second) && (first & 0xc0 == 0x40 || first & 0xc7 == 0x04)
        || has_imm32(third) && second & 0xc7 == 0x44
}

/// `b8` begins a displacement of 32 bits, and the last byte is an immediate operand: [reg + 0x27b8].
fn is_imm8_behind_disp32(fourth: u8, third: u8, second: u8, first: u8) -> bool {
    let has_imm8 = |escape: u8, opcode: u8| match escape {
        0x0f => matches!(opcode, 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6),
        _ => false,
    } || matches!(opcode, 0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 | 0xf6);
    let is_plain = first & 0xc0 == 0x80 || first & 0xc7 == 0x05;
    let has_sib = second & 0xc7 == 0x84 || (second & 0xc7 == 0x04 && first & 7 == 5);
    is_plain && has_imm8(third, second) || has_sib && has_imm8(fourth, third)
}

/// `b8` is the fourth byte of a constant of 64 bits.
fn is_imm64(rex: u8, opcode: u8) -> bool {
    matches!(rex, 0x48..=0x4f) && matches!(opcode, 0xb8..=0xbf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `before`, behind nops, and `mov eax, imm; syscall`.
    fn site(before: &[u8], imm: u32) -> [u8; CONTEXT_BYTES + SITE_BYTES] {
        let mut bytes = [0x90; CONTEXT_BYTES + SITE_BYTES];
        bytes[CONTEXT_BYTES - before.len()..CONTEXT_BYTES].copy_from_slice(before);
        bytes[CONTEXT_BYTES] = 0xb8;
        bytes[CONTEXT_BYTES + 1..CONTEXT_BYTES + 5].copy_from_slice(&imm.to_le_bytes());
        bytes[CONTEXT_BYTES + 5..].copy_from_slice(&[0x0f, 0x05]);
        bytes
    }

    #[test]
    fn what_compilers_write_before_a_call_does_not_hinder() {
        for before in [
            &[0xf3, 0x0f, 0x1e, 0xfa][..],   // endbr64
            &[0x49, 0x89, 0xca],             // mov r10, rcx
            &[0x31, 0xff],                   // xor edi, edi
            &[0x45, 0x31, 0xc0],             // xor r8d, r8d
            &[0xbf, 0x01, 0x00, 0x00, 0x00], // mov edi, 1
            &[0x48, 0x83, 0xec, 0x08],       // sub rsp, 8
            &[0x48, 0x8d, 0x74, 0x24, 0x10], // lea rsi, [rsp + 16]
            &[0x0f, 0x05],                   // syscall
            &[0x48, 0x8b, 0x7b, 0x08],       // mov rdi, [rbx + 8]
            &[0x75, 0x20],                   // jne
            &[0xe8, 0x12, 0x34, 0x00, 0x00], // call
        ] {
            assert!(may_be_rewritten(&site(before, 110), 110), "{before:x?}");
        }
    }

    #[test]
    fn the_pair_must_be_what_made_the_call() {
        assert!(!may_be_rewritten(&site(&[], 110), 111), "RAX held something else");
        assert!(!may_be_rewritten(&site(&[], 110), 110 | 1 << 32));
        assert!(!may_be_rewritten(&site(&[], 5000), 5000), "no call");
        let mut other = site(&[], 110);
        other[CONTEXT_BYTES] = 0xbf;
        assert!(!may_be_rewritten(&other, 110), "mov edi");
        let mut rewritten = site(&[], 110);
        rewritten[CONTEXT_BYTES..CONTEXT_BYTES + 5].copy_from_slice(&jump_through(0x050f_0008));
        assert!(!may_be_rewritten(&rewritten, 110), "it is a jump already");
    }

    #[test]
    fn tails_of_longer_instructions_stay() {
        for before in [
            &[0x41][..], // mov r8d, imm32
            &[0x66],     // mov ax, imm16, and two bytes of something else
            &[0x64],     // a prefix that the jump would take for itself
            &[0xf3],
            &[0x8d], // lea edi, [rax + disp32]
            &[0x48, 0x8d],
            &[0x0f, 0x1f], // nop
            &[0x64, 0x8b], // mov edi, fs:[rax + disp32]
            &[0x64, 0x48, 0x8b],
            &[0x8d, 0x84],          // lea eax, [rax + 4 rdi + disp32]
            &[0xc7, 0x45],          // mov dword [rbp − 0x48], imm32
            &[0xc7, 0x44, 0x24],    // mov dword [rsp − 0x48], imm32
            &[0xc7, 0x04],          // mov dword [rax + 4 rdi], imm32
            &[0x81, 0x7d],          // cmp dword [rbp − 0x48], imm32
            &[0xc6, 0x83],          // mov byte [rbx + 0x…b8], 0
            &[0xc6, 0x84, 0x24],    // mov byte [rsp + 0x…b8], 0
            &[0x80, 0x3d],          // cmp byte [rip + 0x…b8], 0
            &[0x0f, 0xba, 0xa3],    // bt dword [rbx + 0x…b8], 0
            &[0x48, 0xbf, 1, 2, 3], // mov rdi, imm64
        ] {
            assert!(!may_be_rewritten(&site(before, 110), 110), "{before:x?}");
        }
    }

    #[test]
    fn the_jump_and_the_bytes_that_stay_name_the_slot() {
        let mut bytes = jump_through(0x050f_1238).to_vec();
        bytes.extend([0x0f, 0x05]);
        assert_eq!(bytes, [0xff, 0x24, 0x25, 0x38, 0x12, 0x0f, 0x05]);
    }
}
