#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use std::fs;

use flate2::Compression;
use flate2::write::GzEncoder;
use mayfly_image::Tree;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, Header};

use super::*;

/// An archive of files: (path, kind, contents or target).
fn archive(files: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, text) in files {
        let mut header = Header::new_gnu();
        header.set_mode(0o755);
        header.set_entry_type(*kind);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(7);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        // Set by hand: the library refuses to make what it is to be tested against.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        let contents = if is_link { "" } else { text };
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two frames, with one that is none of the archive's between them.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let (start, end) = bytes.split_at(bytes.len() / 2);
    let frame = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
    let skipped = [&[0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"an "].concat();
    [frame(start), skipped, frame(end)].concat()
}

fn read_bytes(bytes: &[u8]) -> Result<(Tree, Vec<Section>), Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let taken = read(file.path())?;
    Ok((taken.layers.into_tree()?, taken.contents))
}

/// What is wrong with an archive, in one line.
fn complaint(bytes: &[u8]) -> String {
    let text = read_bytes(bytes).err().map(|failure| failure.to_string()).unwrap();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
    text
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn a_containers_root_is_taken() {
    let long = "x".repeat(10_000);
    let bytes = archive(&[
        ("./", EntryType::Directory, ""),
        ("bin", EntryType::Symlink, "usr/bin"),
        ("usr/bin/", EntryType::Directory, ""),
        ("usr/bin/tool", FILE, &long),
        ("usr/bin/same", EntryType::Link, "usr/bin/tool"),
        ("dev/null", EntryType::Char, ""),
        ("run/pipe", EntryType::Fifo, ""),
    ]);
    for bytes in [bytes.clone(), gzip(&bytes), zstd(&bytes)] {
        let (tree, contents) = read_bytes(&bytes).unwrap();
        for path in ["bin", "usr/bin/tool", "usr/bin/same", "dev/null", "run/pipe"] {
            assert!(tree.find(path.as_bytes()).is_some(), "{path}");
        }
        let mut text = String::new();
        contents[0].clone().read_to_string(&mut text).unwrap();
        assert_eq!((contents.len(), text), (1, long.clone()));
    }
}

#[test]
fn an_images_layers_lie_over_one_another() {
    let lower = archive(&[("etc/old", FILE, "1"), ("etc/kept", FILE, "2")]);
    let upper = gzip(&archive(&[("etc/.wh.old", FILE, ""), ("etc/new", FILE, "3")]));
    let index = r#"{"manifests": [
        {"digest": "sha256:arm", "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": "sha256:man", "platform": {"os": "linux", "architecture": "amd64"}}]}"#;
    let manifest = r#"{"layers": [{"digest": "sha256:low"}, {"digest": "sha256:up"}]}"#;
    let image = |files: &[(&str, &[u8])]| {
        let mut builder = Builder::new(Vec::new());
        for (path, contents) in files {
            let mut header = Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder.append_data(&mut header, path, *contents).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let parts: [(&str, &[u8]); 5] = [
        ("oci-layout", b"{}"),
        ("index.json", index.as_bytes()),
        ("blobs/sha256/man", manifest.as_bytes()),
        ("blobs/sha256/low", &lower),
        ("blobs/sha256/up", &upper),
    ];
    let (tree, _) = read_bytes(&image(&parts)).unwrap();
    for (path, there) in [("etc/old", false), ("etc/kept", true), ("etc/new", true)] {
        assert_eq!(tree.find(path.as_bytes()).is_some(), there, "{path}");
    }
    assert!(complaint(&image(&parts[..4])).contains("is not there"));
    assert!(complaint(&image(&parts[..2])).contains("is not there"));
    let broken: [(&str, &[u8]); 2] = [("oci-layout", b""), ("index.json", b"{")];
    assert!(complaint(&image(&broken)).contains("broken"));
    let foreign: [(&str, &[u8]); 2] =
        [("oci-layout", b""), ("index.json", br#"{"manifests": []}"#)];
    assert!(complaint(&image(&foreign)).contains("linux/amd64"));
}

#[test]
fn hostile_archives_are_refused_in_one_line() {
    assert!(complaint(&archive(&[("../out", FILE, "")])).contains("lead out of it"));
    let through = archive(&[("a", EntryType::Symlink, "/etc"), ("a/passwd", FILE, "")]);
    assert!(complaint(&through).contains("is no directory"));
    assert!(complaint(&archive(&[("a", EntryType::Link, "/etc/passwd")])).contains("hard link"));
    assert!(complaint(&archive(&[("a", EntryType::GNUSparse, "")])).len() > 5);
    assert!(complaint(&[7; 2000]).len() > 5);
    assert!(
        complaint(&gzip(b"no archive, but long enough to be read as a header").repeat(40)).len()
            > 5
    );
    let whole = archive(&[("file", FILE, &"y".repeat(5000))]);
    let packed = zstd(&whole);
    for len in [5, 9, packed.len() / 2, packed.len() - 1] {
        assert!(!complaint(&packed[..len]).is_empty(), "zstd cut to {len}");
    }
    for len in [513, 600, 2048, 5000] {
        assert!(!complaint(&whole[..len]).is_empty(), "cut to {len}");
    }
}

#[test]
fn what_is_no_archive_is_told_with_what_to_do() {
    let starts: [(&[u8], &str); 7] = [
        (b"\xfd7zXZ\0\0\x04", "`xz -d`"),
        (b"BZh91AY&SY", "`bzip2 -d`"),
        (b"\x04\x22\x4d\x18\x64\x40", "`lz4 -d`"),
        (b"PK\x03\x04", "from-dir"),
        (b"\x7fELF\x02\x01", "mayfly run"),
        (b"#!/bin/sh\n", "no tar archive"),
        (b"", "no tar archive"),
    ];
    for (start, expected) in starts {
        let bytes = [start, &[7; 2000]].concat();
        assert!(complaint(&bytes).contains(expected), "{}", complaint(&bytes));
        assert!(complaint(&gzip(&bytes)).contains(expected), "{}", complaint(&gzip(&bytes)));
    }
    let image = [&[0; 1024], &[0xe2, 0xe1, 0xf5, 0xe0][..], &[1; 4096]].concat();
    assert!(complaint(&image).contains("--rootfs"), "{}", complaint(&image));
    // A file may be called like that.
    assert!(read_bytes(&archive(&[("BZh", FILE, "")])).is_ok());
}

#[test]
fn an_image_in_dockers_older_layout_is_no_root() {
    let image = |manifest| archive(&[("manifest.json", FILE, manifest), ("a.tar", FILE, "")]);
    let complaint = complaint(&image(r#"[{"Config": "c.json", "Layers": ["a.tar"]}]"#));
    assert!(complaint.contains("oci-archive"), "{complaint}");
    // Others may call a file so.
    assert!(read_bytes(&image(r#"{"name": "a program"}"#)).is_ok());
    assert!(read_bytes(&image("no JSON")).is_ok());
}

#[test]
fn an_archive_without_files_is_refused() {
    assert!(complaint(b"").contains("it is empty"));
    for nothing in [archive(&[]), gzip(&archive(&[])), zstd(&archive(&[])), gzip(b"")] {
        assert!(complaint(&nothing).contains("no files"), "{}", complaint(&nothing));
    }
    assert!(read_bytes(&archive(&[("./", EntryType::Directory, "")])).is_ok());
    let place = tempfile::tempdir().unwrap();
    let complaint = read(place.path()).err().unwrap().to_string();
    assert!(complaint.contains("from-dir"), "{complaint}");
}

#[test]
fn an_archive_is_not_replaced_by_its_image() {
    let place = tempfile::tempdir().unwrap();
    let (path, link) = (place.path().join("a.tar"), place.path().join("link"));
    let bytes = archive(&[("a", FILE, "")]);
    fs::write(&path, &bytes).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for out in [&path, &link] {
        assert!(from_tar(&path, out).unwrap_err().to_string().contains("must not replace"));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert!(from_tar(&path, &place.path().join("image")).is_ok());
}

#[test]
fn an_archive_cut_short_is_told_as_such() {
    let whole = archive(&[("a", FILE, ""), ("file", FILE, &"y".repeat(5000))]);
    assert!(complaint(&whole[..700]).contains("cut short after 1 entries"));
    assert!(complaint(&whole[..3000]).contains("in the middle of a file"));
    for packed in [gzip(&whole), zstd(&whole)] {
        for len in [10, packed.len() / 2, packed.len() - 1] {
            let complaint = complaint(&packed[..len]);
            assert!(complaint.contains("broken or cut short"), "{len}: {complaint}");
        }
    }
}
