//! The artifacts of a job: a tree to look through, a page about each, and each as a download.

use super::{
    assets,
    frame::{self, Frame, Here, Theme},
    links, media, pipeline, preview, report,
};
use crate::{
    State,
    access::{Routes, User, Viewer},
    error::Failure,
    found,
};
use axum::{
    extract::{Path, Query},
    response::Response,
};
use base::{
    ids::{JobNumber, PipelineNumber, RepoName, TaskId},
    units::Bytes,
};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use store::{
    Reader,
    runs::{Artifact, Job, family},
};

/// The bucket of artifacts.
const BUCKET: &str = "artifacts";

/// Folders of a tree this deep; what lies deeper is listed by its whole path.
const DEPTH_MAX: usize = 12;

pub(super) fn routes() -> Routes {
    Routes::new().get("/artifacts/{task}/{*path}", one)
}

/// An artifact and the job that made it.
#[derive(Debug)]
pub(super) struct Found {
    job: Job,
    pub(super) artifact: Artifact,
}

/// The artifact of that path, within the bounds of `user` if there is one.
pub(super) async fn find(
    state: &State,
    user: Option<User>,
    task: TaskId,
    path: String,
) -> Result<Found, Failure> {
    let read = move |reader: &Reader<'_>| {
        let missing = || Failure::missing("Artifact");
        let job = found::job(reader, family::job_of(task))?.ok_or_else(missing)?;
        user.map_or(Ok(()), |user| user.reach(job.project))?;
        let found = reader.artifact_get(&job, task, &path)?;
        Ok::<_, Failure>(Found { job, artifact: found.ok_or_else(missing)? })
    };
    state.store.read(read).await
}

pub(super) async fn open(state: &State, artifact: &Artifact) -> Result<objects::Found, Failure> {
    state.objects.get(BUCKET, &artifact.object, None).await.map_err(Failure::inside)
}

async fn one(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Path((task, path)): Path<(TaskId, String)>,
    Query(asked): Query<media::Asked>,
) -> Result<Response, Failure> {
    let found = find(&state, Some(user.clone()), task, path).await?;
    if asked.view.is_some() {
        return view(&state, &user, theme, found).await;
    }
    let object = open(&state, &found.artifact).await?;
    Ok(media::answer(object, &found.artifact.path, &asked))
}

/// The page about an artifact.
async fn view(state: &State, user: &User, theme: Theme, found: Found) -> Result<Response, Failure> {
    let Found { job, artifact } = found;
    let (name, number) = (job.name.clone(), job.number.unwrap_or(JobNumber(0)));
    let (repo, pipeline) = state.store.read(move |reader| place(reader, &job)).await?;
    let kind = media::kind(&artifact.path, None);
    let size = artifact.size;
    let text = media::text(&state.objects, BUCKET, &artifact.object, (size, kind.1)).await?;
    let address = links::artifact(&artifact);
    let file = preview::File {
        trail: trail(&repo, pipeline, number, &name),
        name: &artifact.path,
        address: &address,
        framed: &report::address(state, user, artifact.task, &address),
        kind,
        size,
        modified: None,
        etag: None,
        text,
    };
    let frame = Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Pipelines,
        title: format!("{} · {repo}", artifact.path),
        look: None,
        live: None,
    };
    Ok(preview::answer(frame::page(&frame, &preview::body(&file))))
}

/// Project and pipeline of a job.
fn place(reader: &Reader<'_>, job: &Job) -> Result<(RepoName, PipelineNumber), Failure> {
    let project = reader.project_get(job.project)?.ok_or_else(|| Failure::missing("Project"))?;
    let workflow =
        reader.workflow_get(job.workflow())?.ok_or_else(|| Failure::missing("Workflow"))?;
    let pipeline =
        reader.pipeline_get(workflow.pipeline)?.ok_or_else(|| Failure::missing("Pipeline"))?;
    Ok((project.repo, pipeline.number))
}

fn trail(repo: &RepoName, pipeline: PipelineNumber, number: JobNumber, name: &str) -> Markup {
    let job = links::job(repo, number);
    let here = html! {
        a href=(job) { (name) }
        span aria-hidden="true" { "/" }
        a href=(format!("{job}/artifacts")) { "Artifacts" }
    };
    pipeline::trail(repo, pipeline, Some(&here))
}

/// One folder.
#[derive(Debug, Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    files: Vec<(&'a str, &'a Artifact)>,
}

impl<'a> Folder<'a> {
    fn add(&mut self, artifact: &'a Artifact) {
        let mut here = self;
        let mut rest = artifact.path.as_str();
        for _ in 0..DEPTH_MAX {
            let Some((folder, inner)) = rest.split_once('/') else { break };
            here = here.folders.entry(folder).or_default();
            rest = inner;
        }
        here.files.push((rest, artifact));
    }

    fn size(&self) -> u64 {
        let files: u64 = self.files.iter().map(|(_, artifact)| artifact.size).sum();
        files + self.folders.values().map(Self::size).sum::<u64>()
    }

    fn count(&self) -> usize {
        self.files.len() + self.folders.values().map(Self::count).sum::<usize>()
    }
}

/// The artifacts of a job as trees, one for each of its copies; there are `count` in all.
pub(super) fn list(artifacts: &[Artifact], count: u64) -> Markup {
    let mut nodes: BTreeMap<u32, Folder<'_>> = BTreeMap::new();
    for artifact in artifacts {
        nodes.entry(artifact.node).or_default().add(artifact);
    }
    html! {
        @if artifacts.is_empty() { (empty()) }
        @if count > artifacts.len() as u64 {
            p.alert.hold { "The first " (artifacts.len()) " of " (count) " artifacts. All: " code { "appliance artifact list" } ", or the API page by page." }
        }
        @for (node, root) in &nodes {
            @if nodes.len() > 1 { h2 { "Parallel run " (node) } }
            p.faint { (root.count()) " files, " (Bytes(root.size())) }
            div.tree { (folder(root, &format!("node-{node}"))) }
        }
    }
}

/// `place` names the folder within the page, so that a live page keeps open what is open when others
/// come before it.
fn folder(folder_: &Folder<'_>, place: &str) -> Markup {
    html! {
        ul {
            @for (name, inner) in &folder_.folders {
                @let here = format!("{place}/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
                li id=(here) {
                    details open[inner.count() <= 50] {
                        summary {
                            svg.icon aria-hidden="true" { use href=(assets::icon("folder")) {} }
                            span { (name) "/" }
                            span.size { (inner.count()) " · " (Bytes(inner.size())) }
                        }
                        (folder(inner, &here))
                    }
                }
            }
            @for (name, artifact) in &folder_.files {
                li {
                    a.file href=(format!("{}?view", links::artifact(artifact))) {
                        svg.icon aria-hidden="true" { use href=(assets::icon("file")) {} }
                        span { (name) }
                    }
                    span.size { (Bytes(artifact.size)) }
                }
            }
        }
    }
}

fn empty() -> Markup {
    html! {
        section.empty {
            h2 { "No artifacts" }
            p { "A job keeps files for people with this step:" }
            pre.command { code { "- store_artifacts:\n    path: build/reports" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ids::JobId;

    fn artifact(path: &str, size: u64) -> Artifact {
        let task = family::task(JobId("0193dd1e-0000-7000-8000-000000010000".parse().unwrap()), 1);
        Artifact { task, node: 0, path: path.into(), object: "k".into(), size }
    }

    #[test]
    fn files_stand_in_their_folders_with_sizes() {
        let all = [artifact("a/b/c.txt", 1), artifact("a/d.txt", 2), artifact("e", 4)];
        let mut root = Folder::default();
        all.iter().for_each(|one| root.add(one));
        assert_eq!((root.count(), root.size()), (3, 7));
        assert_eq!((root.folders["a"].count(), root.folders["a"].size()), (2, 3));
    }

    #[test]
    fn a_path_of_many_folders_does_not_nest_without_end() {
        let deep = artifact(&"x/".repeat(5000), 1);
        let mut root = Folder::default();
        root.add(&deep);
        list(std::slice::from_ref(&deep), 1);
        assert_eq!(root.count(), 1);
    }
}
