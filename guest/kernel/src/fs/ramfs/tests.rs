use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use mayfly_hal::phys::usage;

use super::*;
use crate::fs::inode::{FallocateMode, RenameFlags, SetAttributes};
use crate::fs::testing::{Machine, TMP_LIMITS, machine};
use crate::fs::{Follow, OpenFile, OpenFlags, Stat, Whence};

const PAGE: usize = FRAME_SIZE;

fn create(machine: &Machine, path: &str) -> Rc<OpenFile> {
    machine.open(path, OpenFlags::RDWR | OpenFlags::CREAT).unwrap()
}

fn stat(machine: &Machine, path: &str) -> Stat {
    machine.lookup(path).unwrap().inode().stat()
}

/// Frames and names that are left in /tmp.
fn left(machine: &Machine) -> (u64, u64) {
    let statfs = machine.vfs.statfs(&machine.lookup("/tmp").unwrap());
    (statfs.blocks_free, statfs.files_free)
}

#[test]
fn bytes_come_back_across_pages_and_holes() {
    let machine = machine();
    let file = create(&machine, "/tmp/f");
    let bytes: Vec<u8> = (0..10_000).map(|n| (n % 251) as u8).collect();
    assert_eq!(file.pwrite(3 * PAGE as u64 - 7, &bytes), Ok(bytes.len()));
    let mut all = vec![1; 6 * PAGE];
    assert_eq!(file.pread(0, &mut all), Ok(3 * PAGE - 7 + bytes.len()));
    assert!(all[..3 * PAGE - 7].iter().all(|&byte| byte == 0));
    assert_eq!(all[3 * PAGE - 7..][..bytes.len()], bytes);
    assert_eq!(file.stat().blocks, 4 * 8, "the hole takes nothing");
    let far = 1 << 60;
    assert_eq!(file.pwrite(far, b"x"), Ok(1));
    assert_eq!(file.pread(far - 2, &mut all), Ok(3));
    assert_eq!(all[..3], *b"\0\0x");
    assert_eq!(file.stat().blocks, 5 * 8);
}

#[test]
fn truncating_forgets_what_was_behind() {
    let machine = machine();
    let file = create(&machine, "/tmp/f");
    file.write(&[7; 3 * PAGE]).unwrap();
    let before = left(&machine).0;
    file.truncate(PAGE as u64 + 10).unwrap();
    assert_eq!(left(&machine).0, before + 1);
    file.truncate(3 * PAGE as u64).unwrap();
    let mut all = vec![1; 3 * PAGE];
    file.pread(0, &mut all).unwrap();
    assert!(all[..PAGE + 10].iter().all(|&byte| byte == 7));
    assert!(all[PAGE + 10..].iter().all(|&byte| byte == 0), "old bytes do not come back");
    file.truncate(0).unwrap();
    assert_eq!((file.stat().size, file.stat().blocks), (0, 0));
}

#[test]
fn a_mapped_page_is_the_files_own() {
    let machine = machine();
    let file = create(&machine, "/tmp/f");
    file.write(b"before").unwrap();
    let page = file.page(0).unwrap();
    page.write(0, b"MAPPED");
    assert_eq!(machine.read("/tmp/f"), b"MAPPED");
    file.pwrite(0, b"w").unwrap();
    assert_eq!(page.bytes()[..6], *b"wAPPED");
    assert_eq!(file.page(1).err(), Some(Errno::NXIO));
    file.truncate(2 * PAGE as u64).unwrap();
    file.page(1).unwrap().write(5, b"in a hole");
    let mut buffer = [0; 9];
    file.pread(PAGE as u64 + 5, &mut buffer).unwrap();
    assert_eq!(&buffer, b"in a hole");
    assert_eq!(machine.open("/tmp", OpenFlags::RDONLY).unwrap().page(0).err(), Some(Errno::NODEV));
}

#[test]
fn the_limit_of_bytes_holds_and_recovers() {
    let machine = machine();
    let room = TMP_LIMITS.bytes as usize;
    let file = create(&machine, "/tmp/big");
    let bytes = vec![1; room + PAGE];
    assert_eq!(file.write(&bytes), Ok(room), "as much as there is room for");
    assert_eq!(file.write(b"x"), Err(Errno::NOSPC));
    assert_eq!(file.pwrite(0, b"y"), Ok(1), "what is there can be changed");
    assert_eq!(create(&machine, "/tmp/other").write(b"x"), Err(Errno::NOSPC));
    let text = "t".repeat(SHORT_LINK + 1);
    assert_eq!(machine.symlink(&text, "/tmp/long-link"), Err(Errno::NOSPC));
    machine.symlink(&text[1..], "/tmp/short-link").unwrap();
    machine.unlink("/tmp/big").unwrap();
    assert_eq!(left(&machine).0, 0, "an open file keeps its bytes");
    drop(file);
    assert_eq!(left(&machine).0, TMP_LIMITS.bytes / PAGE as u64);
    machine.symlink(&text, "/tmp/long-link").unwrap();
    assert_eq!(left(&machine).0, TMP_LIMITS.bytes / PAGE as u64 - 1);
}

#[test]
fn what_is_spared_is_left_to_programs() {
    let spared = usage().free - 10;
    let limits =
        Limits { bytes: 1 << 20, entries: 30, spared: u64::from(spared) * FRAME_SIZE as u64 };
    let fs = RamFs::new(machine().system, 9, limits, 0o755);
    let file = fs.root().create(b"f", NewNode::File, 0o644).unwrap();
    assert_eq!(fs.statfs().blocks_free, u64::from(usage().free - spared));
    let written = file.write_at(0, &[7; 1 << 20]).unwrap();
    assert!(written > 0 && usage().free == spared);
    assert_eq!(fs.statfs().blocks_free, 0);
    assert_eq!(file.write_at(written as u64, b"x"), Err(Errno::NOSPC));
    assert_eq!(file.fallocate(FallocateMode::empty(), 0, 1 << 20), Err(Errno::NOSPC));
    assert_eq!(fs.root().create(b"g", NewNode::Fifo, 0).err(), Some(Errno::NOSPC));
    assert_eq!(file.write_at(0, b"y"), Ok(1), "what is there can be changed");
    file.truncate(0).unwrap();
    assert_eq!(file.write_at(0, &[7; FRAME_SIZE]), Ok(FRAME_SIZE));
}

#[test]
fn the_limit_of_names_holds_and_recovers() {
    let system = machine().system;
    let fs = RamFs::new(system, 9, Limits { bytes: 0, entries: 3, spared: 0 }, 0o755);
    let root = fs.root();
    let file = root.create(b"f", NewNode::File, 0o644).unwrap();
    root.create(b"d", NewNode::Directory, 0o755).unwrap();
    root.link(b"g", file.stat().ino).unwrap();
    assert_eq!(root.create(b"x", NewNode::Fifo, 0).err(), Some(Errno::NOSPC));
    assert_eq!(root.link(b"x", file.stat().ino), Err(Errno::NOSPC));
    assert_eq!(root.lookup(b"x").err(), Some(Errno::NOENT));
    root.rename(b"f", root.stat().ino, b"h", RenameFlags::empty()).unwrap();
    root.unlink(b"h").unwrap();
    root.create(b"x", NewNode::Fifo, 0).unwrap();
    root.rmdir(b"d").unwrap();
    assert_eq!(fs.statfs().files_free, 1);
    assert_eq!(fs.unnamed(0o600).unwrap().write_at(0, b"x"), Err(Errno::NOSPC));
}

#[test]
fn names_are_links_to_one_inode() {
    let machine = machine();
    machine.write("/tmp/a", b"one");
    let a = machine.lookup("/tmp/a").unwrap();
    machine.vfs.link(&a, machine.root(), b"/tmp/b").unwrap();
    machine.write("/tmp/b", b"two");
    assert_eq!(machine.read("/tmp/a"), b"two");
    assert_eq!(stat(&machine, "/tmp/a"), stat(&machine, "/tmp/b"));
    assert_eq!(stat(&machine, "/tmp/a").nlink, 2);
    assert_eq!(machine.vfs.link(&a, machine.root(), b"/tmp/b"), Err(Errno::EXIST));
    let tmp = machine.lookup("/tmp").unwrap();
    assert_eq!(machine.vfs.link(&tmp, machine.root(), b"/tmp/c"), Err(Errno::PERM));
    assert_eq!(machine.vfs.link(&a, machine.root(), b"/proc/c"), Err(Errno::XDEV));
    machine.rename("/tmp/a", "/tmp/b").unwrap();
    assert_eq!(machine.list("/tmp"), [".", "..", "a", "b"], "two names of one inode both stay");
    machine.unlink("/tmp/a").unwrap();
    assert_eq!(stat(&machine, "/tmp/b").nlink, 1);
    machine.unlink("/tmp/b").unwrap();
    assert_eq!(a.inode().stat().nlink, 0);
    assert_eq!(machine.vfs.link(&a, machine.root(), b"/tmp/c"), Err(Errno::NOENT));
}

#[test]
fn what_is_removed_lives_on_while_it_is_open() {
    let machine = machine();
    let before = usage().free;
    let file = create(&machine, "/tmp/f");
    machine.unlink("/tmp/f").unwrap();
    file.write(b"still here").unwrap();
    let mut buffer = [0; 10];
    file.pread(0, &mut buffer).unwrap();
    assert_eq!(&buffer, b"still here");
    drop(file);
    assert_eq!(usage().free, before);
    machine.mkdir("/tmp/d").unwrap();
    let directory = machine.lookup("/tmp/d").unwrap();
    machine.rmdir("/tmp/d").unwrap();
    let made = machine.vfs.open(&directory, b"f", OpenFlags::CREAT, 0o644);
    assert_eq!(made.err(), Some(Errno::NOENT));
    assert_eq!(machine.vfs.mkdir(&directory, b"d", 0o755), Err(Errno::NOENT));
    let above = machine.vfs.lookup(&directory, b"..", Follow::Yes).unwrap();
    assert_eq!(above.path().unwrap(), b"/tmp");
}

#[test]
fn directories_count_their_links_and_must_be_empty_to_go() {
    let machine = machine();
    machine.mkdir("/tmp/a").unwrap();
    machine.mkdir("/tmp/a/b").unwrap();
    assert_eq!(stat(&machine, "/tmp").nlink, 3);
    assert_eq!(stat(&machine, "/tmp/a").nlink, 3);
    assert_eq!(machine.rmdir("/tmp/a"), Err(Errno::NOTEMPTY));
    assert_eq!(machine.unlink("/tmp/a/b"), Err(Errno::ISDIR));
    machine.write("/tmp/f", b"");
    assert_eq!(machine.rmdir("/tmp/f"), Err(Errno::NOTDIR));
    machine.rmdir("/tmp/a/b").unwrap();
    machine.rmdir("/tmp/a").unwrap();
    assert_eq!(stat(&machine, "/tmp").nlink, 2);
    assert_eq!(stat(&machine, "/tmp").mode & PERMISSIONS, 0o1777);
}

#[test]
fn renaming_replaces_what_it_may() {
    let machine = machine();
    for directory in ["/tmp/d", "/tmp/e", "/tmp/e/x"] {
        machine.mkdir(directory).unwrap();
    }
    machine.write("/tmp/f", b"f");
    machine.write("/tmp/g", b"g");
    assert_eq!(machine.rename("/tmp/d", "/tmp/e"), Err(Errno::NOTEMPTY));
    assert_eq!(machine.rename("/tmp/d", "/tmp/f"), Err(Errno::NOTDIR));
    assert_eq!(machine.rename("/tmp/f", "/tmp/d"), Err(Errno::ISDIR));
    assert_eq!(machine.rename("/tmp/e", "/tmp/e/x/y"), Err(Errno::INVAL));
    assert_eq!(machine.rename("/tmp/e", "/tmp/e/y"), Err(Errno::INVAL));
    assert_eq!(machine.rename("/tmp/e/x", "/tmp/e"), Err(Errno::NOTEMPTY));
    assert_eq!(machine.rename("/tmp/missing", "/tmp/y"), Err(Errno::NOENT));
    assert_eq!(machine.rename("/tmp/f", "/tmp/y/"), Err(Errno::NOTDIR));
    assert_eq!(machine.rename("/tmp/f", "/dev/f"), Err(Errno::XDEV));
    assert_eq!(machine.rename("/tmp/d/..", "/tmp/y"), Err(Errno::BUSY));
    assert_eq!(machine.rename_how("/tmp/f", "/tmp/g", RenameFlags::NOREPLACE), Err(Errno::EXIST));
    let before = left(&machine).1;

    machine.rename("/tmp/f", "/tmp/g").unwrap();
    assert_eq!(machine.read("/tmp/g"), b"f");
    machine.rename("/tmp/e", "/tmp/d").unwrap();
    assert_eq!(machine.list("/tmp"), [".", "..", "d", "g"]);
    assert_eq!(machine.list("/tmp/d"), [".", "..", "x"]);
    assert_eq!(left(&machine).1, before + 2);
    machine.rename("/tmp/d/x", "/tmp/x/").unwrap();
    assert_eq!(stat(&machine, "/tmp/d").nlink, 2);
    assert_eq!(stat(&machine, "/tmp").nlink, 4);
    assert_eq!(machine.lookup("/tmp/x/..").unwrap().path().unwrap(), b"/tmp");
}

#[test]
fn exchanging_swaps_whatever_is_there() {
    let machine = machine();
    let exchange = RenameFlags::EXCHANGE;
    machine.mkdir("/tmp/d").unwrap();
    machine.mkdir("/tmp/d/inner").unwrap();
    machine.write("/tmp/d/inner/deep", b"deep");
    machine.write("/tmp/f", b"file");
    assert_eq!(machine.rename_how("/tmp/f", "/tmp/no", exchange), Err(Errno::NOENT));
    assert_eq!(machine.rename_how("/tmp/d", "/tmp/d/inner", exchange), Err(Errno::INVAL));
    assert_eq!(machine.rename_how("/tmp/d/inner", "/tmp/d", exchange), Err(Errno::INVAL));
    let both = exchange | RenameFlags::NOREPLACE;
    assert_eq!(machine.rename_how("/tmp/f", "/tmp/d", both), Err(Errno::INVAL));
    let deep = machine.lookup("/tmp/d/inner/deep").unwrap();
    machine.rename_how("/tmp/d/inner", "/tmp/f", exchange).unwrap();
    assert_eq!(machine.read("/tmp/d/inner"), b"file");
    assert_eq!(machine.read("/tmp/f/deep"), b"deep");
    assert_eq!(deep.path().unwrap(), b"/tmp/f/deep");
    assert_eq!((stat(&machine, "/tmp").nlink, stat(&machine, "/tmp/d").nlink), (4, 2));
    assert_eq!(machine.lookup("/tmp/f/..").unwrap().path().unwrap(), b"/tmp");
}

#[test]
fn storage_can_be_reserved_and_given_back() {
    let machine = machine();
    let file = create(&machine, "/tmp/f");
    let (page, keep) = (PAGE as u64, FallocateMode::KEEP_SIZE);
    let before = left(&machine).0;
    assert_eq!(file.fallocate(keep, 0, TMP_LIMITS.bytes + 1), Err(Errno::NOSPC));
    assert_eq!(left(&machine).0, before, "all or nothing");
    file.fallocate(keep, 100, 2 * page).unwrap();
    assert_eq!((file.stat().size, left(&machine).0), (0, before - 3));
    file.fallocate(FallocateMode::empty(), 0, 4 * page).unwrap();
    assert_eq!((file.stat().size, left(&machine).0), (4 * page, before - 4));
    file.pwrite(0, &[1; 4 * PAGE]).unwrap();
    file.fallocate(keep | FallocateMode::PUNCH_HOLE, page / 2, 2 * page).unwrap();
    assert_eq!(left(&machine).0, before - 3);
    let mut all = vec![9; 4 * PAGE];
    file.pread(0, &mut all).unwrap();
    let expected = |at: usize| if (PAGE / 2..5 * PAGE / 2).contains(&at) { 0 } else { 1 };
    assert!(all.iter().enumerate().all(|(at, &byte)| byte == expected(at)));
    assert_eq!(file.seek(0, Whence::Hole), Ok(page));
    assert_eq!(file.seek(page as i64 + 5, Whence::Data), Ok(2 * page));
    assert_eq!(file.seek(page as i64 + 5, Whence::Hole), Ok(page + 5));
    assert_eq!(file.seek(3 * page as i64, Whence::Hole), Ok(4 * page));
    assert_eq!(file.fallocate(FallocateMode::empty(), u64::MAX / 2, 1), Err(Errno::FBIG));
    assert_eq!(file.fallocate(FallocateMode::empty(), 0, 0), Err(Errno::INVAL));
    assert_eq!(file.fallocate(FallocateMode::PUNCH_HOLE, 0, 1), Err(Errno::OPNOTSUPP));
    file.fallocate(keep | FallocateMode::PUNCH_HOLE, 10, 1 << 62).unwrap();
    assert_eq!(file.stat().blocks, 8);
}

#[test]
fn times_and_attributes_are_kept() {
    let machine = machine();
    let file = create(&machine, "/tmp/f");
    let born = file.stat().times;
    file.write(b"x").unwrap();
    let written = file.stat().times;
    assert!(written.modified > born.modified && written.changed == written.modified);
    assert_eq!((written.created, written.accessed), (born.created, born.accessed));
    machine.vfs.chmod(file.dentry(), 0o104_755).unwrap();
    let set = SetAttributes {
        uid: Some(3),
        accessed: Some(-5),
        modified: Some(1),
        ..SetAttributes::default()
    };
    machine.vfs.set_attributes(file.dentry(), &set).unwrap();
    let stat = file.stat();
    assert_eq!((stat.mode, stat.uid, stat.gid), (0o104_755, 3, 0));
    assert_eq!((stat.times.accessed, stat.times.modified), (-5, 1));
    assert!(stat.times.changed > written.changed);
    let before = machine.lookup("/tmp").unwrap().inode().stat().times.modified;
    machine.unlink("/tmp/f").unwrap();
    assert!(machine.lookup("/tmp").unwrap().inode().stat().times.modified > before);
}

#[test]
fn a_listing_survives_removal_of_what_it_showed() {
    let machine = machine();
    let names: Vec<String> = (0..100).map(|n| format!("/tmp/{n}")).collect();
    names.iter().for_each(|name| machine.write(name, b""));
    let directory = machine.open("/tmp", OpenFlags::RDONLY).unwrap();
    let mut seen = 0;
    loop {
        let mut batch = Vec::new();
        directory
            .read_dir(&mut |entry| {
                if batch.len() == 7 {
                    return core::ops::ControlFlow::Break(());
                }
                batch.push(String::from_utf8(entry.name.to_vec()).unwrap());
                core::ops::ControlFlow::Continue(())
            })
            .unwrap();
        if batch.is_empty() {
            break;
        }
        for name in batch.iter().filter(|name| !name.starts_with('.')) {
            machine.unlink(&format!("/tmp/{name}")).unwrap();
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
    assert_eq!(machine.list("/tmp"), [".", ".."]);
}

#[test]
fn named_pipes_join_those_who_open_them() {
    let machine = machine();
    machine.vfs.mknod(machine.root(), b"/tmp/fifo", NewNode::Fifo, 0o600).unwrap();
    let writer = machine.open("/tmp/fifo", OpenFlags::WRONLY).unwrap();
    let reader = machine.open("/tmp/fifo", OpenFlags::RDONLY).unwrap();
    assert_eq!(writer.write(b"through"), Ok(7));
    let mut buffer = [0; 10];
    assert_eq!(reader.read(&mut buffer), Ok(7));
    assert_eq!(reader.seek(0, Whence::Set), Err(Errno::SPIPE));
    assert_eq!(reader.pread(0, &mut buffer), Err(Errno::SPIPE));
    drop(writer);
    assert_eq!(reader.read(&mut buffer), Ok(0));
}

#[test]
fn everything_is_freed_with_the_file_system() {
    let before = usage().free;
    let machine = machine();
    let fs = RamFs::new(machine.system.clone(), 9, TMP_LIMITS, 0o755);
    let mut at = fs.root();
    for _ in 0..TMP_LIMITS.entries / 2 {
        at = at.create(b"d", NewNode::Directory, 0o755).unwrap();
    }
    at.create(b"f", NewNode::File, 0o644).unwrap().write_at(0, &[1; 100]).unwrap();
    assert_eq!(usage().free, before - 1);
    drop(at);
    drop(fs);
    assert_eq!(usage().free, before);
}
