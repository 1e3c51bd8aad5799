//! Files that are not as they were left.

use std::fs::{self, File};
use std::path::Path;

use super::super::Sqlite;
use super::super::engine::{Durability, Engine};
use super::suite::new;
use crate::store::StoreError;

fn filled(data: &Path) {
    let mut engine = Sqlite::open(data).unwrap();
    engine.begin(Durability::Power).unwrap();
    for _ in 0..200 {
        engine.append("q", &new(&"x".repeat(500), 0)).unwrap();
    }
    engine.commit().unwrap();
}

#[test]
fn a_file_that_is_cut_short_is_refused_at_every_length() {
    let data = tempfile::tempdir().unwrap();
    filled(data.path());
    let path = data.path().join("queue.db");
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 5 * 4096);
    for len in
        [0, 1, 100, 4096, 5000, whole.len() / 8192 * 4096, whole.len() - 4096, whole.len() - 1]
    {
        fs::write(&path, &whole[..len]).unwrap();
        let error = Sqlite::open(data.path()).err().unwrap_or_else(|| panic!("{len} bytes"));
        assert!(matches!(error, StoreError::Damaged(..)), "{len}: {error}");
        assert!(error.to_string().contains("backup"), "{error}");
        assert_eq!(File::open(&path).unwrap().metadata().unwrap().len(), len as u64);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(Sqlite::open(data.path()).unwrap().depth("q", 0).unwrap().due, 200);
}

#[test]
fn one_that_was_being_made_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("queue.db.new"), b"SQLite form").unwrap();
    filled(data.path());
    assert!(!data.path().join("queue.db.new").exists());
    assert_eq!(Sqlite::open(data.path()).unwrap().depth("q", 0).unwrap().due, 200);
}
