//! Brings the schema up to date, one numbered step after the other.
//!
//! Invariants: [`STEPS`] is append-only once released: its length is the schema version, kept in
//! `user_version`. A step and its new version number are one transaction, and so are all steps of a new
//! database, so that a cut in the middle leaves the step wholly undone and the next start runs it again.
//! On failure: a newer database is refused and not touched.

use crate::error::{Error, OpenError};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Every step, oldest first. To change the schema, add `migrations/<number>_<topic>.sql` at the end.
pub const STEPS: &[&str] = &[
    include_str!("../migrations/0001_events.sql"),
    include_str!("../migrations/0002_objects.sql"),
    include_str!("../migrations/0003_runs.sql"),
    include_str!("../migrations/0004_access.sql"),
    include_str!("../migrations/0005_projects.sql"),
    include_str!("../migrations/0006_logs.sql"),
    include_str!("../migrations/0007_keeping.sql"),
    include_str!("../migrations/0008_time.sql"),
    include_str!("../migrations/0009_governor.sql"),
    include_str!("../migrations/0010_notices.sql"),
    include_str!("../migrations/0011_restrictions.sql"),
    include_str!("../migrations/0012_log_rows.sql"),
    include_str!("../migrations/0013_cache_objects.sql"),
    include_str!("../migrations/0014_cache_paths.sql"),
    include_str!("../migrations/0015_trust.sql"),
    include_str!("../migrations/0016_expressions.sql"),
    include_str!("../migrations/0017_part_sums.sql"),
    include_str!("../migrations/0018_removals.sql"),
    include_str!("../migrations/0019_job_numbers.sql"),
    include_str!("../migrations/0020_badges.sql"),
    include_str!("../migrations/0021_webhooks.sql"),
    include_str!("../migrations/0022_branches.sql"),
];

/// The newest schema version this program knows.
#[must_use]
pub fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("the steps are a short list in the source")
}

/// Nothing has been made in it yet.
pub(crate) fn is_new(sql: &Connection) -> rusqlite::Result<bool> {
    Ok(version(sql)? == 0)
}

fn version(sql: &Connection) -> rusqlite::Result<u32> {
    sql.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Runs the steps that `sql` lacks.
pub(crate) fn run(sql: &mut Connection, path: &Path) -> Result<(), OpenError> {
    run_steps(sql, path, STEPS)
}

fn run_steps(sql: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), OpenError> {
    let known = u32::try_from(steps.len()).expect("the steps are a short list in the source");
    let found = not_newer(sql, path, known)?;
    // A new database: one transaction, as each waits for the disk.
    if found == 0 {
        return run_step(sql, &steps.join("\n"), known).map_err(|source| OpenError::Migrate {
            from: 0,
            to: known,
            source,
        });
    }
    for (from, step) in (found..known).zip(&steps[found as usize..]) {
        run_step(sql, step, from + 1).map_err(|source| OpenError::Migrate {
            from,
            to: from + 1,
            source,
        })?;
    }
    Ok(())
}

/// The version of a database, unless this program does not know it.
pub(crate) fn not_newer(sql: &Connection, path: &Path, known: u32) -> Result<u32, OpenError> {
    let found = version(sql).map_err(|error| OpenError::database(path, error.into()))?;
    match found > known {
        true => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        false => Ok(found),
    }
}

fn run_step(sql: &mut Connection, step: &str, to: u32) -> Result<(), Error> {
    let txn = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
    txn.execute_batch(step)?;
    txn.pragma_update(None, "user_version", to)?;
    Ok(txn.commit()?)
}

/// A migrated database and key for tests of topics.
#[cfg(test)]
pub(crate) fn in_memory() -> (Connection, crate::SiteKey) {
    let mut sql = Connection::open_in_memory().expect("memory is there");
    sql.pragma_update(None, "foreign_keys", true).expect("a known pragma");
    run(&mut sql, Path::new("test.db")).expect("every step runs");
    (sql, crate::SiteKey::new([1; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(sql: &Connection) -> Vec<String> {
        let mut list = sql
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
            .unwrap();
        list.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn migrated(steps: &[&str]) -> Connection {
        let mut sql = Connection::open_in_memory().unwrap();
        run_steps(&mut sql, Path::new("test.db"), steps).unwrap();
        sql
    }

    #[test]
    fn every_older_version_arrives_at_the_newest_schema() {
        let newest = schema(&migrated(STEPS));
        for older in 0..STEPS.len() {
            let mut sql = migrated(&STEPS[..older]);
            run(&mut sql, Path::new("test.db")).unwrap();
            assert_eq!(schema(&sql), newest, "from version {older}");
            assert_eq!(version(&sql).unwrap() as usize, STEPS.len());
        }
    }

    #[test]
    fn a_step_cut_at_any_statement_leaves_no_trace_and_runs_again() {
        for (index, step) in STEPS.iter().enumerate() {
            let statements: Vec<&str> = step.split_inclusive(";\n").collect();
            for cut in 0..statements.len() {
                let mut sql = migrated(&STEPS[..index]);
                let before = schema(&sql);
                let torn = statements[..cut].concat() + "SELECT no_such_function();";
                run_step(&mut sql, &torn, 99).unwrap_err();
                assert_eq!(schema(&sql), before, "step {index} cut at {cut}");
                run(&mut sql, Path::new("test.db")).unwrap();
            }
        }
    }

    #[test]
    fn a_new_database_is_made_by_one_commit() {
        let mut sql = Connection::open_in_memory().unwrap();
        let torn = [STEPS[0], "SELECT no_such_function();"];
        run_steps(&mut sql, Path::new("test.db"), &torn).unwrap_err();
        assert_eq!((schema(&sql), version(&sql).unwrap()), (vec![], 0));
    }

    #[test]
    fn what_was_kept_before_there_were_levels_is_unprotected() {
        let mut sql = migrated(&STEPS[..14]);
        let insert = "INSERT INTO caches (project, key, object, size, job, created_at, expires_at, \
                      paths) VALUES (x'07', 'deps', 't/1', 5, 3, 10, 20, '[\"~/.m2\"]')";
        sql.execute(insert, []).unwrap();
        run(&mut sql, Path::new("test.db")).unwrap();
        let kept = "SELECT key || object || size || job || created_at || expires_at || paths || \
                    protected FROM caches";
        let kept: String = sql.query_row(kept, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "depst/1531020[\"~/.m2\"]0");
    }

    #[test]
    fn parts_that_were_there_before_they_counted_are_counted() {
        let mut sql = migrated(&STEPS[..16]);
        let part = "INSERT INTO upload_parts (upload, number, size, etag, modified, blob, details) \
                    VALUES (1, ?1, 100, '', 0, 1, '{}')";
        sql.execute_batch(
            "INSERT INTO buckets (name, owner, created, versioning, settings) \
                 VALUES ('b', 'o', 0, 'off', '{}'), ('empty', 'o', 0, 'off', '{}'); \
             INSERT INTO uploads (name, bucket, key, started, details) VALUES ('u', 1, 'k', 0, '{}'); \
             INSERT INTO blobs (hash, size, refs) VALUES (x'00', 100, 2);",
        )
        .unwrap();
        sql.execute(part, [1]).unwrap();
        sql.execute(part, [2]).unwrap();
        run(&mut sql, Path::new("test.db")).unwrap();
        let sums =
            "SELECT group_concat(part_bytes) FROM (SELECT * FROM bucket_sums ORDER BY bucket)";
        let sums: String = sql.query_row(sums, [], |row| row.get(0)).unwrap();
        assert_eq!(sums, "200,0");
    }

    #[test]
    fn a_newer_database_is_refused_untouched_with_both_versions_named() {
        let mut sql = migrated(STEPS);
        sql.pragma_update(None, "user_version", 4711).unwrap();
        let before = schema(&sql);
        let refused = run(&mut sql, Path::new("test.db")).unwrap_err().to_string();
        assert!(refused.contains("4711") && refused.contains("test.db"), "{refused}");
        assert_eq!(schema(&sql), before);
    }
}
