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
    file("[pid]/cmdline", |system| system.arguments()),
    file("[pid]/comm", text::comm),
    jump!("[pid]/cwd", |system| Some(system.working_directory())),
    file("[pid]/environ", |system| system.environment()),
    jump!("[pid]/exe", |system| system.executable()),
    Item { path: "[pid]/fd", mode: 0o500, leaf: Leaf::Descriptors },
    file("[pid]/limits", |system| system.limits()),
    file("[pid]/maps", |system| system.maps()),
    file("[pid]/mounts", |system| system.mounts()),
    jump!("[pid]/root", |system| Some(system.root_directory())),
    file("[pid]/stat", text::process_stat),
    file("[pid]/statm", text::process_statm),
    file("[pid]/status", text::process_status),
    file("cpuinfo", text::cpuinfo),
    file("filesystems", text::filesystems),
    file("loadavg", text::loadavg),
    file("meminfo", text::meminfo),
    link("mounts", |_| b"self/mounts".to_vec()),
    link("self", text::pid),
    file("stat", text::stat),
    file("sys/fs/file-max", text::file_max),
    file("sys/fs/pipe-max-size", text::pipe_max_size),
    file("sys/kernel/hostname", text::hostname),
    file("sys/kernel/osrelease", text::osrelease),
    file("sys/kernel/ostype", |_| b"Linux\n".to_vec()),
    file("sys/kernel/pid_max", |_| b"32768\n".to_vec()),
    file("sys/kernel/random/boot_id", text::boot_id),
    file("sys/kernel/random/uuid", text::random_uuid),
    file("sys/vm/max_map_count", |_| b"65530\n".to_vec()),
    file("sys/vm/overcommit_memory", |_| b"1\n".to_vec()),
    file("uptime", text::uptime),
    file("version", text::version),
];

#[cfg(test)]
mod tests;
