-- Buckets, objects and the bytes behind them. Times are microseconds since the epoch, sizes bytes.
-- `details`, `settings` and `scope` are JSON of the room that keeps objects; opaque here.

-- Keys that the room makes for itself at its first start, sealed under the site key.
CREATE TABLE object_secrets (
    name TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE access_keys (
    id TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    owner TEXT NOT NULL,
    display TEXT NOT NULL,
    email TEXT NOT NULL,
    scope TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_by_owner ON access_keys (owner);

CREATE TABLE buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    versioning TEXT NOT NULL CHECK (versioning IN ('off', 'on', 'suspended')),
    settings TEXT NOT NULL
) STRICT;
CREATE INDEX buckets_by_owner ON buckets (owner, name);

-- Bytes, each kept once. Either `data` (small) or `path` (a file that nothing else ever names).
-- `refs` counts the rows that hold it; `freed` is when the last one went.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    refs INTEGER NOT NULL CHECK (refs >= 0),
    freed INTEGER,
    path TEXT,
    data BLOB,
    checked INTEGER NOT NULL DEFAULT 0,
    bad INTEGER NOT NULL DEFAULT 0
) STRICT;
-- A file is looked up by its name when leftovers of a cut are swept.
CREATE UNIQUE INDEX blobs_by_path ON blobs (path) WHERE path IS NOT NULL;
CREATE INDEX blobs_by_freed ON blobs (freed) WHERE freed IS NOT NULL;

-- One row for each version; the newest has the highest id.
CREATE TABLE objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket INTEGER NOT NULL REFERENCES buckets,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    latest INTEGER NOT NULL,
    marker INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    blob INTEGER REFERENCES blobs,
    details TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX objects_latest ON objects (bucket, key) WHERE latest = 1;
CREATE INDEX objects_by_key ON objects (bucket, key, id);

-- The pieces of an object that was uploaded in parts.
CREATE TABLE object_parts (
    object INTEGER NOT NULL REFERENCES objects,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    blob INTEGER NOT NULL REFERENCES blobs,
    details TEXT NOT NULL,
    PRIMARY KEY (object, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    bucket INTEGER NOT NULL REFERENCES buckets,
    key TEXT NOT NULL,
    started INTEGER NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);

CREATE TABLE upload_parts (
    upload INTEGER NOT NULL REFERENCES uploads,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    blob INTEGER NOT NULL REFERENCES blobs,
    details TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
