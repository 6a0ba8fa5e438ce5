//! `persist_to_workspace` and `attach_workspace`.

use super::{asking, discard};
use crate::{
    agent::{self, Asked},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::protocol::{StoreConfirm, StoreRequest, StoreTarget, WorkspaceLayer};
use std::collections::HashMap;

/// What persisting waits for.
const TAKEN: &str = "the store to take the workspace layer";

impl<C: ControlPlane> Job<C> {
    pub(crate) async fn persist(
        &self,
        step: u32,
        root: &str,
        paths: &[String],
    ) -> Result<(), StepError> {
        let stands = self.stands()?;
        let root = resolve(root, &stands.user.home, &stands.working_directory);
        self.outbox.say(step, "Creating workspace archive...\n");
        let asked = Asked::Pack { root, paths: paths.to_vec(), globs: true, may_be_empty: false };
        let archive = self.supervised.folder().exchange(step);
        self.agent(step, asking(&asked), None, Some(archive.clone())).await?;
        let manifest = agent::manifest_of(&archive).map_err(StepError::Failed)?;
        self.outbox.say(step, "Uploading workspace archive...\n");
        let held = self.outbox.held();
        let request = StoreRequest::Workspace;
        let store = || self.control.store(held, &request);
        let target = self.persist_in_asking(step, "a place for the workspace layer", store).await?;
        if let StoreTarget::Put { to, key } = target {
            let (offset, size) = (manifest.length, manifest.archive);
            let put = || self.control.put(&to, &archive, offset, size);
            self.persist_in_asking(step, TAKEN, put).await?;
            let count = manifest.files.len();
            let confirm = StoreConfirm { request, key, size, paths: manifest.files };
            self.persist_in_asking(step, TAKEN, || self.control.confirm(held, &confirm)).await?;
            let size = base::units::Bytes(size);
            self.outbox.say(step, &format!("Workspace layer stored: {count} files, {size}\n"));
        }
        discard(&archive);
        Ok(())
    }

    pub(crate) async fn attach(&self, step: u32, at: &str) -> Result<(), StepError> {
        let stands = self.stands()?;
        let into = resolve(at, &stands.user.home, &stands.working_directory);
        let held = self.outbox.held();
        let list = || self.control.workspace(held);
        let layers = self.persist_in_asking(step, "the list of workspace layers", list).await?;
        if let Some(conflict) = conflict(&layers) {
            return Err(StepError::Failed(conflict));
        }
        if layers.is_empty() {
            self.outbox
                .say(step, "No workspace layers to attach: no job upstream has persisted any\n");
        }
        let archive = self.supervised.folder().exchange(step);
        for layer in &layers {
            self.outbox.say(step, &format!("Applying the workspace layer of {}\n", layer.job_name));
            let what = format!("the workspace layer of {}", layer.job_name);
            self.persist_in_asking(step, &what, || self.control.get(&layer.from, &archive)).await?;
            let asked = Asked::Unpack { into: into.clone(), what: "workspace".into() };
            self.agent(step, asking(&asked), Some(archive.clone()), None).await?;
        }
        discard(&archive);
        Ok(())
    }
}

/// Two jobs of which neither required the other persisted the same file: nobody can say which is
/// meant. Layers come in the order of the graph, so that of two owners in a row the second has
/// the first upstream, and with it all that came before.
fn conflict(layers: &[WorkspaceLayer]) -> Option<String> {
    let mut owners: HashMap<&str, &WorkspaceLayer> = HashMap::new();
    for layer in layers {
        for path in &layer.paths {
            let before = owners.insert(path, layer);
            let beside = |other: &&WorkspaceLayer| {
                other.job != layer.job && !layer.upstream.contains(&other.job)
            };
            if let Some(other) = before.filter(beside) {
                return Some(format!(
                    "Concurrent upstream jobs persisted the same file(s) into the workspace:\n  - {path} by {} and {}",
                    other.job_name, layer.job_name
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{protocol::Presigned, secret::Secret};

    /// Of the job of that number, which has these upstream.
    fn layer(job: u32, upstream: &[u32], paths: &[&str]) -> WorkspaceLayer {
        WorkspaceLayer {
            job_name: format!("job-{job}"),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            job,
            upstream: upstream.to_vec(),
            from: Presigned { url: Secret::new("/x") },
        }
    }

    fn check(layers: &[WorkspaceLayer], conflicting: bool) {
        assert_eq!(conflict(layers).is_some(), conflicting, "{layers:?}");
    }

    #[test]
    fn only_jobs_side_by_side_can_conflict() {
        check(&[layer(0, &[], &["x"]), layer(1, &[], &["y"])], false);
        check(&[layer(0, &[], &["x"]), layer(1, &[0], &["x"])], false);
        check(&[layer(0, &[], &["x"]), layer(0, &[], &["x"])], false);
        check(&[layer(0, &[], &["x"]), layer(1, &[], &["z", "x"])], true);
        // One is deeper in the graph, and still beside the other.
        let deep = [layer(0, &[], &["y"]), layer(1, &[], &["x"]), layer(2, &[0], &["x"])];
        check(&deep, true);
        let chain = [layer(0, &[], &["x"]), layer(1, &[0], &["x"]), layer(2, &[0, 1], &["x"])];
        check(&chain, false);
    }

    #[test]
    fn the_conflict_is_told_as_people_search_for_it() {
        let text = conflict(&[layer(0, &[], &["x"]), layer(1, &[], &["x"])]).unwrap();
        let expected = "Concurrent upstream jobs persisted the same file(s) into the workspace:\n  - x by job-0 and job-1";
        assert_eq!(text, expected);
    }
}
