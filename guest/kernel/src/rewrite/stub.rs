//! The instructions made for one site.

use mayfly_abi::layout::CALL_STUB_BYTES;

/// Bytes of a stub.
pub const STUB_BYTES: usize = CALL_STUB_BYTES as usize;

/// Loads RCX with `back`, the address after the site, and EAX with the call's number, and goes to `entry`. R11 is the
/// call's to change. No flag changes, and nothing is pushed.
pub fn bytes(back: u64, number: u32, entry: u64) -> [u8; STUB_BYTES] {
    // What is behind the last jump is never executed; int3 says so.
    let mut stub = [0xcc; STUB_BYTES];
    let mut end = 0;
    let mut put = |bytes: &[u8]| {
        stub[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    };
    put(&[0x48, 0xb9]); // mov rcx, back
    put(&back.to_le_bytes());
    put(&[0xb8]); // mov eax, number
    put(&number.to_le_bytes());
    put(&[0x49, 0xbb]); // mov r11, entry
    put(&entry.to_le_bytes());
    put(&[0x41, 0xff, 0xe3]); // jmp r11
    stub
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

    #[test]
    fn a_stub_reads_as_meant() {
        let stub = bytes(0x7f00_1234_5678, 110, 0x7f80_0020_1000);
        let mut formatter = IntelFormatter::new();
        let lines: Vec<String> = Decoder::with_ip(64, &stub, 0, DecoderOptions::NONE)
            .iter()
            .take(4)
            .map(|instruction| {
                let mut text = String::new();
                formatter.format(&instruction, &mut text);
                text
            })
            .collect();
        assert_eq!(
            lines,
            ["mov rcx,7F0012345678h", "mov eax,6Eh", "mov r11,7F8000201000h", "jmp r11"]
        );
    }
}
