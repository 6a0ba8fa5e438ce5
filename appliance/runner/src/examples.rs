//! Small assignments for this room's tests.

use base::{
    ids::{
        Attempt, Fence, JobId, JobNumber, OrgId, PipelineId, PipelineNumber, ProjectId, TaskId,
        WorkflowId,
    },
    limits::NO_OUTPUT_TIMEOUT,
    plan::{Action, Executor, JobSpec, RunCommand, Step, When},
    protocol::{Assignment, NetworkPolicy},
    trigger::Vcs,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A job named `build` with no steps.
pub(crate) fn assignment() -> Assignment {
    Assignment {
        task: TaskId(Uuid::new_v4()),
        fence: Fence(7),
        attempt: Attempt(1),
        node_index: 0,
        node_total: 1,
        job: JobId(Uuid::new_v4()),
        job_name: "build".into(),
        job_number: JobNumber(12),
        workflow: WorkflowId(Uuid::nil()),
        workspace: WorkflowId(Uuid::nil()),
        pipeline: PipelineId(Uuid::nil()),
        pipeline_number: PipelineNumber(3),
        organization: Some(OrgId(Uuid::nil())),
        project: ProjectId(Uuid::nil()),
        repo: "acme/relay".parse().expect("a valid name"),
        vcs: vcs(),
        actor: "ada".into(),
        build_url: "https://appliance.test/acme/relay/12".into(),
        spec: Arc::new(spec(Vec::new())),
        secrets: Vec::new(),
        network: NetworkPolicy::Off,
        runtime_max: Duration::from_secs(60),
    }
}

fn vcs() -> Vcs {
    Vcs {
        repository_url: "https://appliance.test/git/acme/relay".into(),
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        branch: Some("main".into()),
        tag: None,
        default_branch: "main".into(),
        base_revision: None,
        subject: "Close the breaker".into(),
        body: String::new(),
        author: "Ada <ada@acme.test>".into(),
    }
}

/// A `machine: true` job of these steps.
pub(crate) fn spec(steps: Vec<Step>) -> JobSpec {
    JobSpec {
        executor: Executor::Machine { image: None },
        resource_class: None,
        parallelism: 1,
        environment: indexmap::IndexMap::new(),
        working_directory: "~/project".into(),
        shell: None,
        steps,
        cache_retention_days: None,
    }
}

/// A step that runs `command`.
pub(crate) fn run(command: &str, when: When) -> Step {
    Step { name: command.into(), when, action: Action::Run(command_of(command)) }
}

/// The `run` step's action with every other key at its default.
pub(crate) fn command_of(command: &str) -> RunCommand {
    RunCommand {
        command: command.into(),
        shell: None,
        environment: indexmap::IndexMap::new(),
        background: false,
        working_directory: None,
        no_output_timeout: NO_OUTPUT_TIMEOUT,
        max_auto_reruns: 0,
        auto_rerun_delay: Duration::ZERO,
    }
}
