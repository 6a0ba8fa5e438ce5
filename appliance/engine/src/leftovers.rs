//! Removes what uploads left behind: objects in the house's buckets that no row names.
//!
//! Why: a job's bytes are stored first and named by its report later; a runner that is cut in
//! between, a cache that came second, or a removal that was cut leave bytes without a row.
//! The way: the buckets are gone through a page at a time; the key of an object begins with the task
//! that it was given to. What a task that goes on has stored stays, however old; of tasks that are
//! over or forgotten an object goes when no row names it and it is older than [`AGE`].
//! Invariants: idempotent; each page is one transaction that looks again before it removes, so a
//! kill at any point loses nothing, and the next run goes on; keys of another form are not ours and
//! stay.

use crate::logs::LogError;
use base::{ids::TaskId, time::Timestamp};
use objects::Objects;
use std::time::Duration;
use store::{Reader, runs::leftovers::Shelf};

/// How old a leftover is at least: far longer than the end of a task and the rest of its output
/// are apart.
pub const AGE: Duration = Duration::from_secs(24 * 3600);

/// What a run removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects.
    pub objects: u64,
    /// Their sizes.
    pub bytes: u64,
}

const fn bucket(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Artifacts => "artifacts",
        Shelf::Caches => "caches",
        Shelf::Workspaces => "workspaces",
        Shelf::Logs => "logs",
    }
}

/// The task that a key was given to; `None` for keys of another form.
fn task_of(key: &str) -> Option<TaskId> {
    key.split_once('/')?.0.parse().ok()
}

/// Removes what was left behind until [`AGE`] before `now`.
///
/// # Errors
/// When the store fails; what was removed until then stays removed.
pub async fn sweep(objects: &Objects, now: Timestamp) -> Result<Swept, LogError> {
    let before = Timestamp(now.0 - i64::try_from(AGE.as_micros()).unwrap_or(i64::MAX));
    sweep_where(objects, before, |_, _| Ok(false)).await
}

/// Removes, however new it is, what belonged to tasks that are forgotten: a project was deleted, and
/// a cut may have come between its rows and their bytes.
///
/// # Errors
/// As [`sweep`].
pub async fn sweep_forgotten(objects: &Objects) -> Result<Swept, LogError> {
    let is_known =
        |reader: &Reader<'_>, task: TaskId| reader.task_get(task).map(|task| task.is_some());
    sweep_where(objects, Timestamp(i64::MAX), is_known).await
}

/// Removes what was stored until `before`, no row names, and `stays` does not know better.
async fn sweep_where(
    objects: &Objects,
    before: Timestamp,
    stays: fn(&Reader<'_>, TaskId) -> Result<bool, store::Error>,
) -> Result<Swept, LogError> {
    let mut swept = Swept::default();
    for shelf in Shelf::ALL {
        let mut after = Some(String::new());
        while let Some(key) = after {
            let wanted = move |reader: &Reader<'_>, key: &str| match task_of(key) {
                Some(task) => {
                    Ok(stays(reader, task)? || reader.object_is_wanted(shelf, task, key)?)
                }
                None => Ok(true),
            };
            let page = objects.discard(bucket(shelf), &key, before, wanted).await?;
            swept.objects += page.objects;
            swept.bytes += page.bytes;
            after = page.next;
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: bool) {
        assert_eq!(task_of(key).is_some(), expected, "{key}");
    }

    #[test]
    fn keys_that_were_given_to_a_task_are_known() {
        check("0193005a-5a5a-7abc-8def-0123456789ab/0a1b", true);
        check("0193005a-5a5a-7abc-8def-0123456789ab/0/4194304", true);
        check("0193005a-5a5a-7abc-8def-0123456789ab", false);
        check("backup/site.tar", false);
        check("", false);
    }
}
