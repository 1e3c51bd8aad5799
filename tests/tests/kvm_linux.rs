//! What programs ask of Linux beyond the usual: the same program in a guest and on the host, with musl's ways into the
//! kernel and with glibc's.

use std::process::Command;

use mayfly_tests::{finish, fixture, mayfly_run};

/// Runs a program in a guest and on the host: they must say the same, and find nothing wrong.
fn same(program: &str) {
    for (name, said) in in_guest(program) {
        let host = finish(Command::new(fixture(&name)), b"");
        assert_eq!((said, host.code()), (host.text(), 0), "{name}");
    }
}

/// Runs a program in a guest, where it must find nothing wrong: its two names, and what each said.
fn in_guest(program: &str) -> [(String, String); 2] {
    [program.to_owned(), format!("{program}.glibc")].map(|name| {
        let guest = finish(mayfly_run(&[], fixture(&name), [""; 0]), b"");
        assert_eq!(guest.code(), 0, "{name}: {}{}", guest.text(), guest.complaint());
        (name, guest.text())
    })
}

#[test]
fn processor_time_has_clocks_timers_and_limits() {
    same("cputime");
}

/// The host may have interfaces of any kind; `lo` it has too, perhaps without IPv6.
#[test]
fn network_interfaces_are_told() {
    for (name, said) in in_guest("interfaces") {
        let host = finish(Command::new(fixture(&name)), b"");
        assert_eq!(host.code(), 0, "{name}: {}", host.text());
        let ours: Vec<_> = said.lines().filter(|line| !line.contains("::1")).collect();
        let theirs = host.text();
        let theirs: Vec<_> = theirs.lines().filter(|line| !line.contains("::1")).collect();
        assert_eq!(ours, theirs, "{name}");
        assert!(said.contains("flags 10049 ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "{said}");
    }
}

#[test]
fn signals_can_be_read() {
    same("signalfd");
}

#[test]
fn epolls_nest_and_messages_come_together() {
    same("nesting");
}

#[test]
fn mutexes_with_priority_inheritance_are_handed_over() {
    same("inheritance");
}

/// Not on the host, where the one who tests need not be root.
#[test]
fn processes_say_who_they_are() {
    for (name, said) in in_guest("credentials") {
        assert_eq!(said, "groups\nusers\npeers\n", "{name}");
    }
}
