-- What jobs needed before, and what the machine was like: for admission and for charts.
CREATE TABLE job_peaks (
    project BLOB NOT NULL,
    name    TEXT NOT NULL,
    peaks   BLOB NOT NULL, -- eight bytes each, the newest last
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

-- One row for some minutes; old ones are removed as new ones come.
CREATE TABLE machine_days (
    at   INTEGER PRIMARY KEY, -- start of the span
    body TEXT NOT NULL        -- JSON of the room that writes it
) STRICT;
