-- Facts about this database itself, such as the proof of the site key.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The event log. Rows are only added at the end and removed from the front, never the last one,
-- so that the next cursor is always one more than the greatest.
CREATE TABLE events (
    cursor  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL, -- microseconds since the epoch
    project BLOB,
    event   BLOB NOT NULL     -- its form is that of src/events/form.rs
) STRICT;
