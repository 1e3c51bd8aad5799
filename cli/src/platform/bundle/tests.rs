//! Packages, good and bad.

use std::io::Write;
use std::os::unix::fs::symlink;

use mayfly_scheduler::bundle::extract;

use super::*;

/// A static x86-64 program, as far as its headers tell.
fn program() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[16] = 2;
    elf[18] = 62;
    elf
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn zip(path: &Path, entries: &[(&str, u32, &[u8])]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, mode, content) in entries {
        zip.start_file(*name, options(*mode)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

fn refusal(path: &Path) -> String {
    let refusal = Bundle::of(path, true, None).unwrap_err().to_string();
    assert!(!refusal.contains('\n'), "{refusal}");
    refusal
}

#[test]
fn a_directory_arrives_as_it_is() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&dir.path().join("bootstrap"), &program(), 0o755);
    fs::create_dir_all(dir.path().join("data/empty")).unwrap();
    write(&dir.path().join("data/a"), b"a", 0o640);
    let links = [("link", "data/a"), ("data/up", "../data/./a"), ("data/far", "/etc/hostname")];
    for (name, target) in links {
        symlink(target, dir.path().join(name)).unwrap();
    }
    let bundle = Bundle::of(dir.path(), true, None).unwrap();
    assert_eq!(bundle.warning, None);
    // As they are; that this one leads out of the package is for the platform to refuse.
    let refused = extract(&bundle.zip, &out.path().join("refused")).unwrap_err().to_string();
    assert!(refused.contains("data/far") && refused.contains("/etc/hostname"), "{refused}");
    fs::remove_file(dir.path().join("data/far")).unwrap();
    let bundle = Bundle::of(dir.path(), true, None).unwrap();
    extract(&bundle.zip, out.path()).unwrap();
    assert_eq!(fs::read_link(out.path().join("data/up")).unwrap(), Path::new("../data/./a"));
    let mode = |name| out.path().join(name).metadata().unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("bootstrap"), mode("data/a")), (0o111, 0));
    assert_eq!(fs::read(out.path().join("link")).unwrap(), b"a");
    assert!(out.path().join("data/empty").is_dir());

    // Later, elsewhere: the same bytes.
    let other = tempfile::tempdir().unwrap();
    extract(&bundle.zip, other.path()).unwrap();
    fs::set_permissions(other.path().join("data/a"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(Bundle::of(other.path(), true, None).unwrap().zip, bundle.zip);
}

#[test]
fn a_program_becomes_the_bootstrap() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("hello");
    write(&path, &program(), 0o644);
    extract(&Bundle::of(&path, true, None).unwrap().zip, out.path()).unwrap();
    let bootstrap = out.path().join("bootstrap");
    assert_eq!(fs::read(&bootstrap).unwrap(), program());
    assert_eq!(bootstrap.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    write(&path, b"text", 0o755);
    assert!(refusal(&path).ends_with("neither a directory, nor a zip, nor a program"));
    for (line, is_brought) in [("#!/bin/sh\n", true), ("#!/usr/bin/ruby\n", false)] {
        write(&path, line.as_bytes(), 0o755);
        let warning = Bundle::of(&path, true, None).unwrap().warning;
        assert_eq!(warning.is_none(), is_brought, "{line}: {warning:?}");
    }
}

#[test]
fn a_zip_is_looked_into_and_uploaded_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    for name in ["bootstrap", "./bootstrap"] {
        zip(&path, &[("other", 0o644, b""), (name, 0o755, &program())]);
        assert_eq!(Bundle::of(&path, true, None).unwrap().zip, fs::read(&path).unwrap());
    }
    zip(&path, &[("bin/bootstrap", 0o755, &program())]);
    assert!(refusal(&path).contains("no `bootstrap` in it"));
    assert!(Bundle::of(&path, false, None).is_ok(), "another runtime needs none");
    zip(&path, &[("bootstrap", 0o644, &program())]);
    assert!(refusal(&path).contains("not executable"));
    let mut foreign = program();
    foreign[18] = 183;
    zip(&path, &[("bootstrap", 0o755, &foreign)]);
    assert!(refusal(&path).contains("arm64"));
    fs::write(&path, b"PK\x03\x04 and nothing more").unwrap();
    assert!(refusal(&path).contains("not a sound zip"));
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(refusal(&path).contains("neither"));
}

#[test]
fn a_directory_without_a_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("no `bootstrap` in it"));
    fs::create_dir(dir.path().join("bootstrap")).unwrap();
    assert!(refusal(dir.path()).contains("is no file"));
    assert!(refusal(&dir.path().join("nothing")).contains("No such file"));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, b"PK\x03\x04").unwrap();
    File::options().write(true).open(&path).unwrap().set_len(ZIP_BYTES_MAX as u64 + 1).unwrap();
    assert!(refusal(&path).contains("may be uploaded"));
    fs::write(&path, b"four").unwrap();
    assert!(Packing::new(4).file(&path, "a", 0o644).is_ok());
    let refusal = Packing::new(3).file(&path, "a", 0o644).unwrap_err().to_string();
    assert!(refusal.contains("too large"), "{refusal}");
}

#[test]
fn what_tells_of_the_package_is_no_part_of_it() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path();
    fs::create_dir(path.join("below")).unwrap();
    write(&path.join("app.py"), b"", 0o644);
    let plain = Bundle::of(path, false, None).unwrap().zip;
    for name in ["mayfly.toml", "below/mayfly.toml"] {
        write(&path.join(name), b"name = \"f\"\n", 0o644);
    }
    let packed = |left_out| Bundle::of(path, false, left_out).unwrap().zip;
    extract(&packed(Some("mayfly.toml")), out.path()).unwrap();
    let has = |name: &str| out.path().join(name).exists();
    assert!(has("app.py") && !has("mayfly.toml"));
    assert!(has("below/mayfly.toml"), "another one is the function's own");
    fs::remove_file(path.join("below/mayfly.toml")).unwrap();
    assert_eq!(packed(Some("mayfly.toml")), plain, "what it says does not make other code");
    assert_ne!(packed(None), plain);
}
