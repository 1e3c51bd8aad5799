use std::string::String;

use super::testing::machine;
use super::*;

#[test]
fn paths_are_seen_from_a_directory() {
    let machine = machine();
    machine.mkdir("/tmp/d").unwrap();
    let tmp = machine.lookup("/tmp").unwrap();
    let open = |path: &[u8]| machine.vfs.open(&tmp, path, OpenFlags::CREAT, 0o600);
    assert_eq!(open(b"d/f").unwrap().dentry().path().unwrap(), b"/tmp/d/f");
    assert_eq!(machine.vfs.rename((&tmp, b"d/f"), (&tmp, b"g"), RenameFlags::empty()), Ok(()));
    assert_eq!(machine.vfs.unlink(&tmp, b"g"), Ok(()));
    let file = open(b"f").unwrap();
    let below = machine.vfs.lookup(file.dentry(), b"x", Follow::Yes);
    assert_eq!(below.err(), Some(Errno::NOTDIR));
    assert!(machine.vfs.lookup(file.dentry(), b"/tmp", Follow::Yes).is_ok());
}

#[test]
fn the_special_names_are_refused_by_each_call_in_its_way() {
    let machine = machine();
    machine.mkdir("/tmp/d").unwrap();
    machine.write("/tmp/f", b"");
    for (path, mkdir, rmdir, unlink) in [
        ("/", Errno::EXIST, Errno::BUSY, Errno::ISDIR),
        ("/tmp/d/.", Errno::EXIST, Errno::INVAL, Errno::ISDIR),
        ("/tmp/d/..", Errno::EXIST, Errno::NOTEMPTY, Errno::ISDIR),
        ("/tmp", Errno::EXIST, Errno::BUSY, Errno::ROFS),
        ("/tmp/f/", Errno::EXIST, Errno::NOTDIR, Errno::NOTDIR),
        ("/tmp/f/x", Errno::NOTDIR, Errno::NOTDIR, Errno::NOTDIR),
    ] {
        assert_eq!(machine.mkdir(path), Err(mkdir), "mkdir {path}");
        assert_eq!(machine.rmdir(path), Err(rmdir), "rmdir {path}");
        assert_eq!(machine.unlink(path), Err(unlink), "unlink {path}");
    }
    assert_eq!(machine.mkdir("/tmp/new/"), Ok(()));
    assert_eq!(machine.rmdir("/tmp/new/"), Ok(()));
    assert_eq!(machine.symlink("x", "/tmp/new/"), Err(Errno::NOENT));
    assert_eq!(machine.symlink("", "/tmp/new"), Err(Errno::NOENT));
    assert_eq!(machine.mkdir("/new"), Err(Errno::ROFS));
    assert_eq!(machine.unlink("/missing"), Err(Errno::NOENT));
}

#[test]
fn root_may_all_but_write_to_the_image_and_run_what_nobody_may() {
    let machine = machine();
    machine.write("/tmp/f", b"");
    let access = |path: &str, mode| machine.vfs.access(&machine.lookup(path).unwrap(), mode);
    assert_eq!(access("/tmp/f", linux::R_OK | linux::W_OK), Ok(()));
    assert_eq!(access("/tmp/f", linux::X_OK), Err(Errno::ACCES));
    machine.vfs.chmod(&machine.lookup("/tmp/f").unwrap(), 0o010).unwrap();
    assert_eq!(access("/tmp/f", linux::X_OK), Ok(()));
    assert_eq!(machine.read("/tmp/f"), b"", "no bit is needed to read");
    assert_eq!(access("/", linux::W_OK), Err(Errno::ROFS));
    assert_eq!(access("/", linux::X_OK), Ok(()));
    assert_eq!(access("/dev/null", linux::W_OK), Ok(()));
}

#[test]
fn pipes_have_descriptions_of_their_own() {
    let machine = machine();
    let (reader, writer) = machine.vfs.pipe(OpenFlags::NONBLOCK | OpenFlags::CLOEXEC).unwrap();
    assert_eq!(reader.flags(), OpenFlags::NONBLOCK);
    assert_eq!(writer.flags(), OpenFlags::NONBLOCK | OpenFlags::WRONLY);
    assert_eq!(reader.stat(), writer.stat());
    assert_eq!(reader.file_type(), FileType::Fifo);
    assert_eq!(reader.write(b"x"), Err(Errno::BADF));
    assert_eq!(writer.read(&mut [0]), Err(Errno::BADF));
    assert_eq!(writer.write(b"x"), Ok(1));
    assert_eq!(reader.poll(), Poll::IN);
    drop(reader);
    assert_eq!(writer.write(b"x"), Err(Errno::PIPE));
    let other = machine.vfs.pipe(OpenFlags::RDONLY).unwrap().0;
    assert_ne!(other.stat().ino, writer.stat().ino);
}

#[test]
fn anonymous_files_show_a_name_and_open_again_where_that_makes_sense() {
    let machine = machine();
    let text = || Rc::new(file::Text(b"output".to_vec()));
    let console =
        machine.vfs.anonymous(text(), FileType::CharDevice, "/dev/console", OpenFlags::RDWR);
    let socket = machine.vfs.anonymous(text(), FileType::Socket, "socket:[…]", OpenFlags::RDWR);
    machine.give_descriptor(0, console);
    machine.give_descriptor(1, socket);
    assert_eq!(machine.read("/dev/stdin"), b"output");
    assert_eq!(machine.open("/proc/self/fd/1", OpenFlags::RDONLY).err(), Some(Errno::NXIO));
    let link = machine.vfs.lookup(machine.root(), b"/proc/self/fd/1", Follow::No).unwrap();
    let shown = String::from_utf8(link.inode().read_link().unwrap()).unwrap();
    assert_eq!(shown, "socket:[2]");
}

#[test]
fn file_systems_tell_their_sizes() {
    let machine = machine();
    let statfs = |path: &str| machine.vfs.statfs(&machine.lookup(path).unwrap());
    assert_eq!(statfs("/tmp").magic, linux::TMPFS_MAGIC);
    assert_eq!(statfs("/tmp").blocks, testing::TMP_LIMITS.bytes / 4096);
    machine.write("/tmp/f", &[1; 5000]);
    assert_eq!(statfs("/tmp/f").blocks_free, statfs("/tmp").blocks - 2);
    assert_eq!(statfs("/proc").magic, linux::PROC_SUPER_MAGIC);
    let pipe = machine.vfs.pipe(OpenFlags::RDONLY).unwrap().0;
    assert_eq!(machine.vfs.statfs(pipe.dentry()).magic, linux::PIPEFS_MAGIC);
}
