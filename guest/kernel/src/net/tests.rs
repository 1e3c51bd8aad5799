//! Sockets among themselves: bounds, and what their ends do to each other. What programs see is compared
//! with Linux by the fixtures `sockets` and `events`.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;

use linux_raw_sys::net::{SOL_TCP, SOL_UDP};

use super::rights::IN_FLIGHT_MAX;
use super::*;
use crate::fs::testing::{Machine, machine};
use crate::fs::{File, FileType, OpenFile, OpenFlags, Poll};

std::thread_local! {
    /// Who makes the calls.
    static CALLER: Cell<Ucred> = const { Cell::new(Ucred::NOBODY) };
}

/// Another process makes the calls from now on.
fn act_as(pid: u32) {
    CALLER.with(|caller| caller.set(Ucred { pid, uid: pid + 1, gid: pid + 2 }));
}

fn net() -> Rc<Net> {
    Net::new(Box::new(|_| None), Box::new(|| CALLER.with(Cell::get)))
}

fn inet(text: &str) -> Address {
    Address::Inet(text.parse().unwrap())
}

fn listener(net: &Rc<Net>, backlog: u32) -> Rc<dyn Socket> {
    let socket = net.socket(Domain::Inet, Kind::Stream, SOL_TCP).unwrap();
    socket.bind(&inet("127.0.0.1:0")).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

fn client(net: &Rc<Net>) -> Rc<dyn Socket> {
    net.socket(Domain::Inet, Kind::Stream, SOL_TCP).unwrap()
}

fn send(socket: &dyn Socket, bytes: &[u8], rights: Option<Rights>) -> Result<usize> {
    socket.send(Outgoing { bytes, rights, ..Outgoing::default() })
}

/// A socket as an open file, to be sent.
fn opened(machine: &Machine, socket: Rc<dyn Socket>) -> Rc<OpenFile> {
    let file: Rc<dyn File> = socket;
    machine.vfs.anonymous(file, FileType::Socket, "socket:[…]", OpenFlags::RDWR)
}

#[test]
fn sockets_are_bounded_those_in_backlogs_among_them() {
    let net = net();
    let listener = listener(&net, u32::MAX);
    let mut clients = Vec::new();
    let refused = loop {
        let Ok(client) = net.socket(Domain::Inet, Kind::Stream, SOL_TCP) else {
            break Errno::NFILE;
        };
        match client.connect(&listener.name(), false) {
            Ok(()) => clients.push(client),
            Err(errno) => break errno,
        }
    };
    assert_eq!(refused, Errno::NFILE);
    assert!(clients.len() * 2 + 1 >= SOCKETS_MAX - 1);
    drop(listener);
    drop(clients);
    assert_eq!(net.sockets.get(), 0);
}

#[test]
fn a_full_backlog_lets_the_next_wait() {
    let net = net();
    let listener = listener(&net, 1);
    let clients: Vec<_> = (0..3).map(|_| client(&net)).collect();
    assert_eq!(clients[0].connect(&listener.name(), false), Ok(()));
    assert_eq!(clients[1].connect(&listener.name(), false), Ok(()));
    assert_eq!(clients[2].connect(&listener.name(), false), Err(Errno::INPROGRESS));
    let accepted = listener.accept().unwrap();
    assert_eq!(accepted.peer(), Ok(clients[0].name()));
    assert_eq!(clients[2].connect(&listener.name(), false), Ok(()));
}

#[test]
fn a_connection_that_does_not_wait_is_made_when_the_backlog_has_room() {
    let net = net();
    let listener = listener(&net, 0);
    let clients: Vec<_> = (0..4).map(|_| client(&net)).collect();
    let [first, gone, second, third] = &clients[..] else { unreachable!() };
    for client in [first, gone, second, third] {
        assert_eq!(client.connect(&listener.name(), true), Err(Errno::INPROGRESS));
    }
    assert!(first.poll().contains(Poll::OUT));
    let before = second.pulse();
    assert_eq!(second.poll(), Poll::empty());
    assert_eq!(second.connect(&listener.name(), true), Err(Errno::ALREADY));
    assert_eq!(send(&**second, b"x", None), Err(Errno::AGAIN));
    assert_eq!(second.receive(&mut [0; 9], false).err(), Some(Errno::AGAIN));
    assert_eq!(second.peer(), Err(Errno::NOTCONN));
    // Who gives up is not accepted.
    gone.shutdown(Shutdown { receive: true, send: true }).unwrap();
    assert_eq!(listener.accept().unwrap().peer(), Ok(first.name()));
    assert_ne!(second.pulse(), before);
    assert!(second.poll().contains(Poll::OUT));
    assert_eq!(second.take_error(), None);
    assert_eq!(send(&**second, b"x", None), Ok(1));
    assert_eq!(third.poll(), Poll::empty());
    drop(listener);
    assert!(third.poll().contains(Poll::ERR | Poll::HUP));
    assert_eq!(third.take_error(), Some(Errno::CONNREFUSED));
    assert_eq!(second.receive(&mut [0; 9], false).err(), Some(Errno::CONNRESET));
    drop(clients);
    assert_eq!(net.sockets.get(), 0);
}

#[test]
fn connections_outlive_their_listener_and_their_port_comes_back() {
    let net = net();
    let listener = listener(&net, 5);
    let name = listener.name();
    let (one, other) = (client(&net), client(&net));
    one.connect(&name, false).unwrap();
    let accepted = listener.accept().unwrap();
    other.connect(&name, false).unwrap();
    drop(listener);
    assert_eq!(send(&*one, b"x", None), Ok(1));
    assert_eq!(accepted.receive(&mut [0; 9], false).unwrap().count, 1);
    assert_eq!(other.receive(&mut [0; 9], false).err(), Some(Errno::CONNRESET));
    assert!(other.poll().contains(Poll::HUP));
    let again = client(&net);
    again.bind(&name).unwrap();
    assert_eq!(client(&net).connect(&name, false), Err(Errno::CONNREFUSED));
}

#[test]
fn sockets_sent_through_each_other_end_without_recursion() {
    let (machine, net) = (machine(), net());
    let (first, sender) = net.pair(Kind::Stream).unwrap();
    let mut sender = sender;
    for _ in 1..IN_FLIGHT_MAX {
        let (next, next_sender) = net.pair(Kind::Stream).unwrap();
        let rights = net.in_flight().send(vec![opened(&machine, next)]).unwrap();
        send(&*sender, b"x", Some(rights)).unwrap();
        sender = next_sender;
    }
    assert_eq!(net.sockets.get(), IN_FLIGHT_MAX + 1, "one in the other, and the two ends");
    drop(first);
    assert_eq!(net.sockets.get(), 1);
    assert_eq!(send(&*sender, b"x", None), Err(Errno::PIPE));
}

#[test]
fn descriptors_in_flight_are_bounded_and_counted_back() {
    let (machine, net) = (machine(), net());
    let null = machine.open("/dev/null", OpenFlags::RDWR).unwrap();
    let (one, other) = net.pair(Kind::Datagram).unwrap();
    for _ in 0..IN_FLIGHT_MAX / 128 {
        let rights = net.in_flight().send(vec![null.clone(); 128]).unwrap();
        send(&*one, b"", Some(rights)).unwrap();
    }
    assert_eq!(net.in_flight().send(vec![null.clone()]).err(), Some(Errno::TOOMANYREFS));
    let rights = other.receive(&mut [], false).unwrap().rights.unwrap();
    assert_eq!(rights.receive().len(), 128);
    assert!(net.in_flight().send(vec![null.clone(); 254]).is_err());
    drop(other);
    assert_eq!(Rc::strong_count(&null), 1);
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_alone() {
    let net = net();
    let sockets: Vec<_> =
        (0..3).map(|_| net.socket(Domain::Inet, Kind::Datagram, SOL_UDP).unwrap()).collect();
    for socket in &sockets {
        socket.bind(&inet("127.0.0.1:0")).unwrap();
    }
    sockets[0].connect(&sockets[1].name(), false).unwrap();
    for sender in &sockets[1..] {
        let to = Some(sockets[0].name());
        sender.send(Outgoing { bytes: b"x", to, ..Outgoing::default() }).unwrap();
    }
    let got = sockets[0].receive(&mut [0; 9], false).unwrap();
    assert_eq!(got.from, Some(sockets[1].name()));
    assert_eq!(sockets[0].receive(&mut [0; 9], false).err(), Some(Errno::AGAIN));
}

#[test]
fn a_datagram_socket_may_change_its_peer_from_one_family_to_the_other() {
    // As getaddrinfo(3) does, to learn which source address each destination would have.
    let net = net();
    let socket = net.socket(Domain::Inet6, Kind::Datagram, SOL_UDP).unwrap();
    let local = |to: &str| {
        socket.connect(&inet(to), false).unwrap();
        socket.name().inet().unwrap().ip()
    };
    assert_eq!(local("[::1]:80"), Ipv6Addr::LOCALHOST);
    assert_eq!(local("127.0.0.1:80"), Ipv4Addr::LOCALHOST);
    socket.connect(&Address::Unspecified, false).unwrap();
    assert_eq!(socket.name().inet().unwrap().ip(), Ipv6Addr::UNSPECIFIED);
    assert_eq!(local("[::1]:80"), Ipv6Addr::LOCALHOST);
}

#[test]
fn ends_know_whose_process_is_at_the_other() {
    let net = net();
    for kind in [Kind::Stream, Kind::SeqPacket, Kind::Datagram] {
        act_as(1);
        let (one, other) = net.pair(kind).unwrap();
        act_as(2);
        assert_eq!([one.peer_process().pid, other.peer_process().pid], [1, 1]);
    }
    act_as(3);
    let server = net.socket(Domain::Unix, Kind::Stream, 0).unwrap();
    server.bind(&Address::none(Domain::Unix)).unwrap();
    act_as(4);
    server.listen(1).unwrap();
    act_as(5);
    let client = net.socket(Domain::Unix, Kind::Stream, 0).unwrap();
    assert_eq!(client.peer_process(), Ucred::NOBODY);
    act_as(6);
    client.connect(&server.name(), false).unwrap();
    act_as(7);
    let accepted = server.accept().unwrap();
    assert_eq!(client.peer_process(), Ucred { pid: 4, uid: 5, gid: 6 });
    assert_eq!(accepted.peer_process(), Ucred { pid: 6, uid: 7, gid: 8 });
}
