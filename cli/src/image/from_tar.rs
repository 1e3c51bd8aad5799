//! `mayfly image from-tar`: the root of a container, as `docker export` gives it, or an image with its
//! layers, as `docker save` and other tools do (OCI image layout), packed or not.
//!
//! ```text
//!   archive ─┬─ oci-layout, index.json, blobs/… ─▶ manifest ─▶ layers, from the lowest up ─┐
//!            └─ anything else ─────────────────────────────────────────────── one layer ───┴─▶ Layers
//! ```
//!
//! The archive is a stranger's: paths are checked by [`Layers`], texts and unpacked layers are bounded.
//! Contents stay where they are until the image is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use mayfly_image::layers::{Layers, Member};
use mayfly_image::{Attributes, INLINE_FILE_LEN_MAX, Leaf, Source, Timestamp};
use serde_json::Value;
use tar::{Archive, EntryType};

use packing::{is_packed, plain};

use crate::failure::{Failure, say};
use crate::files;

mod looks;
mod packing;

/// Most bytes of an index or a manifest (the OCI distribution specification's own bound).
const TEXT_MAX: u64 = 4 << 20;
/// Most bytes of all unpacked layers: Lambda's limit for a function's image.
const UNPACKED_MAX: u64 = 10 << 30;
/// Most layers of an image (Docker's bound).
const LAYERS_MAX: usize = 127;
/// Names the layers of an image that is not laid out as OCI says (Docker image specification 1.2).
const OLDER_LAYOUT: &str = "manifest.json";
/// Indexes that may lead to one another before there is a manifest.
const INDEXES_MAX: usize = 4;

/// A part of a file.
#[derive(Clone, Debug)]
struct Section {
    file: Rc<File>,
    start: u64,
    len: u64,
    at: u64,
}

impl Section {
    fn part(&self, start: u64, len: u64) -> Section {
        Section { file: self.file.clone(), start: self.start + start, len, at: 0 }
    }
}

impl Read for Section {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let count = self.file.read_at(&mut to[..want], self.start.saturating_add(self.at))?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Builds an image of the archive `archive` in the file `out`.
///
/// # Errors
/// What the host says, or what is wrong with the archive.
pub fn from_tar(archive: &Path, out: &Path) -> Result<u64, Failure> {
    if files::are_same(archive, out) {
        return Err(Failure::at(out, "it is the archive itself, which its image must not replace"));
    }
    let Taken { layers, contents, entries } =
        read(archive).map_err(|failure| Failure::at(archive, failure))?;
    say(&format!("writing what {entries} entries come to, to {}", out.display()));
    let tree = layers.into_tree().map_err(|error| Failure::at(archive, error))?;
    let content =
        |id: u32| contents.get(id as usize).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
    super::write(tree, out, content, |_| Some(archive))
}

/// What an archive holds.
fn read(archive: &Path) -> Result<Taken, Failure> {
    let file = files::open(archive)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Failure::new("it is a directory: use `mayfly image from-dir`"));
    }
    // An image's layers are found by going back and forth.
    if !metadata.is_file() {
        return Err(Failure::new("it is no regular file: write the archive to one first"));
    }
    let whole = Section { file: Rc::new(file), start: 0, len: metadata.len(), at: 0 };
    let mut taken = Taken { layers: Layers::default(), contents: Vec::new(), entries: 0 };
    match blobs(&whole)? {
        Some(blobs) => taken.image(&blobs)?,
        None => taken.layer(plain(&whole, &mut { UNPACKED_MAX })?)?,
    }
    if taken.entries == 0 {
        return Err(Failure::new(looks::like(&whole)?.unwrap_or("it holds no files")));
    }
    Ok(taken)
}

/// Where the blobs of an image layout are; `None` where the archive is something else.
fn blobs(whole: &Section) -> Result<Option<BTreeMap<String, Section>>, Failure> {
    if is_packed(whole)? {
        return Ok(None);
    }
    let mut blobs = BTreeMap::new();
    for (before, entry) in Archive::new(whole.clone()).entries_with_seek()?.enumerate() {
        let entry = entry.map_err(|error| broken(whole, before, &error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let is_of_layout = ["oci-layout", "index.json", OLDER_LAYOUT].contains(&&*name)
            || name.starts_with("blobs/");
        if is_of_layout && entry.header().entry_type().is_file() {
            blobs.insert(name, whole.part(entry.raw_file_position(), entry.size()));
        }
    }
    let is_layout = blobs.contains_key("oci-layout") && blobs.contains_key("index.json");
    // As a container's root it would be an image full of archives, which runs nothing.
    if !is_layout && json(blobs.get(OLDER_LAYOUT)).is_ok_and(|text| text[0]["Layers"].is_array()) {
        return Err(Failure::new(
            "it is an image in Docker's older layout: save it as OCI's, with Docker 25 or later, or `podman save \
             --format oci-archive`",
        ));
    }
    Ok(is_layout.then_some(blobs))
}

/// Why an archive does not go on after `before` entries.
fn broken(archive: &Section, before: usize, error: &io::Error) -> Failure {
    match (before, looks::like(archive)) {
        _ if error.raw_os_error().is_some() => Failure::new(error),
        (0, Ok(Some(what))) => Failure::new(what),
        (0, _) => Failure::new("it is no tar archive: neither plain, nor packed by gzip or zstd"),
        _ => Failure::new(format!("it is broken or cut short after {before} entries: {error}")),
    }
}

/// What has been taken of an archive.
struct Taken {
    layers: Layers,
    /// The contents of external files, by id.
    contents: Vec<Section>,
    /// How many entries that were.
    entries: u64,
}

impl Taken {
    /// Takes the layers of the first image for this processor.
    fn image(&mut self, blobs: &BTreeMap<String, Section>) -> Result<(), Failure> {
        let mut text = json(blobs.get("index.json"))?;
        for _ in 0..INDEXES_MAX {
            let Some(manifests) = text["manifests"].as_array() else { break };
            let is_ours = |manifest: &&Value| {
                let platform = &manifest["platform"];
                platform.is_null()
                    || platform["os"] == "linux" && platform["architecture"] == "amd64"
            };
            let manifest = manifests.iter().find(is_ours);
            let manifest =
                manifest.ok_or_else(|| Failure::new("it has no image for linux/amd64"))?;
            text = json(blob(blobs, manifest))?;
        }
        let layers = text["layers"].as_array().filter(|layers| layers.len() <= LAYERS_MAX);
        let layers = layers.ok_or_else(|| Failure::new("its manifest has no sensible layers"))?;
        let mut room = UNPACKED_MAX;
        for (number, layer) in layers.iter().enumerate() {
            say(&format!("layer {} of {}", number + 1, layers.len()));
            let Some(section) = blob(blobs, layer) else {
                return Err(Failure::new("a layer that its manifest names is not there"));
            };
            self.layers.next_layer();
            self.layer(plain(section, &mut room)?)?;
        }
        Ok(())
    }

    /// Takes the files of one layer.
    fn layer(&mut self, layer: Section) -> Result<(), Failure> {
        for (before, entry) in Archive::new(layer.clone()).entries_with_seek()?.enumerate() {
            let mut entry = entry.map_err(|error| broken(&layer, before, &error))?;
            self.entries += 1;
            let path = entry.path_bytes().into_owned();
            let header = entry.header();
            let kind = header.entry_type();
            let attributes = Attributes {
                permissions: header.mode()? as u16 & 0o7777,
                uid: u32::try_from(header.uid()?).unwrap_or(0),
                gid: u32::try_from(header.gid()?).unwrap_or(0),
                mtime: Timestamp {
                    seconds: i64::try_from(header.mtime()?).unwrap_or(0),
                    nanoseconds: 0,
                },
            };
            let device = || -> Result<(u32, u32), Failure> {
                Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
            };
            let target = || entry.link_name_bytes().unwrap_or_default().into_owned();
            let member = match kind {
                EntryType::Directory => Member::Directory,
                EntryType::Symlink => Member::Leaf(Leaf::Symlink(target())),
                EntryType::Link => Member::Link(target()),
                EntryType::Fifo => Member::Leaf(Leaf::Fifo),
                EntryType::Char => {
                    let (major, minor) = device()?;
                    Member::Leaf(Leaf::CharDevice { major, minor })
                }
                EntryType::Block => {
                    let (major, minor) = device()?;
                    Member::Leaf(Leaf::BlockDevice { major, minor })
                }
                EntryType::Regular | EntryType::Continuous => {
                    let (at, len) = (entry.raw_file_position(), entry.size());
                    if at.checked_add(len).is_none_or(|end| end > layer.len) {
                        return Err(Failure::new("it ends in the middle of a file"));
                    }
                    let source = if len <= INLINE_FILE_LEN_MAX {
                        let mut bytes = Vec::new();
                        entry.read_to_end(&mut bytes)?;
                        Source::Bytes(bytes)
                    } else {
                        let id = u32::try_from(self.contents.len())?;
                        self.contents.push(layer.part(at, len));
                        Source::External { id, len }
                    };
                    Member::Leaf(Leaf::File(source))
                }
                EntryType::XGlobalHeader => continue,
                _ => {
                    let name = String::from_utf8_lossy(&path).into_owned();
                    return Err(Failure::new(format!("{name:?} is of a kind that is not known")));
                }
            };
            self.layers.add(&path, member, attributes)?;
        }
        Ok(())
    }
}

/// The blob that a descriptor names.
fn blob<'a>(blobs: &'a BTreeMap<String, Section>, descriptor: &Value) -> Option<&'a Section> {
    let (algorithm, digest) = descriptor["digest"].as_str()?.split_once(':')?;
    blobs.get(&format!("blobs/{algorithm}/{digest}"))
}

fn json(section: Option<&Section>) -> Result<Value, Failure> {
    let section = section.ok_or_else(|| Failure::new("a text that it names is not there"))?;
    if section.len > TEXT_MAX {
        return Err(Failure::new("a manifest of it is too long"));
    }
    let mut text = Vec::new();
    section.clone().read_to_end(&mut text)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("a manifest of it is broken: {error}")))
}

#[cfg(test)]
mod tests;
