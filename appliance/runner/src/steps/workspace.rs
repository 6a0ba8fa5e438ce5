//! `persist_to_workspace` and `attach_workspace`.

use super::{asking, discard};
use crate::{
    agent::{self, Asked},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::{
    protocol::{StoreConfirm, StoreRequest, StoreTarget, Workspace},
    workspace::{Conflict, Names},
};

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
        let names = Names::pack(&manifest.files);
        let names = names.map_err(|error| StepError::Failed(error.to_string()))?;
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
            let confirm = StoreConfirm { request, key, size, paths: Vec::new(), names };
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
        let Workspace { layers, conflict } =
            self.persist_in_asking(step, "the list of workspace layers", list).await?;
        if let Some(conflict) = conflict {
            return Err(StepError::Failed(told(&conflict)));
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

/// As people search for it.
fn told(conflict: &Conflict) -> String {
    let Conflict { path, jobs: [first, second] } = conflict;
    format!(
        "Concurrent upstream jobs persisted the same file(s) into the workspace:\n  - {path} by {first} and {second}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conflict_is_told_as_people_search_for_it() {
        let jobs = ["job-0", "job-1"].map(str::to_owned);
        let text = told(&Conflict { path: "x".into(), jobs });
        let expected = "Concurrent upstream jobs persisted the same file(s) into the workspace:\n  - x by job-0 and job-1";
        assert_eq!(text, expected);
    }
}
