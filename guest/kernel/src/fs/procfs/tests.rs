use std::string::String;
use std::vec::Vec;

use crate::errno::Errno;
use crate::fs::testing::machine;
use crate::fs::{Follow, OpenFlags, Whence};

#[test]
fn every_text_can_be_read_by_its_path() {
    let machine = machine();
    for item in super::ITEMS {
        let path = item.path.replace("[pid]", "self").replace("[tid]", "70");
        let path = std::format!("/proc/{path}");
        if matches!(item.leaf, super::Leaf::Text(_) | super::Leaf::About(_)) {
            assert!(!machine.read(&path).is_empty(), "{path}");
        } else {
            let found = machine.vfs.lookup(machine.root(), path.as_bytes(), Follow::No);
            assert!(found.is_ok(), "{path}");
        }
    }
}

#[test]
fn the_tables_directories_are_listed_once_each() {
    let machine = machine();
    let names = machine.list("/proc");
    let mut sorted: Vec<String> = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len());
    assert!(names.contains(&"7".into()) && names.contains(&"sys".into()));
    assert_eq!(machine.list("/proc/sys"), [".", "..", "fs", "kernel", "net", "vm"]);
    assert_eq!(machine.list("/proc/sys/vm").len(), 5);
    assert_eq!(machine.lookup("/proc/self/maps").unwrap().path().unwrap(), b"/proc/7/maps");
    for missing in ["/proc/8", "/proc/07", "/proc/+7", "/proc/[pid]", "/proc/sy", "/proc/7/sys"] {
        assert_eq!(machine.lookup(missing).err(), Some(Errno::NOENT), "{missing}");
    }
    assert_eq!(machine.lookup("/proc/stat/x").err(), Some(Errno::NOTDIR));
}

#[test]
fn each_process_has_a_directory_as_long_as_it_lives() {
    let machine = machine();
    machine.system.others.replace([2, 3].into());
    let names = machine.list("/proc");
    assert_eq!(names[..5], [".", "..", "2", "3", "7"]);
    assert!(machine.text("/proc/3/status").contains("\nPid:\t3\nPPid:\t1\n"));
    assert_eq!(machine.list("/proc/2/task"), [".", "..", "2", "70"]);
    assert!(machine.text("/proc/2/task/70/stat").starts_with("70 (prog) R 1 2 2 "));
    assert_eq!(machine.lookup("/proc/2/task/3").err(), Some(Errno::NOENT));
    let held = (machine.lookup("/proc/3").unwrap(), machine.lookup("/proc/3/stat").unwrap());
    machine.system.others.replace([2].into());
    assert_eq!(machine.lookup("/proc/3").err(), Some(Errno::NOENT), "although it is held");
    assert_eq!(machine.list("/proc")[..4], [".", "..", "2", "7"]);
    drop(held);
}

#[test]
fn texts_have_the_forms_that_are_parsed() {
    let machine = machine();
    assert_eq!(machine.text("/proc/uptime"), "12.34 10.00\n");
    assert_eq!(machine.text("/proc/self/comm"), "prog\n");
    assert_eq!(machine.text("/proc/sys/kernel/osrelease"), "6.1.0-mayfly\n");
    let total: u64 = machine
        .text("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix(" kB")?.trim().parse().ok())
        .unwrap();
    assert_eq!(total * 1024, u64::from(mayfly_hal::phys::usage().total) * 4096);
    let stat = machine.text("/proc/self/stat");
    let fields: Vec<&str> = stat.split_whitespace().collect();
    assert_eq!(fields.len(), 52);
    assert_eq!((fields[0], fields[1], fields[13]), ("7", "(prog)", "234"));
    assert_eq!((fields[19], fields[22], fields[23]), ("2", "8388608", "256"));
    assert_eq!(machine.text("/proc/self/statm"), "2048 256 0 0 0 2048 0\n");
    assert!(machine.text("/proc/self/status").contains("\nVmRSS:\t    1024 kB\n"));
    let boot_id = machine.text("/proc/sys/kernel/random/boot_id");
    assert_eq!(boot_id, "abababab-abab-4bab-abab-abababababab\n");
    let uuid = || machine.text("/proc/sys/kernel/random/uuid");
    assert_ne!(uuid(), uuid());
}

#[test]
fn a_text_does_not_change_while_it_is_read() {
    let machine = machine();
    let file = machine.open("/proc/sys/kernel/random/uuid", OpenFlags::RDONLY).unwrap();
    let (mut first, mut second) = ([0; 37], [0; 37]);
    for byte in first.chunks_mut(1) {
        assert_eq!(file.read(byte), Ok(1));
    }
    file.seek(0, Whence::Set).unwrap();
    file.read(&mut second).unwrap();
    assert_eq!(first, second);
    assert_eq!(file.stat().size, 0);
    let written = machine.open("/proc/self/comm", OpenFlags::WRONLY);
    assert_eq!(written.err(), Some(Errno::ACCES));
}

#[test]
fn links_show_and_reach_what_is_open() {
    let machine = machine();
    machine.write("/tmp/prog", b"\x7fELF");
    machine.set_executable(machine.lookup("/tmp/prog").unwrap());
    machine.set_working_directory(machine.lookup("/tmp").unwrap());
    let link = |path: &str| {
        let dentry = machine.vfs.lookup(machine.root(), path.as_bytes(), Follow::No).unwrap();
        dentry.inode().read_link().map(|text| String::from_utf8(text).unwrap())
    };
    assert_eq!(link("/proc/self").as_deref(), Ok("7"));
    assert_eq!(link("/proc/self/exe").as_deref(), Ok("/tmp/prog"));
    assert_eq!(link("/proc/self/cwd").as_deref(), Ok("/tmp"));
    assert_eq!(machine.read("/proc/self/exe"), b"\x7fELF");
    assert_eq!(machine.list("/proc/self/fd"), [".", ".."]);
    let (reader, writer) = machine.vfs.pipe(OpenFlags::RDONLY).unwrap();
    machine.give_descriptor(3, reader);
    machine.give_descriptor(10, machine.open("/tmp/prog", OpenFlags::RDONLY).unwrap());
    assert_eq!(machine.list("/dev/fd"), [".", "..", "3", "10"]);
    assert_eq!(link("/proc/self/fd/3").as_deref(), Ok("pipe:[1]"));
    machine.unlink("/tmp/prog").unwrap();
    assert_eq!(link("/proc/self/fd/10").as_deref(), Ok("/tmp/prog (deleted)"));
    assert_eq!(machine.read("/proc/self/fd/10"), b"\x7fELF");
    let again = machine.open("/proc/self/fd/3", OpenFlags::RDONLY).unwrap();
    writer.write(b"x").unwrap();
    assert_eq!(again.read(&mut [0; 4]), Ok(1), "a pipe's link opens another end of it");
    assert_eq!(machine.lookup("/proc/self/fd/4").err(), Some(Errno::NOENT));
}

#[test]
fn bounds_are_those_that_hold() {
    let machine = machine();
    let says = |path: &str| String::from_utf8(machine.read(path)).unwrap();
    for (path, bound) in [
        ("/proc/sys/kernel/pid_max", crate::family::PID_END as usize),
        ("/proc/sys/fs/inotify/max_queued_events", crate::fs::inotify::QUEUE_MAX),
        ("/proc/sys/fs/inotify/max_user_watches", crate::fs::inotify::WATCHES_MAX),
    ] {
        assert_eq!(says(path), std::format!("{bound}\n"));
    }
    assert_eq!(says("/proc/sys/net/ipv4/ip_local_port_range"), "32768\t60999\n");
}
