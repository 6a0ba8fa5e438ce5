//! Who may do what with which repository.

use super::who::Who;
use crate::{
    State,
    access::{self, Caller, Job, User, Via},
    error::Failure,
};
use base::ids::RepoName;
use repos::Repository;
use std::{borrow::Cow, time::Duration};
use store::{
    access::Role,
    projects::{Project, Settings},
};

/// Until what a push had open is closed, with some time for the next.
const CLEAR_AFTER: Duration = Duration::from_secs(1);

/// What a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Clone and fetch: for viewers.
    Fetch,
    /// Push: for members; makes the project when there is none.
    Push,
}

/// A caller that may, and what it came for.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) who: Who,
    /// `None` when this push makes it.
    pub(super) project: Option<Project>,
    pub(super) repository: Repository,
}

impl Entered {
    /// What holds for the project, or will when it is made.
    pub(super) fn settings(&self) -> Cow<'_, Settings> {
        match &self.project {
            Some(project) => Cow::Borrowed(&project.settings),
            None => Cow::Owned(Settings::default()),
        }
    }
}

/// What a caller finds.
enum Found {
    Project(Who, Project),
    /// Nothing, and the caller may make it.
    New(User, RepoName),
}

/// The repository for one who looks whether to push; `None` when a push would make it.
pub(super) async fn look(
    state: &State,
    caller: Caller,
    org: &str,
    repo: &str,
    purpose: Purpose,
) -> Result<Option<Repository>, Failure> {
    match find(state, caller, org, repo, purpose)? {
        Found::Project(_, project) => open_repository(state, &project, purpose).await.map(Some),
        Found::New(..) => Ok(None),
    }
}

/// Lets a caller in, or says why not.
pub(super) async fn enter(
    state: &State,
    caller: Caller,
    org: &str,
    repo: &str,
    purpose: Purpose,
) -> Result<Entered, Failure> {
    match find(state, caller, org, repo, purpose)? {
        Found::Project(who, project) => {
            let repository = open_repository(state, &project, purpose).await?;
            Ok(Entered { who, project: Some(project), repository })
        }
        Found::New(user, name) => {
            let repository = make_repository(state, name).await?;
            Ok(Entered { who: Who::Person(user), project: None, repository })
        }
    }
}

fn find(
    state: &State,
    caller: Caller,
    org: &str,
    repo: &str,
    purpose: Purpose,
) -> Result<Found, Failure> {
    let user = match caller {
        Caller::Job(job) => {
            let project = project_of_job(state, &job, &parse_name(org, repo)?, purpose)?;
            return Ok(Found::Project(Who::Job(job), project));
        }
        caller => admit(state, caller, purpose)?,
    };
    let name = parse_name(org, repo)?;
    let found = state.store.look(|reader| reader.project_by_repo(&name))?;
    if let Some(project) = found {
        user.reach(project.id)?;
        return Ok(Found::Project(Who::Person(user), project));
    }
    if purpose == Purpose::Fetch {
        let why = format!("there is no repository {name}; push to this address to make it");
        return Err(Failure::Missing(why));
    }
    if user.projects.is_some() {
        let why = "this token is bound to projects and cannot make another";
        return Err(Failure::Forbidden(why.into()));
    }
    state.store.look(|reader| reader.removal_check_name(&name))?;
    Ok(Found::New(user, name))
}

/// A job fetches from its own project, and pushes to it where that is allowed.
fn project_of_job(
    state: &State,
    job: &Job,
    name: &RepoName,
    purpose: Purpose,
) -> Result<Project, Failure> {
    let found = state.store.look(|reader| reader.project_by_repo(name))?;
    let project = found.filter(|project| project.id == job.holder.project);
    let project = project.ok_or_else(|| {
        Failure::Forbidden(format!("the key of a job opens its own project, which {name} is not"))
    })?;
    if purpose == Purpose::Push && !project.settings.jobs_may_push {
        return Err(Failure::Forbidden(format!(
            "jobs of {name} may not push: an administrator allows it in the project's settings (`jobs_may_push`)"
        )));
    }
    Ok(project)
}

fn admit(state: &State, caller: Caller, purpose: Purpose) -> Result<User, Failure> {
    let user = match caller {
        // git shows a password or a token; a browser's session here was sent by another page's link.
        Caller::User(user) if matches!(user.via, Via::Session(_)) => return Err(Failure::Forged),
        Caller::User(user) => user,
        Caller::Nobody => return Err(Failure::Anonymous),
        Caller::Runner => return Err(Failure::Forbidden("this is not for the runner".into())),
        Caller::Job(_) => return Err(Failure::Forbidden(access::JOB.into())),
    };
    if user.password_is_one_time {
        let why =
            format!("change your one-time password first: log in at {}", state.config.base_url);
        return Err(Failure::Forbidden(why));
    }
    let role = match purpose {
        Purpose::Fetch => Role::Viewer,
        Purpose::Push => Role::Member,
    };
    if user.may(role) {
        return Ok(user);
    }
    Err(Failure::Forbidden(format!("this needs the role {role}; you have {}", user.role)))
}

fn parse_name(org: &str, repo: &str) -> Result<RepoName, Failure> {
    let repo = repo.strip_suffix(".git").unwrap_or(repo);
    format!("{org}/{repo}").parse().map_err(|error| Failure::Invalid(format!("{error}")))
}

/// The project's repository, made when a cut came between the project and it. A project that has had
/// pipelines has had a repository, too: whoever fetches would take an empty one for what was pushed.
/// A push makes it again, from a clone.
async fn open_repository(
    state: &State,
    project: &Project,
    purpose: Purpose,
) -> Result<Repository, Failure> {
    let id = project.id;
    let had_one = purpose == Purpose::Fetch
        && state.store.look(|reader| reader.pipeline_last_number(id))?.0 > 0;
    let (repos, name) = (state.repos.clone(), project.repo.clone());
    let get = move || repos.get(&name);
    let found = tokio::task::spawn_blocking(get).await.map_err(Failure::inside)?;
    match found {
        Err(repos::Error::NoRepository(name)) if had_one => Err(Failure::Unavailable(format!(
            "the repository {name} is gone from the appliance's disk: an administrator puts `repos/{name}.git` of the data directory back from a copy; or somebody pushes it again, all branches and tags, from a clone"
        ))),
        Err(repos::Error::NoRepository(_)) => remake_repository(state, project).await,
        found => found.map_err(Failure::inside),
    }
}

async fn remake_repository(state: &State, project: &Project) -> Result<Repository, Failure> {
    let _naming = state.naming().lock().await;
    let id = project.id;
    // It may have been deleted meanwhile, and its repository set aside.
    let stands = state.store.look(|reader| reader.project_get(id))?;
    stands.ok_or_else(|| Failure::missing("Project"))?;
    create(state, project.repo.clone()).await
}

/// A place for the pack of a first push. It stays when the push is taken, which makes the project.
async fn make_repository(state: &State, name: RepoName) -> Result<Repository, Failure> {
    let _naming = state.naming().lock().await;
    state.store.look(|reader| reader.removal_check_name(&name))?;
    create(state, name).await
}

/// To be called by who holds the names.
async fn create(state: &State, name: RepoName) -> Result<Repository, Failure> {
    let repos = state.repos.clone();
    let make = move || match repos.create(&name) {
        // Somebody else was quicker.
        Err(repos::Error::Exists(_)) => repos.get(&name),
        made => made,
    };
    let made = tokio::task::spawn_blocking(make).await.map_err(Failure::inside)?;
    made.map_err(|error| match error.is_disk_full() {
        true => store::Error::Full.into(),
        false => Failure::inside(error),
    })
}

/// Takes back the place of a first push that was not taken, unless another push uses it by now: a
/// client asks with an empty push whether it may send a large one.
pub(super) async fn clear_away(state: State, name: RepoName) {
    tokio::time::sleep(CLEAR_AFTER).await;
    let _naming = state.naming().lock().await;
    match state.store.look(|reader| reader.project_by_repo(&name)) {
        Ok(None) => {}
        // Another push has made it.
        Ok(Some(_)) => return,
        Err(error) => return tracing::warn!(%error, "a project could not be looked for"),
    }
    let repos = state.repos.clone();
    let discarded = tokio::task::spawn_blocking(move || repos.discard_unborn(&name)).await;
    if let Ok(Err(error)) = discarded {
        tracing::warn!(%error, "the empty repository of a refused push could not be removed");
    }
}
