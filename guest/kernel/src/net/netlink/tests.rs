use std::boxed::Box;
use std::vec::Vec;

use super::message::{DONE, DUMP, MULTI, Writer, messages};
use super::*;
use crate::net::Ucred;

const GETLINK: u16 = 18;
const GETADDR: u16 = 22;
const NEWLINK: u16 = 16;
const NEWADDR: u16 = 20;

fn net() -> Rc<Net> {
    Net::new(Box::new(|_| None), Box::new(|| Ucred { pid: 7, uid: 0, gid: 0 }))
}

fn socket(net: &Rc<Net>) -> Rc<dyn Socket> {
    net.socket(Domain::Netlink, Kind::Raw, ROUTE).unwrap()
}

fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin(Header { kind, flags: flags | REQUEST, sequence: 5, port: 0 }).put(body);
    writer.finish()
}

/// Sends a request: the types of all messages that answer it, and the errno of the last where it has one.
fn ask(socket: &dyn Socket, request: &[u8]) -> (Vec<u16>, Option<i32>) {
    socket.send(Outgoing { bytes: request, ..Outgoing::default() }).unwrap();
    let (mut kinds, mut errno) = (Vec::new(), None);
    let mut buffer = [0; 4096];
    while let Ok(received) = socket.receive(&mut buffer, false) {
        assert_eq!(received.from, Some(Address::none(Domain::Netlink)));
        for message in messages(&buffer[..received.count]) {
            assert_eq!((message.header.sequence, message.header.port), (5, 7));
            if message.header.kind == ERROR {
                errno = message.body().first_chunk().map(|bytes| -i32::from_ne_bytes(*bytes));
            }
            assert!(message.header.kind != NEWADDR || message.header.flags == MULTI);
            kinds.push(message.header.kind);
        }
    }
    (kinds, errno)
}

#[test]
fn dumps_tell_of_lo_and_its_addresses_family_by_family() {
    let net = net();
    let socket = socket(&net);
    let dump = |kind, family: u8| ask(&*socket, &request(kind, DUMP, &[family])).0;
    assert_eq!(dump(GETLINK, 0), [NEWLINK, DONE]);
    assert_eq!(dump(GETADDR, 0), [NEWADDR, NEWADDR, DONE]);
    assert_eq!(dump(GETADDR, net::AF_INET as u8), [NEWADDR, DONE]);
    assert_eq!(dump(GETADDR, net::AF_INET6 as u8), [NEWADDR, DONE]);
}

#[test]
fn one_link_is_found_by_number_or_by_name() {
    let net = net();
    let socket = socket(&net);
    let link = |index: u8, name: &[u8]| {
        let mut writer = Writer::default();
        let header = Header { kind: GETLINK, flags: REQUEST, sequence: 5, port: 0 };
        let mut body = [0; 16];
        body[4] = index;
        writer.begin(header).put(&body).attribute(3, name);
        ask(&*socket, &writer.finish())
    };
    assert_eq!(link(1, b"x"), ([NEWLINK].into(), None));
    assert_eq!(link(0, b"lo\0"), ([NEWLINK].into(), None));
    let nodev = Errno::NODEV.number().into();
    assert_eq!(link(2, b"lo\0"), ([ERROR].into(), Some(nodev)));
    assert_eq!(link(0, b"eth0\0"), ([ERROR].into(), Some(nodev)));
    let invalid = ask(&*socket, &request(GETLINK, 0, &[0; 4]));
    assert_eq!(invalid.1, Some(Errno::INVAL.number().into()));
}

#[test]
fn what_would_change_something_is_refused_and_acknowledgements_are_given() {
    let net = net();
    let socket = socket(&net);
    let answer = |kind, flags| ask(&*socket, &request(kind, flags, &[0; 16]));
    assert_eq!(answer(NEWLINK, 0).1, Some(Errno::PERM.number().into()));
    assert_eq!(answer(26, DUMP).1, Some(Errno::OPNOTSUPP.number().into()));
    assert_eq!(answer(200, 0).1, Some(Errno::OPNOTSUPP.number().into()));
    // NLMSG_NOOP is nobody's request.
    assert_eq!(answer(1, 0), (Vec::new(), None));
    assert_eq!(answer(1, ACKNOWLEDGE), ([ERROR].into(), Some(0)));
}

#[test]
fn ports_are_the_process_first_and_each_taken_once() {
    let net = net();
    let (one, other) = (socket(&net), socket(&net));
    let port = |socket: &Rc<dyn Socket>| socket.name().netlink().unwrap().0;
    assert_eq!(port(&one), 0);
    one.bind(&Address::none(Domain::Netlink)).unwrap();
    other.bind(&Address::none(Domain::Netlink)).unwrap();
    assert_eq!((port(&one), port(&other) > 0x8000_0000), (7, true));
    let named = Address::Netlink { port: 7, groups: 0 };
    assert_eq!((one.bind(&named), other.bind(&named)), (Ok(()), Err(Errno::INVAL)));
    assert_eq!(socket(&net).bind(&named), Err(Errno::ADDRINUSE));
    drop(one);
    assert_eq!(socket(&net).bind(&named), Ok(()));
    let to = Some(Address::Netlink { port: 9, groups: 0 });
    assert_eq!(other.send(Outgoing { to, ..Outgoing::default() }), Err(Errno::PERM));
}

#[test]
fn a_full_inbox_loses_answers_and_says_so() {
    let net = net();
    let socket = socket(&net);
    let dump = request(GETADDR, DUMP, &[0]);
    let send = || socket.send(Outgoing { bytes: &dump, ..Outgoing::default() });
    for _ in 0..super::super::inbox::MARKS_MAX + 1 {
        assert_eq!(send(), Ok(dump.len()));
    }
    let mut buffer = [0; 4096];
    let mut count = 0;
    let error = loop {
        match socket.receive(&mut buffer, false) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Errno::NOBUFS);
    assert!(count > 100);
    assert!(send().is_ok() && socket.receive(&mut buffer, false).is_ok());
}
