//! Addresses of pages, made in one place: other faces print them to terminals.

use base::ids::{JobNumber, PipelineNumber, RepoName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::runs::Artifact;

/// Pipelines of one project.
#[must_use]
pub fn project(repo: &RepoName) -> String {
    format!("/?project={}%2F{}", repo.org(), repo.name())
}

/// Settings of one project.
#[must_use]
pub fn settings(repo: &RepoName) -> String {
    format!("/projects/{repo}/settings")
}

/// The list of projects, which tells that this one was deleted.
#[must_use]
pub fn deleted(repo: &RepoName) -> String {
    format!("/projects?deleted={}%2F{}", repo.org(), repo.name())
}

/// The form that starts a pipeline of one project.
#[must_use]
pub fn trigger(repo: &RepoName) -> String {
    format!("/projects/{repo}/trigger")
}

/// One pipeline.
#[must_use]
pub fn pipeline(repo: &RepoName, number: PipelineNumber) -> String {
    format!("/pipelines/gh/{repo}/{number}")
}

/// One job, as on the original service: `/gh/<org>/<repo>/<number>`.
#[must_use]
pub fn job(repo: &RepoName, number: JobNumber) -> String {
    format!("/gh/{repo}/{number}")
}

/// For people: the address to clone or push to.
#[must_use]
pub fn git(base_url: &str, repo: &str) -> String {
    format!("{base_url}/git/{repo}.git")
}

/// Characters of an artifact's path that stay as they are in an address.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where an artifact is downloaded.
#[must_use]
pub fn artifact(artifact: &Artifact) -> String {
    format!("/artifacts/{}/{}", artifact.task, utf8_percent_encode(&artifact.path, PATH))
}
