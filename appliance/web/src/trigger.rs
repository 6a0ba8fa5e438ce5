//! From "run this project at that place" to a [`Trigger`] the engine takes.
//!
//! Why: push, API and schedule differ in how they name a commit; what the engine gets is always
//! the same: the commit, and the configuration text found there.
//! Invariants: reading a repository blocks, so it happens off the asynchronous threads; a missing
//! configuration is not an error here: it becomes a pipeline that says so.

use crate::{State, error::Failure};
use base::{
    ids::{ProjectId, PushId, RepoName},
    limits,
    time::Timestamp,
    trigger::{ConfigText, Due, ParameterValue, Trigger, TriggerKind, Vcs},
};
use indexmap::IndexMap;
use repos::{Commit, Repository, Rev};

/// Where the configuration stands.
pub(crate) const CONFIG_PATH: &str = ".circleci/config.yml";

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Whatever the default branch is.
    DefaultBranch,
    /// The tip of a branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// A request to build something.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Of which project.
    pub project: ProjectId,
    /// Its repository.
    pub repo: RepoName,
    /// Where.
    pub place: Place,
    /// How it came.
    pub kind: TriggerKind,
    /// Login of who asks.
    pub actor: String,
    /// Pipeline parameters.
    pub parameters: IndexMap<String, ParameterValue>,
    /// The schedule whose time it was.
    pub due: Option<Due>,
    /// The push it answers, with the tip before it.
    pub push: Option<(PushId, Option<String>)>,
}

/// Resolves a wish against the repository.
pub async fn resolve(state: &State, wish: Wish) -> Result<Trigger, Failure> {
    let (repos, base_url, now) = (state.repos.clone(), state.config.base_url.clone(), state.now());
    tokio::task::spawn_blocking(move || resolve_blocking(&repos, &base_url, wish, now))
        .await
        .map_err(Failure::inside)?
}

fn resolve_blocking(
    repos: &repos::Repos,
    base_url: &str,
    wish: Wish,
    now: Timestamp,
) -> Result<Trigger, Failure> {
    let repository = repos.get(&wish.repo).map_err(unknown)?;
    let default_branch = repository.default_branch().map_err(unknown)?;
    let (branch, tag) = match wish.place {
        Place::DefaultBranch => (Some(default_branch.clone()), None),
        Place::Branch(name) => (Some(name), None),
        Place::Tag(name) => (None, Some(name)),
    };
    let rev = match (&branch, &tag) {
        (Some(name), _) => Rev::Branch(name),
        (None, name) => Rev::Tag(name.as_deref().unwrap_or_default()),
    };
    let found = repository.resolve_with_file(rev, CONFIG_PATH, limits::CONFIG_MAX);
    let (commit, file) = found.map_err(unknown)?;
    let config = config_of(file, &commit.revision);
    let (push, base_revision) = wish.push.map_or((None, None), |(id, base)| (Some(id), base));
    let repository_url = format!("{base_url}/git/{}.git", wish.repo);
    Ok(Trigger {
        project: wish.project,
        kind: wish.kind,
        actor: wish.actor,
        received_at: now,
        vcs: vcs(commit, repository_url, branch, tag, default_branch, base_revision),
        config,
        parameters: wish.parameters,
        push,
        due: wish.due,
    })
}

/// What the engine is told of a commit.
pub(crate) fn vcs(
    commit: Commit,
    repository_url: String,
    branch: Option<String>,
    tag: Option<String>,
    default_branch: String,
    base_revision: Option<String>,
) -> Vcs {
    Vcs {
        repository_url,
        revision: commit.revision,
        branch,
        tag,
        default_branch,
        base_revision,
        subject: commit.subject,
        body: commit.body,
        author: commit.author,
    }
}

/// The configuration at a revision, or why there is none.
pub(crate) fn config_text(repository: &Repository, revision: &str) -> ConfigText {
    config_of(repository.read_file(revision, CONFIG_PATH, limits::CONFIG_MAX), revision)
}

fn config_of(file: repos::FileRead, revision: &str) -> ConfigText {
    let missing = || format!("there is no {CONFIG_PATH} at {}", &revision[..revision.len().min(7)]);
    match file.map(|bytes| bytes.map(String::from_utf8)) {
        Ok(Some(Ok(text))) => ConfigText::Found(text),
        Ok(Some(Err(_))) => ConfigText::Missing(format!("{CONFIG_PATH} is not UTF-8 text")),
        Ok(None) => ConfigText::Missing(missing()),
        Err(error) => ConfigText::Missing(error.to_string()),
    }
}

fn unknown(error: repos::Error) -> Failure {
    match error {
        repos::Error::NoRepository(_) | repos::Error::Unknown { .. } => {
            Failure::Missing(error.to_string())
        }
        other => Failure::inside(other),
    }
}
