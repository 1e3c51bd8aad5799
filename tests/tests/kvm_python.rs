//! CPython, as this host has it, in a microVM: the interpreter and its library in an image that
//! `mayfly image from-host python3` made.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use mayfly_tests::{Finished, finish, fixture, mayfly_run};

/// Runs a program of Python.
fn python(options: &[&str], program: &str) -> Finished {
    let image = fixture("python.erofs");
    assert!(
        image.exists(),
        "no {}: `cargo xtask fixtures` makes it of this host's python3",
        image.display()
    );
    let mut all = vec!["--rootfs", image.to_str().unwrap()];
    all.extend(options);
    finish(mayfly_run(&all, "python3", ["-c", program]), b"")
}

/// Runs a program that must succeed, and gives what it printed.
fn prints(program: &str) -> String {
    let done = python(&[], program);
    assert_eq!((done.complaint().as_str(), done.code()), ("", 0), "{program}\n{}", done.text());
    done.text()
}

#[test]
fn it_starts_prints_and_ends() {
    assert_eq!(prints("print('hello from', __import__('sys').platform)"), "hello from linux\n");
    assert_eq!(python(&[], "raise SystemExit(7)").code(), 7);
    let failed = python(&[], "1 / 0");
    assert_eq!(failed.code(), 1);
    assert!(failed.complaint().contains("ZeroDivisionError"), "{}", failed.complaint());
    let aborted = python(&[], "import os; os.abort()");
    assert_eq!(aborted.code(), 128 + 6);
}

#[test]
fn text_numbers_and_digests() {
    let program = r#"
import json, hashlib, re, decimal, datetime, struct, zlib, base64, random, math
print(json.dumps({"b": [1, 2.5, None], "a": "ä"}, sort_keys=True))
print(hashlib.sha256(b"mayfly").hexdigest()[:16], hashlib.blake2b(b"x").hexdigest()[:8])
print(re.sub(r"(\w+) (\w+)", r"\2 \1", "one two"), decimal.Decimal(1) / 7)
print(datetime.datetime(2026, 1, 31, tzinfo=datetime.timezone.utc).isoformat())
print(struct.unpack("<I", b"\1\2\3\4"), zlib.crc32(b"mayfly"), base64.b64encode(b"mayfly"))
print(random.Random(7).randint(0, 10**9), math.gamma(5.5), 2 ** 200 % 1000007)
"#;
    assert_eq!(
        prints(program),
        "{\"a\": \"\\u00e4\", \"b\": [1, 2.5, null]}\n\
         ba78b155af9c778d 0909377a\ntwo one 0.1428571428571428571428571429\n\
         2026-01-31T00:00:00+00:00\n(67305985,) 453400173 b'bWF5Zmx5'\n\
         347712782 52.34277778455352 446616\n"
    );
}

#[test]
fn modules_with_libraries_of_their_own() {
    let program = r#"
import sqlite3, ssl, ctypes, lzma, bz2, zoneinfo, datetime
base = sqlite3.connect(":memory:")
base.execute("create table t(n)")
base.executemany("insert into t values (?)", ((n,) for n in range(1000)))
print(base.execute("select sum(n) from t").fetchone()[0])
print(ssl.create_default_context().verify_mode.name)
print(ctypes.CDLL(None).abs(-5))
print(len(lzma.compress(b"x" * 10000)) < 200, bz2.decompress(bz2.compress(b"y" * 1000)) == b"y" * 1000)
print(zoneinfo.ZoneInfo("Europe/Berlin").utcoffset(datetime.datetime(2026, 7, 1)))
"#;
    assert_eq!(prints(program), "499500\nCERT_REQUIRED\n5\nTrue True\n2:00:00\n");
}

#[test]
fn files_in_tmp() {
    let program = r#"
import tempfile, os, pathlib, shutil, mmap, fcntl
with tempfile.TemporaryDirectory() as place:
    path = pathlib.Path(place, "deep", "er")
    path.mkdir(parents=True)
    (path / "file").write_text("text\n" * 1000)
    shutil.copytree(path.parent, pathlib.Path(place, "copy"))
    os.rename(path / "file", path / "renamed")
    print(sorted(str(p.relative_to(place)) for p in pathlib.Path(place).rglob("*")))
    with open(path / "renamed", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0) as view:
            view[0:4] = b"TEXT"
            print(view.find(b"text"), len(view))
        print(file.read(5), os.fstat(file.fileno()).st_size)
print(os.path.exists(place), os.getcwd(), oct(os.stat("/tmp").st_mode))
try:
    open("/new", "w")
except OSError as error:
    print(error)
"#;
    assert_eq!(
        prints(program),
        "['copy', 'copy/er', 'copy/er/file', 'deep', 'deep/er', 'deep/er/renamed']\n\
         5 5000\nb'TEXT\\n' 5000\nFalse / 0o41777\n[Errno 30] Read-only file system: '/new'\n"
    );
}

#[test]
fn what_a_runtime_asks_of_its_system() {
    let program = r#"
import os, sys, platform, resource, socket, select, signal, time
print(os.cpu_count(), os.getpid() > 0, os.getuid(), platform.machine())
print(os.readlink("/proc/self/exe") == os.path.realpath(sys.executable))
print(any("libc.so.6" in line or "musl" in line for line in open("/proc/self/maps")))
print(open("/proc/self/cgroup").read().strip(), open("/sys/devices/system/cpu/online").read().strip())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
one, other = socket.socketpair()
one.send(b"x")
print(select.select([other], [], [], 5)[0] == [other], other.recv(9))
print(len({info[4][0] for info in socket.getaddrinfo("localhost", 80)}) > 0)
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.alarm(1)
signal.pause()
start = time.monotonic()
time.sleep(0.01)
print(time.monotonic() - start >= 0.01)
"#;
    assert_eq!(
        prints(program),
        "1 True 0 x86_64\nTrue\nTrue\n0::/ 0\n1024\nTrue b'x'\nTrue\nalarm\nTrue\n"
    );
}

#[test]
fn memory_ends_with_a_clear_word() {
    // What can never be had is refused, and the program goes on.
    let refused = python(
        &["--mem", "64"],
        "try:\n bytearray(1 << 30)\nexcept MemoryError:\n print('refused')",
    );
    assert_eq!(
        (refused.text().as_str(), refused.code()),
        ("refused\n", 0),
        "{}",
        refused.complaint()
    );
    // What was promised and is not there ends it, as Linux's OOM killer does.
    let hoard = "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))";
    let killed = python(&["--mem", "64"], hoard);
    assert_eq!(killed.code(), 128 + 9);
    assert!(killed.complaint().contains("out of memory"), "{}", killed.complaint());
    assert_eq!(killed.complaint().lines().count(), 1, "{}", killed.complaint());
    // Memory that is given back can be had again: a hundred times 8 MiB in 64 MiB.
    let reused = "for n in range(100): block = bytearray(8 << 20)\nprint(len(block))";
    let done = python(&["--mem", "64"], reused);
    assert_eq!((done.text().as_str(), done.code()), ("8388608\n", 0), "{}", done.complaint());
}

#[test]
fn subprocesses_and_forks() {
    let program = r#"
import os, signal, subprocess, sys
python = sys.executable
print(subprocess.run([python, "-c", "print('hi')"], capture_output=True).stdout)
print(subprocess.run([python, "-c", "import sys; sys.exit(7)"]).returncode)
print(subprocess.check_output([python, "-c", "print(input()[::-1])"], input=b"mayfly"))
first = subprocess.Popen([python, "-c", "print('x' * 100000)"], stdout=subprocess.PIPE)
second = subprocess.Popen([python, "-c", "import sys; print(len(sys.stdin.read()))"], stdin=first.stdout, stdout=subprocess.PIPE)
first.stdout.close()
print(second.communicate()[0], first.wait(), second.returncode)
try:
    subprocess.run(["/is/not/there"])
except FileNotFoundError as error:
    print(error)
child = subprocess.Popen([python, "-c", "import time; time.sleep(1000)"])
child.terminate()
print(child.wait())
pid = os.fork()
if pid == 0:
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    assert_eq!(
        prints(program),
        "b'hi\\n'\n7\nb'ylfyam\\n'\nb'100001\\n' 0 0\n\
         [Errno 2] No such file or directory: '/is/not/there'\n-15\n9\n"
    );
}

#[test]
fn pools_of_processes() {
    let program = r#"
import math, multiprocessing
from concurrent.futures import ProcessPoolExecutor
for kind in ("fork", "spawn"):
    with multiprocessing.get_context(kind).Pool(3) as pool:
        print(kind, pool.map(math.factorial, range(6)))
with ProcessPoolExecutor(2) as pool:
    print(list(pool.map(math.sqrt, [1, 4, 9])))
value = multiprocessing.Value("i", 0)
def add():
    for _ in range(100):
        with value.get_lock():
            value.value += 1
children = [multiprocessing.Process(target=add) for _ in range(4)]
for child in children: child.start()
for child in children: child.join()
print(value.value, [child.exitcode for child in children])
"#;
    assert_eq!(
        prints(program),
        "fork [1, 1, 2, 6, 24, 120]\nspawn [1, 1, 2, 6, 24, 120]\n[1.0, 2.0, 3.0]\n400 [0, 0, 0, 0]\n"
    );
}
