-- Addresses outside that are told of a project's workflows and jobs. `secret` is sealed under the site
-- key; `seen` is the last event that was looked at for it.
CREATE TABLE webhooks (
    id         BLOB PRIMARY KEY,
    project    BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    name       TEXT NOT NULL,
    url        TEXT NOT NULL,
    events     TEXT NOT NULL, -- JSON: [event, ...]
    secret     BLOB NOT NULL,
    seen       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_by_project ON webhooks (project, id);

-- Written with the place of the event, over when it was told or given up: `due` is null then.
CREATE TABLE deliveries (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook  BLOB NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event    TEXT NOT NULL,
    body     TEXT NOT NULL, -- JSON
    made     INTEGER NOT NULL,
    due      INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    at       INTEGER,       -- of the last attempt
    answer   TEXT           -- to the last attempt, or why there was none
) STRICT;
CREATE INDEX deliveries_by_due ON deliveries (due, id) WHERE due IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook, id);
