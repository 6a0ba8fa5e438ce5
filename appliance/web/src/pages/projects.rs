//! The list of projects.

use super::{
    frame::{self, Frame, Here, Live, Theme},
    links, moment,
    pipelines::{self, Row},
};
use crate::{
    State,
    access::{Routes, User, Viewer},
    error::Failure,
};
use axum::extract::Query;
use base::{
    ids::{Cursor, RepoName},
    time::Timestamp,
};
use maud::{Markup, html};
use serde::Deserialize;
use store::{Reader, projects::Project, runs::PipelineFilter};

pub(super) fn routes() -> Routes {
    Routes::new().get("/projects", show)
}

type Listed = (Vec<(Project, Option<Row>)>, Cursor);

/// What the page is asked to tell.
#[derive(Debug, Deserialize)]
struct Asked {
    /// A project that was deleted a moment ago.
    #[serde(default)]
    deleted: String,
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Query(Asked { deleted }): Query<Asked>,
) -> Result<Markup, Failure> {
    let scope = user.clone();
    let (projects, cursor) = state.store.read(move |reader| list(reader, &scope)).await?;
    // Only a name, and only of one that is not there: the address may come from anywhere.
    let deleted: Option<RepoName> = deleted.parse().ok();
    let deleted = deleted.filter(|name| projects.iter().all(|(project, _)| project.repo != *name));
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Projects,
        title: "Projects".to_owned(),
        look: None,
        live: Some(Live { cursor, project: None }),
    };
    let now = state.now();
    let body = html! {
        @if let Some(name) = &deleted { p.alert.good role="status" { "The project " b { (name) } " was deleted." } }
        @if projects.is_empty() { (pipelines::welcome(&state.config.base_url)) } @else {
            div.head { h1 { "Projects" } }
            ul.cards {
                @for (project, newest) in &projects { (card(project, newest.as_ref(), now, &state.config.base_url)) }
            }
        }
    };
    Ok(frame::page(&frame, &body))
}

fn list(reader: &Reader<'_>, user: &User) -> Result<Listed, Failure> {
    let mut found = Vec::new();
    for project in reader.project_list()? {
        if user.reach(project.id).is_err() {
            continue;
        }
        let newest = reader.pipeline_list(project.id, PipelineFilter::default(), None, 1)?;
        let row = newest
            .into_iter()
            .next()
            .map(|pipeline| pipelines::read_row(reader, project.repo.clone(), pipeline))
            .transpose()?;
        found.push((project, row));
    }
    Ok((found, reader.event_last()?))
}

fn card(project: &Project, newest: Option<&Row>, now: Timestamp, base_url: &str) -> Markup {
    html! {
        li.card {
            h2 { a href=(links::project(&project.repo)) { (project.repo) } }
            @match newest {
                Some(row) => p.meta {
                    (row.look.badge(row.word))
                    a href=(links::pipeline(&row.repo, row.pipeline.number)) { "#" (row.pipeline.number) " " (pipelines::subject(&row.pipeline)) }
                    (moment::ago(row.pipeline.created_at, now))
                },
                None => p.faint { "No pipeline yet" },
            }
            p.card-foot {
                code.clone { (links::git(base_url, &project.repo.to_string())) }
                a href=(links::settings(&project.repo)) { "Settings" }
            }
        }
    }
}
