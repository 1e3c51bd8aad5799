//! Builds the programs that guests run in tests.
//!
//! ```text
//!   tests/fixtures/NAME.c          musl-gcc -static ─────┐
//!   tests/fixtures/NAME.glibc.c    gcc -static ──────────┤    target/fixtures/NAME,
//!   tests/fixtures/DIR/Cargo.toml  static Rust with std ─┼──▶                 NAME.glibc,
//!   examples/DIR/Cargo.toml        the same ─────────────┤
//!   examples/DIR/bootstrap.c       as the first, DIR ────┤
//!   Debian's busybox               copied ───────────────┘                    each binary, busybox
//!   tests/fixtures/dynamic         dynamic programs ───┐
//!   python3 of this host           an image of it ─────┼──▶ root.glibc, root.musl, python.erofs
//!   tests/fixtures/programs/NAME   work for Debian's NAME ─▶ programs.erofs, programs/NAME
//!   tests/guests/DIR/Cargo.toml    guest kernels ──────┐
//!   guest/kernel                   our own, as a file ─┴──▶ target/fixtures/guests/each binary
//! ```
//!
//! The directories are the list: a new source needs no other entry. What is newer than its source is
//! not built again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::{self, Workspace};
use crate::failure::{Failure, Result};
use crate::pieces::{self, Piece};
use crate::{command, host};

mod dynamic;
pub mod programs;

/// Static, with the standard library, as programs for guests without a dynamic linker are.
const STATIC_RUST: &str = "-Ctarget-feature=+crt-static";

/// Flags of a guest kernel, the same as those of the one that the release binary carries (vmm/build.rs).
const GUEST_KERNEL: &str = "-Crelocation-model=pic -Cpanic=abort -Cforce-frame-pointers=no";

/// `cargo xtask fixtures`.
pub fn run() -> Result<ExitCode> {
    pieces::ensure(
        &[&[Piece::Busybox, Piece::Musl, Piece::Python], &programs::PIECES[..]].concat(),
    )?;
    let workspace = Workspace::find()?;
    build(&workspace)?;
    println!("The programs for guests are in {}.", workspace.fixtures().display());
    Ok(ExitCode::SUCCESS)
}

/// Builds all of them, into [`Workspace::fixtures`].
pub fn build(workspace: &Workspace) -> Result<()> {
    let (sources, out) = (workspace.root.join("tests/fixtures"), workspace.fixtures());
    fs::create_dir_all(&out).map_err(Failure::file("creating", &out))?;
    for source in list(&sources)? {
        match source.file_name().and_then(|name| name.to_str()).and_then(|n| n.strip_suffix(".c")) {
            Some(name) => c_program(&source, &out.join(name))?,
            None => rust_programs(workspace, &source, &out, STATIC_RUST, &[])?,
        }
    }
    for example in list(&workspace.root.join("examples"))? {
        c_example(&example, &out)?;
        rust_programs(workspace, &example, &out, STATIC_RUST, &[])?;
    }
    let busybox = host::which("busybox").ok_or(Failure::Missing("no busybox".into()))?;
    copy(&busybox, &out.join("busybox"))?;
    dynamic::roots(&sources.join("dynamic"), &out)?;
    dynamic::python(workspace, &out)?;
    programs::build(workspace, &sources.join("programs"), &out)?;

    // Guest kernels say in their own build scripts how they are linked.
    let guests = out.join("guests");
    for source in list(&workspace.root.join("tests/guests"))? {
        rust_programs(workspace, &source, &guests, GUEST_KERNEL, &[])?;
    }
    let own = workspace.root.join("guest/kernel");
    rust_programs(workspace, &own, &guests, GUEST_KERNEL, &["--features", "bare-metal"])
}

/// Builds the one program of `examples/NAME`, which is in C.
pub fn example(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    one(workspace, name, &workspace.root.join("examples").join(name).join("bootstrap.c"))
}

/// Builds the one program of `tests/fixtures/NAME.c`.
pub fn build_one(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    one(workspace, name, &workspace.root.join("tests/fixtures").join(name).with_extension("c"))
}

fn one(workspace: &Workspace, name: &str, source: &Path) -> Result<PathBuf> {
    let out = workspace.fixtures();
    fs::create_dir_all(&out).map_err(Failure::file("creating", &out))?;
    let program = out.join(name);
    c_program(source, &program)?;
    Ok(program)
}

/// An example whose program is one file of C, under the example's name.
fn c_example(dir: &Path, out: &Path) -> Result<()> {
    let source = dir.join("bootstrap.c");
    match dir.file_name() {
        Some(name) if source.is_file() => c_program(&source, &out.join(name)),
        _ => Ok(()),
    }
}

fn c_program(source: &Path, program: &Path) -> Result<()> {
    let is_glibc = program.extension().is_some_and(|extension| extension == "glibc");
    // NAME.glibc.c may be made of NAME.c.
    let twin = program.file_stem().map(|name| source.with_file_name(name).with_extension("c"));
    let is_current = |source: &Path| !source.exists() || is_newer(program, source);
    if is_newer(program, source) && twin.is_none_or(|twin| !is_glibc || is_current(&twin)) {
        return Ok(());
    }
    let compiler = if is_glibc { "gcc" } else { "musl-gcc" };
    println!("  {compiler} {}", source.display());
    command::run(
        Command::new(compiler)
            .args(["-static", "-pthread", "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-o"])
            .args([program, source]),
    )
}

fn rust_programs(
    workspace: &Workspace,
    dir: &Path,
    out: &Path,
    flags: &str,
    args: &[&str],
) -> Result<()> {
    if !dir.join("Cargo.toml").is_file() {
        return Ok(());
    }
    fs::create_dir_all(out).map_err(Failure::file("creating", out))?;
    // A target directory for each set of flags: else they would evict one another.
    let target = if flags == GUEST_KERNEL { "fixtures-bare" } else { "fixtures-static" };
    let target = workspace.target.join(target);
    for (name, program) in cargo::build_package(dir, &target, flags, args)? {
        copy(&program, &out.join(name))?;
    }
    Ok(())
}

/// The entries of a directory, in order; none where it does not exist.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut entries = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(Failure::file("listing", dir))?;
    entries.sort();
    Ok(entries)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if is_newer(to, from) {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(Failure::file("writing", to))
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let time = |file: &Path| fs::metadata(file).and_then(|data| data.modified());
    match (time(made), time(source)) {
        (Ok(made), Ok(source)) => made > source,
        _ => false,
    }
}
