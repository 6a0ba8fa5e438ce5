//! What the faces do at the two moments of a push that count.

use super::{
    door::{self, Entered},
    pushes::{self, Told},
    who::Who,
};
use crate::{State, pages::links};
use base::ids::{Fence, PushId, RepoName, TaskId};
use repos::{Push, PushWatcher, RefUpdate, Repository, Standing, Watching};
use std::{sync::OnceLock, time::Duration};
use store::projects::{Project, PushedRef, Settings};

/// `git push -o ci.skip`: this push brings no pipeline forth.
const SKIP_OPTION: &str = "ci.skip";

/// More lines than this are summed up: a mirror of a large repository pushes thousands.
const LINES_MAX: usize = 20;

/// How long a first push waits for its turn to make the project.
const NAMING_WAIT: Duration = Duration::from_secs(10);

/// Watches one push.
pub(super) struct Watcher {
    state: State,
    who: Who,
    /// Unset until the first push is taken.
    project: OnceLock<Project>,
    /// The push makes the project, if it is taken.
    is_first: bool,
    settings: Settings,
    repository: Repository,
    /// The note, once it is in the store.
    noted: OnceLock<store::projects::Push>,
}

impl Watcher {
    pub(super) fn new(state: State, entered: Entered) -> Self {
        let settings = entered.settings().into_owned();
        let Entered { who, project, repository } = entered;
        let is_first = project.is_none();
        let project = project.map_or_else(OnceLock::new, OnceLock::from);
        Self { state, who, project, is_first, settings, repository, noted: OnceLock::new() }
    }

    /// The project, made at its first push.
    async fn project(&self) -> Result<&Project, String> {
        if let Some(project) = self.project.get() {
            return Ok(project);
        }
        let busy = "projects are being made or deleted; nothing was changed; push again";
        // Whoever deletes one waits for this repository, and this push must not wait for ever.
        let naming = tokio::time::timeout(NAMING_WAIT, self.state.naming().lock()).await;
        let _naming = naming.map_err(|_| busy)?;
        let (name, now) = (self.repository.name().clone(), self.state.now());
        let deed = self.who.deed("project.create", name.to_string());
        let make = move |txn: &mut store::Txn<'_>| {
            let (project, is_new) = txn.project_ensure(&name, &Settings::default(), now)?;
            if is_new {
                txn.audit_append(now, &deed)?;
            }
            Ok::<_, store::Error>((project, is_new))
        };
        let (project, is_new) =
            self.state.store.write(make).await.map_err(|error| refused(&error))?;
        // What this push may do was decided by the settings of a new one.
        if !is_new && project.settings.protected != self.settings.protected {
            return Err("somebody has made this project meanwhile; fetch, and push again".into());
        }
        Ok(self.project.get_or_init(|| project))
    }

    async fn note(&self, push: &Push) -> Result<(), String> {
        let project = self.project().await?;
        let now = self.state.now();
        let deed = self.who.deed("git.push", subject(&project.repo, push));
        let note = store::projects::Push {
            id: PushId(uuid::Uuid::now_v7()),
            project: project.id,
            at: now,
            actor: self.who.name(),
            refs: push.updates.iter().map(pushed).collect(),
        };
        let is_silent = push.options.iter().any(|option| option == SKIP_OPTION);
        let kept = note.clone();
        let lease = self.lease();
        let write = move |txn: &mut store::Txn<'_>| {
            // A pack takes its time, and a job may have ended meanwhile.
            if let Some((task, fence)) = lease
                && txn.lease_holder(task, fence)?.is_none()
            {
                return Ok(Some("the job that pushes has ended; nothing was changed"));
            }
            if txn.project_get(note.project)?.is_none() {
                return Ok(Some("the project was deleted meanwhile; push again to make another"));
            }
            txn.audit_append(now, &deed)?;
            if !is_silent {
                txn.push_note(&note)?;
            }
            Ok(None)
        };
        let why = self.state.store.write(write).await.map_err(|error| refused(&error))?;
        if let Some(why) = why {
            return Err(why.to_owned());
        }
        if !is_silent {
            let _ = self.noted.set(kept);
        }
        Ok(())
    }

    /// The lease by which a job pushes.
    fn lease(&self) -> Option<(TaskId, Fence)> {
        match &self.who {
            Who::Person(_) => None,
            Who::Job(job) => Some((job.holder.task, job.holder.fence)),
        }
    }

    async fn follow(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(project) = self.project.get() else { return lines };
        if let Err(error) =
            pushes::keep_default_branch(&self.state, project, &self.repository).await
        {
            tracing::warn!(%error, "the default branch of a project could not be kept");
        }
        let Some(note) = self.noted.get() else {
            return vec!["No pipeline: the push asked for none.".into()];
        };
        match pushes::tell(&self.state, note).await {
            Ok(told) => lines.extend(told.iter().map(|(name, told)| self.line(name, told))),
            Err(error) => {
                tracing::warn!(%error, "the pipelines of a push wait to be queued");
                lines.push("The pipelines could not be queued yet; they will be.".into());
                pushes::tell_later(self.state.clone(), note.clone());
            }
        }
        shorten(lines)
    }

    fn line(&self, name: &str, told: &Told) -> String {
        let short = name.split_once('/').and_then(|(_, rest)| rest.split_once('/'));
        let short = short.map_or(name, |(_, short)| short);
        match told {
            Told::Pipeline(number, has_errors) => {
                let page = links::pipeline(self.repository.name(), *number);
                let note = if *has_errors { " (its configuration has errors)" } else { "" };
                let base = &self.state.config.base_url;
                format!("Pipeline {number} for {short}{note}: {base}{page}")
            }
            Told::Skipped => format!("No pipeline for {short}: its commit asks to skip it."),
            Told::OneOfManyTags => {
                let max = pushes::TAGS_MAX;
                format!("No pipeline for {short}: more than {max} tags were pushed at once.")
            }
            Told::Nothing => {
                format!("No pipeline for {short}: it is no branch or tag of a commit.")
            }
        }
    }
}

impl PushWatcher for Watcher {
    fn standing(&self, name: &str) -> Standing {
        self.who.standing(&self.settings.protected, name)
    }

    fn before<'a>(&'a self, push: &'a Push) -> Watching<'a, Result<(), String>> {
        Box::pin(self.note(push))
    }

    fn after<'a>(&'a self, _: &'a Push) -> Watching<'a, Vec<String>> {
        Box::pin(self.follow())
    }
}

impl Drop for Watcher {
    /// A first push that was not taken leaves nothing.
    fn drop(&mut self) {
        if self.is_first
            && self.project.get().is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (state, name) = (self.state.clone(), self.repository.name().clone());
            runtime.spawn(door::clear_away(state, name));
        }
    }
}

fn refused(error: &store::Error) -> String {
    tracing::error!(%error, "a push could not be noted and was refused");
    "the push could not be noted; nothing was changed; try again".to_owned()
}

fn pushed(update: &RefUpdate) -> PushedRef {
    PushedRef { name: update.name.clone(), old: update.old.clone(), new: update.new.clone() }
}

fn subject(repo: &RepoName, push: &Push) -> String {
    let names: Vec<&str> =
        push.updates.iter().take(LINES_MAX).map(|update| update.name.as_str()).collect();
    let more = push.updates.len().saturating_sub(names.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{repo} {}{more}", names.join(" "))
}

fn shorten(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more; the dashboard shows all."));
    }
    lines
}
