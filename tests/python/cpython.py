"""Runs CPython's own tests in a microVM and on this host, and compares them test by test.

    /usr/bin/python3 tests/python/cpython.py [MODULE...]

Needs Debian's python3, `apt-get download` for its test suite, root (for the host's run in the same files), and
target/release/mayfly. Each module is loaded in one process here and there; what passes here and not there is
listed with the reason. Nothing is written outside a temporary directory.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

MAYFLY = pathlib.Path(__file__).parents[2] / "target/release/mayfly"
MEMORY_MIB = "512"
# Of a module; Linux's own run of test_socket hangs once its tests are done.
SECONDS_MAX = 420
MODULES = """
int float unicode bytes dict list set array struct json csv re math decimal random datetime time zoneinfo hashlib zlib
gzip bz2 lzma zipfile tarfile pickle io fileio mmap os posix stat tempfile shutil glob pathlib posixpath fcntl
resource pty select selectors epoll poll socket ssl threading queue asyncio signal subprocess multiprocessing_fork wait4
ctypes platform pwd shelve pyexpat unittest contextlib heapq zipimport import
""".split()
# Tests that the interpreter takes minutes for on Linux too, where the suite is newer: left out here and there.
LATE = {
    "test_csv": [
        "TestSniffer.test_sniff_" + name
        for name in ["single_column", "quoted_single_column", "regex_backtracking", "space_delimiter"]
    ]
}
# What a failure's text says of what the guest leaves out on purpose or so far.
REASONS = [
    ("Function not implemented", "a call that is not there"),
    ("[Errno 38]", "a call that is not there"),
    ("Read-only file system", "a writable root"),
    ("write access to the installed", "a writable root"),
    ("scheduler", "scheduling calls"),
    ("pidfd", "pidfd"),
    ("VSOCK", "vsock for programs"),
]
RUNNER = '''
import importlib, json, os, sys, traceback, unittest
class Result(unittest.TestResult):
    def put(self, test, kind, text=""):
        print("@" + json.dumps([test.id(), kind, text]), file=sys.__stdout__, flush=True)
    def text(self, error): return "".join(traceback.format_exception(*error))[-800:]
    def addSuccess(self, test): self.put(test, "ok")
    def addExpectedFailure(self, test, error): self.put(test, "ok")
    def addFailure(self, test, error): self.put(test, "failed", self.text(error))
    def addError(self, test, error): self.put(test, "failed", self.text(error))
    def addSkip(self, test, reason): self.put(test, "skipped", reason)
    def addSubTest(self, test, sub, error):
        if error: self.put(test, "failed", self.text(error))
from test import support
support.verbose, support.use_resources = 0, []
os.makedirs("/tmp/work"); os.chdir("/tmp/work")
result = Result()
module = importlib.import_module("test." + sys.argv[1])
for case, _, test in (left.partition(".") for left in sys.argv[2:]):
    delattr(getattr(module, case), test)
for case in unittest.TestLoader().loadTestsFromName("test." + sys.argv[1]):
    try: case.run(result)
    except BaseException as error: print("@" + json.dumps(["a class", "failed", repr(error)]), flush=True)
'''


def copy(source, root):
    target = root / str(source).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def libraries(program):
    words = subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split()
    return [word for word in words if word.startswith("/") and not word.endswith(":")]


def build(root, place):
    """Python and its tests below `root`."""
    version = "python3.%d" % sys.version_info.minor
    for program in [f"/usr/bin/{version}", "/bin/sh", "/bin/true", "/bin/sleep"]:
        copy(program, root)
        for library in libraries(program):
            copy(library, root)
    # Where apt's own user may write, and nobody else's files are.
    subprocess.run(["apt-get", "download", "-qq", f"lib{version}-testsuite"], cwd=place, check=True)
    [package] = place.glob("*.deb")
    subprocess.run(["dpkg", "-x", package, place / "tests"], check=True)
    library = root / "usr/lib" / version
    shutil.copytree(f"/usr/lib/{version}", library, symlinks=True, ignore_dangling_symlinks=True)
    shutil.copytree(place / "tests/usr/lib" / version, library, dirs_exist_ok=True, symlinks=True)
    for module in (library / "lib-dynload").glob("*.so"):
        for needed in libraries(module):
            copy(needed, root)
    copy("/lib/x86_64-linux-gnu/libgcc_s.so.1", root)
    for path in ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"]:
        copy(path, root)
    for path in ["usr/share/zoneinfo", "usr/lib/locale"]:
        shutil.copytree("/" + path, root / path, symlinks=True, ignore_dangling_symlinks=True)
    for name in ["tmp", "dev", "proc", "sys", "root"]:
        (root / name).mkdir()
    (root / "runner.py").write_text(RUNNER)
    return f"/usr/bin/{version}"


def outcomes(command):
    """What each test came to, by its name, and how the whole ended."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX
        )
        output, end = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, end = late.stdout or b"", "late"
    found = {}
    for line in output.decode(errors="replace").splitlines():
        if "@[" in line:
            try:
                name, kind, text = json.loads(line[line.index("@[") + 1 :])
            except ValueError:
                continue
            if found.get(name, ("",))[0] != "failed":
                found[name] = (kind, text)
    return found, end


def reason(name, text):
    for word, why in REASONS:
        if word in text or word in name:
            return why
    return None


def signal_of(end):
    return abs(end) % 128 if isinstance(end, int) else end


def main():
    modules = ["test_" + name.removeprefix("test_") for name in sys.argv[1:] or MODULES]
    with tempfile.TemporaryDirectory(prefix="cpython-") as place:
        place = pathlib.Path(place)
        root = place / "root"
        root.mkdir()
        python = build(root, place)
        image = place / "image"
        subprocess.run([MAYFLY, "image", "from-dir", root, "--out", image], check=True, stdout=subprocess.DEVNULL)
        guest = [MAYFLY, "run", "--mem", MEMORY_MIB, "--rootfs", image, "--env", "HOME=/tmp", "--", python, "/runner.py"]
        # The host runs the same files, in a mount namespace of its own that ends with it.
        inside = (
            'set -e; mount -t proc proc "$0/proc"; mount --bind /dev "$0/dev"; mount -t tmpfs tmpfs "$0/tmp";'
            ' exec env -i HOME=/tmp PATH=/usr/bin:/bin /usr/sbin/chroot "$0" "$@"'
        )
        host = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        host += ["sh", "-c", inside, root, python, "/runner.py"]
        report(modules, host, guest)


def report(modules, host, guest):
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"# Compatibility: CPython's own tests\n\nCPython {version}'s tests, module by module, each in one process, on Linux and in a")
    print("microVM of the same files. What passes on Linux and not in the guest is counted by what it needs, and named")
    print("where that is nothing that the guest leaves out. Written by Debian's python3, as root:")
    print("`/usr/bin/python3 tests/python/cpython.py > docs/compatibility-python.md`.\n")
    left = sum(map(len, LATE.values()))
    print(f"{left} tests of {', '.join(LATE)} are left out, which this interpreter takes minutes for on Linux too.\n")
    print("| module | passes on Linux | and in the guest | needs |\n| --- | ---: | ---: | --- |")
    totals, rest = [0, 0], []
    side_by_side = concurrent.futures.ThreadPoolExecutor(2)
    for module in modules:
        words = [module, *LATE.get(module, [])]
        (here, host_end), (there, end) = side_by_side.map(outcomes, [host + words, guest + words])
        passed = [name for name, (kind, _) in here.items() if kind == "ok"]
        if not passed:
            print(f"{module}: nothing passes on this host", file=sys.stderr)
            continue
        # A test that did not run may be of a class that could not be set up.
        missing = ("missing", there.get("a class", ("", ""))[1])
        bad = {name: there.get(name, missing) for name in passed}
        bad = {name: text for name, (kind, text) in bad.items() if kind != "ok"}
        why = collections.Counter(filter(None, (reason(name, text) for name, text in bad.items())))
        rest += [(name, text) for name, text in bad.items() if not reason(name, text)]
        # 128 + n and -n: both say that signal n ended it. What ends Linux's run too is no news.
        if end not in (0, 1) and signal_of(end) != signal_of(host_end):
            rest.append((module, f"ended with {end}"))
        needs = ", ".join(f"{what} ({count})" for what, count in why.most_common())
        print(f"| {module} | {len(passed)} | {len(passed) - len(bad)} | {needs} |", flush=True)
        totals = [totals[0] + len(passed), totals[1] + len(passed) - len(bad)]
    print(f"| all | {totals[0]} | {totals[1]} | |\n\n## What else fails\n")
    for name, text in rest:
        last = (text.strip().splitlines() or ["it did not run: its class could not be set up"])[-1]
        print(f"- `{name.removeprefix('test.')}`: {last[:120]}")
    if not rest:
        print("Nothing.")


if __name__ == "__main__":
    main()
