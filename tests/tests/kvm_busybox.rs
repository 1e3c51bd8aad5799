//! Debian's unmodified static busybox in a microVM does what it does on the host, byte for byte.
//!
//! The host's own run of the same binary is the oracle wherever the answer does not depend on the machine.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Command;

use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run};

fn guest(arguments: &[&str], stdin: &[u8]) -> Finished {
    finish(mayfly_run(&[], fixture("busybox"), arguments), stdin)
}

/// Runs busybox here and there, and compares output, complaints and status.
fn same(arguments: &[&str], stdin: &[u8]) {
    let mut host = Command::new(fixture("busybox"));
    host.args(arguments).env_clear().env("PATH", "/bin");
    let host = finish(host, stdin);
    let guest = guest(arguments, stdin);
    assert_eq!(
        (guest.text(), guest.complaint(), guest.code()),
        (host.text(), host.complaint(), host.code()),
        "busybox {arguments:?}"
    );
}

/// Runs a script in the guest's shell, where it must succeed, and returns what it printed.
fn shell(script: &str) -> String {
    let done = guest(&["sh", "-c", script], b"");
    assert_eq!((done.complaint().as_str(), done.code()), ("", 0), "sh -c {script:?}");
    done.text()
}

#[test]
fn text_tools_agree_with_the_host() {
    let poem = b"the quick brown fox\njumps over\nthe lazy dog\n10\n9\nthe end\n";
    same(&["echo", "hello", "world"], b"");
    same(&["echo", "-ne", "a\\tb"], b"");
    same(&["cat"], poem);
    same(&["cat", "-n", "-"], poem);
    same(&["sort"], poem);
    same(&["sort", "-rn"], poem);
    same(&["sort", "-u"], b"b\na\nb\n");
    same(&["uniq", "-c"], b"a\na\nb\n");
    same(&["wc"], poem);
    same(&["wc", "-c"], poem);
    same(&["grep", "the"], poem);
    same(&["grep", "-vc", "the"], poem);
    same(&["grep", "nothing"], poem);
    same(&["sed", "s/the/THE/g;2d"], poem);
    same(&["awk", "{ n += NF } END { printf \"%d words, %.3f\\n\", n, n / 3 }"], poem);
    same(&["head", "-n", "2"], poem);
    same(&["tail", "-n", "2"], poem);
    same(&["head", "-c", "5"], poem);
    same(&["tr", "a-z", "A-Z"], poem);
    same(&["cut", "-d", " ", "-f", "2"], poem);
    same(&["rev"], poem);
    same(&["tac"], poem);
    same(&["nl"], poem);
    same(&["fold", "-w", "7"], poem);
    same(&["od", "-c"], poem);
    same(&["hexdump", "-C"], poem);
}

#[test]
fn numbers_and_digests_agree_with_the_host() {
    same(&["seq", "1", "3", "20"], b"");
    same(&["seq", "100"], b"");
    same(&["factor", "1234567890", "97"], b"");
    if !in_lane() {
        // The largest prime of 64 bits: a minute's work for an emulated processor.
        same(&["factor", "18446744073709551557"], b"");
    }
    same(&["dc", "-e", "20 k 2 v p 3 7 * p"], b"");
    same(&["bc"], b"");
    same(&["expr", "6", "*", "7"], b"");
    same(&["base64"], &[0, 1, 2, 253, 254, 255]);
    same(&["base64", "-d"], b"AAEC/f7/\n");
    same(&["md5sum"], b"mayfly");
    same(&["sha1sum"], b"mayfly");
    same(&["sha256sum"], &vec![b'x'; 100_000]);
    same(&["sha512sum"], b"");
    same(&["cksum"], b"mayfly");
    same(&["printf", "%05d %s %x\\n", "42", "str", "255"], b"");
    same(&["date", "-u", "-d", "@1000000000", "+%Y-%m-%d %H:%M:%S"], b"");
    same(&["true"], b"");
    same(&["false"], b"");
    same(&["no-such-applet"], b"");
    same(&["gzip", "-c"], &vec![b'z'; 10_000]);
    same(&["xxd"], b"0123456789abcdef0123");
}

#[test]
fn blocks_are_copied_whole() {
    let bytes: Vec<u8> = (0..300_000u32).map(|n| ((n * 7919) >> 8) as u8).collect();
    let done = guest(&["dd", "bs=4096"], &bytes);
    assert_eq!(done.code(), 0, "{}", done.complaint());
    assert!(done.stdout == bytes);
    let zeros = guest(&["dd", "if=/dev/zero", "bs=1000", "count=77", "status=none"], b"");
    assert!(zeros.stdout == vec![0; 77_000]);
    same(&["dd", "if=/dev/zero", "of=/dev/full", "count=1", "status=none"], b"");
}

#[test]
fn ten_megabytes_pass_unharmed() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = (0..10_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    let done = guest(&["cat"], &bytes);
    assert_eq!(done.code(), 0, "{}", done.complaint());
    assert_eq!(done.stdout.len(), bytes.len());
    assert!(done.stdout == bytes, "the bytes are the same");
}

#[test]
fn the_root_has_what_a_program_expects() {
    let listing = guest(&["ls", "-l", "/"], b"").text();
    for name in ["bin", "dev", "proc", "tmp"] {
        assert!(listing.lines().any(|line| line.ends_with(name)), "{name} in\n{listing}");
    }
    assert_eq!(guest(&["ls", "/bin"], b"").text(), "busybox\n");
    assert_eq!(shell("cd /tmp && pwd"), "/tmp\n");
    let devices = guest(&["ls", "/dev"], b"").text();
    for name in ["null", "zero", "full", "urandom", "random", "tty"] {
        assert!(devices.lines().any(|line| line == name), "{name} in\n{devices}");
    }
    assert_eq!(guest(&["cat", "/dev/tty"], b"").code(), 1, "no terminal here");
    assert!(guest(&["cat", "/proc/meminfo"], b"").text().contains("MemTotal"));
    assert!(guest(&["cat", "/proc/self/status"], b"").text().contains("Name:\tbusybox"));
    assert_eq!(guest(&["readlink", "/proc/self/exe"], b"").text(), "/bin/busybox\n");
}

#[test]
fn tmp_is_a_file_system() {
    for arguments in [
        &["mkdir", "-p", "/tmp/a/b"][..],
        &["touch", "/tmp/file"],
        &["ln", "-s", "target", "/tmp/link"],
        &["rm", "-rf", "/tmp/nothing"],
        &["cp", "/bin/busybox", "/tmp/copy"],
    ] {
        let done = guest(arguments, b"");
        assert_eq!((done.complaint().as_str(), done.code()), ("", 0), "{arguments:?}");
    }
    same(&["rm", "/tmp/nothing"], b"");
    same(&["rmdir", "/tmp/nothing"], b"");
    same(&["mv", "/tmp/nothing", "/tmp/other"], b"");
    let refused = guest(&["touch", "/file"], b"");
    assert!(refused.complaint().contains("Read-only file system"), "{}", refused.complaint());
    assert_eq!(refused.code(), 1);
    let full = guest(&["dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=9999"], b"");
    assert!(full.complaint().contains("No space left on device"), "{}", full.complaint());
}

#[test]
fn the_shell_works() {
    assert_eq!(shell("i=0; while [ $i -lt 5 ]; do printf $i; i=$((i+1)); done"), "01234");
    assert_eq!(shell("f() { echo \"$1-$2\"; }; f a b; x=${0##*/}; echo ${#x}"), "a-b\n2\n");
    assert_eq!(shell("case abc in a*) echo yes;; *) echo no;; esac"), "yes\n");
    assert_eq!(
        shell("printf '%s\\n' one two > /tmp/l; while read l; do echo \"<$l>\"; done < /tmp/l"),
        "<one>\n<two>\n"
    );
    assert_eq!(guest(&["sh", "-c", "exit 7"], b"").code(), 7);
    assert_eq!(shell("echo a | cat; n=$(seq 9 | wc -l); echo $n"), "a\n9\n");
}

#[test]
fn the_environment_is_what_was_given() {
    let done = finish(
        mayfly_run(&["--env", "GREETING=good day", "--env", "EMPTY="], fixture("busybox"), ["env"]),
        b"",
    );
    let text = done.text();
    assert!(text.lines().any(|line| line == "GREETING=good day"), "{text}");
    assert!(text.lines().any(|line| line == "EMPTY="), "{text}");
    assert!(!text.contains("CARGO"), "the host's environment stays outside:\n{text}");
}

#[test]
fn the_clock_is_the_hosts() {
    let host = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let before = host().as_secs();
    let guest: u64 = guest(&["date", "+%s"], b"").text().trim().parse().unwrap();
    assert!((before..=host().as_secs()).contains(&guest), "{before} {guest}");
}

#[test]
fn randomness_is_never_the_same() {
    let random = || guest(&["head", "-c", "32", "/dev/urandom"], b"").stdout;
    let (one, two) = (random(), random());
    assert_eq!((one.len(), two.len()), (32, 32));
    assert_ne!(one, two);
}

#[test]
fn the_processors_time_is_told() {
    // What a process reads of itself, while nothing else runs: field 14 of its stat, and the machine's idle time.
    let busy =
        "while read -r all </proc/self/stat; do set -- $all; [ \"${14}\" -gt 1 ] && break; done";
    let text =
        shell(&format!("{busy}; sleep 0.1; head -n 1 /proc/stat; grep -c Vm /proc/self/status"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    assert!(number(1) > 0 && number(4) > 0, "busy and idle: {text}");
}
