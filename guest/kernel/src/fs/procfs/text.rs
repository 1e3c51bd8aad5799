//! What the files of /proc say, in the forms that proc(5) gives and libraries parse.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use mayfly_hal::phys::FRAME_SIZE;

use crate::credentials::Ids;
use crate::fs::fdtable;
use crate::fs::pipe::PIPE_CAPACITY_MAX;
use crate::fs::system::{ProcessInfo, System};
use crate::net::names::{EPHEMERAL_FIRST, EPHEMERAL_LAST};

/// Clock ticks of a second in these texts (sysconf(_SC_CLK_TCK)).
const TICKS_PER_SECOND: u64 = 100;
const NS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// A name or text of the system as text that can be put among others.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn pid(system: &dyn System) -> Vec<u8> {
    format!("{}", system.pid()).into_bytes()
}

pub(super) fn comm(process: &dyn ProcessInfo, _: u32) -> Vec<u8> {
    line(process.comm())
}

pub(super) fn personality(process: &dyn ProcessInfo, _: u32) -> Vec<u8> {
    line(format!("{:08x}", process.personality().bits()).into_bytes())
}

pub(super) fn hostname(system: &dyn System) -> Vec<u8> {
    line(system.hostname())
}

pub(super) fn osrelease(system: &dyn System) -> Vec<u8> {
    line(system.release())
}

pub(super) fn version(system: &dyn System) -> Vec<u8> {
    format!("Linux version {} (mayfly) #1\n", lossy(&system.release())).into_bytes()
}

pub(super) fn uptime(system: &dyn System) -> Vec<u8> {
    let hundredths = |ns: u64| format!("{}.{:02}", ns / 1_000_000_000, ns / 10_000_000 % 100);
    let up = system.uptime_ns();
    let idle = up.saturating_sub(system.cpu_time_ns());
    format!("{} {}\n", hundredths(up), hundredths(idle)).into_bytes()
}

/// One vCPU: the load is one while somebody runs, and nobody averages it.
pub(super) fn loadavg(system: &dyn System) -> Vec<u8> {
    let of_process = |pid| system.process(pid).map_or(0, |process| process.threads().len());
    let pids = system.pids();
    let threads: usize = pids.iter().copied().map(of_process).sum();
    format!("0.00 0.00 0.00 1/{threads} {}\n", pids.last().unwrap_or(&0)).into_bytes()
}

pub(super) fn filesystems(_: &dyn System) -> Vec<u8> {
    b"nodev\tsysfs\nnodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\n\terofs\n".to_vec()
}

pub(super) fn swaps(_: &dyn System) -> Vec<u8> {
    b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec()
}

/// A bound of the kernel's.
pub(super) fn number(number: usize) -> Vec<u8> {
    format!("{number}\n").into_bytes()
}

pub(super) fn ports(_: &dyn System) -> Vec<u8> {
    format!("{EPHEMERAL_FIRST}\t{EPHEMERAL_LAST}\n").into_bytes()
}

/// Threads cost memory, and are bounded by it.
pub(super) fn threads_max(_: &dyn System) -> Vec<u8> {
    b"1024\n".to_vec()
}

pub(super) fn kernel_version(_: &dyn System) -> Vec<u8> {
    b"#1 Mayfly\n".to_vec()
}

pub(super) fn meminfo(system: &dyn System) -> Vec<u8> {
    let memory = system.memory();
    let lines = [
        ("MemTotal", memory.total),
        ("MemFree", memory.free),
        ("MemAvailable", memory.free + memory.cached),
        ("Buffers", 0),
        ("Cached", memory.cached),
        ("SwapTotal", 0),
        ("SwapFree", 0),
    ];
    let line = |(name, bytes): (&str, u64)| {
        let label = format!("{name}:");
        format!("{label:<16}{:>8} kB\n", bytes / 1024)
    };
    lines.into_iter().map(line).collect::<String>().into_bytes()
}

pub(super) fn stat(system: &dyn System) -> Vec<u8> {
    let up = system.uptime_ns() / NS_PER_TICK;
    let user = (system.cpu_time_ns() / NS_PER_TICK).min(up);
    let idle = up - user;
    let booted = system.realtime_ns() / 1_000_000_000 - (up / TICKS_PER_SECOND) as i64;
    format!(
        "cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {user} 0 0 {idle} 0 0 0 0 0 0\nintr 0\n\
         ctxt 0\nbtime {booted}\nprocesses {}\nprocs_running 1\nprocs_blocked 0\n",
        system.pids().len()
    )
    .into_bytes()
}

pub(super) fn file_max(_: &dyn System) -> Vec<u8> {
    format!("{}\n", fdtable::HARD_LIMIT).into_bytes()
}

pub(super) fn pipe_max_size(_: &dyn System) -> Vec<u8> {
    format!("{PIPE_CAPACITY_MAX}\n").into_bytes()
}

pub(super) fn boot_id(system: &dyn System) -> Vec<u8> {
    uuid(system.boot_id())
}

pub(super) fn random_uuid(system: &dyn System) -> Vec<u8> {
    let mut bytes = [0; 16];
    system.fill_random(&mut bytes);
    uuid(bytes)
}

/// 16 random bytes as a UUID of version 4 (RFC 9562 §5.4).
fn uuid(mut bytes: [u8; 16]) -> Vec<u8> {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    line(text.into_bytes())
}

/// proc_pid_stat(5): 52 fields, 0 where there is nothing to tell.
pub(super) fn process_stat(process: &dyn ProcessInfo, tid: u32) -> Vec<u8> {
    let (comm, state) = (lossy(&process.comm()), process.state(tid));
    let [parent, group, session] = process.family();
    let user = process.cpu_time_ns() / NS_PER_TICK;
    let threads = process.threads().len();
    let (size, resident) = process.resident();
    let resident = resident / FRAME_SIZE as u64;
    // Fields 1 to 25 (the last: the limit of resident memory), and 27 that stay 0.
    let mut text = format!(
        "{tid} ({comm}) {state} {parent} {group} {session} 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 {threads} 0 0 \
         {size} {resident} {}",
        u64::MAX
    );
    text.push_str(&" 0".repeat(52 - 25));
    line(text.into_bytes())
}

pub(super) fn process_statm(process: &dyn ProcessInfo, _: u32) -> Vec<u8> {
    let (size, resident) = process.resident();
    let pages = |bytes: u64| bytes.div_ceil(FRAME_SIZE as u64);
    format!("{} {} 0 0 0 {} 0\n", pages(size), pages(resident), pages(size)).into_bytes()
}

pub(super) fn process_status(process: &dyn ProcessInfo, tid: u32) -> Vec<u8> {
    let (size, resident) = process.resident();
    let (comm, pid) = (lossy(&process.comm()), process.pid());
    let [parent, ..] = process.family();
    let state = match process.state(tid) {
        'R' => "R (running)",
        'T' => "T (stopped)",
        _ => "S (sleeping)",
    };
    let (threads, who) = (process.threads().len(), process.credentials());
    let four = |Ids { real, effective, saved, file_system }| {
        format!("{real}\t{effective}\t{saved}\t{file_system}")
    };
    let of = who.capabilities;
    let groups: String = who.groups.iter().map(|group| format!("{group} ")).collect();
    format!(
        "Name:\t{comm}\nState:\t{state}\nTgid:\t{pid}\nPid:\t{tid}\nPPid:\t{parent}\nTracerPid:\t0\n\
         Uid:\t{}\nGid:\t{}\nFDSize:\t{}\nGroups:\t{groups}\n\
         VmPeak:\t{vm:>8} kB\nVmSize:\t{vm:>8} kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n\
         VmHWM:\t{rss:>8} kB\nVmRSS:\t{rss:>8} kB\nVmSwap:\t       0 kB\nThreads:\t{threads}\n\
         CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\n\
         NoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed_list:\t0\n\
         voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        four(who.user),
        four(who.group),
        fdtable::SOFT_LIMIT,
        of.inheritable,
        of.permitted,
        of.effective,
        of.bounding,
        0,
        vm = size / 1024,
        rss = resident / 1024,
    )
    .into_bytes()
}

fn line(mut text: Vec<u8>) -> Vec<u8> {
    text.push(b'\n');
    text
}
