-- What buckets hold in sum and may hold at most; where the keeper of bytes stands in its rounds.

-- Counted with every row, so that a quota is checked in the transaction that would break it and a
-- look at the usage reads one row. No maximum: NULL.
CREATE TABLE bucket_sums (
    bucket INTEGER PRIMARY KEY REFERENCES buckets ON DELETE CASCADE,
    objects INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    max_bytes INTEGER,
    max_objects INTEGER
) STRICT;
INSERT INTO bucket_sums (bucket, objects, bytes)
    SELECT b.id, count(o.id), coalesce(sum(o.size), 0)
    FROM buckets b LEFT JOIN objects o ON o.bucket = b.id GROUP BY b.id;

CREATE TRIGGER bucket_sums_begin AFTER INSERT ON buckets BEGIN
    INSERT INTO bucket_sums (bucket) VALUES (new.id);
END;
CREATE TRIGGER bucket_sums_more AFTER INSERT ON objects BEGIN
    UPDATE bucket_sums SET objects = objects + 1, bytes = bytes + new.size WHERE bucket = new.bucket;
    -- A delete marker is never refused: deleting is the way out of a full bucket.
    SELECT RAISE(ABORT, 'quota') FROM bucket_sums
        WHERE bucket = new.bucket AND new.marker = 0 AND (bytes > max_bytes OR objects > max_objects);
END;
CREATE TRIGGER bucket_sums_less AFTER DELETE ON objects BEGIN
    UPDATE bucket_sums SET objects = objects - 1, bytes = bytes - old.size WHERE bucket = old.bucket;
END;

CREATE TABLE keeper_marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
