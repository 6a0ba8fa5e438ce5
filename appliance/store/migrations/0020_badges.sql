-- What opens the status badge of a project, and nothing else. `token` is sealed under the site key.
CREATE TABLE badges (
    project BLOB PRIMARY KEY REFERENCES projects ON DELETE CASCADE,
    token   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
