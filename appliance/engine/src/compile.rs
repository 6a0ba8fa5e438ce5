//! From a trigger to a plan, with the orbs of the store: reads files, asks addresses that the operator
//! allows, and computes for up to a hundred milliseconds, so it runs beside the loop, never in it.

use crate::handle::continuation::trigger_of;
use base::{
    ids::{PipelineId, PipelineNumber, RepoName},
    trigger::{ConfigText, Trigger},
};
use indexmap::IndexMap;
use orbs::Registry;
use pipeline::{Orbs, Planned, Rejected, Values, plan_continuation, plan_trigger};
use store::runs::Pipeline;

/// Compiles and plans. An orb store that cannot be read is an error of the configuration's fetch.
pub(crate) fn planned(
    trigger: &Trigger,
    id: PipelineId,
    number: PipelineNumber,
    repo: &RepoName,
    registry: &Registry,
    continues: bool,
) -> Result<Planned, Rejected> {
    let plan = |orbs: &Orbs| match continues {
        true => plan_continuation(trigger, id, number, repo, orbs),
        false => plan_trigger(trigger, id, number, repo, orbs),
    };
    let absent = |planned: &Result<Planned, Rejected>| match planned {
        Ok(_) => vec![],
        Err(rejected) => rejected.absent.clone(),
    };
    let text = match &trigger.config {
        ConfigText::Found(text) => text,
        ConfigText::Missing(_) => return plan(&Orbs::default()),
    };
    registry.compile_with(text, plan, absent).unwrap_or_else(|error| {
        let unread = ConfigText::Missing(format!("the orb store cannot be used: {error}"));
        let trigger = Trigger { config: unread, ..trigger.clone() };
        plan_trigger(&trigger, id, number, repo, &Orbs::default())
    })
}

/// The values of a pipeline, as its configuration saw them.
#[must_use]
pub fn values_of(pipeline: &Pipeline, repo: &RepoName) -> Values {
    let trigger = trigger_of(pipeline, ConfigText::Missing(String::new()), IndexMap::new());
    Values::from_trigger(&trigger, pipeline.id, pipeline.number, repo)
}
