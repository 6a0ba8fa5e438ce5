-- Dynamic configuration, and time as a trigger.
ALTER TABLE pipelines ADD COLUMN setup BLOB;          -- text: the setup configuration, once continued
ALTER TABLE pipelines ADD COLUMN compiled_setup BLOB; -- text: the same as processed
ALTER TABLE pipelines ADD COLUMN due TEXT;            -- JSON: the schedule, when one triggered it

CREATE TABLE schedules (
    id      BLOB PRIMARY KEY,
    project BLOB NOT NULL,
    body    TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_project ON schedules (project);

-- Workflows whose configuration says when they run, as last compiled for the branch.
CREATE TABLE timers (
    project  BLOB NOT NULL,
    branch   TEXT NOT NULL,
    workflow TEXT NOT NULL,
    cron     TEXT NOT NULL,
    PRIMARY KEY (project, branch, workflow, cron)
) STRICT, WITHOUT ROWID;

-- The last minute whose schedules were looked at, counted from 1970.
CREATE TABLE clock (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    minute INTEGER NOT NULL
) STRICT;
