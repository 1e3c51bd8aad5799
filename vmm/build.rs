//! Builds the guest kernel and flattens it into one file that the VMM embeds.
//!
//! ```text
//!   guest/kernel ──nested cargo──▶ ELF ──its PT_LOADs, from KERNEL_LOAD on──▶ OUT_DIR/kernel.flat
//! ```
//!
//! The kernel is a program of its own, with its own code generation: a second cargo builds it into this
//! build's directory.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `mayfly_abi::layout::KERNEL_LOAD`: a build script shares no code with the crate.
const KERNEL_LOAD: u64 = 0x20_0000;
/// Bytes of a page: the VMM maps the image.
const PAGE_SIZE: usize = 4096;
/// A kernel larger than this has gone wrong.
const IMAGE_BYTES_MAX: u64 = 16 << 20;

fn main() {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    for watched in ["guest", "abi", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", workspace.join(watched).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let elf = build(&workspace, &out.join("kernel"));
    let bytes = fs::read(&elf).unwrap_or_else(|error| panic!("{}: {error}", elf.display()));
    let flat = flatten(&bytes).unwrap_or_else(|problem| panic!("{}: {problem}", elf.display()));
    let to = out.join("kernel.flat");
    fs::write(&to, flat).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// Builds the kernel; the path of its ELF file.
fn build(workspace: &Path, target: &Path) -> PathBuf {
    let triple = "x86_64-unknown-linux-gnu";
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(workspace)
        .args(["build", "--release", "--package", "mayfly-kernel", "--bin", "mayfly-kernel"])
        .args(["--features", "bare-metal", "--target", triple, "--target-dir"])
        .arg(target);
    // The outer cargo's settings for the crate at hand, and what a linter or a coverage tool has put in
    // front of the compiler, are not the kernel's.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let outer =
            text.starts_with("CARGO_") && text != "CARGO_HOME" && !text.starts_with("CARGO_NET_");
        if outer || text.starts_with("RUSTC_") || text == "RUSTFLAGS" || text == "RUSTDOCFLAGS" {
            cargo.env_remove(&name);
        }
    }
    // Position-independent code reaches data relative to RIP: the kernel lies above what 32-bit absolute
    // addresses reach. A given --target keeps the flags from build scripts, which run on the host.
    cargo.env("RUSTFLAGS", "-C relocation-model=pic -C panic=abort -C force-frame-pointers=no");
    let status = cargo.status().unwrap_or_else(|error| panic!("cargo does not start: {error}"));
    assert!(status.success(), "the guest kernel does not build ({status}): its errors are above");
    target.join(triple).join("release/mayfly-kernel")
}

/// The loadable segments of an ELF64 file as they lie in memory from [`KERNEL_LOAD`] on, whole pages. Other
/// zeroed data at the end is left out: guest memory is zero.
fn flatten(elf: &[u8]) -> Result<Vec<u8>, String> {
    const PT_LOAD: u64 = 1;
    let headers = number(elf, 32, 8)?;
    let (size, count) = (number(elf, 54, 2)?, number(elf, 56, 2)?);
    let mut flat = Vec::new();
    for index in 0..count {
        let header = headers + index * size;
        if number(elf, header, 4)? != PT_LOAD {
            continue;
        }
        let (offset, physical) = (number(elf, header + 8, 8)?, number(elf, header + 24, 8)?);
        let len = number(elf, header + 32, 8)?;
        let start = physical
            .checked_sub(KERNEL_LOAD)
            .filter(|start| start + len <= IMAGE_BYTES_MAX)
            .ok_or(format!("a segment is to lie at {physical:#x}"))?;
        let (start, end) = (start as usize, (start + len) as usize);
        flat.resize(flat.len().max(end), 0);
        let content = elf.get(offset as usize..(offset + len) as usize);
        flat[start..end].copy_from_slice(content.ok_or("a segment lies outside the file")?);
    }
    flat.resize(flat.len().next_multiple_of(PAGE_SIZE), 0);
    if flat.is_empty() { Err("it has no loadable segment".into()) } else { Ok(flat) }
}

/// A little-endian number of `size` bytes at `offset`.
fn number(bytes: &[u8], offset: u64, size: usize) -> Result<u64, String> {
    let field = bytes.get(offset as usize..offset as usize + size).ok_or("it is cut short")?;
    Ok(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
