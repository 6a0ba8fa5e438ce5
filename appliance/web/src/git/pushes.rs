//! From a push that was noted to its pipelines, however often it takes.

use crate::{State, error::Failure, trigger};
use base::{
    ids::{PipelineNumber, RepoName},
    state::PipelineState,
    trigger::{Trigger, TriggerKind},
};
use repos::{Repository, Rev};
use std::time::Duration;
use store::projects::{Project, Push, PushedRef};

/// Until the engine can be told again: it was busy, or the disk was full.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// It never takes longer, however often it failed.
const AGAIN_MOST: Duration = Duration::from_secs(600);

/// When more tags come in one push, none is built: somebody moves a history, and builds nothing.
/// GitHub's rule, so the original service's as well.
pub(super) const TAGS_MAX: usize = 3;

/// What became of one reference of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Its pipeline, and whether its configuration has errors.
    Pipeline(PipelineNumber, bool),
    /// The commit asks for none.
    Skipped,
    /// Nothing that can be built.
    Nothing,
    /// One of more tags than are built at once.
    OneOfManyTags,
}

/// Tells the engine of every reference that was moved, and marks the push as done.
pub(super) async fn tell(state: &State, push: &Push) -> Result<Vec<(String, Told)>, Failure> {
    let wanted = push.project;
    let project = state.store.read(move |reader| reader.project_get(wanted)).await?;
    // Deleted meanwhile, and with it everything that was pushed.
    let Some(project) = project else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    let has_many_tags = push.refs.iter().filter(|moved| is_tag(moved)).count() > TAGS_MAX;
    for moved in push.refs.iter().filter(|moved| moved.new.is_some()) {
        let what = if has_many_tags && is_tag(moved) {
            Told::OneOfManyTags
        } else {
            tell_ref(state, &project, push, moved).await?
        };
        told.push((moved.name.clone(), what));
    }
    let (id, now) = (push.id, state.now());
    state.store.write(move |txn| txn.push_done(id, now)).await?;
    Ok(told)
}

fn is_tag(moved: &PushedRef) -> bool {
    moved.new.is_some() && moved.name.starts_with("refs/tags/")
}

async fn tell_ref(
    state: &State,
    project: &Project,
    push: &Push,
    moved: &PushedRef,
) -> Result<Told, Failure> {
    let (repos, base_url) = (state.repos.clone(), state.config.base_url.clone());
    let (project, push, moved) = (project.clone(), push.clone(), moved.clone());
    let make = move || -> Result<Made, repos::Error> {
        make_trigger(&repos.get(&project.repo)?, &base_url, &project, &push, &moved)
    };
    let made = tokio::task::spawn_blocking(make).await.map_err(Failure::inside)?;
    match made.map_err(Failure::inside)? {
        Made::Trigger(trigger) => {
            let triggered = state.engine.trigger(*trigger).await?;
            Ok(Told::Pipeline(triggered.number, triggered.state == PipelineState::Errored))
        }
        Made::Skipped => Ok(Told::Skipped),
        Made::Nothing => Ok(Told::Nothing),
    }
}

enum Made {
    Trigger(Box<Trigger>),
    Skipped,
    Nothing,
}

/// The trigger for exactly the pushed commit, wherever the branch stands by now.
fn make_trigger(
    repository: &Repository,
    base_url: &str,
    project: &Project,
    push: &Push,
    moved: &PushedRef,
) -> Result<Made, repos::Error> {
    let branch = moved.name.strip_prefix("refs/heads/").map(str::to_owned);
    let tag = moved.name.strip_prefix("refs/tags/").map(str::to_owned);
    let (true, Some(new)) = (branch.is_some() || tag.is_some(), &moved.new) else {
        return Ok(Made::Nothing);
    };
    let commit = match repository.resolve(Rev::Revision(new)) {
        Ok(commit) => commit,
        // A tag may stand for a file or a folder.
        Err(repos::Error::WrongObject { .. }) => return Ok(Made::Nothing),
        Err(error) => return Err(error),
    };
    if commit.skips_ci() {
        return Ok(Made::Skipped);
    }
    let config = trigger::config_text(repository, &commit.revision);
    let default_branch = repository.default_branch()?;
    let url = format!("{base_url}/git/{}.git", project.repo);
    let vcs = trigger::vcs(commit, url, branch, tag, default_branch, moved.old.clone());
    Ok(Made::Trigger(Box::new(Trigger {
        project: project.id,
        kind: TriggerKind::Webhook,
        actor: push.actor.clone(),
        received_at: push.at,
        vcs,
        config,
        parameters: indexmap::IndexMap::new(),
        push: Some(push.id),
        due: None,
    })))
}

/// Tells the engine of pushes that were noted and, as far as the store knows, not told: a cut came
/// between. To be called once at the start, before anybody can push.
///
/// # Errors
/// When the store cannot be read; a push that cannot be told is logged and stays for the next time.
pub async fn tell_open_pushes(state: &State) -> Result<(), Failure> {
    for push in state.store.read(|reader| reader.push_list_open()).await? {
        let id = push.id;
        if let Err(error) = tell_again(state, push).await {
            tracing::error!(push.id = %id, %error, "the pipelines of a push could not be queued");
        }
    }
    Ok(())
}

async fn tell_again(state: &State, mut push: Push) -> Result<(), Failure> {
    let wanted = push.project;
    let project = state.store.read(move |reader| reader.project_get(wanted)).await?;
    let repos = state.repos.clone();
    let moved = move || -> Result<Push, repos::Error> {
        let Some(project) = project else { return Ok(Push { refs: Vec::new(), ..push }) };
        let repository = repos.get(&project.repo)?;
        let mut refs = Vec::new();
        for moved in std::mem::take(&mut push.refs) {
            if has_moved(&repository, &moved)? {
                refs.push(moved);
            }
        }
        Ok(Push { refs, ..push })
    };
    let push = tokio::task::spawn_blocking(moved).await.map_err(Failure::inside)?;
    let push = push.map_err(Failure::inside)?;
    if push.refs.is_empty() {
        let (id, now) = (push.id, state.now());
        return Ok(state.store.write(move |txn| txn.push_done(id, now)).await?);
    }
    tracing::info!(push.id = %push.id, "a push from before the start is told to the engine");
    tell(state, &push).await.map(drop)
}

/// The reference stands at what was pushed, or has moved on from there; it does not stand where it
/// stood before.
fn has_moved(repository: &Repository, moved: &PushedRef) -> Result<bool, repos::Error> {
    let Some(new) = &moved.new else { return Ok(false) };
    let current = repository.target(&moved.name)?;
    if current == moved.old {
        return Ok(false);
    }
    Ok(current.as_ref() == Some(new) || repository.is_reachable(new, &moved.name)?)
}

/// Tries until it succeeds, off the push that could not be told and of that push alone: its
/// references have moved, while those of another open push may be about to.
pub(super) fn tell_later(state: State, push: Push) {
    tokio::spawn(async move {
        let mut pause = AGAIN_AFTER;
        loop {
            tokio::time::sleep(pause).await;
            match tell(&state, &push).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(push.id = %push.id, %error, "a push still waits to be told to the engine")
                }
            }
            pause = (pause * 2).min(AGAIN_MOST);
        }
    });
}

/// Settings and repository name the same default branch. The settings lead, as soon as their
/// branch exists; until then they follow the repository, which takes the first branch that comes.
pub(super) async fn keep_default_branch(
    state: &State,
    project: &Project,
    repository: &Repository,
) -> Result<(), Failure> {
    let (repository, wanted) = (repository.clone(), project.settings.default_branch.clone());
    let agree = move || -> Result<Option<String>, repos::Error> {
        let present = repository.default_branch()?;
        if present == wanted {
            return Ok(None);
        }
        match repository.set_default_branch(&wanted) {
            Err(repos::Error::Unknown { .. }) => Ok(Some(present)),
            done => done.map(|()| None),
        }
    };
    let agreed = tokio::task::spawn_blocking(agree).await.map_err(Failure::inside)?;
    let Some(branch) = agreed.map_err(Failure::inside)? else { return Ok(()) };
    let id = project.id;
    let write = move |txn: &mut store::Txn<'_>| match txn.project_get(id)? {
        Some(project) => {
            let settings = store::projects::Settings { default_branch: branch, ..project.settings };
            txn.project_settings_set(id, &settings)
        }
        None => Ok(()),
    };
    Ok(state.store.write(write).await?)
}

/// Makes `branch` the one that a clone checks out. A repository without any branch takes the first
/// that comes, as its settings say then.
pub(crate) async fn set_default_branch(
    state: &State,
    repo: &RepoName,
    branch: &str,
) -> Result<(), Failure> {
    let (repos, name, branch) = (state.repos.clone(), repo.clone(), branch.to_owned());
    let set = move || match repos.get(&name) {
        Err(repos::Error::NoRepository(_)) => Ok(()),
        Ok(repository) if !repository.branches()?.is_empty() => {
            repository.set_default_branch(&branch)
        }
        found => found.map(drop),
    };
    match tokio::task::spawn_blocking(set).await.map_err(Failure::inside)? {
        Err(unknown @ repos::Error::Unknown { .. }) => Err(Failure::Invalid(unknown.to_string())),
        done => done.map_err(Failure::inside),
    }
}
