//! The system: its name, its load, its randomness.

use linux_raw_sys::general as linux;
use mayfly_hal::phys;

use super::wait::USAGE_WORDS;
use super::{Call, CallResult};
use crate::clock::{self, SECOND};
use crate::errno::Errno;
use crate::kernel::{RELEASE, VERSION};
use crate::personality::Personality;

/// Bytes of each string in struct utsname.
const NAME_BYTES: usize = 65;
/// Most bytes that one getrandom(2) gives.
const RANDOM_MAX: u64 = 1 << 20;
/// Ticks in a second, as times(2) counts (sysconf(_SC_CLK_TCK)).
const TICKS: u64 = 100;

// Whose usage getrusage(2) is to tell.
const RUSAGE_SELF: i32 = linux::RUSAGE_SELF as i32;
const RUSAGE_CHILDREN: i32 = linux::RUSAGE_CHILDREN;
const RUSAGE_THREAD: i32 = linux::RUSAGE_THREAD as i32;

/// uname(2).
pub fn uname(call: &mut Call<'_>) -> CallResult {
    let mut names = [0; 6 * NAME_BYTES];
    let host = call.kernel.machine.hostname.borrow();
    let fields: [&[u8]; 6] =
        [b"Linux", &host, RELEASE.as_bytes(), VERSION.as_bytes(), b"x86_64", b"(none)"];
    for (field, name) in names.chunks_exact_mut(NAME_BYTES).zip(fields) {
        field[..name.len()].copy_from_slice(name);
    }
    call.put(call.args[0], &names)?;
    Ok(0)
}

/// sethostname(2). EFAULT, EINVAL, EPERM.
pub fn sethostname(call: &mut Call<'_>) -> CallResult {
    if !call.process.credentials.borrow().capabilities.has(linux::CAP_SYS_ADMIN) {
        return Err(Errno::PERM.into());
    }
    // With its NUL it has to fit into uname(2)'s answer.
    let len = u64::try_from(call.int(1)).ok().filter(|len| *len < NAME_BYTES as u64);
    let name = call.bytes(call.args[0], len.ok_or(Errno::INVAL)?)?.bytes().to_vec();
    call.kernel.machine.hostname.replace(name);
    Ok(0)
}

/// sysinfo(2).
pub fn sysinfo(call: &mut Call<'_>) -> CallResult {
    let usage = phys::usage();
    let bytes = |frames: u32| u64::from(frames) * 4096;
    let mut words = [0; 14];
    words[0] = call.kernel.uptime_ns() / SECOND;
    words[4] = bytes(usage.total);
    words[5] = bytes(usage.free);
    // procs (u16) at 80; mem_unit (u32) at 104.
    words[10] = call.kernel.threads.count() as u64 & 0xffff;
    words[13] = 1;
    call.put_words(call.args[0], &words)?;
    Ok(0)
}

/// getrandom(2). EINVAL.
pub fn getrandom(call: &mut Call<'_>) -> CallResult {
    let [address, len, flags, ..] = call.args;
    if flags & !7 != 0 || flags & 6 == 6 {
        return Err(Errno::INVAL.into());
    }
    let len = len.min(RANDOM_MAX);
    call.kernel.random.fill(call.bytes_mut(address, len)?.bytes_mut());
    Ok(len)
}

/// getrusage(2): the time in the kernel counts as the program's.
pub fn getrusage(call: &mut Call<'_>) -> CallResult {
    let used = match call.int(0) {
        RUSAGE_SELF => call.ran_ns(),
        RUSAGE_CHILDREN => children_ran_ns(call),
        RUSAGE_THREAD => call.thread_ran_ns(),
        _ => return Err(Errno::INVAL.into()),
    };
    let usage = phys::usage();
    let mut words = [0; USAGE_WORDS];
    words[0] = used / SECOND;
    words[1] = used % SECOND / 1000;
    // ru_maxrss, KiB: frames never handed out count as free.
    words[4] = u64::from(usage.total - usage.free) * 4;
    call.put_words(call.args[1], &words)?;
    Ok(0)
}

/// getcpu(2): the one vCPU.
pub fn getcpu(call: &mut Call<'_>) -> CallResult {
    for address in [call.args[0], call.args[1]] {
        if address != 0 {
            call.put(address, &0u32.to_le_bytes())?;
        }
    }
    Ok(0)
}

/// times(2).
pub fn times(call: &mut Call<'_>) -> CallResult {
    let (now, used) = (clock::monotonic_ns(), call.ran_ns());
    if call.args[0] != 0 {
        let children = children_ran_ns(call);
        call.put_words(call.args[0], &[ticks(used), 0, ticks(children), 0])?;
    }
    Ok(ticks(now))
}

fn ticks(ns: u64) -> u64 {
    ns / (SECOND / TICKS)
}

/// How long those children have run that the process has waited for, ns.
fn children_ran_ns(call: &Call<'_>) -> u64 {
    let pid = call.process.pid;
    call.kernel.processes.with(|families| families.get(pid).map_or(0, |of| of.children_ran_ns))
}

/// personality(2): Linux's own, which is 0, and how it may differ. EINVAL for another.
pub fn personality(call: &mut Call<'_>) -> CallResult {
    const ASK: u32 = u32::MAX;
    let before = call.process.personality.get();
    if call.uint(0) != ASK {
        let wanted = Personality::from_bits(call.uint(0)).ok_or(Errno::INVAL)?;
        call.process.personality.set(wanted);
    }
    Ok(before.bits().into())
}
