-- The greatest number of a job that went with its run: none is given twice.
ALTER TABLE projects ADD COLUMN last_job INTEGER NOT NULL DEFAULT 0;
