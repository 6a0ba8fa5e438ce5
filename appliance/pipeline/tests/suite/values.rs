//! Pipeline values and parameters as each kind of trigger gives them.

use base::{
    ids::{PipelineId, PipelineNumber, ProjectId, ScheduleId},
    plan::JobKind,
    time::Timestamp,
    trigger::{ConfigText, Due, ParameterValue, Trigger, TriggerKind, Vcs},
};
use pipeline::{Orbs, plan_trigger};

const PROJECT: &str = "018f3c9e-0000-7000-8000-000000000001";
const PIPELINE: &str = "018f3c9e-0000-7000-8000-000000000002";
const SCHEDULE: &str = "018f3c9e-0000-7000-8000-000000000003";

/// Values that are the same whatever the trigger.
const ALWAYS: [(&str, &str); 18] = [
    ("id", PIPELINE),
    ("number", "7"),
    ("project.git_url", "https://x/git/acme/relay"),
    ("project.id", PROJECT),
    ("project.slug", "gh/acme/relay"),
    ("project.type", "github"),
    ("integration_source", "github_oauth"),
    ("config.file_path", ".circleci/config.yml"),
    ("git.repo_url", "https://x/git/acme/relay"),
    ("git.repo_owner", "acme"),
    ("git.repo_name", "relay"),
    ("git.revision", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("git.commit.subject", "Fix it"),
    ("git.commit.body", "At last."),
    ("git.commit.author_login", "kim"),
    ("trigger.received_at", "1970-01-01T00:00:01.000Z"),
    // The site has none of these.
    ("deploy.reason", ""),
    ("event.github.pull_request.number", ""),
];

fn trigger(kind: TriggerKind, branch: Option<&str>, tag: Option<&str>) -> Trigger {
    Trigger {
        project: ProjectId(PROJECT.parse().unwrap()),
        kind,
        actor: "kim".into(),
        received_at: Timestamp(1_000_000),
        vcs: Vcs {
            repository_url: "https://x/git/acme/relay".into(),
            revision: "a".repeat(40),
            branch: branch.map(str::to_owned),
            tag: tag.map(str::to_owned),
            default_branch: "main".into(),
            base_revision: None,
            subject: "Fix it".into(),
            body: "At last.".into(),
            author: "kim".into(),
        },
        config: ConfigText::Missing(String::new()),
        parameters: indexmap::IndexMap::new(),
        push: None,
        due: None,
    }
}

/// Each value as a job of that trigger finds it in its environment.
fn check(mut trigger: Trigger, own: &[(&str, &str)]) {
    let expected = || ALWAYS.iter().chain(own);
    let variables: String = expected()
        .enumerate()
        .map(|(index, (name, _))| format!("      V{index}: << pipeline.{name} >>\n"))
        .collect();
    trigger.config = ConfigText::Found(format!(
        "version: 2.1\nparameters: {{who: {{type: string, default: nobody}}}}\njobs:\n  build:\n    machine: true\n    steps: [checkout]\n    environment:\n{variables}workflows:\n  main: {{jobs: [build: {{filters: {{tags: {{only: /.*/}}}}}}]}}\n"
    ));
    let id = PipelineId(PIPELINE.parse().unwrap());
    let repo = "acme/relay".parse().unwrap();
    let planned = plan_trigger(&trigger, id, PipelineNumber(7), &repo, &Orbs::default()).unwrap();
    let JobKind::Build { spec } = &planned.plan.workflows[0].jobs[0].kind else { panic!("builds") };
    for (index, (name, value)) in expected().enumerate() {
        assert_eq!(spec.environment[&format!("V{index}")], *value, "{name} of {:?}", trigger.kind);
    }
}

#[test]
fn a_push_of_a_branch() {
    let mut push = trigger(TriggerKind::Webhook, Some("main"), None);
    push.vcs.base_revision = Some("b".repeat(40));
    check(
        push,
        &[
            ("trigger_source", "webhook"),
            ("trigger.type", "github_oauth"),
            ("event.name", "push"),
            ("event.action", "push"),
            ("git.branch", "main"),
            // A boolean reaches the shell as a digit.
            ("git.branch.is_default", "1"),
            ("git.tag", ""),
            ("git.base_revision", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
            ("schedule.name", ""),
            ("schedule.id", ""),
            ("parameters.who", "nobody"),
        ],
    );
}

#[test]
fn a_push_of_a_tag() {
    check(
        trigger(TriggerKind::Webhook, None, Some("v1.2")),
        &[
            ("event.name", "push"),
            ("git.branch", ""),
            ("git.branch.is_default", "0"),
            ("git.tag", "v1.2"),
            ("git.base_revision", ""),
        ],
    );
}

#[test]
fn a_call_of_the_api_with_a_parameter() {
    let mut call = trigger(TriggerKind::Api, Some("dev"), None);
    call.parameters.insert("who".into(), ParameterValue::String("kim".into()));
    check(
        call,
        &[
            ("trigger_source", "api"),
            ("trigger.type", "api"),
            ("event.name", "api"),
            ("git.branch", "dev"),
            ("git.branch.is_default", "0"),
            ("git.base_revision", ""),
            ("parameters.who", "kim"),
        ],
    );
}

#[test]
fn a_person_at_the_dashboard() {
    check(
        trigger(TriggerKind::Explicit, Some("main"), None),
        &[
            ("trigger_source", "explicit"),
            ("trigger.type", "api"),
            ("event.name", "api"),
            ("schedule.id", ""),
        ],
    );
}

#[test]
fn a_schedule_of_the_project() {
    let mut scheduled = trigger(TriggerKind::ScheduledPipeline, Some("main"), None);
    let id = ScheduleId(SCHEDULE.parse().unwrap());
    scheduled.due = Some(Due::Schedule { id, name: "nightly".into() });
    check(
        scheduled,
        &[
            ("trigger_source", "scheduled_pipeline"),
            ("trigger.type", "schedule"),
            ("event.name", "schedule"),
            ("event.action", "schedule"),
            ("schedule.name", "nightly"),
            ("schedule.id", SCHEDULE),
        ],
    );
}

/// Workflows with these conditions that a push of `main` runs.
fn running(conditions: &[&str]) -> Vec<String> {
    let mut push = trigger(TriggerKind::Webhook, Some("main"), None);
    let workflows: String = conditions
        .iter()
        .map(|when| format!("  '{when}': {{when: {when}, jobs: [j]}}\n"))
        .collect();
    push.config = ConfigText::Found(format!(
        "version: 2.1\njobs:\n  j:\n    machine: true\n    steps: [checkout]\nworkflows:\n  always: {{jobs: [j]}}\n{workflows}"
    ));
    let id = PipelineId(PIPELINE.parse().unwrap());
    let repo = "acme/relay".parse().unwrap();
    let planned = plan_trigger(&push, id, PipelineNumber(7), &repo, &Orbs::default());
    let planned = planned.unwrap_or_else(|rejected| panic!("{:?}", rejected.errors));
    planned.plan.workflows.into_iter().map(|workflow| workflow.name).skip(1).collect()
}

#[test]
fn values_that_a_push_lacks_are_empty_and_break_no_condition() {
    let (holds, others) = (
        [
            "pipeline.schedule.name == \"\"",
            "not pipeline.schedule.name",
            "pipeline.event.github.pull_request.title == \"\"",
            "pipeline.trigger.type != \"schedule\"",
        ],
        [
            "pipeline.schedule.name != \"\"",
            "pipeline.schedule.name starts-with \"nightly\"",
            "pipeline.event.github.pull_request.title starts-with \"x\"",
            "pipeline.event.github.pull_request.title matches /x.*/",
            "pipeline.event.github.pull_request.number > 5",
            "pipeline.event.github.pull_request.number <= 5",
            "pipeline.trigger.type == \"schedule\" and pipeline.schedule.name == \"nightly\"",
        ],
    );
    assert_eq!(running(&[&holds[..], &others[..]].concat()), holds);
}

#[test]
fn a_value_that_a_push_lacks_may_be_handed_on() {
    let mut push = trigger(TriggerKind::Webhook, Some("main"), None);
    push.config = ConfigText::Found(
        "version: 2.1
jobs:
  j:
    parameters: {of: {type: string}, component: {type: string}}
    machine: true
    steps: [{run: 'of \"<< parameters.of >>\" << parameters.component >>'}]
workflows:
  main:
    jobs:
      - j:
          of: << pipeline.schedule.name >>
          component: << pipeline.deploy.component_name >>
          post-steps:
            - when: {condition: << pipeline.schedule.name >>, steps: [{run: scheduled}]}
            - unless: {condition: << pipeline.event.github.ref >>, steps: [{run: pushed}]}
"
        .into(),
    );
    let id = PipelineId(PIPELINE.parse().unwrap());
    let repo = "acme/relay".parse().unwrap();
    let planned = plan_trigger(&push, id, PipelineNumber(7), &repo, &Orbs::default()).unwrap();
    let JobKind::Build { spec } = &planned.plan.workflows[0].jobs[0].kind else { panic!("builds") };
    let names: Vec<&str> = spec.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["of \"\" ", "pushed"]);
}
