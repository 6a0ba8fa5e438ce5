//! Addresses of pages, made in one place: other faces print them to terminals.

use base::ids::{ContextId, JobNumber, PipelineNumber, RepoName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::runs::Artifact;

/// Pipelines of one project.
#[must_use]
pub fn project(repo: &RepoName) -> String {
    format!("/?project={}%2F{}", repo.org(), repo.name())
}

/// Pipelines of one branch.
#[must_use]
pub fn branch(repo: &RepoName, branch: &str) -> String {
    format!("{}&branch={}", project(repo), utf8_percent_encode(branch, NON_ALPHANUMERIC))
}

/// The status badge of a project's default branch, as on the original service.
#[must_use]
pub fn badge(repo: &RepoName) -> String {
    format!("/gh/{repo}.svg")
}

/// The same of another branch.
#[must_use]
pub fn branch_badge(repo: &RepoName, branch: &str) -> String {
    format!("/gh/{repo}/tree/{}.svg", utf8_percent_encode(branch, PATH))
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

/// One context.
#[must_use]
pub fn context(id: ContextId) -> String {
    format!("/contexts/{id}")
}

/// The page with the form that is sent to this path, where one page has it: what is told of it is told
/// there.
#[must_use]
pub fn page_with_form(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["account", _, ..] => Some("/account".to_owned()),
        ["users", ..] => Some("/users".to_owned()),
        ["contexts"] => Some("/contexts".to_owned()),
        ["contexts", id, _, ..] => Some(format!("/contexts/{id}")),
        ["projects", org, repo, "trigger"] => Some(format!("/projects/{org}/{repo}/trigger")),
        ["projects", org, repo, _, ..] => Some(format!("/projects/{org}/{repo}/settings")),
        _ => None,
    }
}

/// Where the way back leads from an address that takes nothing but a form.
#[must_use]
pub fn back_from_form(path: &str) -> String {
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        [of @ ("jobs" | "workflows"), id, ..] => format!("/{of}/{id}"),
        _ => page_with_form(path).unwrap_or_else(|| "/".to_owned()),
    }
}

/// Characters of an artifact's path that stay as they are in an address.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where an artifact is downloaded.
#[must_use]
pub fn artifact(artifact: &Artifact) -> String {
    format!("/artifacts/{}/{}", artifact.task, utf8_percent_encode(&artifact.path, PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, page: Option<&str>, back: &str) {
        assert_eq!(page_with_form(path).as_deref(), page, "{path}");
        assert_eq!(back_from_form(path), back, "{path}");
    }

    #[test]
    fn each_form_leads_back_to_its_page() {
        let settings = "/projects/a/b/settings";
        check("/projects/a/b/delete", Some(settings), settings);
        check("/projects/a/b/variables/remove", Some(settings), settings);
        check("/projects/a/b/trigger", Some("/projects/a/b/trigger"), "/projects/a/b/trigger");
        check("/contexts/7/restrictions/remove", Some("/contexts/7"), "/contexts/7");
        check("/account/tokens/7/revoke", Some("/account"), "/account");
        check("/users/7/role", Some("/users"), "/users");
        check("/jobs/7/approve", None, "/jobs/7");
        check("/workflows/7/rerun", None, "/workflows/7");
        check("/logout", None, "/");
    }
}
