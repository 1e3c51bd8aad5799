//! Zips as they should be, and as they should not.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A zip of files: name, mode, content.
pub(crate) fn zip_of(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn with_link(name: &str, target: &str, then: Option<&str>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    if let Some(then) = then {
        zip.start_file(then, SimpleFileOptions::default()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn unpack(zip: &[u8]) -> (tempfile::TempDir, Result<(), BundleError>) {
    let dir = tempfile::tempdir().unwrap();
    let result = extract(zip, dir.path());
    (dir, result)
}

#[test]
fn files_come_with_their_content_and_mode() {
    let (dir, result) =
        unpack(&zip_of(&[("bootstrap", 0o755, b"x"), ("./lib/a.txt", 0o600, b"y")]));
    result.unwrap();
    let mode =
        |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("bootstrap"), mode("lib/a.txt")), (0o755, 0o644));
    assert_eq!(fs::read(dir.path().join("lib/a.txt")).unwrap(), b"y");
}

#[test]
fn no_path_escapes() {
    for name in ["../x", "a/../../x", "/etc/x", "a\\..\\x", "a//b", ".", "a/./b"] {
        let (dir, result) = unpack(&zip_of(&[(name, 0o644, b"x")]));
        assert!(matches!(result, Err(BundleError::Path(_))), "{name}: {result:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn links_stay_inside_and_nothing_goes_through_them() {
    assert!(unpack(&with_link("a/l", "../b", None)).1.is_ok());
    for (name, target) in [("l", "../b"), ("l", "/etc"), ("a/l", "../../b"), ("l", "a/../../b")] {
        let (_, result) = unpack(&with_link(name, target, None));
        assert!(matches!(result, Err(BundleError::Path(_))), "{name} -> {target}: {result:?}");
    }
    let (_, result) = unpack(&with_link("l", "b", Some("l/x")));
    assert!(matches!(result, Err(BundleError::Path(_))), "{result:?}");
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = zip_of(&[("a", 0o644, &[0; 400_000]), ("b", 0o644, &[0; 700_000])]);
    assert!(bomb.len() < 10_000);
    let dir = tempfile::tempdir().unwrap();
    let result = extract_at_most(1_000_000, &bomb, dir.path());
    assert!(matches!(result, Err(BundleError::TooLarge)));
    let written = fs::metadata(dir.path().join("b")).unwrap().len();
    assert!(written <= 600_001, "{written} bytes went to the disk");
    let dir = tempfile::tempdir().unwrap();
    extract_at_most(1_100_000, &bomb, dir.path()).unwrap();
}

#[test]
fn a_broken_zip_is_the_clients_fault() {
    let zip = zip_of(&[("bootstrap", 0o755, &[7; 300])]);
    for broken in [&b""[..], b"PK", &zip[..zip.len() / 2]] {
        assert!(matches!(unpack(broken).1, Err(BundleError::Corrupt(_))));
    }
    let mut flipped = zip.clone();
    let middle = 45;
    flipped[middle] ^= 0xff;
    assert!(matches!(unpack(&flipped).1, Err(BundleError::Corrupt(_))), "its checksum is wrong");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_blame_the_host(flips in prop::collection::vec((0usize..400, any::<u8>()), 1..8)) {
        let mut zip = zip_of(&[("bootstrap", 0o755, b"#!/bin/sh"), ("lib/a", 0o644, &[3; 100])]);
        for (at, value) in flips {
            let at = at % zip.len();
            zip[at] = value;
        }
        let (_, result) = unpack(&zip);
        prop_assert!(!matches!(result, Err(BundleError::Io(_))), "{result:?}");
    }
}
