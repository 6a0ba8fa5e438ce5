-- Whether a protected branch or tag brought it forth: pipelines, and with them the caches that their
-- jobs saved. A key stands once for each level, and no level can take the other's.
ALTER TABLE pipelines ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;

CREATE TABLE caches_by_level (
    project    BLOB NOT NULL,
    key        TEXT NOT NULL,
    protected  INTEGER NOT NULL,
    object     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    job        INTEGER NOT NULL, -- number of the job that saved it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    paths      TEXT NOT NULL, -- JSON
    PRIMARY KEY (project, key, protected)
) STRICT, WITHOUT ROWID;
INSERT INTO caches_by_level
    SELECT project, key, 0, object, size, job, created_at, expires_at, paths FROM caches;
DROP TABLE caches;
ALTER TABLE caches_by_level RENAME TO caches;
CREATE INDEX caches_by_object ON caches (object);
