//! Documents that are made from data: docs/compatibility.md from the kernel's table of system calls.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use mayfly_kernel::syscall::table::{Support, TABLE};

use crate::failure::Failure;

const HEAD: &str = "\
# Compatibility: Linux's system calls

The guest kernel answers the calls in this table; any other number gets ENOSYS and is counted
(`unknown_calls` in `mayfly run --timing`). The table is the one that drives the dispatch
(guest/kernel/src/syscall/table.rs); `cargo xtask docs` writes this file from it, and a test fails where
they differ.

";

/// Writes all generated documents.
///
/// # Errors
/// A file that cannot be written.
pub fn run() -> Result<ExitCode, Failure> {
    let path = compatibility_path();
    fs::write(&path, compatibility()).map_err(Failure::file("write", &path))?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn compatibility_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md")
}

fn compatibility() -> String {
    let count =
        |wanted: fn(&Support) -> bool| TABLE.iter().filter(|row| wanted(&row.support)).count();
    let mut text = HEAD.to_owned();
    let _ = writeln!(
        text,
        "{} calls: {} supported, {} in part, {} refused with a reason.\n",
        TABLE.len(),
        count(|support| matches!(support, Support::Supported)),
        count(|support| matches!(support, Support::Partial(_))),
        count(|support| matches!(support, Support::Error(..))),
    );
    text.push_str("| number | call | support | note |\n| ---: | --- | --- | --- |\n");
    let mut rows: Vec<_> = TABLE.iter().collect();
    rows.sort_by_key(|row| row.number);
    for row in rows {
        let (support, note) = match row.support {
            Support::Supported => ("yes".to_owned(), ""),
            Support::Partial(note) => ("in part".to_owned(), note),
            Support::Error(errno, note) => (format!("E{errno:?}"), note),
        };
        let _ = writeln!(text, "| {} | {} | {support} | {note} |", row.number, row.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compatibility_document_is_the_table() {
        let written = fs::read_to_string(compatibility_path()).unwrap_or_default();
        assert!(
            written == compatibility(),
            "docs/compatibility.md is stale: run `cargo xtask docs`"
        );
    }
}
