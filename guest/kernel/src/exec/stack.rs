//! A new program's stack (System V x86-64 ABI §3.4.1).
//!
//! ```text
//!   top ▶  environment and argument strings, file name, random bytes
//!          auxiliary vector, ended by AT_NULL
//!          environment pointers, 0
//!          argument pointers, 0
//!   RSP ▶  argc                                     (a multiple of 16)
//! ```

use alloc::vec::Vec;

use linux_raw_sys::auxvec as linux;

use crate::credentials::Ids;

/// Values for the auxiliary vector (getauxval(3)) that the loader decides.
#[derive(Clone, Copy, Debug)]
pub struct Auxiliary {
    /// AT_PHDR.
    pub headers: u64,
    /// AT_PHNUM.
    pub header_count: u64,
    /// AT_BASE: where the interpreter is; 0 without one.
    pub base: u64,
    /// AT_ENTRY.
    pub entry: u64,
    /// AT_UID, AT_EUID, and AT_GID, AT_EGID.
    pub ids: [Ids; 2],
    /// AT_HWCAP.
    pub hwcap: u64,
    /// AT_HWCAP2.
    pub hwcap2: u64,
    /// AT_SYSINFO_EHDR: where the vDSO is.
    pub vdso: u64,
    /// AT_MINSIGSTKSZ.
    pub signal_stack: u64,
    /// What AT_RANDOM points to.
    pub random: [u8; 16],
}

/// A stack ready to be copied to the program.
#[derive(Debug)]
pub struct Stack {
    /// RSP, and where the bytes go.
    pub pointer: u64,
    /// From RSP to the top.
    pub bytes: Vec<u8>,
    /// Where the auxiliary vector lies in `bytes`.
    pub auxiliary: core::ops::Range<usize>,
}

/// Lays out the stack that ends at `top`.
pub fn build(top: u64, argv: &[Vec<u8>], env: &[Vec<u8>], path: &[u8], aux: &Auxiliary) -> Stack {
    // Strings first: their addresses are needed below. `strings` grows upwards from `base`.
    let mut strings = Vec::new();
    let mut put = |bytes: &[u8], end: &[u8]| {
        let offset = strings.len() as u64;
        strings.extend_from_slice(bytes);
        strings.extend_from_slice(end);
        offset
    };
    let random = put(&aux.random, b"");
    let platform = put(b"x86_64", b"\0");
    let path = put(path, b"\0");
    let argv: Vec<u64> = argv.iter().map(|string| put(string, b"\0")).collect();
    let env: Vec<u64> = env.iter().map(|string| put(string, b"\0")).collect();
    let base = (top - strings.len() as u64) & !15;

    let [user, group] = aux.ids;
    // Its libraries are not to trust its environment.
    let is_secure = aux.ids.iter().any(|ids| ids.real != ids.effective);
    let pairs = [
        (linux::AT_SYSINFO_EHDR, aux.vdso),
        (linux::AT_MINSIGSTKSZ, aux.signal_stack),
        (linux::AT_HWCAP, aux.hwcap),
        (linux::AT_PAGESZ, 4096),
        (linux::AT_CLKTCK, 100),
        (linux::AT_PHDR, aux.headers),
        (linux::AT_PHENT, 56),
        (linux::AT_PHNUM, aux.header_count),
        (linux::AT_BASE, aux.base),
        (linux::AT_FLAGS, 0),
        (linux::AT_ENTRY, aux.entry),
        (linux::AT_UID, user.real.into()),
        (linux::AT_EUID, user.effective.into()),
        (linux::AT_GID, group.real.into()),
        (linux::AT_EGID, group.effective.into()),
        (linux::AT_SECURE, is_secure.into()),
        (linux::AT_RANDOM, base + random),
        (linux::AT_HWCAP2, aux.hwcap2),
        (linux::AT_EXECFN, base + path),
        (linux::AT_PLATFORM, base + platform),
        (linux::AT_NULL, 0),
    ];
    let mut words = Vec::with_capacity(argv.len() + env.len() + 3 + pairs.len() * 2);
    words.push(argv.len() as u64);
    words.extend(argv.iter().map(|offset| base + offset));
    words.push(0);
    words.extend(env.iter().map(|offset| base + offset));
    words.push(0);
    let auxiliary = words.len() * 8..(words.len() + pairs.len() * 2) * 8;
    words.extend(pairs.iter().flat_map(|(key, value)| [u64::from(*key), *value]));

    let pointer = (base - words.len() as u64 * 8) & !15;
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize((base - pointer) as usize, 0);
    bytes.extend_from_slice(&strings);
    Stack { pointer, bytes, auxiliary }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_program_finds_its_arguments() {
        let aux = Auxiliary {
            headers: 0x40_0040,
            header_count: 3,
            base: 0,
            entry: 0x40_1000,
            hwcap: 1,
            hwcap2: 2,
            ids: Default::default(),
            vdso: 0x7fff_f000,
            signal_stack: 4096,
            random: [9; 16],
        };
        let argv = vec![b"echo".to_vec(), b"hi".to_vec()];
        let stack = build(0x7fff_f000, &argv, &[b"A=1".to_vec()], b"/bin/echo", &aux);
        assert_eq!(stack.pointer % 16, 0);
        let word = |at: u64| {
            let at = (at - stack.pointer) as usize;
            u64::from_le_bytes(stack.bytes[at..at + 8].try_into().unwrap())
        };
        let text = |at: u64| {
            let bytes = &stack.bytes[(at - stack.pointer) as usize..];
            bytes.split(|byte| *byte == 0).next().unwrap().to_vec()
        };
        let sp = stack.pointer;
        assert_eq!(word(sp), 2);
        assert_eq!(text(word(sp + 8)), b"echo");
        assert_eq!(text(word(sp + 16)), b"hi");
        assert_eq!(word(sp + 24), 0);
        assert_eq!(text(word(sp + 32)), b"A=1");
        assert_eq!(word(sp + 40), 0);
        let mut at = sp + 48;
        let mut found = vec![];
        while word(at) != 0 {
            found.push((word(at) as u32, word(at + 8)));
            at += 16;
        }
        let value = |key| found.iter().find(|pair| pair.0 == key).unwrap().1;
        assert_eq!(value(linux::AT_ENTRY), 0x40_1000);
        assert_eq!(text(value(linux::AT_EXECFN)), b"/bin/echo");
        let random = (value(linux::AT_RANDOM) - sp) as usize;
        assert_eq!(stack.bytes[random..random + 16], [9; 16]);
        assert!(sp + stack.bytes.len() as u64 <= 0x7fff_f000);
        assert_eq!(stack.auxiliary.start as u64, 48);
    }
}
