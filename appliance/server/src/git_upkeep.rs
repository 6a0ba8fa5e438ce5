//! Once a day, what no branch and no pipeline needs any more leaves the repositories.
//!
//! Invariants: the commit of every pipeline that is still shown stays, so that it can be rerun
//! after its branch is gone; what was written within [`AGE`] stays, as with Git itself.
//! On failure: the repository stays as it is, and the log says why.

use base::{ids::RepoName, time::Timestamp};
use repos::{Pruned, Repos};
use std::time::{Duration, SystemTime};
use store::{
    Reader, Store,
    runs::pipelines::{PAGE_MAX, PipelineFilter},
};

/// How long unreached objects are kept: `gc.pruneExpire` of Git.
const AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Prunes every repository, one after the other.
pub(crate) async fn prune(store: &Store, repos: &Repos, now: Timestamp) -> anyhow::Result<()> {
    let before = Duration::from_micros(now.0.try_into()?).saturating_sub(AGE);
    let before = SystemTime::UNIX_EPOCH + before;
    let listed = repos.clone();
    for name in tokio::task::spawn_blocking(move || listed.list()).await?? {
        let asked = name.clone();
        let keep = store.read(move |reader| revisions(reader, &asked)).await?;
        let repository = match repos.get(&name) {
            // Its project was deleted since the look.
            Err(repos::Error::NoRepository(_)) => continue,
            found => found?,
        };
        match tokio::task::spawn_blocking(move || repository.prune(&keep, before)).await? {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { objects, bytes }) => {
                tracing::info!(repository = %name, objects, size_bytes = bytes, "unreached Git objects were removed");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(repository = %name, %error, cause, "nothing was pruned");
            }
        }
    }
    Ok(())
}

/// The commits of all pipelines of a repository's project.
fn revisions(reader: &Reader<'_>, repo: &RepoName) -> Result<Vec<String>, store::Error> {
    let Some(project) = reader.project_by_repo(repo)? else { return Ok(Vec::new()) };
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let all_of_it = PipelineFilter::default();
        let page = reader.pipeline_list(project.id, all_of_it, before, PAGE_MAX)?;
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        all.extend(page.into_iter().map(|pipeline| pipeline.vcs.revision));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
