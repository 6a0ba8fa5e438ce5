//! What the control side in memory knows of one task.

use base::{
    ids::Fence,
    protocol::{Progress, Verdict},
    state::{StepState, TaskOutcome},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one task.
#[derive(Default, Clone)]
pub(crate) struct Task {
    pub(crate) fence: Option<Fence>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) output: BTreeMap<u32, Vec<u8>>,
    pub(crate) verdict: Option<Verdict>,
    /// The steps whose output came in requests of its own.
    pub(crate) sent: BTreeSet<u32>,
}

impl Task {
    /// Takes what is new of a step's output; or tells where it would have to begin.
    pub(crate) fn take(&mut self, step: u32, offset: usize, body: &[u8]) -> Result<(), u64> {
        let output = self.output.entry(step).or_default();
        let known = output.len().checked_sub(offset).ok_or(output.len() as u64)?;
        if known < body.len() {
            assert_eq!(&output[offset..], &body[..known], "an offset holds one byte for ever");
            output.extend_from_slice(&body[known..]);
        }
        Ok(())
    }

    pub(crate) fn outcome(&self) -> Option<TaskOutcome> {
        self.progress.iter().find_map(|progress| match progress {
            Progress::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }

    pub(crate) fn message(&self) -> String {
        let found = self.progress.iter().find_map(|progress| match progress {
            Progress::Ended { message, .. } => message.clone(),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Names and ends of the steps, in the order they began.
    pub(crate) fn steps(&self) -> Vec<(String, Option<StepState>)> {
        let started = self.progress.iter().filter_map(|progress| match progress {
            Progress::StepStarted { step, name, .. } => Some((*step, name.clone())),
            _ => None,
        });
        started.map(|(number, name)| (name, self.end_of(number))).collect()
    }

    fn end_of(&self, number: u32) -> Option<StepState> {
        self.progress.iter().find_map(|progress| match progress {
            Progress::StepEnded { step, state, .. } if *step == number => Some(*state),
            _ => None,
        })
    }

    pub(crate) fn text(&self, step: u32) -> String {
        String::from_utf8_lossy(self.output.get(&step).map_or(&[], Vec::as_slice)).into_owned()
    }

    /// The output of the step of this name.
    pub(crate) fn text_of(&self, name: &str) -> String {
        let at = self.steps().iter().position(|step| step.0 == name);
        self.text(
            u32::try_from(at.unwrap_or_else(|| panic!("no step {name}: {:?}", self.steps())))
                .unwrap(),
        )
    }
}
