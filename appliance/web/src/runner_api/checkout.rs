//! The commit that a job builds, as an archive of its working copy.

use super::{
    held::{Fenced, held, task_id},
    refusal::Denied,
};
use crate::{
    State,
    access::{Routes, Runner},
    error::Failure,
};
use axum::{
    body::Body,
    extract::{Path, Query},
    response::Response,
};
use base::ids::RepoName;
use repos::Checkout;
use store::runs::Job;

pub(super) fn routes() -> Routes {
    Routes::new().get("/runner/v1/tasks/{task}/checkout", checkout)
}

async fn checkout(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
) -> Result<Response, Denied> {
    let (_, job) = held(&state, task_id(&task)?, fence)?;
    let (repo, checkout) = commit_of(&state, job).await?;
    let repository = state.repos.get(&repo).map_err(|error| Failure::Missing(error.to_string()))?;
    Ok(repos::http::checkout(repository, checkout).await.map(Body::new))
}

/// The repository and commit of a job's pipeline.
async fn commit_of(state: &State, job: Job) -> Result<(RepoName, Checkout), Denied> {
    let (project, workflow) = (job.project, job.workflow());
    let (project, pipeline) = state
        .store
        .read(move |reader| {
            let workflow = reader.workflow_get(workflow)?;
            let pipeline = match workflow {
                Some(workflow) => reader.pipeline_get(workflow.pipeline)?,
                None => None,
            };
            Ok::<_, store::Error>((reader.project_get(project)?, pipeline))
        })
        .await?;
    let project = project.ok_or_else(|| Failure::missing("Project"))?;
    let vcs = pipeline.ok_or_else(|| Failure::missing("Pipeline"))?.vcs;
    let url = vcs.repository_url;
    Ok((project.repo, Checkout { revision: vcs.revision, branch: vcs.branch, url }))
}
