//! The functions in the database, over restarts.

use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::function::{Alias, Configuration, Logging, SnapStart, Tracing};

fn open(data: &Path) -> FunctionStore {
    FunctionStore::load(Arc::new(Database::open(data).unwrap())).unwrap()
}

fn function(name: &str) -> Function {
    let configuration = Configuration {
        name: name.into(),
        runtime: "provided.al2023".into(),
        role: "arn:aws:iam::000000000000:role/x".into(),
        handler: "h".into(),
        description: String::new(),
        timeout_s: 3,
        memory_mib: 128,
        tmp_mib: 512,
        variables: [("K".to_owned(), "V".to_owned())].into(),
        has_environment: false,
        layers: Vec::new(),
        dead_letter: None,
        tracing: Tracing::default(),
        snap_start: SnapStart::default(),
        logging: Logging::default(),
    };
    Function {
        id: 0,
        deployment: 0,
        version: Version::Latest,
        configuration,
        code_sha256: "00".repeat(32),
        code_size: 17,
        modified_ms: 1,
        revision_id: "r".into(),
    }
}

#[test]
fn functions_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let created = {
        let store = open(data.path());
        store.create(function("gone"), Settings::default()).unwrap();
        store.delete("gone").unwrap();
        store.create(function("kept"), Settings::default()).unwrap()
    };
    let store = open(data.path());
    assert_eq!(store.get("kept").unwrap().latest, created);
    assert_eq!(store.get("gone"), None);
}

#[test]
fn a_data_directory_of_the_first_schema_keeps_its_functions() {
    let data = tempfile::tempdir().unwrap();
    let first = Connection::open(data.path().join("mayfly.db")).unwrap();
    first.execute_batch(crate::store::schema::STEPS[0]).unwrap();
    first
        .execute_batch(
            r#"INSERT INTO functions VALUES (7, 'f', '{"name":"f","runtime":"provided.al2023",
                   "role":"arn:aws:iam::000000000000:role/x","handler":"h","description":"",
                   "timeout_s":3,"memory_mib":128,"tmp_mib":512,"variables":{"K":"V"}}',
                   'ab', 17, 1, 'r');
               INSERT INTO functions VALUES (9, 'gone', '{}', 'ab', 17, 1, 'r');
               DELETE FROM functions WHERE name = 'gone';
               PRAGMA application_id = 0x4d617966;
               PRAGMA user_version = 1;"#,
        )
        .unwrap();
    drop(first);
    for _ in 0..2 {
        let store = open(data.path());
        let kept = store.get("f").unwrap();
        assert_eq!((&kept.versions, &kept.settings), (&BTreeMap::new(), &Settings::default()));
        let wanted = Function { id: 1, deployment: 7, code_sha256: "ab".into(), ..function("f") };
        assert_eq!(*kept.latest, wanted);
    }
    assert_eq!(
        open(data.path()).create(function("new"), Settings::default()).unwrap().deployment,
        10
    );
}

#[test]
fn a_data_directory_of_the_third_schema_has_a_history() {
    let data = tempfile::tempdir().unwrap();
    let third = Connection::open(data.path().join("mayfly.db")).unwrap();
    for step in &crate::store::schema::STEPS[..3] {
        third.execute_batch(step).unwrap();
    }
    third
        .execute_batch(
            r#"INSERT INTO functions (name, settings) VALUES ('f', '{"version_max":1,"tags":{"a":"b"}}');
               INSERT INTO deployments VALUES (3, 1, 1, '{"name":"f","runtime":"provided.al2023",
                   "role":"arn:aws:iam::000000000000:role/x","handler":"h","description":"",
                   "timeout_s":3,"memory_mib":128,"tmp_mib":512,"variables":{"K":"V"}}',
                   'ab', 17, 1, 'r');
               INSERT INTO deployments SELECT 4, 1, 0, configuration, 'cd', 17, 2, 's' FROM deployments;
               PRAGMA application_id = 0x4d617966;
               PRAGMA user_version = 3;"#,
        )
        .unwrap();
    drop(third);
    for _ in 0..2 {
        let store = open(data.path());
        let entry = store.get("f").unwrap();
        assert_eq!((entry.settings.version_max, &*entry.settings.tags["a"]), (1, "b"));
        let history = store.history(entry.latest.id, None, 9).unwrap();
        assert_eq!(history, [(*entry.latest).clone(), (*entry.versions[&1]).clone()]);
    }
}

#[test]
fn a_history_is_bounded_and_goes_with_its_function() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let other = store.create(function("other"), Settings::default()).unwrap();
    let id = store.create(function("f"), Settings::default()).unwrap().id;
    for _ in 0..history::HISTORY_MAX {
        store.replace("f", |before| Ok::<_, StoreError>(before.clone())).unwrap();
    }
    let all = store.history(id, None, 2 * history::HISTORY_MAX).unwrap();
    assert_eq!(all.len(), history::HISTORY_MAX);
    assert_eq!(all[0], *store.get("f").unwrap().latest);
    assert!(all.is_sorted_by(|one, next| one.deployment > next.deployment));
    let older = store.history(id, Some(all[1].deployment), 2).unwrap();
    assert_eq!(older, all[2..4]);
    store.delete("f").unwrap();
    assert_eq!(store.history(id, None, 9).unwrap(), []);
    assert_eq!(store.history(other.id, None, 9).unwrap(), [(*other).clone()]);
}

#[test]
fn a_deployments_number_is_never_used_again() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let first = store.create(function("f"), Settings::default()).unwrap().deployment;
    store.delete("f").unwrap();
    drop(store);
    let store = open(data.path());
    assert!(store.create(function("f"), Settings::default()).unwrap().deployment > first);
}

#[test]
fn a_replaced_function_is_another_deployment_and_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let first = store.create(function("f"), Settings::default()).unwrap();
    let change = |before: &Function| {
        Ok::<_, StoreError>(Function { revision_id: "new".into(), ..before.clone() })
    };
    let (before, after) = store.replace("f", change).unwrap();
    assert_eq!(before, first);
    assert_eq!(after.revision_id, "new");
    assert!(after.deployment > before.deployment);
    assert!(matches!(store.replace("g", change), Err(StoreError::Missing)));
    let refusal = store.replace("f", |_| Err(StoreError::Exists));
    assert!(matches!(refusal, Err(StoreError::Exists)));
    drop(store);
    assert_eq!(open(data.path()).get("f").unwrap().latest, after);
}

#[test]
fn names_are_taken_once_and_listed_in_order() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    for name in ["b", "c", "a"] {
        store.create(function(name), Settings::default()).unwrap();
    }
    assert!(matches!(store.create(function("b"), Settings::default()), Err(StoreError::Exists)));
    assert!(matches!(store.delete("z"), Err(StoreError::Missing)));
    let names = |after, count| -> Vec<String> {
        store.list(after, count).iter().map(|one| one.latest.configuration.name.clone()).collect()
    };
    assert_eq!(names(None, 2), ["a", "b"]);
    assert_eq!(names(Some("b"), 2), ["c"]);
}

#[test]
fn versions_are_numbered_once_and_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let latest = store.create(function("f"), Settings::default()).unwrap();
    let copy = |entry: &Entry| Ok::<_, StoreError>(Some((*entry.latest).clone()));
    let first = store.publish("f", "r".into(), copy).unwrap();
    let second = store.publish("f", "r".into(), copy).unwrap();
    assert_eq!((first.version, second.version), (Version::Published(1), Version::Published(2)));
    assert_eq!((first.id, second.id), (latest.id, latest.id));
    assert!(latest.deployment < first.deployment && first.deployment < second.deployment);
    assert_eq!(store.publish("f", "r".into(), |_| Ok::<_, StoreError>(None)).unwrap(), second);
    let refused = store.delete_version("f", 2, |_| Err(StoreError::Exists));
    assert!(matches!(refused, Err(StoreError::Exists)));
    store.delete_version("f", 2, |_| Ok::<_, StoreError>(())).unwrap();
    let missing = store.delete_version("f", 2, |_| Ok::<_, StoreError>(()));
    assert!(matches!(missing, Err(StoreError::Missing)));
    drop(store);
    let store = open(data.path());
    let entry = store.get("f").unwrap();
    let revised = Arc::new(Function { revision_id: "r".into(), ..(*latest).clone() });
    assert_eq!(entry.all().collect::<Vec<_>>(), [&revised, &first], "publishing revises $LATEST");
    assert_eq!(entry.unchanged(), None, "the last one is gone");
    assert_eq!(store.publish("f", "r".into(), copy).unwrap().version, Version::Published(3));
    assert_eq!(store.code().len(), 3);
    store.delete("f").unwrap();
    let again = store.create(function("f"), Settings::default()).unwrap();
    assert!(again.id > latest.id);
    assert_eq!(store.publish("f", "r".into(), copy).unwrap().version, Version::Published(1));
}

#[test]
fn settings_survive_updates_and_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    store.create(function("f"), Settings::default()).unwrap();
    let alias = Alias {
        version: Version::Latest,
        description: String::new(),
        additional: Some((1, 0.5)),
        revision_id: "a".into(),
    };
    store
        .configure("f", |_, settings| {
            settings.aliases.insert("live".into(), alias.clone());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let refused = store.configure("f", |_, settings| {
        settings.aliases.clear();
        Err::<(), _>(StoreError::Exists)
    });
    assert!(matches!(refused, Err(StoreError::Exists)));
    store.replace("f", |before| Ok::<_, StoreError>(before.clone())).unwrap();
    store
        .publish("f", "r".into(), |entry| Ok::<_, StoreError>(Some((*entry.latest).clone())))
        .unwrap();
    drop(store);
    let entry = open(data.path()).get("f").unwrap();
    assert_eq!((entry.settings.version_max, entry.settings.aliases.get("live")), (1, Some(&alias)));
}
