//! Deleting a project: when it is refused, what cannot begin any more, and that nothing is left
//! however often the purge is killed.

use crate::{
    alone::one_life,
    house::{House, ONE_JOB, ended, now, open},
};
use base::{
    ids::{JobNumber, PipelineId, ProjectId, PushId},
    protocol::Progress,
    state::TaskOutcome,
    trust::Trust,
    workspace::Names,
};
use engine::{Error, RerunWanted, logs::Logs, removal};
use objects::Objects;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{
    Store,
    access::NewAudit,
    live::MemoryLive,
    projects::{Push, Settings},
    runs::{Cache, Layer},
};
use uuid::Uuid;

/// Names the folder of a child's store.
const DIR: &str = "APPLIANCE_REMOVAL_DIR";

fn deed() -> NewAudit {
    NewAudit { actor: "root".into(), action: "project.delete".into(), ..NewAudit::default() }
}

async fn remove(house: &House) -> Result<(), Error> {
    house.engine.remove_project(house.project, deed()).await
}

async fn refused(house: &House, words: &str) {
    let why = remove(house).await.unwrap_err();
    assert!(matches!(&why, Error::Conflict(why) if why.contains(words)), "{why}");
}

#[tokio::test]
async fn a_project_goes_when_nothing_of_it_goes_on_and_nothing_begins_after() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let runner = house.runner().await;
    let pipeline = house.triggered(ONE_JOB).await;
    refused(&house, "acme/relay has 1 workflow that has not ended: cancel").await;
    house.triggered(ONE_JOB).await;
    refused(&house, "has 2 workflows that have not ended").await;
    for task in house.claim(runner).await {
        house.end(&task, TaskOutcome::Success).await.unwrap();
    }
    let found = house.store.read(move |reader| reader.pipeline_get(pipeline)).await.unwrap();
    let workflow = found.unwrap().workflows[0];
    remove(&house).await.unwrap();
    let missing = Error::Missing("Project").to_string();
    let late = [
        house.engine.trigger(house.trigger(ONE_JOB)).await.map(drop),
        house.engine.rerun(workflow, RerunWanted::FromStart, "ann").await.map(drop),
        remove(&house).await,
    ];
    assert!(late.iter().all(|late| late.as_ref().unwrap_err().to_string() == missing), "{late:?}");
    let deeds = house.store.read(|reader| reader.audit_list(None, 9)).await.unwrap();
    assert_eq!(deeds.len(), 1, "what is refused leaves no line");
    house.stop().await;
}

#[tokio::test]
async fn triggers_and_the_deletion_come_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let trigger = || house.engine.trigger(house.trigger(ONE_JOB));
    let (one, gone, two, three) = tokio::join!(trigger(), remove(&house), trigger(), trigger());
    let begun = [one.is_ok(), two.is_ok(), three.is_ok()];
    let id = house.project;
    let there = house.store.read(move |reader| reader.project_get(id)).await.unwrap().is_some();
    let live = house.store.read(|reader| reader.workflow_live()).await.unwrap().len();
    // Whichever was first: a deleted project has nothing that goes on.
    assert_eq!(there, gone.is_err());
    assert_eq!(live, begun.iter().filter(|begun| **begun).count());
    assert!(gone.is_err() || live == 0, "{begun:?}");
    house.stop().await;
}

#[tokio::test]
async fn a_push_that_is_taken_in_is_told_before_its_project_goes() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let (id, project) = (PushId(Uuid::from_u128(1)), house.project);
    let push = move |at| Push { id, project, at, actor: "ann".into(), refs: Vec::new() };
    house.store.write(move |txn| txn.push_note(&push(now()))).await.unwrap();
    refused(&house, "takes in a push").await;
    house.store.write(move |txn| txn.push_done(id, now())).await.unwrap();
    remove(&house).await.unwrap();
    house.stop().await;
}

async fn rooms(dir: &Path, store: &Store) -> (Logs, Objects) {
    let config = objects::Config { keep_free: 0, ..objects::Config::new(dir.join("objects")) };
    let objects = Objects::open(config, store.clone()).await.unwrap();
    (Logs::new(store.clone(), objects.clone(), Arc::new(MemoryLive::default())), objects)
}

/// One run that leaves something of every kind, and what no report named.
async fn run(house: &House, objects: &Objects, logs: &Logs) -> PipelineId {
    let runner = house.runner().await;
    let pipeline = house.triggered(ONE_JOB).await;
    let task = house.claim(runner).await.remove(0);
    for bucket in ["artifacts", "caches", "workspaces"] {
        for name in ["named", "cut"] {
            let key = format!("{}/{name}", task.task);
            objects.put(bucket, &key, key.as_bytes().to_vec()).await.unwrap();
        }
    }
    logs.append(task.task, 0, 0, b"hello\n").await.unwrap();
    let (id, project, object) = (task.task, house.project, format!("{}/named", task.task));
    let save = move |txn: &mut store::Txn<'_>| {
        let (paths, created_at) = (Vec::new(), now());
        let layer = Layer { task: id, object: object.clone(), size: 1, created_at };
        txn.layer_insert(&layer, &Names::default())?;
        let cache = Cache {
            project,
            key: object.clone(),
            trust: Trust::Unprotected,
            object,
            size: 1,
            paths,
            job: JobNumber(1),
            created_at,
            expires_at: created_at.plus(Duration::from_secs(3600)),
        };
        txn.cache_insert(&cache).map(drop)
    };
    house.store.write(save).await.unwrap();
    let key = format!("{}/named", task.task);
    let artifact = Progress::Artifact { path: "named".into(), key, size: 1 };
    house.report(&task, vec![artifact, ended(TaskOutcome::Success)]).await.unwrap();
    pipeline
}

async fn held(objects: &Objects) -> u64 {
    objects.bucket_infos().await.unwrap().iter().map(|info| info.usage.objects).sum()
}

/// Not a test of its own: purges until it is killed, or is done.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let store = open(&dir);
    let (logs, objects) = rooms(&dir, &store).await;
    let removal = store.read(|reader| reader.removal_list()).await.unwrap().remove(0);
    println!("begins");
    removal::purge(&store, &logs, &objects, removal.project).await.unwrap();
}

async fn other_project(house: &House) -> ProjectId {
    let repo = "acme/other".parse().unwrap();
    let make =
        move |txn: &mut store::Txn<'_>| txn.project_ensure(&repo, &Settings::default(), now());
    house.store.write(make).await.unwrap().0.id
}

#[tokio::test]
async fn a_purge_that_is_killed_again_and_again_leaves_nothing_and_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = House::at(dir.path()).await;
    let (logs, objects) = rooms(dir.path(), &house.store).await;
    for _ in 0..20 {
        run(&house, &objects, &logs).await;
    }
    let other = other_project(&house).await;
    let project = std::mem::replace(&mut house.project, other);
    let kept = run(&house, &objects, &logs).await;
    assert_eq!(held(&objects).await, 21 * 6);
    house.engine.remove_project(project, deed()).await.unwrap();
    drop((logs, objects));
    house.stop().await;
    for kill in 0..8 {
        one_life("removal::child", DIR, dir.path(), Duration::from_millis(kill * 4));
    }
    let store = open(dir.path());
    let (logs, objects) = rooms(dir.path(), &store).await;
    let purged = removal::purge(&store, &logs, &objects, project).await.unwrap();
    assert_eq!(purged.left, 0);
    assert_eq!(held(&objects).await, 6, "of the other project");
    let again = removal::purge(&store, &logs, &objects, project).await.unwrap();
    assert_eq!(again, removal::Purged::default());
    let ages = store.read(|reader| reader.pipeline_ages(None)).await.unwrap();
    assert_eq!(ages.iter().map(|age| age.pipeline).collect::<Vec<_>>(), [kept]);
    drop((logs, objects));
    tokio::task::spawn_blocking(move || store.close().unwrap()).await.unwrap();
}
