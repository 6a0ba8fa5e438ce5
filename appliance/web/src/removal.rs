//! Deleting a project: the deed, and what goes in the background after it.
//!
//! The way: the engine deletes it in the order of its changes; its Git folder is moved out of the
//! way before anybody may make a project of that name; then a task of its own removes runs, bytes and
//! folder ([`keep`]), and goes on after a restart until nothing is left.
//! Invariants: who holds [`State::naming`] alone makes or takes away a repository; the deed goes on
//! when its caller hangs up.
//! On failure: what could not be removed is logged and tried again in a minute.

use crate::{State, access::User, error::Failure};
use engine::removal;
use std::time::Duration;
use store::projects::{Project, Removal};

/// Until what failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Deletes a project, and frees its name.
pub(crate) async fn delete(state: &State, user: &User, project: &Project) -> Result<(), Failure> {
    let deed = user.deed("project.delete", format!("project {}", project.repo));
    let (state, id) = (state.clone(), project.id);
    let work = async move {
        let naming = state.naming().lock().await;
        state.engine.remove_project(id, deed).await?;
        set_aside_all(&state).await;
        drop(naming);
        state.removals().notify_one();
        Ok(())
    };
    tokio::spawn(work).await.map_err(Failure::inside)?
}

/// Moves out of the way what a cut left in its place. To be called once at the start, before anybody
/// can push.
pub async fn free_names(state: &State) {
    let _naming = state.naming().lock().await;
    set_aside_all(state).await;
}

/// Removes what deleted projects left, for ever.
pub async fn keep(state: State) {
    loop {
        let is_clear = purge_all(&state).await;
        let news = state.removals().notified();
        match is_clear {
            true => news.await,
            // News come first, or the time.
            false => drop(tokio::time::timeout(AGAIN_AFTER, news).await),
        }
    }
}

/// What is left of deleted projects; nothing when that cannot be read.
async fn listed(state: &State) -> Option<Vec<Removal>> {
    let listed = state.store.read(|reader| reader.removal_list()).await;
    listed
        .inspect_err(|error: &store::Error| {
            tracing::error!(%error, "what deleted projects left is not known");
        })
        .ok()
}

fn failed(removal: &Removal, error: &Failure) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(project.id = %removal.project, %error, cause, "what a deleted project left could not be removed; it is tried again in a minute");
}

/// Moves the folders of all deleted projects out of their places; who calls holds the names.
async fn set_aside_all(state: &State) {
    for removal in listed(state).await.unwrap_or_default() {
        if let Err(error) = set_aside(state, &removal).await {
            failed(&removal, &error);
        }
    }
}

async fn set_aside(state: &State, removal: &Removal) -> Result<(), Failure> {
    let Removal { project, repo: Some(repo), .. } = removal.clone() else { return Ok(()) };
    let repos = state.repos.clone();
    let set_aside = move || repos.set_aside(&repo, &project.to_string());
    blocking(set_aside).await?;
    Ok(state.store.write(move |txn| txn.removal_name_free(project)).await?)
}

async fn blocking(
    work: impl FnOnce() -> Result<(), repos::Error> + Send + 'static,
) -> Result<(), Failure> {
    let done = tokio::task::spawn_blocking(work).await.map_err(Failure::inside)?;
    done.map_err(Failure::inside)
}

/// True when nothing is left of any deleted project.
async fn purge_all(state: &State) -> bool {
    let Some(all) = listed(state).await else { return false };
    let mut is_clear = true;
    for removal in all {
        if let Err(error) = purge(state, &removal).await {
            failed(&removal, &error);
            is_clear = false;
        }
    }
    is_clear
}

async fn purge(state: &State, removal: &Removal) -> Result<(), Failure> {
    let project = removal.project;
    if removal.repo.is_some() {
        let _naming = state.naming().lock().await;
        set_aside(state, removal).await?;
    }
    let purged = removal::purge(&state.store, &state.logs, &state.objects, project).await?;
    if purged.left > 0 {
        let why = format!("{} pipelines of it go on", purged.left);
        return Err(Failure::Conflict(why));
    }
    let repos = state.repos.clone();
    let discard = move || repos.discard(&project.to_string());
    blocking(discard).await?;
    state.store.write(move |txn| txn.removal_done(project)).await?;
    tracing::info!(
        project.id = %project,
        pipelines = purged.pipelines,
        caches = purged.caches,
        "nothing is left of a deleted project"
    );
    Ok(())
}
