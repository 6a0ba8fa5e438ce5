-- Everything about runs. Pages are small and a commit writes whole pages, so there are few trees:
-- identifiers of one workflow, its jobs and their tasks share a prefix (runs/family.rs), which
-- makes each list a range of one primary key. Texts that repeat from run to
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
) STRICT; -- rows too long for the small cells of a table without rowid
CREATE UNIQUE INDEX pipelines_number ON pipelines (project, number);

-- Workflows, jobs, tasks and steps in one tree: those of one workflow share the prefix of their
-- identifier and so stand on one or two pages, which are all that a change of it writes.
--
--          workflow         job (1-3)      task             step
-- id       its own          its own        its own          the task's
-- part     0                0              0                its number + 1
-- kind     0                1 build        4                5
--                           2 approval
--                           3 no-op
-- state    state            state          outcome or null  state
-- ref_a    pipeline         specification  runner (1)
-- ref_b    workspace (2)    origin (3)
-- ref_c    rerun of
-- n_a      reruns           parallelism    node             background
-- n_b      automatic                       attempt          exit code
-- n_c      automatic max                   fence            bytes of output
-- n_d                                      next report
-- n_e                                      peak memory
-- at_a     created          created        leased           started
-- at_b                      queued
-- at_c                      started        started
-- at_d     stopped          stopped        stopped          stopped
-- text_a   started by       requires (4)
-- text_b   canceled by      contexts (4)
-- text_c                    serial group
-- text_d                    decided by
-- text_e                    message        message
--
-- (1) null again when the runner never received it; a task has a row from its first lease on
-- (2) when it is another's   (3) the job whose result a rerun took over   (4) JSON
CREATE TABLE runs (
    id      BLOB NOT NULL,
    part    INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    state   TEXT,
    project BLOB,    -- of workflows and jobs
    number  INTEGER, -- of build jobs
    name    TEXT,    -- of all but tasks
    ref_a   BLOB,
    ref_b   BLOB,
    ref_c   BLOB,
    n_a     INTEGER,
    n_b     INTEGER,
    n_c     INTEGER,
    n_d     INTEGER,
    n_e     INTEGER,
    at_a    INTEGER NOT NULL,
    at_b    INTEGER,
    at_c    INTEGER,
    at_d    INTEGER,
    text_a  TEXT,
    text_b  TEXT,
    text_c  TEXT,
    text_d  TEXT,
    text_e  TEXT,
    PRIMARY KEY (id, part)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX runs_number ON runs (project, number) WHERE number IS NOT NULL AND ref_b IS NULL;

-- Where to look for workflows that have not ended: these, and all after the mark. Written now and
-- then; an index would be written at the start and the end of every workflow.
CREATE TABLE runs_live (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    mark BLOB NOT NULL, -- a workflow's identifier
    ids  BLOB NOT NULL  -- 16 bytes each
) STRICT;

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
