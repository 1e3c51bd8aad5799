use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::fs::OpenFlags;
use crate::fs::testing::{Machine, machine};

/// `path` as the tree knows it.
fn resolved(machine: &Machine, path: &str) -> Result<String> {
    Ok(String::from_utf8(machine.lookup(path)?.path()?).unwrap())
}

/// /tmp/d/e/f, and links of every kind.
fn tree() -> Machine {
    let machine = machine();
    machine.mkdir("/tmp/d").unwrap();
    machine.mkdir("/tmp/d/e").unwrap();
    machine.write("/tmp/d/e/f", b"contents");
    for (text, path) in [
        ("e/f", "/tmp/d/to-f"),
        ("/tmp/d", "/tmp/absolute"),
        ("..", "/tmp/d/e/up"),
        ("to-f", "/tmp/d/to-link"),
        ("d/", "/tmp/slashed"),
        ("nowhere", "/tmp/dangling"),
        ("self", "/tmp/self"),
        ("pong", "/tmp/ping"),
        ("ping", "/tmp/pong"),
    ] {
        machine.symlink(text, path).unwrap();
    }
    machine
}

#[test]
fn paths_mean_what_they_say() {
    let machine = tree();
    for (path, expected) in [
        ("/", "/"),
        ("///", "/"),
        ("/..", "/"),
        ("/../../tmp/..", "/"),
        (".", "/"),
        ("tmp", "/tmp"),
        ("//tmp///d//./e/.", "/tmp/d/e"),
        ("/tmp/d/e/../e/f", "/tmp/d/e/f"),
        ("/tmp/d/to-f", "/tmp/d/e/f"),
        ("/tmp/d/to-link", "/tmp/d/e/f"),
        ("/tmp/absolute/e/f", "/tmp/d/e/f"),
        ("/tmp/absolute/", "/tmp/d"),
        ("/tmp/absolute/..", "/tmp"),
        ("/tmp/d/e/up", "/tmp/d"),
        ("/tmp/d/e/up/e/up/to-f", "/tmp/d/e/f"),
        ("/tmp/slashed", "/tmp/d"),
        ("/proc/self/cwd/tmp", "/tmp"),
    ] {
        assert_eq!(resolved(&machine, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn paths_fail_with_the_errno_of_the_manual() {
    let machine = tree();
    let long_name = "x".repeat(NAME_MAX + 1);
    let long_path = "/tmp/./".repeat(700);
    for (path, errno) in [
        ("", Errno::NOENT),
        ("/missing", Errno::NOENT),
        ("/missing/", Errno::NOENT),
        ("/missing/x", Errno::NOENT),
        ("/tmp/d/e/f/", Errno::NOTDIR),
        ("/tmp/d/e/f/.", Errno::NOTDIR),
        ("/tmp/d/e/f/..", Errno::NOTDIR),
        ("/tmp/d/e/f/g", Errno::NOTDIR),
        ("/tmp/d/to-f/", Errno::NOTDIR),
        ("/tmp/dangling", Errno::NOENT),
        ("/tmp/self", Errno::LOOP),
        ("/tmp/self/x", Errno::LOOP),
        ("/tmp/ping", Errno::LOOP),
        (&format!("/tmp/{long_name}"), Errno::NAMETOOLONG),
        (&format!("/tmp/{long_name}/x"), Errno::NAMETOOLONG),
        (&format!("/tmp/{}", &long_name[1..]), Errno::NOENT),
        (&long_path, Errno::NAMETOOLONG),
    ] {
        assert_eq!(resolved(&machine, path), Err(errno), "{path}");
    }
}

#[test]
fn a_path_may_fill_the_buffer_but_for_the_nul() {
    let machine = machine();
    let path = |len: usize| vec![b'/'; len];
    let lookup = |len| machine.vfs.lookup(machine.root(), &path(len), Follow::Yes).map(drop);
    assert_eq!(lookup(PATH_MAX - 1), Ok(()));
    assert_eq!(lookup(PATH_MAX), Err(Errno::NAMETOOLONG));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let machine = machine();
    machine.write("/tmp/0", b"");
    for n in 1..=LINKS_MAX + 1 {
        machine.symlink(&format!("{}", n - 1), &format!("/tmp/{n}")).unwrap();
    }
    assert_eq!(resolved(&machine, "/tmp/40").as_deref(), Ok("/tmp/0"));
    assert_eq!(resolved(&machine, "/tmp/41"), Err(Errno::LOOP));
}

#[test]
fn the_last_link_is_followed_only_on_request() {
    let machine = tree();
    let lookup = |path: &[u8], follow| {
        let dentry = machine.vfs.lookup(machine.root(), path, follow)?;
        Ok::<_, Errno>(dentry.inode().file_type())
    };
    assert_eq!(lookup(b"/tmp/absolute", Follow::No), Ok(FileType::Symlink));
    assert_eq!(lookup(b"/tmp/absolute/", Follow::No), Ok(FileType::Directory));
    assert_eq!(lookup(b"/tmp/absolute/e", Follow::No), Ok(FileType::Directory));
    assert_eq!(lookup(b"/tmp/dangling", Follow::No), Ok(FileType::Symlink));
    assert_eq!(lookup(b"/tmp/d/to-f/", Follow::No), Err(Errno::NOTDIR));
}

#[test]
fn a_jump_goes_on_like_any_directory() {
    let machine = tree();
    let file = machine.open("/tmp/d/e/f", OpenFlags::RDONLY).unwrap();
    let directory = machine.open("/tmp/d", OpenFlags::PATH).unwrap();
    machine.give_descriptor(4, file);
    machine.give_descriptor(5, directory);
    machine.unlink("/tmp/d/e/f").unwrap();
    assert_eq!(machine.read("/proc/self/fd/4"), b"contents", "a removed file is still reached");
    assert_eq!(machine.lookup("/proc/self/fd/4/").err(), Some(Errno::NOTDIR));
    assert_eq!(machine.lookup("/proc/self/fd/4/x").err(), Some(Errno::NOTDIR));
    assert_eq!(resolved(&machine, "/proc/self/fd/5/e").as_deref(), Ok("/tmp/d/e"));
    assert_eq!(resolved(&machine, "/proc/self/fd/5/").as_deref(), Ok("/tmp/d"));
    assert_eq!(resolved(&machine, "/proc/self/fd/5/..").as_deref(), Ok("/tmp"));
}

#[test]
fn a_walk_stops_in_front_of_the_last_name() {
    let machine = tree();
    let last = |path: &'static str| {
        let mut walk = Walk::new(machine.root(), machine.root(), path.as_bytes()).unwrap();
        let last = walk.to_last()?;
        Ok::<_, Errno>((String::from_utf8(walk.at().path()?).unwrap(), last))
    };
    let name = |name: &'static [u8], slash| Last::Name { name: Cow::Borrowed(name), slash };
    assert_eq!(last("/tmp/new"), Ok(("/tmp".into(), name(b"new", false))));
    assert_eq!(last("/tmp/absolute/new//"), Ok(("/tmp/d".into(), name(b"new", true))));
    assert_eq!(last("/"), Ok(("/".into(), Last::Root)));
    assert_eq!(last("/tmp/."), Ok(("/tmp".into(), Last::Dot)));
    assert_eq!(last("/tmp/d/../"), Ok(("/tmp".into(), Last::DotDot)));
    assert_eq!(last("/missing/new"), Err(Errno::NOENT));
}

#[test]
fn long_link_texts_do_not_add_up_without_end() {
    let machine = machine();
    // Each link leads to itself with a long tail: forty tails, then the end.
    let tail = "/x".repeat(2000);
    machine.symlink(&format!("l{tail}"), "/tmp/l").unwrap();
    assert_eq!(machine.lookup("/tmp/l").err(), Some(Errno::LOOP));
    let names: Vec<u8> = [&b"/tmp/"[..], &[0xff, 0xfe]].concat();
    let odd = machine.vfs.lookup(machine.root(), &names, Follow::Yes);
    assert_eq!(odd.err(), Some(Errno::NOENT), "names are bytes, not text");
}
