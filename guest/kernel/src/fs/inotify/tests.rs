use std::format;
use std::string::String;
use std::vec;

use super::*;
use crate::fs::OpenFlags;
use crate::fs::testing::{Machine, machine};

fn watching(machine: &Machine, path: &str, mask: u32) -> Rc<Inotify> {
    let inotify = Inotify::new(machine.vfs.watches().clone());
    assert_eq!(inotify.watch(&machine.lookup(path).unwrap(), mask), Ok(1));
    inotify
}

/// The events so far: mask and name.
fn events(inotify: &Inotify) -> Vec<(u32, String)> {
    let mut bytes = vec![0; 1 << 20];
    let count = inotify.read(0, &mut bytes).unwrap_or(0);
    let (mut rest, mut events) = (&bytes[..count], Vec::new());
    while let [_, _, _, _, a, b, c, d, _, _, _, _, len, _, _, _, after @ ..] = rest {
        let (name, next) = after.split_at((*len).into());
        let name = name.iter().copied().take_while(|byte| *byte != 0).collect();
        events.push((u32::from_ne_bytes([*a, *b, *c, *d]), String::from_utf8(name).unwrap()));
        rest = next;
    }
    events
}

fn named(mask: u32, name: &str) -> (u32, String) {
    (mask, name.into())
}

#[test]
fn a_directory_tells_what_happens_in_it() {
    let machine = machine();
    let inotify = watching(&machine, "/tmp", linux::IN_ALL_EVENTS);
    assert_eq!(inotify.poll(), Poll::empty());
    machine.write("/tmp/f", b"x");
    machine.mkdir("/tmp/d").unwrap();
    machine.rename("/tmp/f", "/tmp/g").unwrap();
    machine.unlink("/tmp/g").unwrap();
    machine.rmdir("/tmp/d").unwrap();
    assert_eq!(inotify.poll(), Poll::IN);
    let wanted = [
        named(linux::IN_CREATE, "f"),
        named(linux::IN_OPEN, "f"),
        named(linux::IN_MODIFY, "f"),
        named(linux::IN_CLOSE_WRITE, "f"),
        named(linux::IN_CREATE | linux::IN_ISDIR, "d"),
        named(linux::IN_MOVED_FROM, "f"),
        named(linux::IN_MOVED_TO, "g"),
        named(linux::IN_DELETE, "g"),
        named(linux::IN_DELETE | linux::IN_ISDIR, "d"),
    ];
    assert_eq!(events(&inotify), wanted);
}

#[test]
fn a_file_tells_of_itself_until_it_is_gone() {
    let machine = machine();
    machine.write("/tmp/f", b"x");
    let wanted = linux::IN_MODIFY | linux::IN_ATTRIB | linux::IN_MOVE_SELF | linux::IN_DELETE_SELF;
    let inotify = watching(&machine, "/tmp/f", wanted);
    let file = machine.lookup("/tmp/f").unwrap();
    machine.vfs.chmod(&file, 0o600).unwrap();
    machine.vfs.truncate(&file, 0).unwrap();
    machine.rename("/tmp/f", "/tmp/g").unwrap();
    machine.unlink("/tmp/g").unwrap();
    let masks: Vec<u32> = events(&inotify).into_iter().map(|(mask, _)| mask).collect();
    let wanted = [
        linux::IN_ATTRIB,
        linux::IN_MODIFY,
        linux::IN_MOVE_SELF,
        linux::IN_ATTRIB,
        linux::IN_DELETE_SELF,
        linux::IN_IGNORED,
    ];
    assert_eq!(masks, wanted);
    assert!(machine.vfs.watches().is_empty());
}

#[test]
fn a_directory_tells_before_what_is_in_it() {
    let machine = machine();
    machine.write("/tmp/f", b"x");
    let inotify = watching(&machine, "/tmp/f", linux::IN_ATTRIB);
    assert_eq!(inotify.watch(&machine.lookup("/tmp").unwrap(), linux::IN_ATTRIB), Ok(2));
    machine.vfs.chmod(&machine.lookup("/tmp/f").unwrap(), 0o600).unwrap();
    assert_eq!(events(&inotify), [named(linux::IN_ATTRIB, "f"), named(linux::IN_ATTRIB, "")]);
}

#[test]
fn watches_are_changed_and_given_up() {
    let machine = machine();
    let inotify = watching(&machine, "/tmp", linux::IN_CREATE);
    let tmp = machine.lookup("/tmp").unwrap();
    assert_eq!(inotify.watch(&tmp, 0), Err(Errno::INVAL));
    assert_eq!(inotify.watch(&tmp, linux::IN_CREATE | linux::IN_MASK_CREATE), Err(Errno::EXIST));
    assert_eq!(inotify.watch(&tmp, linux::IN_DELETE | linux::IN_MASK_ADD), Ok(1));
    let null = machine.lookup("/dev/null").unwrap();
    assert_eq!(inotify.watch(&null, linux::IN_OPEN | linux::IN_ONLYDIR), Err(Errno::NOTDIR));
    machine.mkdir("/tmp/d").unwrap();
    assert_eq!(inotify.read(0, &mut [0; 20]), Err(Errno::INVAL), "too small");
    machine.rmdir("/tmp/d").unwrap();
    assert_eq!(events(&inotify).len(), 2);
    assert_eq!((inotify.forget(9), inotify.forget(1)), (Err(Errno::INVAL), Ok(())));
    machine.mkdir("/tmp/e").unwrap();
    assert_eq!(events(&inotify), [named(linux::IN_IGNORED, "")]);
    assert_eq!(inotify.watch(&tmp, linux::IN_CREATE | linux::IN_ONESHOT), Ok(2));
    machine.mkdir("/tmp/a").unwrap();
    machine.mkdir("/tmp/b").unwrap();
    assert_eq!(events(&inotify).len(), 2, "one, and the end");
    assert_eq!(inotify.watch(&tmp, linux::IN_CREATE), Ok(3));
    drop(inotify);
    assert!(machine.vfs.watches().is_empty());
}

#[test]
fn what_nobody_reads_is_bounded_and_the_same_is_told_once() {
    let machine = machine();
    let inotify = watching(&machine, "/tmp", linux::IN_OPEN | linux::IN_CREATE);
    machine.write("/tmp/f", b"x");
    for _ in 0..3 {
        machine.open("/tmp/f", OpenFlags::RDONLY).unwrap();
    }
    assert_eq!(events(&inotify), [named(linux::IN_CREATE, "f"), named(linux::IN_OPEN, "f")]);
    for n in 0..QUEUE_MAX + 5 {
        machine.mkdir(&format!("/tmp/{n}")).unwrap();
    }
    assert_eq!(inotify.queue.borrow().len(), QUEUE_MAX);
    assert_eq!(events(&inotify).pop(), Some(named(linux::IN_Q_OVERFLOW, "")));
}
