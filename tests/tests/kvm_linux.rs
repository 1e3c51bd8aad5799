//! What programs ask of Linux beyond the usual: the same program in a guest and on the host, with musl's ways into the
//! kernel and with glibc's.

use std::process::Command;

use mayfly_tests::{finish, fixture, mayfly_run};

/// Runs a program in a guest and on the host: they must say the same, and find nothing wrong.
fn same(program: &str) {
    for name in [program.to_owned(), format!("{program}.glibc")] {
        let guest = finish(mayfly_run(&[], fixture(&name), [""; 0]), b"");
        let host = finish(Command::new(fixture(&name)), b"");
        assert_eq!(guest.text(), host.text(), "{name}: {}", guest.complaint());
        assert_eq!((guest.code(), host.code()), (0, 0), "{name}: {}", guest.text());
    }
}

#[test]
fn processor_time_has_clocks_timers_and_limits() {
    same("cputime");
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
