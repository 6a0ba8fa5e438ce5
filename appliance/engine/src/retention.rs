//! Forgets what has been kept long enough: pipelines with their logs, artifacts and workspaces,
//! those classes alone where they are kept for less, and caches past their day.
//!
//! The way: `control::retention` decides over the list of pipelines ([`plan`] tells what it would
//! do); each is then removed in a transaction of its own, and its bytes after that. A cut in between
//! leaves bytes without a row, which [`crate::leftovers`] finds; never a row without its bytes.
//! Invariants: idempotent and without input, so it may run at any time; nothing is written when
//! nothing is due; what goes on is never touched.

use crate::logs::{LogError, Logs};
use base::{ids::PipelineId, time::Timestamp};
use control::retention::{self, Bounds, Kept};
use objects::Objects;
use std::{collections::HashSet, time::Duration};
use store::{
    Store,
    runs::{
        holdings::{Class, Holding},
        remove::Removed,
    },
};

/// Newest pipelines of each project that are kept whatever their age: a project that rests for a
/// year still shows how it ended.
const KEEP_NEWEST: usize = 10;

/// Caches removed in one transaction: others write between two.
const CACHES: u32 = 500;

/// Expired caches that a plan counts.
const CACHES_PLANNED: u32 = 1_000_000;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Pipelines with all that belongs to them.
    pub pipelines: Duration,
    /// Artifacts; `None` as long as their pipeline.
    pub artifacts: Option<Duration>,
    /// Workspace layers.
    pub workspaces: Option<Duration>,
    /// Output of steps.
    pub logs: Option<Duration>,
}

impl Keep {
    /// Everything as long as its pipeline.
    #[must_use]
    pub const fn all(pipelines: Duration) -> Self {
        Self { pipelines, artifacts: None, workspaces: None, logs: None }
    }

    const fn of(&self, class: Class) -> Option<Duration> {
        match class {
            Class::Artifacts => self.artifacts,
            Class::Workspaces => self.workspaces,
            Class::Logs => self.logs,
        }
    }
}

/// What one sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Pipelines with all that belonged to them.
    pub pipelines: usize,
    /// Pipelines that stay and lost a class of what they kept.
    pub released: usize,
    /// Caches.
    pub caches: usize,
}

/// What a sweep would remove, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Pipelines; their bytes are those of the classes below.
    pub pipelines: u64,
    /// Artifacts, of pipelines that go and of those that stay.
    pub artifacts: Holding,
    /// Workspace layers.
    pub workspaces: Holding,
    /// Segments of output.
    pub logs: Holding,
    /// Caches past their day.
    pub caches: Holding,
}

/// What is due: whole pipelines, and classes of pipelines that stay.
struct Due {
    whole: Vec<PipelineId>,
    classes: Vec<(PipelineId, Class)>,
}

fn due(kept: &[Kept], keep: &Keep, now: Timestamp) -> Due {
    let bounds = Bounds { keep_newest: KEEP_NEWEST, keep_for: keep.pipelines };
    let whole = retention::plan(kept, bounds, now);
    let goes: HashSet<PipelineId> = whole.iter().copied().collect();
    let mut classes = Vec::new();
    for class in Class::ALL {
        let Some(keep_for) = keep.of(class) else { continue };
        let due = retention::plan(kept, Bounds { keep_newest: 0, keep_for }, now);
        classes.extend(due.into_iter().filter(|id| !goes.contains(id)).map(|id| (id, class)));
    }
    Due { whole, classes }
}

/// What a sweep would remove at `now`; nothing is changed.
///
/// # Errors
/// When the store fails.
pub async fn plan(store: &Store, keep: Keep, now: Timestamp) -> Result<Plan, LogError> {
    let due = due(&kept(store).await?, &keep, now);
    let plan = store.read(move |reader| {
        let mut plan = Plan { pipelines: due.whole.len() as u64, ..Plan::default() };
        let whole = due.whole.iter().flat_map(|id| Class::ALL.map(|class| (*id, class)));
        for (id, class) in whole.chain(due.classes) {
            let holding = reader.pipeline_holds(id, class)?;
            let sum = match class {
                Class::Artifacts => &mut plan.artifacts,
                Class::Workspaces => &mut plan.workspaces,
                Class::Logs => &mut plan.logs,
            };
            sum.count += holding.count;
            sum.bytes += holding.bytes;
        }
        for cache in reader.cache_list_expired(now, CACHES_PLANNED)? {
            plan.caches.count += 1;
            plan.caches.bytes += cache.size;
        }
        Ok::<_, store::Error>(plan)
    });
    Ok(plan.await?)
}

/// Removes everything that is kept for longer than `keep` at `now`.
///
/// # Errors
/// When the store or the object store fails; what was removed before stays removed.
pub async fn sweep(
    store: &Store,
    logs: &Logs,
    objects: &Objects,
    keep: Keep,
    now: Timestamp,
) -> Result<Swept, LogError> {
    let Due { whole, classes } = due(&kept(store).await?, &keep, now);
    let mut pipelines = 0;
    for id in whole {
        // One that was run again since the list was read stays.
        if let Some(removed) = store.write(move |txn| txn.pipeline_remove(id)).await? {
            remove_bytes(removed, logs, objects).await?;
            pipelines += 1;
        }
    }
    if pipelines > 0 {
        forget_texts(store).await?;
    }
    let released = release(store, logs, objects, classes).await?;
    let caches = sweep_caches(store, objects, now).await?;
    Ok(Swept { pipelines, released, caches })
}

/// Removes texts that no run names any more. The look at all runs holds up no commit.
pub(crate) async fn forget_texts(store: &Store) -> Result<(), store::Error> {
    for piece in store.read(|reader| reader.texts_unused()).await?.pieces() {
        store.write(move |txn| txn.texts_forget(&piece)).await?;
    }
    Ok(())
}

/// Lets classes go of pipelines that stay; those that have nothing of it any more are not written.
async fn release(
    store: &Store,
    logs: &Logs,
    objects: &Objects,
    classes: Vec<(PipelineId, Class)>,
) -> Result<usize, LogError> {
    let mut released = 0;
    for (id, class) in classes {
        let holding = store.read(move |reader| reader.pipeline_holds(id, class)).await?;
        if holding.count == 0 {
            continue;
        }
        let removed = store.write(move |txn| txn.pipeline_release(id, class)).await?;
        remove_bytes(removed, logs, objects).await?;
        released += 1;
    }
    Ok(released)
}

async fn kept(store: &Store) -> Result<Vec<Kept>, store::Error> {
    store
        .read(|reader| {
            let live: HashSet<PipelineId> =
                reader.workflow_live()?.into_iter().map(|workflow| workflow.pipeline).collect();
            let mut all = Vec::new();
            loop {
                let page = reader.pipeline_ages(all.last().map(|kept: &Kept| kept.pipeline))?;
                if page.is_empty() {
                    return Ok(all);
                }
                all.extend(page.into_iter().map(|age| Kept {
                    pipeline: age.pipeline,
                    project: age.project,
                    number: age.number,
                    created_at: age.created_at,
                    is_live: live.contains(&age.pipeline),
                }));
            }
        })
        .await
}

/// The bytes of rows that are gone.
pub(crate) async fn remove_bytes(
    removed: Removed,
    logs: &Logs,
    objects: &Objects,
) -> Result<(), LogError> {
    if !removed.tasks.is_empty() {
        logs.remove(removed.tasks).await?;
    }
    for key in removed.logs {
        objects.delete("logs", &key).await?;
    }
    for key in removed.artifacts {
        objects.delete("artifacts", &key).await?;
    }
    for key in removed.layers {
        objects.delete("workspaces", &key).await?;
    }
    Ok(())
}

async fn sweep_caches(store: &Store, objects: &Objects, now: Timestamp) -> Result<usize, LogError> {
    let mut count = 0;
    while !store.read(move |reader| reader.cache_list_expired(now, 1)).await?.is_empty() {
        let gone = store.write(move |txn| txn.cache_remove_expired(now, CACHES)).await?;
        count += gone.len();
        for object in gone {
            objects.delete("caches", &object).await?;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ids::{PipelineNumber, ProjectId};
    use uuid::Uuid;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Pipelines of so many days, oldest first; which go whole, and which lose their artifacts.
    fn check(days: &[u32], live: u64, keep: &Keep, whole: &[u128], classes: &[u128]) {
        let now = Timestamp(0).plus(DAY * 1000);
        let kept: Vec<Kept> = (0_u64..)
            .zip(days)
            .map(|(number, age)| Kept {
                pipeline: PipelineId(Uuid::from_u128(number.into())),
                project: ProjectId(Uuid::nil()),
                number: PipelineNumber(number),
                created_at: Timestamp(0).plus(DAY * (1000 - age)),
                is_live: number == live,
            })
            .collect();
        let due = due(&kept, keep, now);
        let ids = |ids: &[u128]| -> Vec<_> {
            ids.iter().map(|number| PipelineId(Uuid::from_u128(*number))).collect()
        };
        assert_eq!(due.whole, ids(whole), "{days:?}");
        let expected: Vec<_> = ids(classes).into_iter().map(|id| (id, Class::Artifacts)).collect();
        assert_eq!(due.classes, expected, "{days:?}");
    }

    #[test]
    fn a_class_goes_before_its_pipeline_and_what_goes_whole_is_not_named_twice() {
        let keep = Keep { artifacts: Some(DAY * 30), ..Keep::all(DAY * 90) };
        let mut days = vec![100, 95, 40];
        days.extend([1; KEEP_NEWEST]);
        check(&days, 99, &keep, &[0, 1], &[2]);
        check(&days, 2, &keep, &[0, 1], &[]);
        check(&days, 99, &Keep::all(DAY * 90), &[0, 1], &[]);
        // The newest of a project stay as pipelines, without the class.
        check(&[100, 40], 99, &keep, &[], &[0, 1]);
    }
}
