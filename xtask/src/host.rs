//! What this host is: whether it can run KVM, and whose it is.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether this process may open /dev/kvm, or why not and what to do about it.
pub fn kvm() -> Result<(), String> {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound => {
                "this host has no /dev/kvm: load kvm-intel or kvm-amd (`modprobe \
                 kvm-intel`), switch virtualisation on in the firmware, or let the cloud's virtual \
                 machine have it"
                    .into()
            }
            ErrorKind::PermissionDenied => {
                "no permission for /dev/kvm: `sudo setfacl -m u:$USER:rw /dev/kvm` gives it to this \
                 user until the next boot; where `ls -l /dev/kvm` shows the group kvm with rw, `sudo \
                 usermod -aG kvm $USER` does so from the next login on"
                    .into()
            }
            _ => format!("/dev/kvm does not open: {error}"),
        }),
    }
}

/// The modules behind this host's /dev/kvm, such as `kvm_amd`; empty where they are built in.
pub fn kvm_kind() -> String {
    let Ok(modules) = fs::read_dir("/sys/module") else { return String::new() };
    let mut kinds: Vec<String> = modules
        .filter_map(|module| module.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("kvm_"))
        .collect();
    kinds.sort();
    kinds.join(", ")
}

/// Memory that programs may still take, MiB (proc(5), MemAvailable); 0 where nobody says.
pub fn available_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib =
        line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.map_or(0, |kib: u64| kib / 1024)
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whether this is Debian itself: its derivatives have other kernel packages.
pub fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|os| os.lines().any(|line| line == "ID=debian"))
}

/// Where `program` is, also in the places for root's programs.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Whether `file` is an ELF executable that needs no dynamic linker (it has no PT_INTERP; ELF-64 §5).
pub fn is_static_elf(file: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    let Ok(elf) = fs::read(file) else { return false };
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let segments = || {
        let start = u64::from_le_bytes(elf.get(0x20..0x28)?.try_into().ok()?);
        let (size, count) = (u16_at(0x36)?, u16_at(0x38)?);
        (0..u64::from(count))
            .map(|i| {
                let at = usize::try_from(start.checked_add(i * u64::from(size))?).ok()?;
                let kind = elf.get(at..at.checked_add(4)?)?;
                Some(u32::from_le_bytes(kind.try_into().ok()?))
            })
            .collect::<Option<Vec<u32>>>()
    };
    elf.starts_with(b"\x7fELF") && segments().is_some_and(|kinds| !kinds.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_dynamic_and_a_text_is_no_elf() {
        assert!(!is_static_elf(&std::env::current_exe().unwrap()));
        assert!(!is_static_elf(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))));
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(which("sh").is_some());
        assert_eq!(which("no-such-program-here"), None);
    }
}
