//! /sys: the little of it that language runtimes and lscpu(1) read to size themselves (sysfs(5)): one processor, one
//! memory node, no huge pages behind a program's back.

use alloc::rc::Rc;

use linux_raw_sys::general::SYSFS_MAGIC;

use super::system::System;
use super::tree::{Item, Leaf, TreeFs};

/// /sys, to be mounted.
pub fn sysfs(system: Rc<dyn System>, dev: u64) -> TreeFs {
    TreeFs::new(system, dev, ("sysfs", SYSFS_MAGIC), ITEMS)
}

macro_rules! text {
    ($path:literal, $text:literal) => {
        Item { path: $path, mode: 0o444, leaf: Leaf::Text(|_| $text.to_vec()) }
    };
}

const ITEMS: &[Item] = &[
    text!("devices/system/cpu/cpu0/topology/core_cpus_list", b"0\n"),
    text!("devices/system/cpu/cpu0/topology/core_id", b"0\n"),
    text!("devices/system/cpu/cpu0/topology/core_siblings", b"1\n"),
    text!("devices/system/cpu/cpu0/topology/core_siblings_list", b"0\n"),
    text!("devices/system/cpu/cpu0/topology/physical_package_id", b"0\n"),
    text!("devices/system/cpu/cpu0/topology/thread_siblings", b"1\n"),
    text!("devices/system/cpu/cpu0/topology/thread_siblings_list", b"0\n"),
    text!("devices/system/cpu/kernel_max", b"0\n"),
    text!("devices/system/cpu/offline", b"\n"),
    text!("devices/system/cpu/online", b"0\n"),
    text!("devices/system/cpu/possible", b"0\n"),
    text!("devices/system/cpu/present", b"0\n"),
    text!("devices/system/node/node0/cpulist", b"0\n"),
    text!("devices/system/node/node0/cpumap", b"1\n"),
    text!("devices/system/node/online", b"0\n"),
    text!("devices/system/node/possible", b"0\n"),
    text!("kernel/mm/transparent_hugepage/enabled", b"always madvise [never]\n"),
    text!("kernel/mm/transparent_hugepage/hpage_pmd_size", b"2097152\n"),
];

#[cfg(test)]
mod tests {
    use alloc::format;

    use crate::fs::testing::machine;

    #[test]
    fn a_runtime_counts_one_processor() {
        let machine = machine();
        assert_eq!(machine.text("/sys/devices/system/cpu/online"), "0\n");
        let names = machine.list("/sys/devices/system/cpu");
        assert_eq!(names.iter().filter(|name| *name == "cpu0").count(), 1);
        let topology = "/sys/devices/system/cpu/cpu0/topology";
        for mask in ["core_siblings", "thread_siblings"] {
            assert_eq!(machine.text(&format!("{topology}/{mask}")), "1\n");
        }
        assert_eq!(machine.list("/sys"), [".", "..", "devices", "kernel"]);
    }
}
