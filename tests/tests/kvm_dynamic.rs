//! Unmodified dynamic programs: their linkers, glibc's and musl's, their libraries, and what mappings promise.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use mayfly_tests::{Finished, finish, fixture, mayfly, mayfly_run};
use tempfile::TempDir;

/// Runs a program of a root among the fixtures.
fn in_root(root: &str, program: &str, arguments: &[&str], stdin: &[u8]) -> Finished {
    let root = fixture(root);
    let options = ["--rootfs", root.to_str().unwrap()];
    finish(mayfly_run(&options, program, arguments), stdin)
}

#[test]
fn a_program_finds_its_libraries_with_either_libc() {
    for root in ["root.glibc", "root.musl"] {
        let done = in_root(root, "/bin/program", &[], b"");
        assert_eq!((done.complaint().as_str(), done.code()), ("", 0), "{root}: {}", done.text());
        assert_eq!(done.text(), "library\nthread-local\nprotection\nobjects\nplugin\n", "{root}");
    }
}

#[test]
fn a_library_that_is_missing_is_the_linkers_to_tell() {
    let root = tempfile::tempdir().unwrap();
    let copy = Command::new("cp").arg("-r").arg(fixture("root.glibc/.")).arg(root.path()).status();
    assert!(copy.unwrap().success());
    fs::remove_file(root.path().join("lib/libgreet.so")).unwrap();
    let options = ["--rootfs", root.path().to_str().unwrap()];
    let done = finish(mayfly_run(&options, "/bin/program", [""; 0]), b"");
    assert_eq!(done.code(), 127);
    assert!(done.complaint().contains("libgreet.so: cannot open"), "{}", done.complaint());
    // Without its linker a program is not there, as on Linux.
    fs::remove_file(root.path().join("lib64/ld-linux-x86-64.so.2")).unwrap();
    let done = finish(mayfly_run(&options, "/bin/program", [""; 0]), b"");
    assert_eq!(done.code(), 125);
    let why = "cannot run /bin/program: its interpreter /lib64/ld-linux-x86-64.so.2 is not there (ENOENT)";
    assert!(done.complaint().contains(why), "{}", done.complaint());
    assert_eq!(done.complaint().lines().count(), 1);
}

#[test]
fn the_linker_runs_programs_itself() {
    let linker = "/lib64/ld-linux-x86-64.so.2";
    let done = in_root("root.glibc", linker, &["--list", "/bin/program"], b"");
    assert!(done.text().contains("libgreet.so => /bin/../lib/libgreet.so"), "{}", done.text());
    let done = in_root("root.glibc", linker, &["/usr/bin/cat", "-"], b"through the linker\n");
    assert_eq!(done.text(), "through the linker\n", "{}", done.complaint());
}

#[test]
fn debians_tools_agree_with_the_host() {
    let poem = b"the quick brown fox\njumps over\nthe lazy dog\n10\n9\n";
    let same = |tool: &str, arguments: &[&str], stdin: &[u8]| {
        let path = format!("/usr/bin/{tool}");
        if !fixture(&format!("root.glibc/usr/bin/{tool}")).exists() {
            return;
        }
        let guest = in_root("root.glibc", &path, arguments, stdin);
        // The oracle is the same file, started by the linker that came with it.
        let root = fixture("root.glibc");
        let mut host = Command::new(root.join("lib64/ld-linux-x86-64.so.2"));
        host.arg("--library-path").arg(root.join("lib/x86_64-linux-gnu"));
        host.arg(root.join(&path[1..])).args(arguments).env_clear();
        let host = finish(host, stdin);
        assert_eq!(
            (guest.text(), guest.code()),
            (host.text(), host.code()),
            "{tool} {arguments:?}"
        );
    };
    same("sort", &[], poem);
    same("sort", &["-rn"], poem);
    same("grep", &["-c", "the"], poem);
    same("grep", &["-E", "^[a-z]+ [a-z]+$"], poem);
    same("grep", &["nothing"], poem);
    same("sed", &["s/the/THE/g;2d"], poem);
    same("cat", &["-n"], poem);
    same("sqlite3", &[], b"create table t(a, b); insert into t values (1, 'x'), (2, 'y');\nselect sum(a), group_concat(b) from t;\n");
    let listing = in_root("root.glibc", "/usr/bin/ls", &["-l", "/bin"], b"").text();
    assert!(listing.contains(" program\n"), "{listing}");
    let found = in_root("root.glibc", "/usr/bin/find", &["/lib", "-name", "libgreet*"], b"");
    assert_eq!(found.text(), "/lib/libgreet.so\n", "{}", found.complaint());
    let stat =
        in_root("root.glibc", "/usr/bin/stat", &["-c", "%F %a", "/tmp", "/bin/program"], b"");
    assert_eq!(stat.text(), "directory 1777\nregular file 755\n", "{}", stat.complaint());
}

#[test]
fn mappings_keep_their_promises() {
    let done = finish(mayfly_run(&["--mem", "64"], fixture("mapping"), [""; 0]), b"");
    assert_eq!((done.text().as_str(), done.code()), ("", 0), "{}", done.complaint());
}

#[test]
fn an_image_of_a_program_has_what_it_loads() {
    let place = tempfile::tempdir().unwrap();
    let images = [place.path().join("one"), place.path().join("two")];
    for image in &images {
        let mut build = Command::new(mayfly());
        build.args(["image", "from-host", "sort", "--out"]).arg(image);
        let done = finish(build, b"");
        assert_eq!(done.code(), 0, "{}", done.complaint());
        assert!(done.complaint().contains("program: "), "{}", done.complaint());
    }
    let [one, two] = images.each_ref().map(|image| fs::read(image).unwrap());
    assert!(one == two, "the same files give the same bytes");
    let options = ["--rootfs", images[0].to_str().unwrap()];
    let done = finish(mayfly_run(&options, "sort", ["-u"]), b"b\na\nb\n");
    assert_eq!((done.text().as_str(), done.code()), ("a\nb\n", 0), "{}", done.complaint());
}

/// A directory that guests have nothing of their own over.
fn outside() -> TempDir {
    fs::create_dir_all("/var/tmp").unwrap();
    tempfile::tempdir_in("/var/tmp").unwrap()
}

#[test]
fn what_is_not_there_makes_no_image() {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    let mut build = Command::new(mayfly());
    build.args(["image", "from-host", "no-such-program", "--out"]).arg(&image);
    let done = finish(build, b"");
    assert_eq!(done.code(), 125);
    assert!(done.complaint().contains("no-such-program"), "{}", done.complaint());
    assert!(!image.exists());
    // What a guest could not run, or could not see.
    let path = |directory: &TempDir, text: &str, mode| {
        let path = directory.path().join(format!("program-{mode:o}"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    let seen = outside();
    let hidden = tempfile::tempdir_in("/tmp").unwrap();
    symlink(hidden.path().join("program-755"), seen.path().join("link")).unwrap();
    for (program, why) in [
        (path(&seen, "noise", 0o755), "neither"),
        (path(&seen, "#!/bin/sh", 0o644), "not executable"),
        (path(&hidden, "#!/bin/sh", 0o755), "/tmp of their own"),
        (seen.path().join("link"), "/tmp of their own"),
        (seen.path().to_owned(), "no regular file"),
    ] {
        let mut build = Command::new(mayfly());
        build.args(["image", "from-host"]).arg(&program).arg("--out").arg(&image);
        let done = finish(build, b"");
        assert_eq!(done.code(), 125, "{why}");
        assert!(done.complaint().contains(why), "{}", done.complaint());
        assert!(!image.exists());
    }
}

#[test]
fn what_is_added_comes_with_what_it_loads() {
    let place = outside();
    let program = place.path().join("bin/program");
    for (from, to) in [("bin/program", "bin"), ("lib/libgreet.so", "lib")] {
        fs::create_dir_all(place.path().join(to)).unwrap();
        fs::copy(fixture("root.glibc").join(from), place.path().join(from)).unwrap();
    }
    // Beside a dynamic program and beside one that has no dynamic linker.
    let alone = place.path().join("alone");
    fs::copy(fixture("hello"), &alone).unwrap();
    for beside in [Path::new("sort"), &alone] {
        let image = place.path().join("image");
        let mut build = Command::new(mayfly());
        build.args(["image", "from-host"]).arg(beside).arg("--out").arg(&image);
        build.arg("--add").arg(place.path().join("bin"));
        let done = finish(build, b"");
        assert_eq!(done.code(), 0, "{}", done.complaint());
        let options = ["--rootfs", image.to_str().unwrap()];
        let done = finish(mayfly_run(&options, &program, [""; 0]), b"");
        assert!(done.text().starts_with("library\n"), "{} {}", done.text(), done.complaint());
    }
}

#[test]
fn a_script_comes_with_who_runs_it() {
    let place = outside();
    let (script, image) = (place.path().join("script"), place.path().join("image"));
    fs::write(&script, "#!/bin/sh\necho \"$0 $1\"\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let mut build = Command::new(mayfly());
    build.args(["image", "from-host"]).arg(&script).arg("--out").arg(&image);
    let done = finish(build, b"");
    assert_eq!(done.code(), 0, "{}", done.complaint());
    let options = ["--rootfs", image.to_str().unwrap()];
    let done = finish(mayfly_run(&options, &script, ["word"]), b"");
    let wanted = format!("{} word\n", script.display());
    assert_eq!((done.text(), done.code()), (wanted, 0), "{}", done.complaint());
}
