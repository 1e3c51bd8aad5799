//! Images that are mounted besides the root: from directories, from files, many, and bad ones.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use mayfly_tests::{Finished, finish, fixture, mayfly, mayfly_run};
use tempfile::TempDir;

/// A directory with one file.
fn directory(name: &str, content: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), content).unwrap();
    directory
}

fn mount(path: &str, from: &Path) -> String {
    format!("--mount={path}={}", from.display())
}

/// Runs busybox, alone but for the mounts.
fn busybox(mounts: &[String], words: &[&str]) -> Finished {
    let options: Vec<&str> = mounts.iter().map(String::as_str).collect();
    finish(mayfly_run(&options, fixture("busybox"), words), b"")
}

#[test]
fn a_directory_and_an_image_are_found_where_they_are_wanted() {
    let code = directory("handler", b"code\n");
    let layer = directory("lib", &[b'l'; 100_000]);
    let image = code.path().join("layer.img");
    let mut from_dir = Command::new(mayfly());
    from_dir.args(["image", "from-dir"]).arg(layer.path()).arg("--out").arg(&image);
    assert_eq!(finish(from_dir, b"").code(), 0);
    let code = directory("handler", b"code\n");
    let mounts = [mount("/var/task", code.path()), mount("/opt", &image)];
    assert_eq!(busybox(&mounts, &["cat", "/var/task/handler"]).text(), "code\n");
    assert_eq!(busybox(&mounts, &["wc", "-c", "/opt/lib"]).text(), "100000 /opt/lib\n");
    let table = busybox(&mounts, &["cat", "/proc/mounts"]).text();
    assert!(table.contains("/dev/vda /var/task erofs ro,"), "{table}");
    assert!(table.contains("/dev/vda /opt erofs ro,"), "{table}");
    let refused = busybox(&mounts, &["touch", "/opt/new"]);
    assert!(refused.complaint().contains("Read-only file system"), "{}", refused.complaint());
    assert_eq!(busybox(&mounts, &["ls", "/var"]).text(), "task\n");
}

#[test]
fn a_later_mount_covers_an_earlier_one() {
    let (below, above) = (directory("f", b"below"), directory("f", b"above"));
    let mounts = [mount("/d", below.path()), mount("/d", above.path())];
    assert_eq!(busybox(&mounts, &["cat", "/d/f"]).text(), "above");
}

#[test]
fn eight_may_be_mounted_and_no_more() {
    let directories: Vec<TempDir> = (0..9).map(|n| directory("f", &[b'0' + n])).collect();
    let mounts: Vec<String> = directories
        .iter()
        .enumerate()
        .map(|(n, from)| mount(&format!("/m{n}"), from.path()))
        .collect();
    let last = busybox(&mounts[..8], &["cat", "/m0/f", "/m7/f"]);
    assert_eq!((last.text(), last.code()), ("07".to_owned(), 0), "{}", last.complaint());
    let refused = busybox(&mounts, &["true"]);
    assert_eq!(refused.code(), 125);
    assert!(refused.complaint().contains("at most 8"), "{}", refused.complaint());
}

#[test]
fn bad_mounts_are_one_clear_line() {
    let files = directory("noise", &[7; 20_000]);
    let noise = files.path().join("noise");
    let cut = files.path().join("cut.img");
    let mut from_dir = Command::new(mayfly());
    from_dir.args(["image", "from-dir"]).arg(files.path()).arg("--out").arg(&cut);
    assert_eq!(finish(from_dir, b"").code(), 0);
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..4096]).unwrap();
    for (option, why) in [
        (mount("/m", Path::new("/no/such/image")), "/no/such/image"),
        (mount("/m", &noise), "not an EROFS image"),
        ("--mount=relative=/tmp".to_owned(), "absolute path"),
        ("--mount=/m".to_owned(), "absolute path"),
    ] {
        let refused = busybox(&[option], &["true"]);
        assert_eq!(refused.code(), 125, "{}", refused.complaint());
        assert!(refused.complaint().contains(why), "{}", refused.complaint());
    }
    // An image that was cut off is mounted, and what is missing is an error to read.
    let read = busybox(&[mount("/m", &cut)], &["cat", "/m/noise"]);
    assert_ne!(read.code(), 0);
    assert!(!read.complaint().is_empty());
}
