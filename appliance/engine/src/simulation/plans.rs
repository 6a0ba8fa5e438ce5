//! Random workflows of every shape that the engine must understand.

use super::random::Random;
use crate::command::Intake;
use base::{
    ids::{PipelineId, PipelineNumber, ProjectId, PushId},
    plan::{Executor, JobKind, JobSpec, Plan, PlannedJob, Requirement, WorkflowPlan},
    state::JobState,
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
    trust::Trust,
};
use indexmap::IndexMap;
use pipeline::Planned;
use std::sync::Arc;

const STATES: [&[JobState]; 4] = [
    &[JobState::Success],
    &[JobState::Failed, JobState::Canceled],
    &[JobState::Success, JobState::Failed],
    &[
        JobState::Success,
        JobState::Failed,
        JobState::Canceled,
        JobState::NotRun,
        JobState::Unauthorized,
    ],
];

fn spec(random: &mut Random) -> JobSpec {
    let unsupported = Executor::Unsupported { message: "no macOS here".into() };
    JobSpec {
        executor: if random.chance(3) { unsupported } else { Executor::Machine { image: None } },
        resource_class: random.chance(10).then(|| "acme/lab".into()),
        parallelism: if random.chance(20) { 3 } else { 1 },
        environment: IndexMap::new(),
        working_directory: "~/project".into(),
        shell: None,
        steps: vec![],
        cache_retention_days: None,
    }
}

fn job(random: &mut Random, index: u64) -> PlannedJob {
    let kind = match random.below(10) {
        0 => JobKind::Approval,
        1 => JobKind::NoOp,
        _ => JobKind::Build { spec: Arc::new(spec(random)) },
    };
    let mut requires = Vec::new();
    for on in 0..index {
        if random.chance(30) {
            let states = if random.chance(70) { 0 } else { random.below(4) };
            let any_of = STATES[usize::try_from(states).unwrap()].to_vec();
            requires.push(Requirement { job: format!("job-{on}"), any_of });
        }
    }
    let build = matches!(kind, JobKind::Build { .. });
    PlannedJob {
        name: format!("job-{index}"),
        kind,
        requires,
        contexts: match random.below(20) {
            0 => vec!["missing".into()],
            1..5 => vec!["deploy".into()],
            _ => vec![],
        },
        serial_group: (build && random.chance(12)).then(|| "line".into()),
        serial_end: None,
    }
}

/// The same with one lock for all jobs of a serial group.
fn locked(mut jobs: Vec<PlannedJob>) -> Vec<PlannedJob> {
    let mut requires = Vec::new();
    for job in jobs.iter_mut().filter(|job| job.serial_group.is_some()) {
        job.serial_end = Some("unlock".into());
        requires.push(Requirement { job: job.name.clone(), any_of: STATES[3].to_vec() });
    }
    jobs.push(PlannedJob {
        name: "unlock".into(),
        kind: JobKind::NoOp,
        requires,
        contexts: vec![],
        serial_group: None,
        serial_end: None,
    });
    jobs
}

fn workflow(random: &mut Random, index: u64) -> WorkflowPlan {
    let count = 1 + random.below(6);
    let jobs = (0..count).map(|index| job(random, index)).collect();
    WorkflowPlan {
        name: format!("workflow-{index}"),
        jobs: if random.chance(40) { locked(jobs) } else { jobs },
        max_auto_reruns: if random.chance(10) { 2 } else { 0 },
    }
}

pub(super) fn intake(
    random: &mut Random,
    project: ProjectId,
    id: PipelineId,
    number: PipelineNumber,
    push: Option<PushId>,
    now: Timestamp,
) -> Intake {
    let workflows = random.below(3);
    let plan = Plan {
        workflows: (0..workflows).map(|index| workflow(random, index)).collect(),
        setup: false,
    };
    let branch = if random.chance(50) { "fix" } else { "main" };
    let trigger = Trigger {
        project,
        kind: if random.chance(70) { TriggerKind::Webhook } else { TriggerKind::Explicit },
        actor: "ann".into(),
        received_at: now,
        vcs: Vcs {
            repository_url: "https://site/git/acme/relay".into(),
            revision: "0".repeat(40),
            branch: Some(branch.into()),
            tag: None,
            default_branch: "main".into(),
            base_revision: None,
            subject: "Fix".into(),
            body: String::new(),
            author: "Ann".into(),
        },
        config: ConfigText::Found("version: 2.1".into()),
        parameters: IndexMap::new(),
        push,
        due: None,
    };
    let planned =
        Planned { plan, processed: "version: 2".into(), timers: vec![], warnings: vec![] };
    let trust = Trust::default();
    Intake { trigger, id, number, trust, planned: Ok(planned) }
}
