//! `mayfly doctor`: what this host can run, and what to do about what it can't.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mayfly_abi::control::Outcome;
use mayfly_vmm::kvm::{Hypervisor, HypervisorError};
use serde_json::{Value, json};

use crate::args::Run;
use crate::failure::Failure;
use crate::guest::{Ended, Guest};
use crate::platform::print;
use crate::signals::Signals;

/// What was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    /// What is there, or what is wrong and what to do.
    finding: Result<String, String>,
}

/// Descriptors that a VM's process and its starter need, with room for a pool of VMs.
const OPEN_FILES_MIN: u64 = 1024;
/// Memory that a guest of the default size and its VMM need, MiB.
const MEMORY_MIB_MIN: u64 = 256;

/// What is left to a host that can have no KVM.
const WITHOUT: &str = "Where that cannot be, `cargo xtask test --only-lane` in Mayfly's sources tries it all on a \
                       processor that QEMU emulates";

/// Looks at everything and says what it found. The exit status is 1 where something is wrong.
///
/// # Errors
/// A stdout that fails.
pub fn doctor(as_json: bool) -> Result<ExitCode, Failure> {
    let checks = [
        Check { name: "kvm", finding: kvm() },
        Check { name: "kind", finding: kind() },
        Check { name: "guest", finding: guest().map_err(|failure| failure.to_string()) },
        Check { name: "open_files", finding: open_files() },
        Check { name: "memory", finding: memory() },
    ];
    let text = if as_json { format!("{:#}\n", report(&checks)) } else { list(&checks) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::from(u8::from(checks.iter().any(|check| check.finding.is_err()))))
}

fn report(checks: &[Check]) -> Value {
    let entry = |check: &Check| {
        let (is_ok, text) = match &check.finding {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        json!({ "check": check.name, "ok": is_ok, "finding": text })
    };
    json!({
        "ok": checks.iter().all(|check| check.finding.is_ok()),
        "checks": checks.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn list(checks: &[Check]) -> String {
    let line = |check: &Check| match &check.finding {
        Ok(text) => format!("  ok    {:<11} {text}\n", check.name),
        Err(text) => format!("  FAIL  {:<11} {text}\n", check.name),
    };
    checks.iter().map(line).collect()
}

fn kvm() -> Result<String, String> {
    match Hypervisor::open() {
        Ok(_) => Ok("/dev/kvm opens and speaks the right version".into()),
        Err(error @ HypervisorError::Missing) => Err(format!("{error}. {WITHOUT}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Which KVM serves: hardware's needs a flag of the processor that it and its module share.
fn kind() -> Result<String, String> {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |flag: &str| {
        let mut lines = flags.lines().filter(|line| line.starts_with("flags"));
        lines.any(|line| line.split_whitespace().any(|word| word == flag))
    };
    let module = ["kvm_intel", "kvm_amd", "kvm_pvm"]
        .into_iter()
        .find(|module| Path::new("/sys/module").join(module).exists());
    Ok(match (has("vmx"), has("svm"), module) {
        (_, _, Some("kvm_pvm")) | (false, false, _) => {
            "a software KVM: the processor shows neither vmx nor svm. Guests run at native speed at CPL 3, \
             and boot slower than on hardware"
                .into()
        }
        (true, _, _) => "hardware KVM on Intel VMX (not tried by Mayfly's authors)".into(),
        (_, true, _) => "hardware KVM on AMD SVM".into(),
    })
}

/// Runs a guest, by the same way that every program goes.
fn guest() -> Result<String, Failure> {
    let program = write_program()?;
    let signals = Signals::new()?;
    match Guest::spawn()?.start(Run::program([program.as_os_str()]))?.wait(&signals)? {
        Ended::Guest(Outcome::Exited(STATUS), report) => {
            let us = report.exited.saturating_sub(report.process_started) / 1000;
            Ok(format!("a program of five instructions ran in a microVM, in {us} µs"))
        }
        Ended::Guest(Outcome::NotStarted(text) | Outcome::Failed(text), _) => {
            Err(Failure::new(text))
        }
        other => Err(Failure::new(format!("a program of five instructions ended as {other:?}"))),
    }
}

/// What the program exits with.
const STATUS: u8 = 42;

/// A static ELF executable (System V gABI) that makes one system call: `exit_group(STATUS)`.
fn write_program() -> Result<tempfile::TempPath, Failure> {
    use std::os::unix::fs::PermissionsExt;
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // mov edi, STATUS; mov eax, 231; syscall; ud2
    let code = [0xbf, STATUS, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b];
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    elf.extend([BASE + HEADERS, 64, 0].map(u64::to_le_bytes).concat());
    elf.extend([0u8; 4]);
    elf.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    elf.extend([1u32, 5].map(u32::to_le_bytes).concat()); // PT_LOAD, readable and executable
    let len = HEADERS + code.len() as u64;
    elf.extend([0, BASE, BASE, len, len, 4096].map(u64::to_le_bytes).concat());
    elf.extend(code);
    let mut file = tempfile::Builder::new().prefix("mayfly-doctor-").tempfile()?;
    file.write_all(&elf)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o700))?;
    Ok(file.into_temp_path())
}

fn open_files() -> Result<String, String> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if limit.rlim_cur >= OPEN_FILES_MIN {
        return Ok(format!("{} files may be open", limit.rlim_cur));
    }
    Err(format!(
        "only {} files may be open: `ulimit -n {OPEN_FILES_MIN}` (the hard limit is {})",
        limit.rlim_cur, limit.rlim_max
    ))
}

fn memory() -> Result<String, String> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    match kib.map(|kib| kib >> 10) {
        Some(mib) if mib < MEMORY_MIB_MIN => {
            Err(format!("only {mib} MiB of memory are free: run guests with a smaller --mem"))
        }
        Some(mib) => Ok(format!("{mib} MiB of memory are free")),
        None => Err("/proc/meminfo does not say how much memory is free".into()),
    }
}
