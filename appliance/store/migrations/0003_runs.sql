-- Everything about runs. Pages are small and a commit writes whole pages, so there are few trees:
-- identifiers of one workflow, its jobs and their tasks share a prefix (runs/family.rs), which
-- makes each list a range of the primary key and spares an index. Texts that repeat from run to
-- run (configuration, specification, commit) are kept once, by hash.
CREATE TABLE texts (
    hash BLOB PRIMARY KEY, -- first 16 bytes of SHA-256
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pipelines (
    id          BLOB PRIMARY KEY,
    project     BLOB NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    branch      TEXT,
    vcs         BLOB NOT NULL, -- text: JSON of the commit
    config      BLOB,          -- text: as found
    compiled    BLOB,          -- text: as processed
    workflows   BLOB NOT NULL, -- 16 bytes each, in order of creation
    parameters  TEXT,
    errors      TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX pipelines_number ON pipelines (project, number);

CREATE TABLE workflows (
    id              BLOB PRIMARY KEY,
    pipeline        BLOB NOT NULL,
    project         BLOB NOT NULL,
    name            TEXT NOT NULL,
    state           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    stopped_at      INTEGER,
    started_by      TEXT NOT NULL,
    canceled_by     TEXT,
    workspace       BLOB, -- when it is another's
    rerun_of        BLOB,
    reruns          INTEGER NOT NULL, -- of this workflow, so far
    auto_rerun      INTEGER NOT NULL,
    max_auto_reruns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX workflows_live ON workflows (id) WHERE stopped_at IS NULL;

CREATE TABLE jobs (
    id          BLOB PRIMARY KEY,
    project     BLOB NOT NULL,
    number      INTEGER, -- build jobs have one
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    parallelism INTEGER NOT NULL,
    requires    TEXT, -- JSON: [[ordinal, [state, ...]], ...]
    contexts    TEXT, -- JSON: names
    serial      TEXT,
    spec        BLOB, -- text: JSON of the specification
    created_at  INTEGER NOT NULL,
    queued_at   INTEGER,
    started_at  INTEGER,
    stopped_at  INTEGER,
    origin      BLOB, -- the job whose result a rerun took over
    decided_by  TEXT, -- who approved or canceled
    message     TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_number ON jobs (project, number) WHERE number IS NOT NULL AND origin IS NULL;

-- A row is made when a task is leased for the first time.
CREATE TABLE tasks (
    id          BLOB PRIMARY KEY,
    node        INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    runner      BLOB, -- null again when the runner never received it
    fence       INTEGER NOT NULL,
    next_report INTEGER NOT NULL,
    leased_at   INTEGER NOT NULL,
    started_at  INTEGER,
    stopped_at  INTEGER,
    outcome     TEXT,
    message     TEXT,
    peak_memory INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    task         BLOB NOT NULL,
    step         INTEGER NOT NULL,
    name         TEXT NOT NULL,
    background   INTEGER NOT NULL,
    state        TEXT NOT NULL,
    exit_code    INTEGER,
    started_at   INTEGER NOT NULL,
    stopped_at   INTEGER,
    output_bytes INTEGER NOT NULL,
    PRIMARY KEY (task, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    task   BLOB NOT NULL,
    path   TEXT NOT NULL,
    object TEXT NOT NULL,
    size   INTEGER NOT NULL,
    PRIMARY KEY (task, path)
) STRICT, WITHOUT ROWID;

-- One row for each report of results.
CREATE TABLE tests (
    task BLOB NOT NULL,
    part INTEGER NOT NULL,
    body TEXT NOT NULL, -- JSON: [TestResult, ...]
    PRIMARY KEY (task, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE workspace_layers (
    task       BLOB NOT NULL,
    part       INTEGER NOT NULL,
    object     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    paths      TEXT NOT NULL, -- JSON: [path, ...]
    created_at INTEGER NOT NULL,
    PRIMARY KEY (task, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE caches (
    project    BLOB NOT NULL,
    key        TEXT NOT NULL,
    object     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    job        INTEGER NOT NULL, -- number of the job that saved it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE runners (
    id            BLOB PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    registered_at INTEGER NOT NULL,
    body          TEXT NOT NULL -- JSON: as it introduced itself
) STRICT, WITHOUT ROWID;
