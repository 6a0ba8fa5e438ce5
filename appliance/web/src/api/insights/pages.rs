//! Summaries of a project by workflow and branch, and of an organisation by project.
//!
//! Source: API v2 `insights/pages/{slug}/summary` and `insights/{org-slug}/summary`. Of all branches;
//! trends compare with as long a time right before.
//! Limits: the newest [`RUNS_MAX`] runs, of an organisation in all; [`PROJECTS_MAX`] projects.

use super::{
    super::{Slug, contexts::org_by_slug, project},
    Asked, BRANCHES_MAX, RUNS_MAX, by_name,
    metrics::{Metrics, page, project_page},
    run, window,
};
use crate::{State, access::Viewer, error::Failure};
use axum::{
    Json,
    extract::{Path, Query, RawQuery},
};
use base::{ids::ProjectId, time::Timestamp};
use serde_json::{Value, json};
use std::ops::Range;
use store::{
    Reader,
    runs::{Ran, RunsWanted},
};

/// Projects of one answer.
const PROJECTS_MAX: usize = 1_000;

/// The time that is asked about, and the one right before.
#[derive(Clone)]
struct Times {
    now: Range<Timestamp>,
    before: Range<Timestamp>,
}

impl Times {
    fn of(asked: &Asked, at: Timestamp) -> Result<Self, Failure> {
        let now = asked.window(at)?;
        Ok(Self { before: window::before(&now), now })
    }

    /// Runs of both.
    fn runs(
        &self,
        reader: &Reader<'_>,
        project: ProjectId,
        most: usize,
    ) -> Result<Vec<Ran>, store::Error> {
        let within = self.before.start..self.now.end;
        let wanted = RunsWanted { project, branch: None, workflow: None, within, before: None };
        reader.run_list(&wanted, most)
    }

    /// What runs come to, in this time and in the one before.
    fn both<'a>(&self, runs: &(impl Iterator<Item = &'a Ran> + Clone)) -> (Metrics, Metrics) {
        let of = |within: &Range<Timestamp>| {
            let own = runs.clone().map(|ran| &ran.workflow);
            Metrics::of(own.filter(|workflow| within.contains(&workflow.created_at)).map(run))
        };
        (of(&self.now), of(&self.before))
    }
}

/// The values of a parameter that may come more than once, or with commas; `None` when it does not come.
fn named(query: Option<&str>, name: &str) -> Option<Vec<String>> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let values = pairs.filter(|(key, value)| key == name && !value.is_empty());
    let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let found: Vec<String> = values.flat_map(|(_, value)| split(&value)).collect();
    (!found.is_empty()).then_some(found)
}

fn has(names: Option<&[String]>, name: &str) -> bool {
    names.is_none_or(|names| names.iter().any(|one| one == name))
}

pub(super) async fn of_project(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
    Query(asked): Query<Asked>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, slug).await?;
    let times = Times::of(&asked, state.now())?;
    let (id, of) = (project.id, times.clone());
    let read = move |reader: &Reader<'_>| {
        Ok::<_, store::Error>((
            of.runs(reader, id, RUNS_MAX)?,
            reader.branch_list(id, BRANCHES_MAX)?,
        ))
    };
    let (ran, branches) = state.store.read(read).await?;
    let workflows = named(query.as_deref(), "workflow-names");
    let wanted = named(query.as_deref(), "branches");
    let (by_workflow, by_branch) = parts(&times, &ran, workflows.as_deref(), wanted.as_deref());
    let names = by_name(ran.iter().map(|ran| (ran.workflow.name.clone(), ())));
    let (now, before) = times.both(&ran.iter());
    Ok(Json(json!({
        "org_id": project.org,
        "project_id": project.id,
        "project_data": project_page(&now, &before),
        "project_workflow_data": by_workflow,
        "project_workflow_branch_data": by_branch,
        "all_branches": branches,
        "all_workflows": names.keys().collect::<Vec<_>>(),
    })))
}

/// By workflow, and each by branch.
fn parts(
    times: &Times,
    ran: &[Ran],
    workflows: Option<&[String]>,
    branches: Option<&[String]>,
) -> (Vec<Value>, Vec<Value>) {
    let own = ran.iter().filter(|ran| has(workflows, &ran.workflow.name));
    let (mut by_workflow, mut by_branch) = (Vec::new(), Vec::new());
    for (name, runs) in by_name(own.map(|ran| (ran.workflow.name.clone(), ran))) {
        let (now, before) = times.both(&runs.iter().copied());
        let mut told = page(&now, &before);
        told["workflow_name"] = name.as_str().into();
        by_workflow.push(told);
        let of_branch = runs.iter().filter_map(|ran| Some((ran.branch.clone()?, *ran)));
        for (branch, runs) in by_name(of_branch.filter(|(branch, _)| has(branches, branch))) {
            let (now, before) = times.both(&runs.iter().copied());
            let mut told = page(&now, &before);
            told["workflow_name"] = name.as_str().into();
            told["branch"] = branch.into();
            by_branch.push(told);
        }
    }
    (by_workflow, by_branch)
}

pub(super) async fn of_org(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let org = org_by_slug(&state, format!("{vcs}/{org}")).await?.id;
    let times = Times::of(&asked, state.now())?;
    let wanted = named(query.as_deref(), "project-names");
    let read = move |reader: &Reader<'_>| {
        let mut all = reader.project_list()?;
        all.retain(|project| project.org == org);
        let (mut told, mut runs) = (Vec::new(), Vec::new());
        let asked = all.iter().filter(|project| has(wanted.as_deref(), project.repo.name()));
        for project in asked.take(PROJECTS_MAX) {
            let ran = times.runs(reader, project.id, RUNS_MAX - runs.len().min(RUNS_MAX))?;
            let (now, before) = times.both(&ran.iter());
            let mut of = project_page(&now, &before);
            of["project_name"] = project.repo.name().into();
            told.push(of);
            runs.extend(ran);
        }
        let (now, before) = times.both(&runs.iter());
        let names: Vec<&str> = all.iter().map(|project| project.repo.name()).collect();
        Ok::<_, store::Error>(json!({
            "org_data": project_page(&now, &before),
            "org_project_data": told,
            "all_projects": names,
        }))
    };
    Ok(Json(state.store.read(read).await?))
}
