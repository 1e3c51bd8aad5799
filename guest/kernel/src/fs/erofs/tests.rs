use std::format;
use std::io::Cursor;

use mayfly_hal::phys::usage;
use mayfly_image::{Attributes, ImageLayout, Leaf, NodeId, Options, Source, Timestamp, Tree};

use super::*;
use crate::fs::testing::{Machine, MemoryDisk, TestSystem, machine_with_root};
use crate::fs::{Follow, OpenFlags, Whence};

const MTIME: Timestamp = Timestamp { seconds: 1_600_000_000, nanoseconds: 5 };

fn attributes(permissions: u16) -> Attributes {
    Attributes::root(permissions, MTIME)
}

/// Bytes in which each page differs.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / FRAME_SIZE * 7 + n % 251) as u8).collect()
}

struct Image(Tree);

impl Image {
    fn new() -> Image {
        Image(Tree::new(attributes(0o755)).unwrap())
    }

    fn directory(&mut self, path: &str) -> NodeId {
        self.0.make_directories(path.as_bytes(), attributes(0o755)).unwrap()
    }

    fn file(&mut self, path: &str, contents: &[u8]) -> NodeId {
        self.leaf(path, Leaf::File(Source::Bytes(contents.to_vec())))
    }

    fn leaf(&mut self, path: &str, leaf: Leaf) -> NodeId {
        let (directory, name) = path.rsplit_once('/').unwrap();
        let parent = self.directory(directory);
        self.0.add(parent, name.as_bytes(), leaf, attributes(0o644)).unwrap()
    }

    fn bytes(self) -> Vec<u8> {
        let layout = ImageLayout::build(self.0, &Options::default()).unwrap();
        let mut bytes = Vec::new();
        layout.write_to(&mut bytes, |_| Ok(Cursor::new(Vec::new()))).unwrap();
        bytes
    }

    fn boot(self) -> (Machine, Rc<ErofsFs>, Rc<MemoryDisk>) {
        let disk = Rc::new(MemoryDisk::new(self.bytes()));
        let fs = Rc::new(ErofsFs::mount(disk.clone(), 1).unwrap());
        (machine_with_root(TestSystem::new(), fs.clone()), fs, disk)
    }
}

#[test]
fn files_of_every_length_read_back() {
    let mut image = Image::new();
    let lengths = [0, 1, 100, 4000, 4095, 4096, 4097, 8192, 12_345, 40 * FRAME_SIZE + 5];
    for len in lengths {
        image.file(&format!("/data/{len}"), &pattern(len));
    }
    let (machine, ..) = image.boot();
    for len in lengths {
        assert_eq!(machine.read(&format!("/data/{len}")), pattern(len), "{len} bytes");
        let file = machine.open(&format!("/data/{len}"), OpenFlags::RDONLY).unwrap();
        assert_eq!(file.stat().size, len as u64);
        let mut all = vec![0; len + 10];
        assert_eq!(file.pread(0, &mut all), Ok(len), "all at once");
        assert_eq!(all[..len], pattern(len));
        assert_eq!(file.pread(len as u64 / 2, &mut all), Ok(len - len / 2));
        assert_eq!(all[..len - len / 2], pattern(len)[len / 2..]);
        assert_eq!(file.pread(u64::MAX / 2, &mut all), Ok(0));
    }
}

#[test]
fn pages_show_the_file_and_zeros_behind_it() {
    let mut image = Image::new();
    let lengths = [1, 4000, 4096, 6000, 3 * FRAME_SIZE];
    for len in lengths {
        image.file(&format!("/{len}"), &pattern(len));
    }
    let (machine, ..) = image.boot();
    for len in lengths {
        let file = machine.open(&format!("/{len}"), OpenFlags::RDONLY).unwrap();
        for page in 0..len.div_ceil(FRAME_SIZE) {
            let frame = file.page(page as u64).unwrap();
            let mut expected = [0; FRAME_SIZE];
            let there = (len - page * FRAME_SIZE).min(FRAME_SIZE);
            expected[..there].copy_from_slice(&pattern(len)[page * FRAME_SIZE..][..there]);
            assert_eq!(frame.bytes(), &expected, "page {page} of {len}");
            assert_eq!(frame.gpa(), file.page(page as u64).unwrap().gpa(), "always the same");
        }
        let past = len.div_ceil(FRAME_SIZE) as u64;
        assert_eq!(file.page(past).err(), Some(Errno::NXIO));
        assert_eq!(file.page(u64::MAX).err(), Some(Errno::NXIO));
    }
}

#[test]
fn what_a_disk_has_behind_a_files_end_is_not_shown() {
    let mut image = Image::new();
    image.file("/f", &pattern(FRAME_SIZE + 5000));
    let mut bytes = image.bytes();
    let needle = pattern(FRAME_SIZE + 5000);
    let at = bytes.chunks(FRAME_SIZE).position(|page| page == &needle[..FRAME_SIZE]).unwrap();
    let end = at * FRAME_SIZE + needle.len();
    let is_padded = bytes.get(end..end + 100).is_some_and(|tail| tail.iter().all(|&b| b == 0));
    assert!(is_padded, "the file ends in a block of its own");
    bytes[end] = 0xee;
    let fs = ErofsFs::mount(Rc::new(MemoryDisk::new(bytes)), 1).unwrap();
    let file = fs.root().lookup(b"f").unwrap();
    let page = file.page(2).unwrap();
    assert_eq!(page.bytes()[5000 - FRAME_SIZE], 0);
    assert_eq!(page.bytes()[..100], needle[2 * FRAME_SIZE..][..100]);
}

#[test]
fn a_mapped_page_and_a_read_share_one_frame() {
    let mut image = Image::new();
    image.file("/f", &pattern(40 * FRAME_SIZE));
    let (machine, fs, disk) = image.boot();
    let file = machine.open("/f", OpenFlags::RDONLY).unwrap();
    file.page(20).unwrap();
    let (cached, requests) = (fs.cache().len(), disk.requests().len());
    file.pread(20 * FRAME_SIZE as u64, &mut [0; 100]).unwrap();
    machine.open("/f", OpenFlags::RDONLY).unwrap().page(21).unwrap();
    assert_eq!((fs.cache().len(), disk.requests().len()), (cached, requests));
}

#[test]
fn reading_on_makes_larger_requests_up_to_the_bound() {
    let mut image = Image::new();
    let pages = 200;
    image.file("/f", &pattern(pages * FRAME_SIZE));
    let (machine, _, disk) = image.boot();
    let file = machine.open("/f", OpenFlags::RDONLY).unwrap();
    let before = disk.requests().len();
    file.seek(10 * FRAME_SIZE as i64, Whence::Set).unwrap();
    let mut buffer = [0; 1000];
    while file.read(&mut buffer).unwrap() > 0 {}
    let requests = disk.requests().split_off(before);
    let lens: Vec<usize> = requests.iter().map(|(_, len)| *len).collect();
    assert_eq!(lens[..5], [4, 8, 16, 32, 32]);
    assert_eq!(lens.iter().sum::<usize>(), pages - 10, "no page is read twice");
}

#[test]
fn a_large_read_is_one_request_and_a_random_one_stays_small() {
    let mut image = Image::new();
    image.file("/f", &pattern(200 * FRAME_SIZE));
    let (machine, _, disk) = image.boot();
    let file = machine.open("/f", OpenFlags::RDONLY).unwrap();
    let last = |disk: &MemoryDisk| disk.requests().last().map(|(_, len)| *len);
    file.pread(50 * FRAME_SIZE as u64, &mut vec![0; 20 * FRAME_SIZE]).unwrap();
    assert_eq!(last(&disk), Some(20));
    file.pread(120 * FRAME_SIZE as u64, &mut [0; 10]).unwrap();
    assert_eq!(last(&disk), Some(FIRST_REQUEST as usize));
}

#[test]
fn a_mapped_page_brings_its_window() {
    let mut image = Image::new();
    image.file("/f", &pattern(200 * FRAME_SIZE));
    let (machine, _, disk) = image.boot();
    let inode = machine.lookup("/f").unwrap().inode().clone();
    let before = disk.requests().len();
    let frame = inode.page(MAPPED_WINDOW + 5).unwrap();
    assert_eq!(disk.requests()[before..].iter().map(|(_, len)| *len).sum::<usize>(), 16);
    assert_eq!(inode.cached_page(MAPPED_WINDOW + 5), Some(frame));
    assert!(inode.cached_page(MAPPED_WINDOW).is_some());
    assert!(inode.cached_page(2 * MAPPED_WINDOW - 1).is_some());
    assert!(inode.cached_page(2 * MAPPED_WINDOW).is_none());
    assert!(inode.cached_page(u64::MAX).is_none());
    let last = inode.page(199).unwrap();
    assert_eq!(inode.cached_page(199), Some(last));
}

#[test]
fn the_tree_is_the_images() {
    let mut image = Image::new();
    let hello = image.file("/usr/bin/hello", b"hello");
    let bin = image.directory("/usr/bin");
    image.0.link(bin, b"hi", hello).unwrap();
    image.leaf("/bin", Leaf::Symlink(b"usr/bin".to_vec()));
    image.leaf("/null", Leaf::CharDevice { major: 1, minor: 3 });
    for n in 0..500 {
        image.file(&format!("/many/file-{n:03}"), b"");
    }
    let (machine, ..) = image.boot();
    assert_eq!(machine.read("/bin/hello"), b"hello");
    let link = machine.vfs.lookup(machine.root(), b"/bin", Follow::No).unwrap();
    assert_eq!(link.inode().read_link().unwrap(), b"usr/bin");
    assert_eq!(
        machine.list("/"),
        [".", "..", "bin", "many", "null", "usr", "tmp", "dev", "proc", "sys"]
    );
    assert_eq!(machine.list("/many").len(), 502);
    assert_eq!(machine.list("/many")[501], "file-499");
    let stat = machine.lookup("/usr/bin/hi").unwrap().inode().stat();
    assert_eq!((stat.mode, stat.nlink, stat.size), (0o100_644, 2, 5));
    assert_eq!(stat.times.modified, 1_600_000_000_000_000_005);
    assert_eq!(stat.ino, machine.lookup("/usr/bin/hello").unwrap().inode().stat().ino);
    assert_eq!(machine.open("/null", OpenFlags::RDWR).unwrap().write(b"x"), Ok(1));
    assert_eq!(machine.open("/null", OpenFlags::RDWR).unwrap().stat().rdev, 0x103);
    assert_eq!(machine.open("/usr/bin/hi", OpenFlags::RDWR).err(), Some(Errno::ROFS));
    assert_eq!(
        machine.open("/usr/bin", OpenFlags::RDONLY).unwrap().page(0).err(),
        Some(Errno::NODEV)
    );
    assert_eq!(machine.lookup("/usr/bin/hi/x").err(), Some(Errno::NOTDIR));
}

#[test]
fn a_listing_goes_on_from_any_entry() {
    let mut image = Image::new();
    for n in 0..300 {
        image.file(&format!("/many/a-rather-long-name-{n:03}"), b"");
    }
    let (machine, ..) = image.boot();
    let all = machine.list("/many");
    let directory = machine.open("/many", OpenFlags::RDONLY).unwrap();
    let mut names = Vec::new();
    for size in (1..20).cycle() {
        let mut batch = 0;
        directory
            .read_dir(&mut |entry| {
                if batch == size {
                    return ControlFlow::Break(());
                }
                names.push(std::string::String::from_utf8(entry.name.to_vec()).unwrap());
                batch += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        if batch == 0 {
            break;
        }
    }
    assert_eq!(names, all);
}

#[test]
fn failures_of_disk_and_image_are_errnos() {
    let mut image = Image::new();
    image.file("/f", &pattern(20 * FRAME_SIZE));
    let bytes = image.bytes();
    let garbage = Rc::new(MemoryDisk::new(vec![0; 4 * FRAME_SIZE]));
    assert_eq!(ErofsFs::mount(garbage, 1).err(), Some(Errno::UCLEAN));
    let nothing = Rc::new(MemoryDisk::new(Vec::new()));
    assert_eq!(ErofsFs::mount(nothing, 1).err(), Some(Errno::IO));
    let cut = Rc::new(MemoryDisk::new(bytes[..FRAME_SIZE * 5].to_vec()));
    let fs = ErofsFs::mount(cut, 1).unwrap();
    let file = fs.root().lookup(b"f").unwrap();
    assert_eq!(file.page(19).err(), Some(Errno::IO));
    let mut buffer = vec![0; 20 * FRAME_SIZE];
    assert_eq!(file.read_at(0, &mut buffer).err(), Some(Errno::IO));
}

#[test]
fn the_vfs_gets_memory_back_from_the_cache() {
    let mut image = Image::new();
    image.file("/f", &pattern(100 * FRAME_SIZE));
    let (machine, fs, _) = image.boot();
    machine.read("/f");
    let (cached, free) = (fs.cache().len(), usage().free);
    assert!(cached >= 100);
    assert_eq!(machine.vfs.shrink(30), 30);
    assert_eq!(usage().free, free + 30);
    assert_eq!(machine.vfs.shrink(1000), cached - 30);
    assert_eq!(machine.read("/f"), pattern(100 * FRAME_SIZE), "it is read again");
}
