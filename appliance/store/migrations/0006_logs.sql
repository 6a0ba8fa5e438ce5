-- Output of steps, in sealed segments that follow each other without gaps. The bytes are compressed
-- frames; `frames` tells the length and the number of lines of each.
CREATE TABLE log_segments (
    task   BLOB NOT NULL,
    step   INTEGER NOT NULL,
    offset INTEGER NOT NULL, -- of the first byte of output
    line   INTEGER NOT NULL, -- line breaks before it
    size   INTEGER NOT NULL, -- bytes of output
    lines  INTEGER NOT NULL, -- line breaks in it
    frames BLOB NOT NULL,
    data   BLOB,             -- either the bytes,
    object TEXT,             -- or their key in the bucket of logs
    PRIMARY KEY (task, step, offset)
) STRICT, WITHOUT ROWID;
