//! What a file seems to be that is no archive, told by its first bytes, and what to do with it.

use std::io::{self, Read, Seek, SeekFrom};

use mayfly_abi::erofs::{SUPER_MAGIC, SUPER_OFFSET};

use super::Section;

/// First bytes, and what a file is that begins with them.
const KINDS: [(&[u8], &str); 9] = [
    (b"\xfd7zXZ\0", "it is packed by xz: unpack it with `xz -d` first"),
    (b"BZh", "it is packed by bzip2: unpack it with `bzip2 -d` first"),
    (b"\x04\x22\x4d\x18", "it is packed by lz4: unpack it with `lz4 -d` first"),
    (b"LZIP", "it is packed by lzip: unpack it with `lzip -d` first"),
    (b"\x5d\0\0", "it is packed by lzma: unpack it with `xz -d` first"),
    (b"\x1f\x9d", "it is packed by compress: unpack it with `gzip -d` first"),
    (b"PK\x03\x04", "it is a zip: unpack it, and use `mayfly image from-dir`"),
    (b"\x7fELF", "it is a program: `mayfly run` runs it, or `mayfly image from-host` takes it"),
    (b"hsqs", "it is a SquashFS: unpack it with `unsquashfs`, and use `mayfly image from-dir`"),
];

/// What `section` is, as far as its first bytes tell; `None` where they say nothing.
///
/// # Errors
/// What the host says.
pub fn like(section: &Section) -> io::Result<Option<&'static str>> {
    if section.len == 0 {
        return Ok(Some("it is empty"));
    }
    let start = bytes_at(section, 0)?;
    if let Some((_, what)) = KINDS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Ok(Some(what));
    }
    let is_image = bytes_at(section, SUPER_OFFSET as u64)?[..4] == SUPER_MAGIC.to_le_bytes();
    Ok(is_image.then_some("it is an image already: use it with `mayfly run --rootfs`"))
}

/// Eight bytes from `at` on; zeros where there are none.
fn bytes_at(section: &Section, at: u64) -> io::Result<[u8; 8]> {
    let mut bytes = Vec::new();
    let mut from = section.clone();
    from.seek(SeekFrom::Start(at))?;
    from.take(8).read_to_end(&mut bytes)?;
    bytes.resize(8, 0);
    Ok(bytes.try_into().unwrap_or_default())
}
