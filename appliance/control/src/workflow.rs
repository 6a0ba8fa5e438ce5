//! The graph of one workflow: what becomes ready, what can never run, and what the whole is.
//!
//! Invariants: a terminal job never changes; a blocked job leaves that state only when all that it
//! requires is decided in its favour, or as soon as one requirement can no longer be met. After
//! [`settle`] every blocked job has at least one requirement that is still open, so that a
//! workflow always comes to an end when its running and held jobs do.
//! Reference: statuses of `requires` are `success failed canceled unauthorized not_run`; a job that
//! timed out or was failed by the machine counts as `failed` there.

use base::state::{JobState, WorkflowState};
use std::collections::BTreeSet;

/// What a node does when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Waits for a runner.
    Build,
    /// Waits for a person.
    Approval,
    /// Succeeds at once.
    NoOp,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of the required node.
    pub on: usize,
    /// Terminal states that satisfy it.
    pub any_of: Vec<JobState>,
}

/// One job, as far as the graph is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is now.
    pub state: JobState,
    /// What it does when reached.
    pub kind: Kind,
    /// Empty for a root.
    pub requires: Vec<Edge>,
}

/// A node and the state that it enters.
pub type Change = (usize, JobState);

/// The name under which a terminal state is matched by `requires`.
fn as_required(state: JobState) -> JobState {
    match state {
        JobState::TimedOut | JobState::InfrastructureFail => JobState::Failed,
        other => other,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Open,
    Ready,
    Never,
}

fn reach(nodes: &[Node], node: &Node) -> Reach {
    let mut all = Reach::Ready;
    for edge in &node.requires {
        let state = nodes[edge.on].state;
        if !state.is_terminal() {
            all = Reach::Open;
        } else if !edge.any_of.iter().any(|want| as_required(*want) == as_required(state)) {
            return Reach::Never;
        }
    }
    all
}

/// Whether a job did not run because of how those that it requires ended.
pub(crate) fn is_passed_over(nodes: &[Node], node: &Node) -> bool {
    node.state == JobState::NotRun && reach(nodes, node) == Reach::Never
}

/// Moves every blocked job as far as the others allow and returns the changes in order.
///
/// `gate` is asked once for each build job that is reached and names the state it enters:
/// `Queued`, or a terminal state when it may not run after all.
pub fn settle<E>(
    nodes: &mut [Node],
    mut gate: impl FnMut(usize) -> Result<JobState, E>,
) -> Result<Vec<Change>, E> {
    let (mut changes, followers) = (Vec::new(), followers(nodes));
    let mut round: BTreeSet<usize> = (0..nodes.len()).collect();
    while !round.is_empty() {
        let mut next = BTreeSet::new();
        while let Some(index) = round.pop_first() {
            if nodes[index].state != JobState::Blocked {
                continue;
            }
            let state = match (reach(nodes, &nodes[index]), nodes[index].kind) {
                (Reach::Open, _) => continue,
                (Reach::Never, _) => JobState::NotRun,
                (Reach::Ready, Kind::NoOp) => JobState::Success,
                (Reach::Ready, Kind::Approval) => JobState::OnHold,
                (Reach::Ready, Kind::Build) => gate(index)?,
            };
            nodes[index].state = state;
            changes.push((index, state));
            for follower in &followers[index] {
                let when = if *follower > index { &mut round } else { &mut next };
                when.insert(*follower);
            }
        }
        round = next;
    }
    Ok(changes)
}

/// Of each node those that require it and have not moved.
fn followers(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut followers = vec![Vec::new(); nodes.len()];
    let blocked = nodes.iter().enumerate().filter(|(_, node)| node.state == JobState::Blocked);
    for (index, node) in blocked {
        for edge in &node.requires {
            followers[edge.on].push(index);
        }
    }
    followers
}

/// The workflow's state, from those of its jobs; `canceled` once a stop was asked for.
#[must_use]
pub fn state(nodes: impl IntoIterator<Item = JobState>, canceled: bool) -> WorkflowState {
    let states: Vec<JobState> = nodes.into_iter().collect();
    let any = |wanted: &[JobState]| states.iter().any(|state| wanted.contains(state));
    let failed = any(&[JobState::Failed, JobState::TimedOut, JobState::InfrastructureFail]);
    if any(&[JobState::Queued, JobState::Running]) {
        return if failed { WorkflowState::Failing } else { WorkflowState::Running };
    }
    if any(&[JobState::OnHold, JobState::Blocked]) {
        return WorkflowState::OnHold;
    }
    match () {
        () if canceled && any(&[JobState::Canceled, JobState::NotRun]) => WorkflowState::Canceled,
        () if failed => WorkflowState::Failed,
        () if any(&[JobState::Canceled]) => WorkflowState::Canceled,
        () if any(&[JobState::Unauthorized]) => WorkflowState::Unauthorized,
        () if any(&[JobState::Success]) => WorkflowState::Success,
        () => WorkflowState::NotRun,
    }
}

/// What a request to stop the whole workflow changes at once. Running jobs keep their state until
/// their runner has stopped them.
#[must_use]
pub fn cancel_all(nodes: &[Node]) -> Vec<Change> {
    let change = |(index, node): (usize, &Node)| match node.state {
        JobState::Queued | JobState::OnHold => Some((index, JobState::Canceled)),
        JobState::Blocked => Some((index, JobState::NotRun)),
        _ => None,
    };
    nodes.iter().enumerate().filter_map(change).collect()
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
