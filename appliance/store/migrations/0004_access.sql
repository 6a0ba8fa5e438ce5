-- Who may do what: accounts, their sessions and tokens, and the record of what they did.
CREATE TABLE users (
    id         BLOB PRIMARY KEY,
    login      TEXT NOT NULL COLLATE NOCASE UNIQUE,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    password   TEXT,             -- Argon2id in PHC form; null for an account with tokens alone
    one_time   INTEGER NOT NULL, -- the password must be changed at the next log-in
    disabled   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY, -- SHA-256 of the cookie's value
    id         BLOB NOT NULL UNIQUE,
    user       BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    agent      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    hash         BLOB PRIMARY KEY, -- SHA-256 of the token's text
    id           BLOB NOT NULL UNIQUE,
    user         BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    label        TEXT NOT NULL,
    scope        TEXT NOT NULL, -- JSON
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    address TEXT,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT
) STRICT;
