//! /proc: what the machine and its processes say about themselves (proc(5)).
//!
//! The table is the list of what there is; `text` holds what the files say.

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general::PROC_SUPER_MAGIC;

use super::dentry::Dentry;
use super::inotify::{QUEUE_MAX, WATCHES_MAX};
use super::system::{ProcessInfo, System};
use super::tree::{Item, Leaf, TreeFs};
use crate::family::PID_END;

mod cpuinfo;
mod text;

/// /proc, to be mounted.
pub fn procfs(system: Rc<dyn System>, dev: u64) -> TreeFs {
    TreeFs::new(system, dev, ("proc", PROC_SUPER_MAGIC), ITEMS)
}

const fn file(path: &'static str, text: fn(&dyn System) -> Vec<u8>) -> Item {
    Item { path, mode: 0o444, leaf: Leaf::Text(text) }
}

const fn about(path: &'static str, text: fn(&dyn ProcessInfo, u32) -> Vec<u8>) -> Item {
    Item { path, mode: 0o444, leaf: Leaf::About(text) }
}

const fn link(path: &'static str, text: fn(&dyn System) -> Vec<u8>) -> Item {
    Item { path, mode: 0o777, leaf: Leaf::Link(text) }
}

const fn jump(path: &'static str, target: fn(&dyn ProcessInfo) -> Rc<Dentry>) -> Item {
    Item { path, mode: 0o777, leaf: Leaf::Jump(target) }
}

const ITEMS: &[Item] = &[
    about("[pid]/auxv", |process, _| process.auxiliary_vector()),
    about("[pid]/cgroup", |_, _| b"0::/\n".to_vec()),
    about("[pid]/cmdline", |process, _| process.arguments()),
    about("[pid]/comm", text::comm),
    jump("[pid]/cwd", |process| process.working_directory()),
    about("[pid]/environ", |process, _| process.environment()),
    jump("[pid]/exe", |process| process.executable()),
    Item { path: "[pid]/fd", mode: 0o500, leaf: Leaf::Descriptors },
    about("[pid]/limits", |process, _| process.limits()),
    about("[pid]/maps", |process, _| process.maps()),
    file("[pid]/mountinfo", |system| system.mountinfo()),
    file("[pid]/mounts", |system| system.mounts()),
    about("[pid]/oom_score", |_, _| b"0\n".to_vec()),
    about("[pid]/oom_score_adj", |_, _| b"0\n".to_vec()),
    about("[pid]/personality", text::personality),
    jump("[pid]/root", |process| process.root_directory()),
    about("[pid]/stat", text::process_stat),
    about("[pid]/statm", text::process_statm),
    about("[pid]/status", text::process_status),
    about("[pid]/task/[tid]/comm", text::comm),
    about("[pid]/task/[tid]/stat", text::process_stat),
    about("[pid]/task/[tid]/status", text::process_status),
    file("cmdline", |_| b"\n".to_vec()),
    file("cpuinfo", cpuinfo::cpuinfo),
    file("filesystems", text::filesystems),
    file("loadavg", text::loadavg),
    file("meminfo", text::meminfo),
    link("mounts", |_| b"self/mounts".to_vec()),
    link("self", text::pid),
    file("stat", text::stat),
    file("swaps", text::swaps),
    file("sys/fs/file-max", text::file_max),
    file("sys/fs/inotify/max_queued_events", |_| text::number(QUEUE_MAX)),
    file("sys/fs/inotify/max_user_instances", text::file_max),
    file("sys/fs/inotify/max_user_watches", |_| text::number(WATCHES_MAX)),
    file("sys/fs/nr_open", text::file_max),
    file("sys/fs/pipe-max-size", text::pipe_max_size),
    file("sys/fs/pipe-user-pages-soft", |_| b"0\n".to_vec()),
    file("sys/kernel/cap_last_cap", |_| b"40\n".to_vec()),
    file("sys/kernel/core_pattern", |_| b"core\n".to_vec()),
    file("sys/kernel/domainname", |_| b"(none)\n".to_vec()),
    file("sys/kernel/hostname", text::hostname),
    file("sys/kernel/ngroups_max", |_| b"65536\n".to_vec()),
    file("sys/kernel/osrelease", text::osrelease),
    file("sys/kernel/ostype", |_| b"Linux\n".to_vec()),
    file("sys/kernel/pid_max", |_| text::number(PID_END as usize)),
    file("sys/kernel/random/boot_id", text::boot_id),
    file("sys/kernel/random/entropy_avail", |_| b"256\n".to_vec()),
    file("sys/kernel/random/poolsize", |_| b"256\n".to_vec()),
    file("sys/kernel/random/uuid", text::random_uuid),
    file("sys/kernel/tainted", |_| b"0\n".to_vec()),
    file("sys/kernel/threads-max", text::threads_max),
    file("sys/kernel/version", text::kernel_version),
    file("sys/net/core/somaxconn", |_| b"4096\n".to_vec()),
    file("sys/net/ipv4/ip_local_port_range", text::ports),
    file("sys/vm/max_map_count", |_| b"65530\n".to_vec()),
    file("sys/vm/mmap_min_addr", |_| b"65536\n".to_vec()),
    file("sys/vm/overcommit_memory", |_| b"0\n".to_vec()),
    file("uptime", text::uptime),
    file("version", text::version),
];

#[cfg(test)]
mod tests;
