//! /proc: what the machine and its one program say about themselves (proc(5)).
//!
//! The table is the list of what there is; `text` holds what the files say.

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general::PROC_SUPER_MAGIC;

use super::system::System;
use super::tree::{Item, Leaf, TreeFs};

mod text;

/// /proc, to be mounted.
pub fn procfs(system: Rc<dyn System>, dev: u64) -> TreeFs {
    TreeFs::new(system, dev, ("proc", PROC_SUPER_MAGIC), ITEMS)
}

const fn file(path: &'static str, text: fn(&dyn System) -> Vec<u8>) -> Item {
    Item { path, mode: 0o444, leaf: Leaf::Text(text) }
}

const fn link(path: &'static str, text: fn(&dyn System) -> Vec<u8>) -> Item {
    Item { path, mode: 0o777, leaf: Leaf::Link(text) }
}

macro_rules! jump {
    ($path:literal, $target:expr) => {
        Item { path: $path, mode: 0o777, leaf: Leaf::Jump($target) }
    };
}

const ITEMS: &[Item] = &[
    file("[pid]/auxv", |system| system.auxiliary_vector()),
    file("[pid]/cgroup", |_| b"0::/\n".to_vec()),
    file("[pid]/cmdline", |system| system.arguments()),
    file("[pid]/comm", text::comm),
    jump!("[pid]/cwd", |system| Some(system.working_directory())),
    file("[pid]/environ", |system| system.environment()),
    jump!("[pid]/exe", |system| system.executable()),
    Item { path: "[pid]/fd", mode: 0o500, leaf: Leaf::Descriptors },
    file("[pid]/limits", |system| system.limits()),
    file("[pid]/maps", |system| system.maps()),
    file("[pid]/mountinfo", |system| system.mountinfo()),
    file("[pid]/mounts", |system| system.mounts()),
    file("[pid]/oom_score", |_| b"0\n".to_vec()),
    file("[pid]/oom_score_adj", |_| b"0\n".to_vec()),
    file("[pid]/personality", |_| b"00000000\n".to_vec()),
    jump!("[pid]/root", |system| Some(system.root_directory())),
    file("[pid]/stat", text::process_stat),
    file("[pid]/statm", text::process_statm),
    file("[pid]/status", text::process_status),
    file("cmdline", |_| b"\n".to_vec()),
    file("cpuinfo", text::cpuinfo),
    file("filesystems", text::filesystems),
    file("loadavg", text::loadavg),
    file("meminfo", text::meminfo),
    link("mounts", |_| b"self/mounts".to_vec()),
    link("self", text::pid),
    file("stat", text::stat),
    file("swaps", text::swaps),
    file("sys/fs/file-max", text::file_max),
    file("sys/fs/nr_open", text::file_max),
    file("sys/fs/pipe-max-size", text::pipe_max_size),
    file("sys/kernel/cap_last_cap", |_| b"40\n".to_vec()),
    file("sys/kernel/hostname", text::hostname),
    file("sys/kernel/ngroups_max", |_| b"65536\n".to_vec()),
    file("sys/kernel/osrelease", text::osrelease),
    file("sys/kernel/ostype", |_| b"Linux\n".to_vec()),
    file("sys/kernel/pid_max", |_| b"32768\n".to_vec()),
    file("sys/kernel/random/boot_id", text::boot_id),
    file("sys/kernel/random/entropy_avail", |_| b"256\n".to_vec()),
    file("sys/kernel/random/poolsize", |_| b"256\n".to_vec()),
    file("sys/kernel/random/uuid", text::random_uuid),
    file("sys/kernel/threads-max", text::threads_max),
    file("sys/kernel/version", text::kernel_version),
    file("sys/net/core/somaxconn", |_| b"4096\n".to_vec()),
    file("sys/vm/max_map_count", |_| b"65530\n".to_vec()),
    file("sys/vm/mmap_min_addr", |_| b"65536\n".to_vec()),
    file("sys/vm/overcommit_memory", |_| b"0\n".to_vec()),
    file("uptime", text::uptime),
    file("version", text::version),
];

#[cfg(test)]
mod tests;
