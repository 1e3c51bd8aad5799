//! The schema, as the steps that led to it. A new database takes all of them, an older one those that it lacks,
//! so a step never changes once it is published.

/// Step n leads from version n - 1 to n.
pub(super) const STEPS: [&str; 2] = [FUNCTIONS, LAYERS];

/// AUTOINCREMENT: a deployment's number is never used again, also when its row is gone.
const FUNCTIONS: &str = "
    CREATE TABLE functions (
        deployment    INTEGER PRIMARY KEY AUTOINCREMENT,
        name          TEXT    NOT NULL UNIQUE,
        configuration TEXT    NOT NULL,
        code_sha256   TEXT    NOT NULL,
        code_size     INTEGER NOT NULL,
        modified_ms   INTEGER NOT NULL,
        revision_id   TEXT    NOT NULL
    ) STRICT;
";

/// `version_max` stays when versions go: no number is given out twice.
const LAYERS: &str = "
    CREATE TABLE layers (
        name        TEXT    PRIMARY KEY,
        version_max INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE layer_versions (
        name     TEXT    NOT NULL REFERENCES layers,
        version  INTEGER NOT NULL,
        document TEXT    NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT;
";
