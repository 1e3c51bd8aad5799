//! The schema, as the steps that led to it. A new database takes all of them, an older one those that it lacks,
//! so a step never changes once it is published.

/// Step n leads from version n - 1 to n.
pub(super) const STEPS: [&str; 4] = [FUNCTIONS, LAYERS, VERSIONS, HISTORY];

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

/// A function has deployments: version 0 is $LATEST. Deployments' numbers go on where functions' were.
const VERSIONS: &str = "
    ALTER TABLE functions RENAME TO functions_before;
    CREATE TABLE functions (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        name     TEXT    NOT NULL UNIQUE,
        settings TEXT    NOT NULL
    ) STRICT;
    CREATE TABLE deployments (
        deployment    INTEGER PRIMARY KEY AUTOINCREMENT,
        function      INTEGER NOT NULL REFERENCES functions,
        version       INTEGER NOT NULL,
        configuration TEXT    NOT NULL,
        code_sha256   TEXT    NOT NULL,
        code_size     INTEGER NOT NULL,
        modified_ms   INTEGER NOT NULL,
        revision_id   TEXT    NOT NULL,
        UNIQUE (function, version)
    ) STRICT;
    INSERT INTO functions (name, settings)
        SELECT name, '{}' FROM functions_before ORDER BY deployment;
    INSERT INTO deployments
        SELECT deployment, id, 0, configuration, code_sha256, code_size, modified_ms, revision_id
        FROM functions_before JOIN functions USING (name);
    DELETE FROM sqlite_sequence WHERE name = 'deployments';
    INSERT INTO sqlite_sequence
        SELECT 'deployments', seq FROM sqlite_sequence WHERE name = 'functions_before';
    DROP TABLE functions_before;
";

/// Deployments as they were made; the columns are theirs. It begins with those that there are.
const HISTORY: &str = "
    CREATE TABLE history (
        deployment    INTEGER PRIMARY KEY,
        function      INTEGER NOT NULL REFERENCES functions,
        version       INTEGER NOT NULL,
        configuration TEXT    NOT NULL,
        code_sha256   TEXT    NOT NULL,
        code_size     INTEGER NOT NULL,
        modified_ms   INTEGER NOT NULL,
        revision_id   TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX history_by_function ON history (function, deployment);
    INSERT INTO history SELECT * FROM deployments;
";
