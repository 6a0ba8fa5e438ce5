-- Organisations, projects and what they keep for their jobs. `value` is sealed under the site key.
CREATE TABLE orgs (
    id         BLOB PRIMARY KEY,
    name       TEXT NOT NULL COLLATE NOCASE UNIQUE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL REFERENCES orgs,
    name       TEXT NOT NULL COLLATE NOCASE,
    settings   TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE project_variables (
    project    BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE contexts (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL REFERENCES orgs,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE context_variables (
    context    BLOB NOT NULL REFERENCES contexts ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (context, name)
) STRICT, WITHOUT ROWID;

-- A push is noted before its refs move, and done once its pipelines are queued.
CREATE TABLE pushes (
    id      BLOB PRIMARY KEY,
    project BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    body    TEXT NOT NULL, -- JSON
    done_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX pushes_open ON pushes (id) WHERE done_at IS NULL;

-- One pipeline per ref of a push, however often the push is told.
CREATE TABLE push_pipelines (
    push     BLOB NOT NULL REFERENCES pushes ON DELETE CASCADE,
    ref      TEXT NOT NULL,
    pipeline BLOB NOT NULL,
    PRIMARY KEY (push, ref)
) STRICT, WITHOUT ROWID;
