//! What a rerun copies from the workflow before it, and what it runs again.
//!
//! Invariants: what depends on a job that runs again runs again, too; everything else keeps its
//! result. Reruns of one workflow are counted and bounded.

use crate::workflow::{Node, is_passed_over};
use base::{limits::RERUNS_MAX, state::JobState};

/// Which jobs a person wants again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// All.
    FromStart,
    /// Those that did not succeed.
    FromFailed,
    /// These, by index.
    Jobs(Vec<usize>),
}

/// Why a rerun is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Jobs still run or wait.
    #[error("the workflow is still going on: wait for its end, or cancel it first")]
    NotEnded,
    /// Everything succeeded.
    #[error("no job of the workflow failed: rerun it from the start instead")]
    NothingFailed,
    /// Bounded.
    #[error("the workflow was rerun {RERUNS_MAX} times already: trigger a new pipeline instead")]
    TooMany,
    /// A setup continues its pipeline once, as on the original service.
    #[error(
        "the pipeline was continued by this setup already, and goes on only once: trigger a new pipeline instead"
    )]
    Continued,
}

/// For each job, whether it runs again.
///
/// # Errors
/// [`Refused`] says what to do instead.
pub fn plan(nodes: &[Node], wanted: &Rerun, reruns_so_far: u32) -> Result<Vec<bool>, Refused> {
    if reruns_so_far >= RERUNS_MAX {
        return Err(Refused::TooMany);
    }
    let ended = nodes.iter().all(|node| node.state.is_terminal());
    let again: Vec<bool> = match wanted {
        Rerun::FromStart => return Ok(vec![true; nodes.len()]),
        _ if !ended => return Err(Refused::NotEnded),
        Rerun::FromFailed => nodes.iter().map(|node| did_not_succeed(nodes, node)).collect(),
        Rerun::Jobs(list) => (0..nodes.len()).map(|index| list.contains(&index)).collect(),
    };
    if !again.contains(&true) {
        return Err(Refused::NothingFailed);
    }
    Ok(with_dependants(nodes, again))
}

/// A job whose requirements were decided against it did as it should: it runs again only with them.
fn did_not_succeed(nodes: &[Node], node: &Node) -> bool {
    node.state != JobState::Success && !is_passed_over(nodes, node)
}

fn with_dependants(nodes: &[Node], mut again: Vec<bool>) -> Vec<bool> {
    loop {
        let reached: Vec<usize> = (0..nodes.len())
            .filter(|index| !again[*index])
            .filter(|index| nodes[*index].requires.iter().any(|edge| again[edge.on]))
            .collect();
        if reached.is_empty() {
            return again;
        }
        for index in reached {
            again[index] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{Edge, Kind};

    fn chain(states: &[JobState]) -> Vec<Node> {
        let node = |(index, state): (usize, &JobState)| Node {
            state: *state,
            kind: Kind::Build,
            requires: match index {
                0 => vec![],
                _ => {
                    vec![Edge { on: index - 1, any_of: vec![JobState::Success, JobState::Failed] }]
                }
            },
        };
        states.iter().enumerate().map(node).collect()
    }

    fn check(states: &[JobState], wanted: &Rerun, expected: &Result<Vec<bool>, Refused>) {
        assert_eq!(&plan(&chain(states), wanted, 0), expected);
    }

    #[test]
    fn from_failed_keeps_what_succeeded_upstream() {
        use JobState as J;
        check(
            &[J::Success, J::Failed, J::NotRun],
            &Rerun::FromFailed,
            &Ok(vec![false, true, true]),
        );
        // The last job succeeded, but on the strength of a result that is now made anew.
        check(
            &[J::Success, J::Failed, J::Success],
            &Rerun::FromFailed,
            &Ok(vec![false, true, true]),
        );
        check(&[J::Success, J::Success], &Rerun::FromFailed, &Err(Refused::NothingFailed));
        check(&[J::Failed, J::Running], &Rerun::FromFailed, &Err(Refused::NotEnded));
    }

    #[test]
    fn a_job_for_the_other_case_is_no_failure() {
        use JobState as J;
        let node = |state, requires| Node { state, kind: Kind::Build, requires };
        let after = |any_of| vec![Edge { on: 0, any_of: vec![any_of] }];
        let of = |first, second| {
            [
                node(first, vec![]),
                node(second, after(J::Failed)),
                node(J::Success, after(J::Success)),
            ]
        };
        let well = of(J::Success, J::NotRun);
        assert_eq!(plan(&well, &Rerun::FromFailed, 0), Err(Refused::NothingFailed));
        // Passed over for another reason, a newer pipeline, say.
        let [first, _, third] = of(J::Success, J::NotRun);
        let outrun = [first, node(J::NotRun, after(J::Success)), third];
        assert_eq!(plan(&outrun, &Rerun::FromFailed, 0), Ok(vec![false, true, false]));
    }

    #[test]
    fn chosen_jobs_bring_their_dependants() {
        use JobState as J;
        let states = [J::Success, J::Success, J::Success];
        check(&states, &Rerun::Jobs(vec![1]), &Ok(vec![false, true, true]));
        check(&states, &Rerun::FromStart, &Ok(vec![true; 3]));
    }

    #[test]
    fn reruns_are_bounded() {
        let nodes = chain(&[JobState::Failed]);
        assert!(plan(&nodes, &Rerun::FromStart, RERUNS_MAX - 1).is_ok());
        assert_eq!(plan(&nodes, &Rerun::FromStart, RERUNS_MAX), Err(Refused::TooMany));
    }
}
