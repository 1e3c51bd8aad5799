//! Processes of real programs in a guest, and the same programs on the host beside them.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::process::Command;

use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run};

/// The fixture with musl's ways into the kernel, and with glibc's.
const BOTH: [&str; 2] = ["processes", "processes.glibc"];

fn guest(options: &[&str], name: &str, arguments: &[&str]) -> Finished {
    finish(mayfly_run(options, fixture(name), arguments), b"")
}

/// Runs a subject in a guest and on the host: they must say the same and end the same.
fn same(subject: &str) {
    for name in BOTH {
        let mut command = Command::new(fixture(name));
        command.arg(subject);
        let (guest, host) = (guest(&[], name, &[subject]), finish(command, b""));
        assert_eq!(guest.text(), host.text(), "{name} {subject}: {}", guest.complaint());
        assert_eq!(guest.code(), host.code(), "{name} {subject}: {}", guest.complaint());
        assert_eq!(host.code(), 0, "{name} {subject} on the host: {}", host.text());
    }
}

#[test]
fn fork_copies_and_each_knows_who_it_is() {
    same("forks");
}

#[test]
fn vfork_lends_memory_until_exec_or_the_end() {
    same("vforks");
}

#[test]
fn posix_spawn_starts_programs_of_the_image() {
    same("spawns");
}

#[test]
fn a_process_with_threads_forks_executes_and_ends() {
    same("threads");
}

#[test]
fn memory_is_copied_when_it_is_written_and_shared_where_that_was_asked_for() {
    same("memory");
}

#[test]
fn futexes_are_shared_by_processes() {
    same("futexes");
}

#[test]
fn ends_are_waited_for_in_all_shapes() {
    same("waiting");
}

#[test]
fn signals_and_faults_end_the_process_they_mean() {
    same("killed");
}

#[test]
fn parents_are_told_of_ends_stops_and_continuations() {
    same("told");
}

#[test]
fn who_sleeps_is_said_to_sleep_and_nobody_else() {
    same("states");
}

#[test]
fn a_program_without_arguments_has_an_empty_name() {
    same("nameless");
}

#[test]
fn orphans_find_another_parent() {
    same("orphans");
}

#[test]
fn groups_and_sessions() {
    same("groups");
}

#[test]
fn exec_keeps_what_it_must() {
    same("keeps");
}

#[test]
fn pipes_run_between_processes() {
    same("pipelines");
}

#[test]
fn locks_stand_between_processes_and_go_with_them() {
    same("locks");
}

#[test]
fn who_would_wait_for_itself_is_told() {
    same("deadlocks");
}

#[test]
fn descriptors_stand_for_processes() {
    same("descriptors");
}

/// Not on the host: it has no such bound.
#[test]
fn a_fork_bomb_meets_a_bound_and_the_guest_goes_on() {
    let memory = if in_lane() { "24" } else { "128" };
    for (subject, memory) in [("limit", "128"), ("bomb", "24"), ("bomb", memory)] {
        let done = guest(&["--mem", memory], "processes", &[subject]);
        assert_eq!((done.text().as_str(), done.code()), ("bounded\n", 0), "{subject} {memory}");
    }
}

#[test]
fn the_guest_ends_with_its_first_program() {
    for name in BOTH {
        let done = guest(&[], name, &["fault"]);
        assert_eq!(done.code(), 128 + 11);
        assert!(done.complaint().contains("killed by SIGSEGV"), "{}", done.complaint());
    }
}

/// A root with busybox under the names that scripts call.
fn root(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("mayfly-processes-{}-{name}", std::process::id()));
    let bin = root.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy(fixture("busybox"), bin.join("busybox")).unwrap();
    let names =
        ["sh", "seq", "sort", "head", "wc", "cat", "xargs", "find", "sleep", "env", "tr", "cut"];
    for name in names {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    root
}

/// A script in the guest's shell, and in the same shell on the host.
fn script(root: &Path, script: &str) {
    let bin = root.join("bin");
    let mut host = Command::new(bin.join("sh"));
    host.args(["-c", script]).env_clear().env("PATH", &bin);
    let options = ["--rootfs", root.to_str().unwrap(), "--env", "PATH=/bin"];
    let guest = finish(mayfly_run(&options, "/bin/sh", ["-c", script]), b"");
    let host = finish(host, b"");
    assert_eq!(guest.text(), host.text(), "{script}: {}", guest.complaint());
    assert_eq!(guest.code(), host.code(), "{script}: {}", guest.complaint());
}

#[test]
fn shells_do_what_they_do_on_linux() {
    let root = root("shells");
    for text in [
        "seq 1000 | sort -rn | head -3 | wc -c",
        "seq 1000 | sort -rn | head -3",
        "(exit 3) & (exit 4) & wait; echo $?",
        "sleep 0.01 & sleep 0.02 & wait && echo both",
        "echo a$(echo b$(echo c))d; false || echo not",
        "sh -c 'exit 7'; echo $?; sh -c 'kill -9 $$'; echo $?",
        "seq 20 | xargs -n 3 echo | tr ' ' -",
        "cd /; find /bin -name 'se*' 2>/dev/null | wc -l >/dev/null; find . -maxdepth 0 -exec echo {} +",
        "for i in $(seq 30); do echo $i | cat; done",
        "cat <<END | tr a-z A-Z\nhere\nEND",
        "sleep 100 & kill $!; wait $!; echo $?",
        "trap 'echo trapped' TERM; kill $$; echo done",
        "nothing-of-this-name; echo $?",
        "env A=1 sh -c 'echo $A'; exit 5",
    ] {
        script(&root, text);
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// In the guest alone: on a host there are others.
#[test]
fn each_process_is_in_proc_as_long_as_it_lives() {
    let root = root("proc");
    let program = "sleep 100 & p=$!; until [ \"$(cat /proc/$p/comm)\" = sleep ]; do :; done; cat /proc/$p/cmdline | tr '\\0' ' '; cut -d ' ' -f 2,4,5 /proc/$p/stat;
        cat /proc/$p/task/$p/comm; test -e /proc/$p && echo there; kill $p; wait; test -e /proc/$p || echo gone";
    let options = ["--rootfs", root.to_str().unwrap(), "--env", "PATH=/bin"];
    let done = finish(mayfly_run(&options, "/bin/sh", ["-c", program]), b"");
    assert_eq!(done.text(), "sleep 100 (sleep) 2 2\nsleep\nthere\ngone\n", "{}", done.complaint());
    std::fs::remove_dir_all(root).unwrap();
}
