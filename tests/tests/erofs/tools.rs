//! Our images in other hands, and others' in ours: erofs-utils and the running kernel.
//!
//! Where a tool is missing, or mounting is not allowed, a test says so on stderr and passes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Write, stderr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mayfly_erofs::{Erofs, Error, FileType, Inode, Unsupported};
use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{ImageLayout, Options};
use tempfile::TempDir;

use super::model;

/// Past the test harness, which hides what a passing test prints.
fn say(text: &str) {
    stderr().write_all(format!("SKIPPED: {text}\n").as_bytes()).unwrap();
}

/// Runs a tool; `None`, said aloud, where it is not installed.
fn tool(name: &str, arguments: &[&Path]) -> Option<Output> {
    match Command::new(name).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            say(&format!("{name} does not run ({error}): install the package erofs-utils"));
            None
        }
    }
}

fn assert_success(output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// A directory with one of everything; devices and foreign owners just where root makes them.
fn sample(dir: &Path) {
    for (name, len) in [("empty", 0), ("small", 10), ("block", 4096), ("big", 70_001)] {
        let contents: Vec<u8> = (0..len).map(|n| (n % 247) as u8).collect();
        fs::write(dir.join(name), contents).unwrap();
    }
    fs::hard_link(dir.join("big"), dir.join("big too")).unwrap();
    File::create(dir.join("sparse")).unwrap().set_len(200_000).unwrap();
    symlink("../big", dir.join("link")).unwrap();
    symlink("t/".repeat(1500), dir.join("long link")).unwrap();
    fs::create_dir_all(dir.join("deep/er/still")).unwrap();
    fs::write(dir.join("deep/er/still/bottom"), "here").unwrap();
    let many = dir.join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..500 {
        fs::write(many.join(format!("a name of some length {n}")), n.to_string()).unwrap();
    }
    fs::set_permissions(dir.join("small"), fs::Permissions::from_mode(0o4751)).unwrap();
    let _ = Command::new("mkfifo").arg(dir.join("pipe")).status();
    let _ = Command::new("mknod").arg(dir.join("null")).args(["c", "1", "3"]).output();
    let _ = std::os::unix::fs::chown(dir.join("block"), Some(100_000), Some(7));
}

/// What a directory shows of each file in it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    mode: u32,
    owner: (u32, u32),
    /// A target, a device's number, or the contents' length and hash.
    contents: String,
    /// Modification time and hard links, which not every tool keeps.
    more: Option<(i64, i64, u64)>,
}

fn listing(root: &Path, with_more: bool) -> BTreeMap<PathBuf, Shown> {
    let mut listing = BTreeMap::new();
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let contents = if kind.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if kind.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            format!("{} bytes {:x}", bytes.len(), bytes.iter().fold(7u64, fnv))
        } else if kind.is_char_device() || kind.is_block_device() {
            meta.rdev().to_string()
        } else {
            String::new()
        };
        let shown = Shown {
            // An extraction that changes the owner afterwards loses set-user-ID.
            mode: if with_more { meta.mode() } else { meta.mode() & !0o7000 },
            owner: (meta.uid(), meta.gid()),
            contents,
            more: with_more.then_some((meta.mtime(), meta.mtime_nsec(), meta.nlink())),
        };
        listing.insert(path.strip_prefix(root).unwrap().to_owned(), shown);
    }
    listing
}

fn assert_same(found: &BTreeMap<PathBuf, Shown>, expected: &BTreeMap<PathBuf, Shown>) {
    for (path, shown) in expected {
        assert_eq!(found.get(path), Some(shown), "{}", path.display());
    }
    assert_eq!(found.len(), expected.len());
}

fn fnv(hash: u64, byte: &u8) -> u64 {
    (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
}

/// Our image of a directory, in a file.
fn make_image(dir: &Path, image: &Path) {
    let walked = walk::walk(dir, &WalkOptions::default()).unwrap();
    let layout = ImageLayout::build(walked.tree, &Options::default()).unwrap();
    let mut file = File::create(image).unwrap();
    layout.write_to(&mut file, |id| walk::open(&walked.files, id)).unwrap();
}

/// Checks that our reader sees in an image what the host sees in a directory.
fn check_against_host(image: &[u8], dir: &Path) {
    let fs = Erofs::mount(image).unwrap();
    check_inode(&fs, &fs.root().unwrap(), dir);
}

fn check_inode(fs: &Erofs<&[u8]>, inode: &Inode, path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    let shown = (inode.mode.into(), inode.uid, inode.gid, inode.nlink.into());
    assert_eq!(shown, (meta.mode(), meta.uid(), meta.gid(), meta.nlink()), "{}", path.display());
    let mtime = (inode.mtime.seconds, i64::from(inode.mtime.nanoseconds));
    assert_eq!(mtime, (meta.mtime(), meta.mtime_nsec()), "{}", path.display());
    match inode.file_type {
        FileType::Directory => {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
                .collect();
            names.extend([b".".to_vec(), b"..".to_vec()]);
            names.sort();
            assert_eq!(model::list(fs, inode), names);
            for name in names.iter().filter(|name| !matches!(&name[..], b"." | b"..")) {
                let nid = fs.lookup(inode, name).unwrap().unwrap().nid;
                let child = path.join(std::ffi::OsStr::from_bytes(name));
                check_inode(fs, &fs.inode(nid).unwrap(), &child);
            }
        }
        FileType::Regular => {
            assert!(model::read(fs, inode) == fs::read(path).unwrap(), "{}", path.display());
        }
        FileType::Symlink => {
            let mut buf = [0; 4096];
            let len = fs.read_link(inode, &mut buf).unwrap();
            assert_eq!(&buf[..len], fs::read_link(path).unwrap().as_os_str().as_bytes());
        }
        FileType::CharDevice => assert_eq!(inode.rdev, (1, 3)),
        _ => {}
    }
}

#[test]
fn a_directory_of_the_host_comes_through() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sample(dir.path());
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("many/socket")).unwrap();
    let walked = walk::walk(dir.path(), &WalkOptions::default()).unwrap();
    assert_eq!(walked.skipped, [dir.path().join("many/socket")]);
    drop(socket);
    fs::remove_file(dir.path().join("many/socket")).unwrap();
    // Binding it touched the directory, so the image is made of what is there now.
    let image = out.path().join("image");
    make_image(dir.path(), &image);
    check_against_host(&fs::read(&image).unwrap(), dir.path());
}

#[test]
fn a_file_that_vanishes_or_grows_is_an_error_with_its_path() {
    let dir = TempDir::new().unwrap();
    assert!(walk::walk(&dir.path().join("nowhere"), &WalkOptions::default()).is_err());
    let path = dir.path().join("file");
    fs::write(&path, vec![0; 5000]).unwrap();
    let walked = walk::walk(dir.path(), &WalkOptions::default()).unwrap();
    assert_eq!(walked.files, std::slice::from_ref(&path));
    let layout = ImageLayout::build(walked.tree, &Options::default()).unwrap();
    let write = || layout.write_to(&mut Vec::new(), |id| walk::open(&walked.files, id));
    write().unwrap();
    fs::write(&path, vec![0; 5001]).unwrap();
    assert!(write().unwrap_err().to_string().contains("more bytes are there, not 5000"));
    fs::remove_file(&path).unwrap();
    assert!(write().is_err());
}

#[test]
fn fsck_finds_no_fault_and_extracts_the_same_files() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sample(dir.path());
    let image = out.path().join("image");
    make_image(dir.path(), &image);
    let extracted = out.path().join("extracted");
    let extract = format!("--extract={}", extracted.display());
    let Some(output) = tool("fsck.erofs", &[extract.as_ref(), &image]) else { return };
    assert_success(&output);
    // It makes a copy for each name of a file, and not every file keeps its time.
    assert_same(&listing(&extracted, false), &listing(dir.path(), false));
}

#[test]
fn fsck_agrees_on_trees_of_all_kinds() {
    use proptest::strategy::{Strategy, ValueTree};
    let out = TempDir::new().unwrap();
    let image = out.path().join("image");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..20 {
        let tree = model::trees().new_tree(&mut runner).unwrap().current();
        fs::write(&image, tree.image()).unwrap();
        let Some(output) = tool("fsck.erofs", &["--extract".as_ref(), &image]) else { return };
        assert_success(&output);
    }
}

/// A mounted image, unmounted in the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn the_kernel_shows_the_same_files() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sample(dir.path());
    let (image, at) = (out.path().join("image"), out.path().join("at"));
    make_image(dir.path(), &image);
    fs::create_dir(&at).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "erofs", "-o", "loop,ro"])
        .args([&image, &at])
        .output()
        .unwrap();
    if !mount.status.success() {
        let why = String::from_utf8_lossy(&mount.stderr);
        return say(&format!("no EROFS image can be mounted here: {}", why.trim()));
    }
    let mounted = Mount(at);
    assert_same(&listing(&mounted.0, true), &listing(dir.path(), true));
}

/// Has mkfs.erofs make an image of the sample and checks it.
fn check_mkfs(options: &[&str]) {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sample(dir.path());
    let image = out.path().join("image");
    let mut arguments: Vec<&Path> = options.iter().map(Path::new).collect();
    arguments.extend([&image, dir.path()]);
    let Some(output) = tool("mkfs.erofs", &arguments) else { return };
    assert_success(&output);
    check_against_host(&fs::read(&image).unwrap(), dir.path());
}

#[test]
fn images_of_mkfs_are_read() {
    check_mkfs(&[]);
}

#[test]
fn images_of_mkfs_with_chunks_and_holes_are_read() {
    check_mkfs(&["--chunksize=4096"]);
    check_mkfs(&["--chunksize=65536"]);
}

#[test]
fn compressed_files_are_refused_and_the_rest_is_read() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(dir.path().join("packed"), "again and again ".repeat(5000)).unwrap();
    fs::write(dir.path().join("plain"), "short").unwrap();
    let image = out.path().join("image");
    let arguments = ["-zlz4".as_ref(), image.as_path(), dir.path()];
    let Some(output) = tool("mkfs.erofs", &arguments) else { return };
    assert_success(&output);
    let image = fs::read(&image).unwrap();
    let fs = Erofs::mount(&image[..]).unwrap();
    let root = fs.root().unwrap();
    let inode = |name: &[u8]| fs.inode(fs.lookup(&root, name).unwrap().unwrap().nid).unwrap();
    let packed = inode(b"packed");
    assert_eq!(packed.size, 80_000);
    let refused = Unsupported::Compressed { nid: packed.nid };
    assert_eq!(fs.read_at(&packed, 0, &mut [0; 10]), Err(Error::Unsupported(refused)));
    assert_eq!(model::read(&fs, &inode(b"plain")), b"short");
}
