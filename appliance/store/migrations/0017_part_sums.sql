-- Parts of unfinished uploads count against a bucket's quota, as the bytes of objects do.
ALTER TABLE bucket_sums ADD COLUMN part_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE bucket_sums SET part_bytes = (
    SELECT coalesce(sum(p.size), 0) FROM uploads u JOIN upload_parts p ON p.upload = u.id
    WHERE u.bucket = bucket_sums.bucket);

DROP TRIGGER bucket_sums_more;
CREATE TRIGGER bucket_sums_more AFTER INSERT ON objects BEGIN
    UPDATE bucket_sums SET objects = objects + 1, bytes = bytes + new.size WHERE bucket = new.bucket;
    -- A delete marker is never refused: deleting is the way out of a full bucket.
    SELECT RAISE(ABORT, 'quota') FROM bucket_sums WHERE bucket = new.bucket AND new.marker = 0
        AND (bytes + part_bytes > max_bytes OR objects > max_objects);
END;
-- A part that takes another's place is deleted and inserted: `REPLACE` fires no trigger of deletion.
CREATE TRIGGER part_sums_more AFTER INSERT ON upload_parts BEGIN
    UPDATE bucket_sums SET part_bytes = part_bytes + new.size
        WHERE bucket = (SELECT bucket FROM uploads WHERE id = new.upload);
    SELECT RAISE(ABORT, 'quota') FROM bucket_sums
        WHERE bucket = (SELECT bucket FROM uploads WHERE id = new.upload)
        AND bytes + part_bytes > max_bytes;
END;
CREATE TRIGGER part_sums_less AFTER DELETE ON upload_parts BEGIN
    UPDATE bucket_sums SET part_bytes = part_bytes - old.size
        WHERE bucket = (SELECT bucket FROM uploads WHERE id = old.upload);
END;
