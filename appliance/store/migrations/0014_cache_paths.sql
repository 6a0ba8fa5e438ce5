-- What a cache was saved of; the log of the job that finds it lists them.
ALTER TABLE caches ADD COLUMN paths TEXT NOT NULL DEFAULT '[]'; -- JSON
