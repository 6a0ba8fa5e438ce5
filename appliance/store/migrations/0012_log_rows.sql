-- Segments as rows of their own tree. In the tree of their key, whose cells are small, most of them
-- needed a page for their bytes alone, and each page that filled was balanced with its neighbours;
-- rows that are only added fill one page after the other.
ALTER TABLE log_segments RENAME TO log_segments_by_key;
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
) STRICT;
INSERT INTO log_segments (task, step, offset, line, size, lines, frames, data, object)
    SELECT task, step, offset, line, size, lines, frames, data, object
    FROM log_segments_by_key ORDER BY task, step, offset;
DROP TABLE log_segments_by_key;
