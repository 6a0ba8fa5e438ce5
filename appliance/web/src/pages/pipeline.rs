//! One pipeline: its commit, its configuration errors, its workflows as graph and over time.

mod jobs;

use super::{
    config_error, config_texts,
    frame::{self, Frame, Here, Live, Theme},
    graph, links,
    look::Looks,
    moment,
    pipelines::{self, Row},
    timeline::Scale,
    visit::Visit,
};
use crate::{
    State,
    access::{Role, Routes, User, Viewer},
    error::Failure,
};
use axum::{
    extract::{Path, Query},
    response::Redirect,
};
use base::{
    ids::{Cursor, PipelineId, PipelineNumber, RepoName, WorkflowId},
    state::WorkflowState,
    time::Timestamp,
    trigger::TriggerKind,
};
use jobs::{Part, place};
use maud::{Markup, html};
use store::{
    Reader,
    runs::{ConfigTexts, Job, Workflow},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/pipelines/gh/{org}/{repo}/{number}", show)
        .get("/pipelines/gh/{org}/{repo}/{number}/config", show_config)
        .get("/pipelines/{id}", by_id)
        .get("/workflows/{id}", by_workflow)
}

/// Everything on the page.
#[derive(Debug)]
pub(super) struct View {
    row: Row,
    config: Option<ConfigTexts>,
    /// Those that do not run again.
    over: Vec<WorkflowId>,
    cursor: Cursor,
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    visit: Visit,
    Path((org, repo, number)): Path<(String, String, u64)>,
    Query(part): Query<Part>,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, &org, &repo, number).await?;
    let frame = framed(&view, &user, theme, &state);
    let body = html! { (visit.told()) (body(&view, &user, &part, state.now())) };
    Ok(frame::page(&frame, &body))
}

async fn show_config(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Path((org, repo, number)): Path<(String, String, u64)>,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, &org, &repo, number).await?;
    let frame = Frame { live: None, ..framed(&view, &user, theme, &state) };
    Ok(frame::page(&frame, &config_body(&view)))
}

async fn load(
    state: &State,
    user: &User,
    org: &str,
    repo: &str,
    number: u64,
) -> Result<View, Failure> {
    let name: RepoName =
        format!("{org}/{repo}").parse().map_err(|_| Failure::missing("Project"))?;
    let view = state.store.read(move |reader| read(reader, &name, PipelineNumber(number))).await?;
    user.reach(view.row.pipeline.project)?;
    Ok(view)
}

fn framed<'a>(view: &View, user: &'a User, theme: Theme, state: &'a State) -> Frame<'a> {
    Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Pipelines,
        title: format!("{} #{}", view.row.repo, view.row.pipeline.number),
        look: Some(view.row.look),
        live: Some(Live { cursor: view.cursor, project: Some(view.row.pipeline.project) }),
    }
}

fn read(reader: &Reader<'_>, name: &RepoName, number: PipelineNumber) -> Result<View, Failure> {
    let project = reader.project_by_repo(name)?.ok_or_else(|| Failure::missing("Project"))?;
    let pipeline = reader.pipeline_by_number(project.id, number)?;
    let pipeline = pipeline.ok_or_else(|| Failure::missing("Pipeline"))?;
    let config = reader.pipeline_config(pipeline.id)?;
    let pipeline_id = pipeline.id;
    let row = pipelines::read_row(reader, project.repo, pipeline)?;
    let over = engine::continued_setup(reader, pipeline_id)?;
    Ok(View { row, config, over, cursor: reader.event_last()? })
}

async fn by_id(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<PipelineId>,
) -> Result<Redirect, Failure> {
    let find = move |reader: &Reader<'_>| {
        let pipeline = reader.pipeline_get(id)?.ok_or_else(|| Failure::missing("Pipeline"))?;
        user.reach(pipeline.project)?;
        address_of(reader, id)
    };
    let to = state.store.read(find).await?;
    Ok(Redirect::to(&to))
}

async fn by_workflow(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<WorkflowId>,
) -> Result<Redirect, Failure> {
    let find = move |reader: &Reader<'_>| {
        let workflow = reader.workflow_get(id)?.ok_or_else(|| Failure::missing("Workflow"))?;
        user.reach(workflow.project)?;
        workflow_address(reader, id)
    };
    let to = state.store.read(find).await?;
    Ok(Redirect::to(&to))
}

fn address_of(reader: &Reader<'_>, id: PipelineId) -> Result<String, Failure> {
    let pipeline = reader.pipeline_get(id)?.ok_or_else(|| Failure::missing("Pipeline"))?;
    let project =
        reader.project_get(pipeline.project)?.ok_or_else(|| Failure::missing("Project"))?;
    Ok(links::pipeline(&project.repo, pipeline.number))
}

/// Where a workflow is shown.
pub(super) fn workflow_address(reader: &Reader<'_>, id: WorkflowId) -> Result<String, Failure> {
    let workflow = reader.workflow_get(id)?.ok_or_else(|| Failure::missing("Workflow"))?;
    Ok(format!("{}#w-{id}", address_of(reader, workflow.pipeline)?))
}

fn body(view: &View, user: &User, part: &Part, now: Timestamp) -> Markup {
    let pipeline = &view.row.pipeline;
    let source = view.config.as_ref().and_then(|config| config.source.as_deref());
    html! {
        (top(view, now))
        @if !pipeline.errors.is_empty() { (config_error::list(&pipeline.errors, source)) }
        @for (workflow, jobs) in shown(&view.row.workflows) {
            (workflow_section(view, workflow, jobs, user, part, now))
        }
        @if pipeline.errors.is_empty() && view.row.workflows.is_empty() {
            section.empty {
                h2 { "Nothing to run" }
                p { "No workflow of this configuration matches this trigger: all were left out by their filters or conditions." }
            }
        }
    }
}

/// Reruns first, the newest at the top; then the others in the configuration's order.
fn shown(workflows: &[(Workflow, Vec<Job>)]) -> impl Iterator<Item = &(Workflow, Vec<Job>)> {
    let is_rerun = |(workflow, _): &&(Workflow, Vec<Job>)| workflow.rerun_of.is_some();
    let reruns = workflows.iter().rev().filter(is_rerun);
    reruns.chain(workflows.iter().filter(move |one| !is_rerun(one)))
}

fn top(view: &View, now: Timestamp) -> Markup {
    let (row, pipeline) = (&view.row, &view.row.pipeline);
    html! {
        (trail(&row.repo, pipeline.number, None))
        div.head {
            h1 { (pipelines::subject(pipeline)) }
            (row.look.badge(row.word))
        }
        p.meta {
            (pipelines::reference(pipeline))
            span.actor { (pipeline.actor) } " "
            @if pipeline.trust.is_protected() { span title="Only administrators push to it; its jobs find nothing that others left" { "protected" } " " }
            span { (triggered(pipeline.kind)) " " (moment::ago(pipeline.created_at, now)) }
            a.plain href=(format!("{}/config", links::pipeline(&row.repo, pipeline.number))) { "Configuration" }
        }
        @if !pipeline.vcs.body.trim().is_empty() {
            details.message { summary { "Commit message" } pre { (pipeline.vcs.body.trim()) } }
        }
    }
}

/// Where one is: project › pipeline › more.
pub(super) fn trail(repo: &RepoName, number: PipelineNumber, more: Option<&Markup>) -> Markup {
    html! {
        nav.trail aria-label="Breadcrumb" {
            a href=(links::project(repo)) { (repo) }
            span aria-hidden="true" { "/" }
            a href=(links::pipeline(repo, number)) { "#" (number) }
            @if let Some(more) = more { span aria-hidden="true" { "/" } (more) }
        }
    }
}

/// A form of the dashboard and a call of the API are one kind: what stands is true of both.
const fn triggered(kind: TriggerKind) -> &'static str {
    match kind {
        TriggerKind::Webhook => "pushed",
        TriggerKind::Api => "triggered",
        TriggerKind::Explicit => "triggered by hand",
        TriggerKind::ScheduledPipeline => "triggered by schedule",
    }
}

fn workflow_section(
    view: &View,
    workflow: &Workflow,
    jobs: &[Job],
    user: &User,
    part: &Part,
    now: Timestamp,
) -> Markup {
    let to = workflow.stopped_at.unwrap_or(now);
    let scale = Scale { from: workflow.created_at, to };
    html! {
        section.workflow id=(format!("w-{}", workflow.id)) aria-labelledby=(format!("h-{}", workflow.id)) {
            header.section-head {
                h2 id=(format!("h-{}", workflow.id)) { (workflow.name) }
                (workflow.state.look().badge(workflow.state.word()))
                @if workflow.reruns > 0 { span.pill { "Rerun " (workflow.reruns) " by " (workflow.started_by) } }
                @if let Some(by) = &workflow.canceled_by { span.pill { "Canceled by " (by) } }
                span.took { (moment::took(Some(workflow.created_at), workflow.stopped_at, now)) }
                @if user.may(Role::Member) { (workflow_actions(workflow, view.over.contains(&workflow.id))) }
            }
            @if (2..=graph::JOBS_MAX).contains(&jobs.len()) { (graph::draw(&workflow.name, &nodes(&view.row.repo, jobs, now))) }
            (jobs::list(&jobs::Listed { repo: &view.row.repo, number: view.row.pipeline.number, workflow: workflow.id, jobs, scale, user, now }, part))
        }
    }
}

fn workflow_actions(workflow: &Workflow, is_over: bool) -> Markup {
    let id = workflow.id;
    html! {
        div.actions {
            @if !workflow.state.is_terminal() {
                (button(&format!("/workflows/{id}/cancel"), "Cancel workflow", "danger", &workflow.name))
            } @else if !is_over {
                @if matches!(workflow.state, WorkflowState::Failed | WorkflowState::Canceled | WorkflowState::Error | WorkflowState::Unauthorized) {
                    (button(&format!("/workflows/{id}/rerun?from=failed"), "Rerun from failed", "primary", &workflow.name))
                }
                (button(&format!("/workflows/{id}/rerun"), "Rerun from start", "", &workflow.name))
            }
        }
    }
}

/// A deed as a form of one button; works without a script. Of several alike each names `what`.
pub(super) fn button(address: &str, label: &str, class: &str, what: &str) -> Markup {
    let told = (!what.is_empty()).then(|| format!("{label} {what}"));
    html! {
        form method="post" action=(address) { button type="submit" class=(class) aria-label=[told] { (label) } }
    }
}

fn nodes(repo: &RepoName, jobs: &[Job], now: Timestamp) -> Vec<graph::Node> {
    jobs.iter()
        .map(|job| graph::Node {
            name: job.name.clone(),
            look: job.state.look(),
            word: job.state.word(),
            note: note(job, now),
            since: job.started_at.filter(|_| job.stopped_at.is_none()),
            link: job.number.map(|number| links::job(repo, number)),
            requires: job.requires.iter().filter_map(|edge| place(jobs, edge.on)).collect(),
        })
        .collect()
}

fn note(job: &Job, now: Timestamp) -> String {
    let ran = job.started_at.map(|from| job.stopped_at.unwrap_or(now).since(from));
    ran.map(moment::span).unwrap_or_default()
}

fn config_body(view: &View) -> Markup {
    let here = html! { span { "Configuration" } };
    html! {
        (trail(&view.row.repo, view.row.pipeline.number, Some(&here)))
        h1 { "Configuration" }
        (config_texts::list(view.config.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ids::ProjectId;

    fn workflow(name: &str, rerun_of: Option<WorkflowId>) -> (Workflow, Vec<Job>) {
        let id = WorkflowId(uuid::Uuid::from_u128(1));
        let workflow = Workflow {
            id,
            pipeline: PipelineId(id.0),
            project: ProjectId(id.0),
            name: name.into(),
            state: WorkflowState::Success,
            created_at: Timestamp(0),
            stopped_at: None,
            started_by: String::new(),
            canceled_by: None,
            workspace: id,
            rerun_of,
            reruns: 0,
            auto_rerun: 0,
            max_auto_reruns: 0,
        };
        (workflow, Vec::new())
    }

    #[test]
    fn workflows_stand_as_configured_below_the_reruns() {
        let rerun = Some(WorkflowId(uuid::Uuid::from_u128(1)));
        let all = [("a", None), ("b", None), ("a 2", rerun), ("c", None), ("a 3", rerun)];
        let all = all.map(|(name, rerun_of)| workflow(name, rerun_of));
        let names: Vec<&str> = shown(&all).map(|(workflow, _)| workflow.name.as_str()).collect();
        assert_eq!(names, ["a 3", "a 2", "a", "b", "c"]);
    }

    #[test]
    fn a_trigger_tells_how_it_came() {
        for (kind, told) in [
            (TriggerKind::Webhook, "pushed"),
            (TriggerKind::Api, "triggered"),
            (TriggerKind::Explicit, "triggered by hand"),
            (TriggerKind::ScheduledPipeline, "triggered by schedule"),
        ] {
            assert_eq!(triggered(kind), told);
        }
    }
}
