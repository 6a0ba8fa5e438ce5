//! The artifacts of a job: a tree to look through, and each as a download.
//!
//! Why sandboxed: an artifact is whatever a build made. It is sent with a policy that gives it no
//! script, no form and no origin of ours, and as a download unless it is an image or plain text.

use super::{assets, links};
use crate::{
    State,
    access::{Routes, SANDBOX, Viewer},
    error::Failure,
};
use axum::{
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use base::{ids::TaskId, units::Bytes};
use http::header;
use maud::{Markup, html};
use std::collections::BTreeMap;
use store::runs::{Artifact, family};

/// The bucket of artifacts.
const BUCKET: &str = "artifacts";

/// Folders of a tree this deep; what lies deeper is listed by its whole path.
const DEPTH_MAX: usize = 12;

pub(super) fn routes() -> Routes {
    Routes::new().get("/artifacts/{task}/{*path}", download)
}

async fn download(
    Viewer(user): Viewer,
    state: State,
    Path((task, path)): Path<(TaskId, String)>,
) -> Result<Response, Failure> {
    let job = family::job_of(task);
    let found = state
        .store
        .read(move |reader| {
            let job = reader.job_get(job)?.ok_or_else(|| Failure::missing("Artifact"))?;
            user.reach(job.project)?;
            let all = reader.artifact_list(&job)?;
            let found = all.into_iter().find(|one| one.task == task && one.path == path);
            found.ok_or_else(|| Failure::missing("Artifact"))
        })
        .await?;
    let object = state.objects.get(BUCKET, &found.object, None).await.map_err(Failure::inside)?;
    Ok(shown(object, &found.path))
}

/// Stored bytes as a browser may see them: text, images and pages within the sandbox, the rest as
/// a download.
pub(super) fn shown(object: objects::Found, path: &str) -> Response {
    let (kind, shown) = kind_of(path);
    let name = path.rsplit('/').next().unwrap_or("artifact");
    let disposition = if shown { "inline" } else { "attachment" };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, object.info.size.to_string()),
        (header::CONTENT_DISPOSITION, format!("{disposition}; filename=\"{}\"", quoted(name))),
        (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
    ];
    (headers, Body::from_stream(object.bytes)).into_response()
}

/// For a quoted header value: nothing that could end it.
fn quoted(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' { c } else { '_' }
    };
    name.chars().map(keep).collect()
}

/// Media type by ending, and whether a browser shows it.
fn kind_of(path: &str) -> (&'static str, bool) {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "log" | "md" | "xml" | "yml" | "yaml" | "toml" | "csv" | "diff" | "patch" => {
            ("text/plain; charset=utf-8", true)
        }
        "json" => ("application/json", true),
        "png" => ("image/png", true),
        "jpg" | "jpeg" => ("image/jpeg", true),
        "gif" => ("image/gif", true),
        "webp" => ("image/webp", true),
        "html" | "htm" => ("text/html; charset=utf-8", true),
        "svg" => ("image/svg+xml", true),
        "pdf" => ("application/pdf", false),
        _ => ("application/octet-stream", false),
    }
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

/// All artifacts of a job as trees, one for each of its copies.
pub(super) fn list(artifacts: &[Artifact]) -> Markup {
    let mut nodes: BTreeMap<u32, Folder<'_>> = BTreeMap::new();
    for artifact in artifacts {
        nodes.entry(artifact.node).or_default().add(artifact);
    }
    html! {
        @if artifacts.is_empty() { (empty()) }
        @for (node, root) in &nodes {
            @if nodes.len() > 1 { h2 { "Parallel run " (node) } }
            p.faint { (root.count()) " files, " (Bytes(root.size())) }
            div.tree { (folder(root)) }
        }
    }
}

fn folder(folder_: &Folder<'_>) -> Markup {
    html! {
        ul {
            @for (name, inner) in &folder_.folders {
                li {
                    details open[inner.count() <= 50] {
                        summary {
                            svg.icon aria-hidden="true" { use href=(assets::icon("folder")) {} }
                            span { (name) "/" }
                            span.size { (inner.count()) " · " (Bytes(inner.size())) }
                        }
                        (folder(inner))
                    }
                }
            }
            @for (name, artifact) in &folder_.files {
                li {
                    a.file href=(links::artifact(artifact)) {
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
        list(std::slice::from_ref(&deep));
        assert_eq!(root.count(), 1);
    }

    #[test]
    fn only_what_is_harmless_is_shown_and_names_cannot_end_their_quotes() {
        assert_eq!(kind_of("a/report.xml"), ("text/plain; charset=utf-8", true));
        assert_eq!(kind_of("x.tar.gz"), ("application/octet-stream", false));
        assert_eq!(quoted("a\"b\\c\r\nd é.txt"), "a_b_c__d _.txt");
    }
}
