//! `checkout`: the commit's files, with their history.

use super::{asking, discard};
use crate::{
    agent::Asked,
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};

impl<C: ControlPlane> Job<C> {
    pub(crate) async fn checkout(&self, step: u32, path: &str) -> Result<(), StepError> {
        let stands = self.stands()?;
        let archive = self.supervised.folder().exchange(step);
        let vcs = &self.assignment.vcs;
        let place = vcs.branch.as_ref().map(|branch| format!(" (branch {branch})"));
        let place = place
            .or_else(|| vcs.tag.as_ref().map(|tag| format!(" (tag {tag})")))
            .unwrap_or_default();
        self.outbox.say(
            step,
            &format!("Checking out {}{place} of {}\n", vcs.revision, vcs.repository_url),
        );
        let ask = || self.control.checkout(self.outbox.held(), &archive);
        let fetched = self.persist_in_asking(step, "the files of the commit", ask);
        if let Err(error) = self.with_room_for(step, &archive, fetched).await {
            discard(&archive);
            return Err(error);
        }
        let into = resolve(path, &stands.user.home, &stands.working_directory);
        let asked = Asked::Checkout { into };
        self.agent(step, asking(&asked), Some(archive.clone()), None).await?;
        discard(&archive);
        if !vcs.subject.is_empty() {
            self.outbox
                .say(step, &format!("HEAD is now at {} {}\n", short(&vcs.revision), vcs.subject));
        }
        Ok(())
    }
}

fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}
