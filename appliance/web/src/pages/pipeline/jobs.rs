//! The jobs of one workflow as a list, of very many one part at a time.
//!
//! Limits: [`LISTED`] jobs of a workflow; of these first the ones that somebody looks for.

use super::{
    super::{
        links,
        look::Looks,
        moment,
        timeline::{self, Scale},
    },
    button,
};
use crate::access::{Role, User};
use base::{
    ids::{JobId, PipelineNumber, RepoName, WorkflowId},
    state::JobState,
    time::Timestamp,
};
use maud::{Markup, html};
use serde::Deserialize;
use store::runs::{Job, JobType, family};

/// Jobs on one page.
const LISTED: usize = 500;

/// Names told of the jobs that one waits for.
const NAMED: usize = 10;

/// Which part of which workflow's jobs is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    workflow: Option<WorkflowId>,
    from: usize,
}

/// A workflow's jobs and what they are shown by.
pub(super) struct Listed<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) number: PipelineNumber,
    pub(super) workflow: WorkflowId,
    pub(super) jobs: &'a [Job],
    pub(super) scale: Scale,
    pub(super) user: &'a User,
    pub(super) now: Timestamp,
}

pub(super) fn list(of: &Listed<'_>, part: &Part) -> Markup {
    let from = if part.workflow == Some(of.workflow) { part.from } else { 0 };
    let shown = ordered(of.jobs);
    let shown = shown.into_iter().skip(from).take(LISTED);
    html! {
        ol.jobs { @for job in shown { (job_line(of.repo, job, of.jobs, of.scale, of.user, of.now)) } }
        @if of.jobs.len() > LISTED { (paging(of, from)) }
    }
}

fn paging(of: &Listed<'_>, from: usize) -> Markup {
    let (id, all) = (of.workflow, of.jobs.len());
    let to = |from: usize| {
        format!("{}?workflow={id}&from={from}#w-{id}", links::pipeline(of.repo, of.number))
    };
    html! {
        nav.paging aria-label="Jobs" {
            @if from > 0 { a.button rel="prev" href=(to(from.saturating_sub(LISTED))) { "Earlier jobs" } }
            span.faint { (from.min(all) + usize::from(from < all)) " to " ((from.saturating_add(LISTED)).min(all)) " of " (all) " jobs, first those that failed, wait for approval or run" }
            @if from.saturating_add(LISTED) < all { a.button rel="next" href=(to(from + LISTED)) { "More jobs" } }
        }
    }
}

/// In the order of the configuration; of more than one page first those that somebody looks for.
fn ordered(jobs: &[Job]) -> Vec<&Job> {
    let mut all: Vec<&Job> = jobs.iter().collect();
    if all.len() > LISTED {
        all.sort_by_key(|job| match job.state {
            JobState::Success | JobState::NotRun | JobState::Canceled => 3,
            JobState::Blocked | JobState::Queued => 2,
            JobState::Running => 1,
            _ => 0,
        });
    }
    all
}

/// The first names, and how many more there are.
fn named(names: &[&str]) -> String {
    let told = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Where a job of the same workflow stands in the list.
pub(super) fn place(jobs: &[Job], id: JobId) -> Option<usize> {
    let place = usize::from(family::ordinal_of(id)).checked_sub(1)?;
    jobs.get(place).is_some_and(|job| job.id == id).then_some(place)
}

fn job_line(
    repo: &RepoName,
    job: &Job,
    jobs: &[Job],
    scale: Scale,
    user: &User,
    now: Timestamp,
) -> Markup {
    html! {
        li.job id=(format!("j-{}", job.id)) {
            (job.state.look().icon(job.state.word()))
            span.job-name {
                @match job.number {
                    Some(number) => a href=(links::job(repo, number)) { (job.name) },
                    None => (job.name),
                }
                @if job.parallelism > 1 { span.pill { "×" (job.parallelism) } }
                @if job.origin.is_some() { span.pill { "kept" } }
            }
            span.job-note { (job_note(job, jobs)) }
            (timeline::bar(job, scale, now))
            span.took { (moment::took(job.started_at, job.stopped_at, now)) }
            @if job.kind == JobType::Approval && job.state == JobState::OnHold && user.may(Role::Member) {
                (button(&format!("/jobs/{}/approve", job.id), "Approve", "primary", &job.name))
            }
        }
    }
}

/// What a person wants to know of a job beside its state.
fn job_note(job: &Job, jobs: &[Job]) -> Markup {
    let waits = || -> String {
        let others = job.requires.iter().filter_map(|edge| jobs.get(place(jobs, edge.on)?));
        let names = others.filter(|other| !other.state.is_terminal()).map(|other| &*other.name);
        named(&names.collect::<Vec<_>>())
    };
    html! {
        @match (job.kind, job.state) {
            (_, JobState::Blocked) => { "waits for " (waits()) },
            (JobType::Approval, JobState::Success) => { "approved by " (job.decided_by.as_deref().unwrap_or("somebody")) },
            (_, JobState::Canceled) => @if let Some(by) = &job.decided_by { "canceled by " (by) },
            (_, JobState::Success) => {},
            (_, state) => @if let Some(message) = &job.message { (message) } @else if state != JobState::Failed { (state.word()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_waits_for_very_many_names_some() {
        assert_eq!(named(&["a", "b"]), "a, b");
        assert_eq!(named(&["x"; 12]), format!("{}x and 2 more", "x, ".repeat(9)));
    }
}
