//! From a trigger to a plan, with the orbs of the store: reads files and computes for up to a
//! hundred milliseconds, so it runs beside the loop, never in it.

use base::{
    ids::{PipelineId, PipelineNumber, RepoName},
    trigger::{ConfigText, Trigger},
};
use orbs::Registry;
use pipeline::{Orbs, Planned, Rejected, plan_continuation, plan_trigger};

/// Compiles and plans. An orb store that cannot be read is an error of the configuration's fetch.
pub(crate) fn planned(
    trigger: &Trigger,
    id: PipelineId,
    number: PipelineNumber,
    repo: &RepoName,
    registry: &Registry,
    continues: bool,
) -> Result<Planned, Rejected> {
    let orbs = match &trigger.config {
        ConfigText::Found(text) => registry.load_for(text),
        ConfigText::Missing(_) => Ok(Orbs::default()),
    };
    match orbs {
        Ok(orbs) if continues => plan_continuation(trigger, id, number, repo, &orbs),
        Ok(orbs) => plan_trigger(trigger, id, number, repo, &orbs),
        Err(error) => {
            let unread = ConfigText::Missing(format!("the orb store cannot be read: {error}"));
            let trigger = Trigger { config: unread, ..trigger.clone() };
            plan_trigger(&trigger, id, number, repo, &Orbs::default())
        }
    }
}
