//! The list of pipelines: the first thing a person sees.

use super::{
    assets,
    frame::{self, Frame, Here, Live, Theme},
    links,
    look::{self, Look, Looks},
    moment, strip,
};
use crate::{
    State,
    access::{Role, Routes, User, Viewer},
    error::Failure,
    overall,
};
use axum::extract::Query;
use base::{
    ids::{Cursor, PipelineId, PipelineNumber, ProjectId, RepoName},
    time::Timestamp,
};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::HashMap;
use store::{
    Reader,
    projects::Project,
    runs::{Job, Pipeline, PipelineFilter, Workflow},
};

/// Pipelines on one page.
const PAGE: usize = 25;

/// Rows looked at to fill a page of one status; beyond, the page says so and offers to go on.
const SCAN_MAX: usize = 500;

pub(super) fn routes() -> Routes {
    Routes::new().get("/", show)
}

/// What the person asked to see; an empty text is no filter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    project: String,
    branch: String,
    status: String,
    mine: String,
    before: String,
}

/// Does a filter take what looks so?
type Takes = fn(Look) -> bool;

/// The statuses one can filter by: name in the address, name for people, what it takes.
const STATUSES: [(&str, &str, Takes); 4] = [
    ("running", "Running", |look| matches!(look, Look::Running)),
    ("approval", "Needs approval", |look| matches!(look, Look::Hold)),
    ("failed", "Failed", |look| matches!(look, Look::Bad | Look::Error | Look::Locked)),
    ("success", "Success", |look| matches!(look, Look::Good)),
];

/// One pipeline as shown.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) repo: RepoName,
    pub(super) pipeline: Pipeline,
    pub(super) look: Look,
    pub(super) word: &'static str,
    pub(super) workflows: Vec<(Workflow, Vec<Job>)>,
}

impl Row {
    /// From the first to the last of its workflows; to now while one goes on.
    pub(super) fn took(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let ends: Option<Vec<Timestamp>> =
            self.workflows.iter().map(|(workflow, _)| workflow.stopped_at).collect();
        let from = self.workflows.first().map(|_| self.pipeline.created_at);
        (from, ends.and_then(|ends| ends.into_iter().max()))
    }

    fn key(&self, of_project: bool) -> String {
        if of_project { self.pipeline.number.to_string() } else { self.pipeline.id.to_string() }
    }
}

/// Everything on the page.
#[derive(Debug)]
pub(super) struct View {
    projects: Vec<RepoName>,
    project: Option<Project>,
    rows: Vec<Row>,
    /// Where the next page begins.
    next: Option<String>,
    cursor: Cursor,
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let (scope, asked) = (user.clone(), wanted.clone());
    let view = state.store.read(move |reader| read(reader, &asked, &scope)).await?;
    let first = view.project.is_none() && view.rows.is_empty() && view.projects.is_empty();
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Pipelines,
        title: view.project.as_ref().map_or("Pipelines".to_owned(), |p| p.repo.to_string()),
        look: view.project.is_some().then(|| view.rows.first().map(|row| row.look)).flatten(),
        live: Some(Live { cursor: view.cursor, project: view.project.as_ref().map(|p| p.id) }),
    };
    let body = if first {
        welcome(&state.config.base_url)
    } else {
        body(&view, &wanted, user.may(Role::Member), state.now(), &state.config.base_url)
    };
    Ok(frame::page(&frame, &body))
}

fn read(reader: &Reader<'_>, wanted: &Wanted, user: &User) -> Result<View, Failure> {
    let mut projects = reader.project_list()?;
    projects.retain(|project| user.reach(project.id).is_ok());
    let project = match wanted.project.as_str() {
        "" => None,
        name => {
            let found = projects.iter().find(|project| project.repo.to_string() == name);
            Some(found.cloned().ok_or_else(|| Failure::missing("Project"))?)
        }
    };
    let names: HashMap<ProjectId, RepoName> =
        projects.iter().map(|project| (project.id, project.repo.clone())).collect();
    let (rows, next) = read_rows(reader, wanted, &user.login, project.as_ref(), &names)?;
    let projects = projects.into_iter().map(|project| project.repo).collect();
    Ok(View { projects, project, rows, next, cursor: reader.event_last()? })
}

/// Reads on until the page is full, the list ends, or enough was looked at.
fn read_rows(
    reader: &Reader<'_>,
    wanted: &Wanted,
    login: &str,
    project: Option<&Project>,
    names: &HashMap<ProjectId, RepoName>,
) -> Result<(Vec<Row>, Option<String>), Failure> {
    let takes = STATUSES.iter().find(|(name, ..)| *name == wanted.status).map(|entry| entry.2);
    let mut rows = Vec::new();
    let mut before = wanted.before.clone();
    for _ in 0..SCAN_MAX / PAGE {
        let page = read_page(reader, wanted, login, project, &before)?;
        let is_last = page.len() < PAGE;
        for pipeline in page {
            // Of a project out of reach, or of one that was deleted.
            let Some(repo) = names.get(&pipeline.project) else {
                before = pipeline.id.to_string();
                continue;
            };
            let row = read_row(reader, repo.clone(), pipeline)?;
            before = row.key(project.is_some());
            if takes.is_none_or(|takes| takes(row.look)) {
                rows.push(row);
            }
            if rows.len() == PAGE {
                return Ok((rows, Some(before)));
            }
        }
        if is_last {
            return Ok((rows, None));
        }
    }
    Ok((rows, Some(before)))
}

fn read_page(
    reader: &Reader<'_>,
    wanted: &Wanted,
    login: &str,
    project: Option<&Project>,
    before: &str,
) -> Result<Vec<Pipeline>, Failure> {
    let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let filter = PipelineFilter {
        branch: some(wanted.branch.as_str()),
        actor: some(wanted.mine.as_str()).map(|_| login),
        org: None,
    };
    let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
    Ok(match project {
        Some(project) => {
            let before: Option<u64> = before.parse().ok();
            reader.pipeline_list(project.id, filter, before.map(PipelineNumber), limit)?
        }
        None => {
            let before: Option<PipelineId> = before.parse().ok();
            reader.pipeline_list_all(filter, before, limit)?
        }
    })
}

pub(super) fn read_row(
    reader: &Reader<'_>,
    repo: RepoName,
    pipeline: Pipeline,
) -> Result<Row, store::Error> {
    let mut workflows = Vec::new();
    for id in &pipeline.workflows {
        if let Some(workflow) = reader.workflow_get(*id)? {
            let jobs = reader.job_list(*id)?;
            workflows.push((workflow, jobs));
        }
    }
    let (look, word) = look::pipeline(
        pipeline.state,
        overall::newest_states(workflows.iter().map(|(workflow, _)| workflow)),
    );
    Ok(Row { repo, pipeline, look, word, workflows })
}

fn body(view: &View, wanted: &Wanted, may: bool, now: Timestamp, base_url: &str) -> Markup {
    html! {
        div.head {
            h1 { "Pipelines" @if let Some(project) = &view.project { span.faint { " of " } (project.repo) } }
            @if let Some(project) = &view.project {
                div.actions {
                    a.button href=(links::settings(&project.repo)) {
                        svg.icon aria-hidden="true" { use href=(assets::icon("gear")) {} } "Settings"
                    }
                    @if may { a.button.primary href=(links::trigger(&project.repo)) { "Trigger pipeline" } }
                }
            }
        }
        (filters(view, wanted))
        @if view.rows.len() > 2 { (strip::draw(&view.rows, now)) }
        @if view.rows.is_empty() { (nothing(view, wanted, base_url)) }
        ol.runs {
            @for row in &view.rows { (row_of(row, now)) }
        }
        @if let Some(next) = &view.next {
            nav.paging aria-label="Pages" { a.button rel="next" href=(address(wanted, next)) { "Older pipelines" } }
        }
    }
}

fn address(wanted: &Wanted, before: &str) -> String {
    let pairs = [
        ("project", wanted.project.as_str()),
        ("branch", &wanted.branch),
        ("status", &wanted.status),
        ("mine", &wanted.mine),
        ("before", before),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    format!("/?{}", query.finish())
}

fn filters(view: &View, wanted: &Wanted) -> Markup {
    html! {
        form.filters method="get" action="/" role="search" data-auto {
            label { span.sr { "Project" }
                select name="project" {
                    option value="" { "All projects" }
                    @for repo in &view.projects {
                        option value=(repo) selected[wanted.project == repo.to_string()] { (repo) }
                    }
                }
            }
            label { span.sr { "Branch" }
                input name="branch" value=(wanted.branch) placeholder="Any branch" spellcheck="false" autocapitalize="none" data-search;
            }
            label { span.sr { "Status" }
                select name="status" {
                    option value="" { "Any status" }
                    @for (name, word, _) in STATUSES {
                        option value=(name) selected[wanted.status == name] { (word) }
                    }
                }
            }
            label.check { input type="checkbox" name="mine" value="1" checked[!wanted.mine.is_empty()]; "Mine" }
            button type="submit" { "Filter" }
        }
    }
}

fn row_of(row: &Row, now: Timestamp) -> Markup {
    let pipeline = &row.pipeline;
    let (from, to) = row.took();
    html! {
        li.row.(row.look.class()) {
            div.run-state { (row.look.badge(row.word)) }
            div.run-what {
                a.run-title href=(links::pipeline(&row.repo, pipeline.number)) { (subject(pipeline)) }
                p.meta {
                    a href=(links::project(&row.repo)) { (row.repo) } " "
                    span.number { "#" (pipeline.number) }
                    (reference(pipeline))
                    span.actor { (pipeline.actor) }
                }
            }
            ul.run-flows {
                @for (workflow, jobs) in &row.workflows { (flow(row, workflow, jobs)) }
                @if let Some(error) = pipeline.errors.first() {
                    li.run-error { (error.message.lines().next().unwrap_or_default()) }
                }
            }
            p.run-when {
                span.took { (moment::took(from, to, now)) }
                (moment::ago(pipeline.created_at, now))
            }
        }
    }
}

/// First line of the commit's message.
pub(super) fn subject(pipeline: &Pipeline) -> &str {
    match pipeline.vcs.subject.as_str() {
        "" => "(no message)",
        subject => subject,
    }
}

/// Branch or tag, and the commit.
pub(super) fn reference(pipeline: &Pipeline) -> Markup {
    let vcs = &pipeline.vcs;
    html! {
        @if let Some(branch) = &vcs.branch {
            span.ref { svg.icon role="img" aria-label="Branch" { use href=(assets::icon("branch")) {} } (branch) }
        }
        @if let Some(tag) = &vcs.tag {
            span.ref { svg.icon role="img" aria-label="Tag" { use href=(assets::icon("tag")) {} } (tag) }
        }
        code.sha title=(vcs.revision) { (vcs.revision.get(..7).unwrap_or(&vcs.revision)) }
    }
}

fn flow(row: &Row, workflow: &Workflow, jobs: &[Job]) -> Markup {
    let at = format!("{}#w-{}", links::pipeline(&row.repo, row.pipeline.number), workflow.id);
    html! {
        li {
            a.flow href=(at) {
                (workflow.state.look().icon(workflow.state.word()))
                span.flow-name { (workflow.name) @if workflow.reruns > 0 { " (rerun " (workflow.reruns) ")" } }
            }
            span.squares aria-hidden="true" {
                @for job in jobs {
                    i.sq.(job.state.look().class()) title=(format!("{}: {}", job.name, job.state.word())) {}
                }
            }
        }
    }
}

fn nothing(view: &View, wanted: &Wanted, base_url: &str) -> Markup {
    let filtered = [&wanted.branch, &wanted.status, &wanted.mine, &wanted.before];
    html! {
        section.empty {
            @if filtered.iter().any(|text| !text.is_empty()) {
                h2 { "No pipeline fits" }
                p { "Nothing among the newest " (SCAN_MAX) " pipelines fits these filters. " a href="/" { "Show all" } }
            } @else if let Some(project) = &view.project {
                h2 { "No pipeline yet" }
                p { "Push a commit with a " code { ".circleci/config.yml" } " to start one:" }
                pre.command { code { "git push " (links::git(base_url, &project.repo.to_string())) " HEAD:main" } }
            } @else {
                h2 { "No pipeline yet" }
                p { "Push to one of the projects, and its pipeline appears here." }
            }
        }
    }
}

/// No project at all: the one command that makes one.
pub(super) fn welcome(base_url: &str) -> Markup {
    html! {
        h1 { "Welcome" }
        section.empty {
            h2 { "Push a repository to begin" }
            p { "Any repository with a " code { ".circleci/config.yml" } " will do, unchanged. The first push makes the project and starts its pipeline:" }
            pre.command { code {
                "git remote add appliance " (links::git(base_url, "ORG/REPO")) "\n"
                "git push appliance main"
            } }
            p.faint { "Put your organisation's and repository's names in place of " code { "ORG/REPO" } ". Git asks for your login and password, or takes a token as the password. Git must know this site's certificate authority once:" }
            pre.command { code {
                "curl --insecure " (base_url) "/.well-known/appliance-ca.pem -o ~/appliance-ca.pem\n"
                "git config --global http." (base_url) "/.sslCAInfo ~/appliance-ca.pem"
            } }
            p.faint { "Compare the file's checksum with that of " code { "tls/ca.pem" } " in the data directory when the network is not to be trusted." }
        }
    }
}
