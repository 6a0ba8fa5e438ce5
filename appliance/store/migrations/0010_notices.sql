-- What happened in buckets and is to be told to addresses outside. Times are microseconds.

-- Written with the change, removed when told.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket INTEGER NOT NULL REFERENCES buckets ON DELETE CASCADE,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX notices_by_due ON notices (due, id);
CREATE INDEX notices_by_target ON notices (bucket, target, due);

-- How telling goes, for each bucket and address.
CREATE TABLE notice_targets (
    bucket INTEGER NOT NULL REFERENCES buckets ON DELETE CASCADE,
    target TEXT NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    PRIMARY KEY (bucket, target)
) STRICT, WITHOUT ROWID;
