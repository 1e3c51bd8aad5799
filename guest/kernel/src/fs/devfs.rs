//! /dev: the devices that every program expects, and nothing of the machine.

use alloc::rc::Rc;

use linux_raw_sys::general::TMPFS_MAGIC;

use super::devices::{
    MAJOR_MEMORY, MAJOR_TTY, MINOR_FULL, MINOR_NULL, MINOR_PTMX, MINOR_RANDOM, MINOR_TTY,
    MINOR_URANDOM, MINOR_ZERO,
};
use super::system::System;
use super::tree::{Item, Leaf, TreeFs};

/// /dev, to be mounted. Its magic number is that of Linux's devtmpfs, which is tmpfs's.
pub fn devfs(system: Rc<dyn System>, dev: u64) -> TreeFs {
    TreeFs::new(system, dev, ("devtmpfs", TMPFS_MAGIC), ITEMS)
}

const fn device(path: &'static str, major: u32, minor: u32) -> Item {
    Item { path, mode: 0o666, leaf: Leaf::Device(major, minor) }
}

macro_rules! link {
    ($path:literal, $text:literal) => {
        Item { path: $path, mode: 0o777, leaf: Leaf::Link(|_| $text.to_vec()) }
    };
}

const ITEMS: &[Item] = &[
    device("full", MAJOR_MEMORY, MINOR_FULL),
    device("null", MAJOR_MEMORY, MINOR_NULL),
    device("ptmx", MAJOR_TTY, MINOR_PTMX),
    device("random", MAJOR_MEMORY, MINOR_RANDOM),
    device("tty", MAJOR_TTY, MINOR_TTY),
    device("urandom", MAJOR_MEMORY, MINOR_URANDOM),
    device("zero", MAJOR_MEMORY, MINOR_ZERO),
    link!("fd", b"/proc/self/fd"),
    link!("stderr", b"/proc/self/fd/2"),
    link!("stdin", b"/proc/self/fd/0"),
    link!("stdout", b"/proc/self/fd/1"),
];

#[cfg(test)]
mod tests {
    use mayfly_hal::phys::FRAME_SIZE;

    use crate::errno::Errno;
    use crate::fs::OpenFlags;
    use crate::fs::testing::{Machine, machine};

    fn open(machine: &Machine, path: &str) -> std::rc::Rc<crate::fs::OpenFile> {
        machine.open(path, OpenFlags::RDWR).unwrap()
    }

    #[test]
    fn the_memory_devices_do_what_their_page_says() {
        let machine = machine();
        let mut buffer = [7; 64];
        let null = open(&machine, "/dev/null");
        assert_eq!((null.read(&mut buffer), null.write(&buffer)), (Ok(0), Ok(64)));
        let zero = open(&machine, "/dev/zero");
        assert_eq!((zero.read(&mut buffer), buffer), (Ok(64), [0; 64]));
        assert_eq!(zero.pread(1 << 40, &mut buffer), Ok(64));
        assert_eq!(zero.page(3).unwrap().bytes(), &[0; FRAME_SIZE]);
        assert_eq!(open(&machine, "/dev/full").write(b"x"), Err(Errno::NOSPC));
        for path in ["/dev/random", "/dev/urandom"] {
            let mut other = [0; 64];
            let random = open(&machine, path);
            random.read(&mut buffer).unwrap();
            random.read(&mut other).unwrap();
            assert_ne!(buffer, other);
        }
        assert_eq!(null.stat().rdev, 0x103);
        assert_eq!(machine.open("/dev/new", OpenFlags::CREAT).err(), Some(Errno::ACCES));
        assert_eq!(machine.unlink("/dev/null"), Err(Errno::PERM));
    }

    #[test]
    fn the_terminal_is_there_only_where_there_is_one() {
        let mut machine = machine();
        assert_eq!(machine.open("/dev/tty", OpenFlags::RDWR).err(), Some(Errno::NXIO));
        machine.set_terminal();
        assert_eq!(open(&machine, "/dev/tty").write(b"hello"), Ok(5));
    }

    #[test]
    fn standard_streams_lead_to_the_descriptors() {
        let machine = machine();
        let file = machine.open("/tmp/log", OpenFlags::CREAT | OpenFlags::WRONLY).unwrap();
        machine.give_descriptor(1, file);
        machine.open("/dev/stdout", OpenFlags::WRONLY).unwrap().write(b"line").unwrap();
        assert_eq!(machine.read("/tmp/log"), b"line");
        assert_eq!(machine.read("/dev/fd/1"), b"line");
        assert_eq!(machine.open("/dev/stderr", OpenFlags::WRONLY).err(), Some(Errno::NOENT));
    }
}
