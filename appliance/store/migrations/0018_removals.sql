-- Projects that were deleted and of which something is left, which goes in the background. `repo`,
-- as ORG/NAME, stands until the Git folder is out of the way: no project of that name is made before.
CREATE TABLE removals (
    project BLOB PRIMARY KEY,
    repo    TEXT COLLATE NOCASE,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
