use std::vec;
use std::vec::Vec;

use super::*;
use crate::event::EventFd;
use crate::fs::testing::{Machine, machine};
use crate::fs::{FileType, OpenFlags};

const IN: u32 = linux::EPOLLIN;
const OUT: u32 = linux::EPOLLOUT;
const EDGE: u32 = linux::EPOLLET;

fn counter(machine: &Machine, count: u32) -> Rc<OpenFile> {
    let file = Rc::new(EventFd::new(count, false));
    machine.vfs.anonymous(file, FileType::Regular, "anon_inode:[eventfd]", OpenFlags::RDWR)
}

fn on(events: u32, data: u64) -> Event {
    Event { events, data }
}

fn told(epoll: &Epoll, most: usize) -> Vec<(u32, u64)> {
    let mut told = Vec::new();
    let count = epoll.collect(most, |event| told.push((event.events, event.data)));
    assert_eq!(count, told.len());
    told
}

fn add_one(file: &OpenFile) {
    file.write(&1_u64.to_ne_bytes()).unwrap();
}

#[test]
fn level_tells_while_it_lasts() {
    let machine = machine();
    let (epoll, file) = (Epoll::default(), counter(&machine, 1));
    epoll.add(3, &file, on(IN, 7)).unwrap();
    assert_eq!(epoll.poll(), Poll::IN);
    assert_eq!(told(&epoll, 9), [(IN, 7)]);
    assert_eq!(told(&epoll, 9), [(IN, 7)]);
    file.read(&mut [0; 8]).unwrap();
    assert_eq!((told(&epoll, 9), epoll.poll()), (Vec::new(), Poll::empty()));
}

#[test]
fn an_edge_is_told_once_for_each_arrival() {
    let machine = machine();
    let (epoll, file) = (Epoll::default(), counter(&machine, 1));
    epoll.add(3, &file, on(IN | EDGE, 7)).unwrap();
    assert_eq!(told(&epoll, 9), [(IN, 7)]);
    assert!(told(&epoll, 9).is_empty(), "no news");
    add_one(&file);
    assert_eq!(told(&epoll, 9), [(IN, 7)], "more of the same is news");
    file.read(&mut [0; 8]).unwrap();
    assert!(told(&epoll, 9).is_empty(), "a read is no arrival");
    add_one(&file);
    file.read(&mut [0; 8]).unwrap();
    add_one(&file);
    assert_eq!(told(&epoll, 9), [(IN, 7)], "emptied and filled between two looks");
    epoll.modify(3, &file, on(IN | OUT | EDGE, 8)).unwrap();
    assert_eq!(told(&epoll, 9), [(IN | OUT, 8)], "a new interest begins anew");
}

#[test]
fn one_shot_is_spent_until_modified() {
    let machine = machine();
    let (epoll, file) = (Epoll::default(), counter(&machine, 1));
    epoll.add(3, &file, on(IN | linux::EPOLLONESHOT, 7)).unwrap();
    assert_eq!(told(&epoll, 9), [(IN, 7)]);
    add_one(&file);
    assert!(told(&epoll, 9).is_empty());
    epoll.modify(3, &file, on(IN | linux::EPOLLONESHOT, 9)).unwrap();
    assert_eq!(told(&epoll, 9), [(IN, 9)]);
}

#[test]
fn small_buffers_are_fair() {
    let machine = machine();
    let epoll = Epoll::default();
    let files: Vec<_> = (0..5).map(|_| counter(&machine, 1)).collect();
    for (fd, file) in files.iter().enumerate() {
        epoll.add(fd as Fd, file, on(IN, fd as u64)).unwrap();
    }
    let seen: Vec<u64> = (0..4).flat_map(|_| told(&epoll, 2)).map(|(_, data)| data).collect();
    // fd 0 is what the first look begins behind, if at all.
    for fd in 0..5 {
        assert!(seen.contains(&fd), "{fd} is starved: {seen:?}");
    }
}

#[test]
fn what_is_closed_vanishes_with_its_last_descriptor() {
    let machine = machine();
    let (epoll, file) = (Epoll::default(), counter(&machine, 1));
    epoll.add(3, &file, on(IN, 7)).unwrap();
    let duplicate = file.clone();
    drop(file);
    assert_eq!(told(&epoll, 9), [(IN, 7)], "dup(2) keeps the item");
    drop(duplicate);
    assert!(told(&epoll, 9).is_empty());
    let other = counter(&machine, 1);
    epoll.add(3, &other, on(IN, 8)).unwrap();
    assert_eq!(told(&epoll, 9), [(IN, 8)]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let machine = machine();
    let (epoll, file) = (Epoll::default(), counter(&machine, 1));
    let null = machine.open("/dev/null", OpenFlags::RDWR).unwrap();
    assert_eq!(epoll.add(4, &null, on(IN, 0)), Err(Errno::PERM));
    epoll.add(3, &file, on(IN, 0)).unwrap();
    assert_eq!(epoll.add(3, &file, on(IN, 0)), Err(Errno::EXIST));
    assert_eq!(epoll.add(5, &file, on(IN, 0)), Ok(()), "a duplicate's number is another item");
    assert_eq!(epoll.remove(4, &file), Err(Errno::NOENT));
    assert_eq!(epoll.remove(3, &file), Ok(()));
    assert_eq!(epoll.modify(3, &file, on(IN, 0)), Err(Errno::NOENT));
    let exclusive = linux::EPOLLEXCLUSIVE | IN;
    assert_eq!(epoll.add(3, &file, on(exclusive | linux::EPOLLRDHUP, 0)), Err(Errno::INVAL));
    epoll.add(3, &file, on(exclusive, 0)).unwrap();
    assert_eq!(epoll.modify(3, &file, on(IN, 0)), Err(Errno::INVAL));
    assert_eq!(epoll.modify(5, &file, on(exclusive, 0)), Err(Errno::INVAL));
}

/// A new epoll's file.
fn epoll_file(machine: &Machine) -> Rc<OpenFile> {
    let epoll: Rc<dyn File> = Rc::new(Epoll::default());
    machine.vfs.anonymous(epoll, FileType::Regular, "anon_inode:[epoll]", OpenFlags::RDWR)
}

#[test]
fn an_epoll_tells_of_those_in_it() {
    let machine = machine();
    let (outer, inner_file, file) = (Epoll::default(), epoll_file(&machine), counter(&machine, 0));
    let inner = nested(&inner_file).unwrap();
    outer.add(3, &inner_file, on(IN | EDGE, 7)).unwrap();
    inner.add(4, &file, on(IN, 8)).unwrap();
    assert!(told(&outer, 9).is_empty());
    for _ in 0..2 {
        add_one(&file);
        assert_eq!(told(&outer, 9), [(IN, 7)]);
        assert!(told(&outer, 9).is_empty(), "no news");
    }
    outer.modify(3, &inner_file, on(IN, 7)).unwrap();
    assert_eq!((told(&outer, 9), told(&outer, 9)), (vec![(IN, 7)], vec![(IN, 7)]));
    file.read(&mut [0; 8]).unwrap();
    assert!(told(&outer, 9).is_empty());
}

#[test]
fn epolls_are_five_deep_and_not_in_circles() {
    let machine = machine();
    let files = [(); 6].map(|()| epoll_file(&machine));
    let [a, b, c, d, e, f] = files.each_ref().map(|file| nested(file).unwrap());
    assert_eq!(a.add(3, &files[0], on(IN, 0)), Err(Errno::LOOP));
    // From both ends, so that each step has a chain above it or below.
    a.add(3, &files[1], on(IN, 1)).unwrap();
    d.add(3, &files[4], on(IN, 4)).unwrap();
    c.add(3, &files[3], on(IN, 3)).unwrap();
    b.add(3, &files[2], on(IN, 2)).unwrap();
    assert_eq!(e.add(3, &files[5], on(IN, 5)), Err(Errno::LOOP), "a sixth below");
    assert_eq!(f.add(3, &files[0], on(IN, 0)), Err(Errno::LOOP), "and above");
    assert_eq!(e.add(3, &files[1], on(IN, 0)), Err(Errno::LOOP), "a circle");
    assert_eq!(a.add(4, &files[5], on(linux::EPOLLEXCLUSIVE | IN, 0)), Err(Errno::INVAL));

    let file = counter(&machine, 0);
    e.add(3, &file, on(IN | EDGE, 9)).unwrap();
    assert!(told(a, 9).is_empty());
    add_one(&file);
    assert_eq!((told(a, 9), told(d, 9)), (vec![(IN, 1)], vec![(IN, 4)]));
    assert_eq!(told(e, 9), [(IN, 9)]);
    assert!(told(a, 9).is_empty(), "the bottom has been told");
    a.remove(3, &files[1]).unwrap();
    f.add(3, &files[1], on(IN, 1)).unwrap();
    c.remove(3, &files[3]).unwrap();
    e.add(4, &files[0], on(IN, 0)).unwrap();
}

#[test]
fn nested_epolls_have_a_bound() {
    let machine = machine();
    let outer = Epoll::default();
    let held: Vec<_> = (0..=NESTED_MAX as u32).map(|_| epoll_file(&machine)).collect();
    for (fd, file) in (0..).zip(&held[1..]) {
        outer.add(fd, file, on(IN, 0)).unwrap();
    }
    assert_eq!(outer.add(99, &held[0], on(IN, 0)), Err(Errno::NOSPC));
    // One that is in another, or will be, has few.
    let (inner, others) = (nested(&held[1]).unwrap(), [(); NESTED_DEEP_MAX + 1]);
    let others = others.map(|()| epoll_file(&machine));
    for (fd, file) in (0..).zip(&others[1..]) {
        inner.add(fd, file, on(IN, 0)).unwrap();
    }
    assert_eq!(inner.add(99, &others[0], on(IN, 0)), Err(Errno::NOSPC));
    outer.remove(0, &held[1]).unwrap();
    inner.add(99, &others[0], on(IN, 0)).unwrap();
    assert_eq!(outer.add(0, &held[1], on(IN, 0)), Err(Errno::NOSPC));
}
