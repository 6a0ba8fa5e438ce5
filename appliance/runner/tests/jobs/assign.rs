//! Assignments and steps for whole-job tests.

use base::{plan::Step, protocol::Assignment};
use uuid::Uuid;

/// A step that runs `command`.
pub(crate) fn run(command: &str) -> Step {
    Step {
        name: command.into(),
        when: base::plan::When::OnSuccess,
        action: base::plan::Action::Run(command_of(command)),
    }
}

pub(crate) fn command_of(command: &str) -> base::plan::RunCommand {
    serde_json::from_value(
        serde_json::json!({ "command": command, "no_output_timeout_ms": 600_000 }),
    )
    .unwrap()
}

/// An assignment of these steps.
pub(crate) fn assignment(steps: &[Step]) -> Assignment {
    let id = || Uuid::new_v4().to_string();
    serde_json::from_value(serde_json::json!({
        "task": id(), "fence": 7, "attempt": 1, "node_index": 0, "node_total": 2,
        "job": id(), "job_name": "build", "job_number": 12, "workflow": id(), "workspace": id(),
        "pipeline": id(), "pipeline_number": 3, "project": id(), "repo": "acme/relay",
        "vcs": {
            "repository_url": "https://appliance.test/git/acme/relay",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "branch": "main", "tag": null, "default_branch": "main", "base_revision": null,
            "subject": "Close the breaker", "body": "", "author": "Ada <ada@acme.test>",
        },
        "actor": "ada", "build_url": "https://appliance.test/acme/relay/12",
        "spec": {
            "executor": { "kind": "machine" }, "parallelism": 2,
            "working_directory": "~/project", "steps": steps,
        },
        "secrets": [{ "name": "TOKEN", "value": "hunter2hunter2" }],
        "network": { "reach": "off" }, "runtime_max_ms": 60_000,
    }))
    .unwrap()
}
