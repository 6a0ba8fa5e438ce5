//! The graph's rules, as tables and as properties over random graphs.

use super::*;
use proptest::prelude::*;
use std::convert::Infallible;

fn node(kind: Kind, requires: &[(usize, &[JobState])]) -> Node {
    let edge = |(on, any_of): &(usize, &[JobState])| Edge { on: *on, any_of: any_of.to_vec() };
    Node { state: JobState::Blocked, kind, requires: requires.iter().map(edge).collect() }
}

fn settle_open(nodes: &mut [Node]) -> Vec<Change> {
    settle(nodes, |_| Ok::<_, Infallible>(JobState::Queued)).unwrap()
}

/// `b` requires `a` with `any_of`; `a` ends as `ended`; what does `b` become?
fn check(any_of: &[JobState], ended: JobState, expected: JobState) {
    let mut nodes = vec![node(Kind::Build, &[]), node(Kind::Build, &[(0, any_of)])];
    nodes[0].state = ended;
    settle_open(&mut nodes);
    assert_eq!(nodes[1].state, expected, "{any_of:?} after {ended}");
}

const SUCCESS: &[JobState] = &[JobState::Success];
const TERMINAL: &[JobState] = &[
    JobState::Success,
    JobState::Failed,
    JobState::Canceled,
    JobState::Unauthorized,
    JobState::NotRun,
];

#[test]
fn a_requirement_is_met_by_the_named_states_alone() {
    check(SUCCESS, JobState::Success, JobState::Queued);
    check(SUCCESS, JobState::Running, JobState::Blocked);
    check(SUCCESS, JobState::Failed, JobState::NotRun);
    check(SUCCESS, JobState::Canceled, JobState::NotRun);
    check(&[JobState::Failed], JobState::TimedOut, JobState::Queued);
    check(&[JobState::Failed], JobState::InfrastructureFail, JobState::Queued);
    check(&[JobState::Failed], JobState::Success, JobState::NotRun);
    check(&[JobState::NotRun], JobState::NotRun, JobState::Queued);
    check(&[JobState::Unauthorized], JobState::Unauthorized, JobState::Queued);
    for state in JobState::ALL.iter().filter(|state| state.is_terminal()) {
        check(TERMINAL, *state, JobState::Queued);
    }
}

#[test]
fn not_run_spreads_to_all_that_depend_on_it() {
    let mut nodes = vec![
        node(Kind::Build, &[(1, SUCCESS)]),
        node(Kind::Build, &[(2, SUCCESS)]),
        node(Kind::Build, &[]),
        node(Kind::Build, &[(0, &[JobState::NotRun])]),
    ];
    nodes[2].state = JobState::Failed;
    settle_open(&mut nodes);
    let states: Vec<_> = nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [JobState::NotRun, JobState::NotRun, JobState::Failed, JobState::Queued]);
}

#[test]
fn a_long_chain_takes_time_by_its_length_in_whatever_order_it_stands() {
    const JOBS: usize = 65_535;
    let mut nodes: Vec<Node> =
        (1..JOBS).map(|next| node(Kind::Build, &[(next, SUCCESS)])).collect();
    nodes.push(Node { state: JobState::Failed, ..node(Kind::Build, &[]) });
    let begun = std::time::Instant::now();
    let changes = settle_open(&mut nodes);
    assert_eq!((changes.len(), changes[0]), (JOBS - 1, (JOBS - 2, JobState::NotRun)));
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn approvals_hold_and_no_ops_pass() {
    let mut nodes = vec![
        node(Kind::NoOp, &[]),
        node(Kind::Approval, &[(0, SUCCESS)]),
        node(Kind::Build, &[(1, SUCCESS)]),
    ];
    settle_open(&mut nodes);
    let states: Vec<_> = nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [JobState::Success, JobState::OnHold, JobState::Blocked]);
    assert_eq!(state(states, false), WorkflowState::OnHold);
}

fn check_state(jobs: &[JobState], canceled: bool, expected: WorkflowState) {
    assert_eq!(state(jobs.iter().copied(), canceled), expected, "{jobs:?}");
}

#[test]
fn the_workflow_tells_what_its_jobs_are() {
    use JobState as J;
    use WorkflowState as W;
    check_state(&[], false, W::NotRun);
    check_state(&[J::Success, J::Success], false, W::Success);
    check_state(&[J::Success, J::NotRun], false, W::Success);
    check_state(&[J::Queued, J::Blocked], false, W::Running);
    check_state(&[J::Failed, J::Running], false, W::Failing);
    check_state(&[J::Failed, J::OnHold], false, W::OnHold);
    check_state(&[J::Running, J::OnHold], false, W::Running);
    check_state(&[J::Failed, J::NotRun], false, W::Failed);
    check_state(&[J::TimedOut], false, W::Failed);
    check_state(&[J::InfrastructureFail, J::Canceled], false, W::Failed);
    check_state(&[J::Canceled, J::Success], false, W::Canceled);
    check_state(&[J::Failed, J::Canceled], true, W::Canceled);
    check_state(&[J::Success], true, W::Success);
    check_state(&[J::Unauthorized, J::NotRun], false, W::Unauthorized);
    check_state(&[J::NotRun], false, W::NotRun);
}

type Drawn = (Kind, Vec<(proptest::sample::Index, Vec<JobState>)>);

fn graphs() -> impl Strategy<Value = Vec<Node>> {
    let kinds =
        prop_oneof![4 => Just(Kind::Build), 1 => Just(Kind::Approval), 1 => Just(Kind::NoOp)];
    let any_of = proptest::sample::subsequence(TERMINAL.to_vec(), 1..=5);
    let edges = proptest::collection::vec((any::<proptest::sample::Index>(), any_of), 0..4);
    proptest::collection::vec((kinds, edges), 1..12).prop_map(|list| {
        let make = |(index, (kind, edges)): (usize, Drawn)| {
            let requires = edges
                .into_iter()
                .filter(|_| index > 0)
                .map(|(on, any_of)| Edge { on: on.index(index.max(1)), any_of })
                .collect();
            Node { state: JobState::Blocked, kind, requires }
        };
        list.into_iter().enumerate().map(make).collect()
    })
}

const ENDS: [JobState; 6] = [
    JobState::Success,
    JobState::Failed,
    JobState::Canceled,
    JobState::TimedOut,
    JobState::InfrastructureFail,
    JobState::Unauthorized,
];

proptest! {
    #[test]
    fn every_graph_ends_and_terminal_states_stay(
        mut nodes in graphs(),
        ends in proptest::collection::vec((any::<proptest::sample::Index>(), 0..ENDS.len()), 64),
    ) {
        settle_open(&mut nodes);
        for (which, end) in ends {
            let open: Vec<usize> = (0..nodes.len())
                .filter(|index| matches!(nodes[*index].state, JobState::Queued | JobState::OnHold))
                .collect();
            let whole = state(nodes.iter().map(|node| node.state), false);
            prop_assert_eq!(open.is_empty(), whole.is_terminal());
            if open.is_empty() {
                break;
            }
            let before: Vec<JobState> = nodes.iter().map(|node| node.state).collect();
            nodes[open[which.index(open.len())]].state = ENDS[end];
            settle_open(&mut nodes);
            for (old, node) in before.iter().zip(&nodes) {
                prop_assert!(!old.is_terminal() || *old == node.state);
            }
            prop_assert!(settle_open(&mut nodes).is_empty(), "settling twice changes nothing");
        }
        prop_assert!(nodes.iter().all(|node| node.state.is_terminal()));
    }

    #[test]
    fn a_stopped_workflow_has_only_running_jobs_left(mut nodes in graphs()) {
        settle_open(&mut nodes);
        for (index, next) in cancel_all(&nodes) {
            nodes[index].state = next;
        }
        prop_assert!(nodes.iter().all(|node| node.state.is_terminal()));
        prop_assert!(settle_open(&mut nodes).is_empty());
    }
}
