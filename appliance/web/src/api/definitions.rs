//! The one pipeline definition that each project has: its `.circleci/config.yml` at the commit that
//! is built; and runs of it.
//!
//! Source: API v2 `pipeline-definitions` and `pipeline/run`, as both command lines ask them.
//! Invariants: a definition's identifier is its project's; configuration and sources come from the
//! same commit, so that a run can be told from its commit alone.

use super::{
    Slug,
    body::Sent,
    id,
    pipelines::{Request, start},
    project, project_by_id, shapes,
};
use crate::{
    State,
    access::{Member, Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::{ids::ProjectId, trigger::ParameterValue};
use http::StatusCode;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};
use store::projects::Project;

pub(super) const NAME: &str = "config.yml";
pub(super) const DESCRIPTION: &str = "The configuration at the commit that is built";
pub(super) const PATH: &str = crate::trigger::CONFIG_PATH;
pub(super) const PROVIDER: &str = "git";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/projects/{id}/pipeline-definitions", list)
        .post("/api/v2/projects/{id}/pipeline-definitions", one_alone)
        .get("/api/v2/projects/{id}/pipeline-definitions/{definition}", get)
        .post("/api/v2/project/{vcs}/{org}/{repo}/pipeline/run", run)
}

fn shape(project: &Project) -> Value {
    let repo = json!({ "external_id": project.id, "full_name": project.repo.to_string() });
    json!({
        "id": project.id,
        "name": NAME,
        "description": DESCRIPTION,
        "created_at": project.created_at,
        "config_source": { "provider": PROVIDER, "repo": repo, "file_path": PATH },
        "checkout_source": { "provider": PROVIDER, "repo": repo },
    })
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let project = project_by_id(&state, &user, id(&text, "Project")?).await?;
    Ok(Json(shapes::page(vec![shape(&project)], None)))
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path((text, definition)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let project = project_by_id(&state, &user, id(&text, "Project")?).await?;
    is_of(&project, id(&definition, "Pipeline definition")?)?;
    Ok(Json(shape(&project)))
}

fn is_of(project: &Project, definition: ProjectId) -> Result<(), Failure> {
    if definition == project.id { Ok(()) } else { Err(Failure::missing("Pipeline definition")) }
}

pub(super) async fn one_alone(_: Viewer) -> Failure {
    Failure::NotOffered(format!(
        "a project has one pipeline definition here, {PATH} at the commit that is built: push it, or choose in it by parameters"
    ))
}

/// Body of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    definition_id: Option<ProjectId>,
    config: Source,
    checkout: Source,
    parameters: IndexMap<String, ParameterValue>,
}

/// Where something comes from; empty texts are none.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Source {
    branch: String,
    tag: String,
    content: String,
}

impl Run {
    /// The same as a trigger at one place.
    fn request(self) -> Result<Request, Failure> {
        let invalid = |why: &str| Err(Failure::Invalid(why.to_owned()));
        if !self.config.content.is_empty() {
            return invalid(
                "config.content: a run takes the configuration of its commit: push it to a branch and name that, or try it on a working copy with `appliance run`",
            );
        }
        let is_asked = self.config != Source::default() && self.checkout != Source::default();
        if is_asked && self.config != self.checkout {
            return invalid(
                "config and checkout: both come from the same commit here: name the same branch or tag",
            );
        }
        let source = if self.checkout == Source::default() { self.config } else { self.checkout };
        let some = |text: String| (!text.is_empty()).then_some(text);
        Ok(Request {
            branch: some(source.branch),
            tag: some(source.tag),
            parameters: self.parameters,
        })
    }
}

async fn run(
    Member(user): Member,
    state: State,
    Path(slug): Path<Slug>,
    Sent(run): Sent<Run>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let project = project(&state, &user, slug).await?;
    if let Some(definition) = run.definition_id {
        is_of(&project, definition)?;
    }
    start(&state, user, project, run.request()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &Value, expected: Result<(Option<&str>, Option<&str>), &str>) {
        let run: Run = serde_json::from_value(body.clone()).unwrap();
        match (run.request(), expected) {
            (Ok(request), Ok((branch, tag))) => {
                assert_eq!((request.branch.as_deref(), request.tag.as_deref()), (branch, tag));
            }
            (Err(failure), Err(why)) => assert!(failure.to_string().contains(why), "{failure}"),
            (found, _) => panic!("{body}: {}", found.is_ok()),
        }
    }

    #[test]
    fn a_run_is_a_trigger_at_one_commit() {
        let main = json!({ "branch": "main" });
        check(&json!({}), Ok((None, None)));
        check(&json!({ "config": main, "checkout": main }), Ok((Some("main"), None)));
        check(&json!({ "checkout": { "tag": "v1" } }), Ok((None, Some("v1"))));
        check(&json!({ "config": main, "checkout": { "branch": "x" } }), Err("same commit"));
        let own = json!({ "branch": "main", "content": "version: 2.1" });
        check(&json!({ "config": own, "checkout": main }), Err("appliance run"));
    }
}
