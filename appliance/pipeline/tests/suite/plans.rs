//! From configuration to plan: what a runner gets, and which jobs run for which branch or tag.

use base::{
    ids::{PipelineId, PipelineNumber, ProjectId},
    plan::{Action, Executor, JobKind, Plan, When},
    state::JobState,
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use pipeline::{
    Orbs, PlanValues, Request, Values, compile, plan, plan_continuation, plan_trigger, schedules,
};
use std::time::Duration;

fn planned(text: &str, values: &PlanValues) -> Plan {
    let compilation = compile(
        &format!("version: 2.1\n{text}"),
        &Request { values: Values::local(), ..Request::default() },
    );
    let shown: Vec<String> = compilation.errors().map(|error| error.render()).collect();
    plan(&compilation.config.unwrap_or_else(|| panic!("{}", shown.join(""))), values)
}

fn on_branch(branch: &str) -> PlanValues {
    PlanValues { branch: Some(branch.into()), ..PlanValues::default() }
}

fn on_tag(tag: &str) -> PlanValues {
    PlanValues { tag: Some(tag.into()), ..PlanValues::default() }
}

/// Jobs with their requirements, as `name<requirement,…`.
fn check(text: &str, values: &PlanValues, expected: &[&str]) {
    let found: Vec<String> = planned(text, values)
        .workflows
        .iter()
        .flat_map(|workflow| &workflow.jobs)
        .map(|job| {
            let requires: Vec<&str> = job.requires.iter().map(|r| r.job.as_str()).collect();
            if requires.is_empty() {
                job.name.clone()
            } else {
                format!("{}<{}", job.name, requires.join(","))
            }
        })
        .collect();
    assert_eq!(found, expected, "{values:?}");
}

const JOBS: &str = "jobs: {a: {machine: true, steps: [checkout]}, b: {machine: true, steps: [checkout]}, c: {machine: true, steps: [checkout]}}\n";

#[test]
fn filtered_jobs_are_left_out_with_what_only_they_lead_to() {
    let text = format!(
        "{JOBS}workflows: {{w: {{jobs: [a, b: {{requires: [a], filters: {{branches: {{only: main}}}}}}, c: {{requires: [b]}}]}}}}\n"
    );
    check(&text, &on_branch("main"), &["a", "b<a", "c<b"]);
    check(&text, &on_branch("dev"), &["a"]);
    let text = format!(
        "{JOBS}workflows: {{w: {{jobs: [a, b: {{filters: {{branches: {{ignore: dev}}}}}}, c: {{requires: [a, b]}}]}}}}\n"
    );
    check(&text, &on_branch("dev"), &["a", "c<a"]);
}

#[test]
fn tags_need_filters_on_all_jobs() {
    let tags = "filters: {tags: {only: /^v.*/}}";
    check(
        &format!(
            "{JOBS}workflows: {{w: {{jobs: [a: {{{tags}}}, b: {{requires: [a], {tags}}}, c]}}}}\n"
        ),
        &on_tag("v1"),
        &["a", "b<a"],
    );
    check(
        &format!("{JOBS}workflows: {{w: {{jobs: [a, b: {{requires: [a], {tags}}}]}}}}\n"),
        &on_tag("v1"),
        &[],
    );
    check(&format!("{JOBS}workflows: {{w: {{jobs: [a: {{{tags}}}]}}}}\n"), &on_tag("x"), &[]);
    check(
        &format!("{JOBS}workflows: {{w: {{jobs: [a: {{{tags}}}]}}}}\n"),
        &on_branch("dev"),
        &["a"],
    );
}

#[test]
fn scheduled_workflows_run_on_their_schedule_alone() {
    let text = format!(
        "{JOBS}workflows: {{n: {{triggers: [schedule: {{cron: \"0 3 * * *\", filters: {{branches: {{only: main}}}}}}], jobs: [a]}}, w: {{jobs: [b]}}}}\n"
    );
    check(&text, &on_branch("main"), &["b"]);
    check(&text, &PlanValues { scheduled: Some("n".into()), ..on_branch("main") }, &["a"]);
    let compilation = compile(&format!("version: 2.1\n{text}"), &Request::default());
    let config = compilation.config.unwrap();
    let found = schedules(&config);
    assert_eq!(
        (found.len(), found[0].workflow, found[0].admits("main"), found[0].admits("dev")),
        (1, "n", true, false)
    );
}

#[test]
fn a_job_keeps_the_variables_of_its_executor_but_those_that_it_sets_itself() {
    let text = "executors: {e: {machine: true, environment: [A=1, B=1, C=1]}}\njobs: {build: {executor: e, environment: [B=2, {C: 2}, D=2], steps: [checkout]}}\n";
    let plan = planned(text, &on_branch("main"));
    let JobKind::Build { spec } = &plan.workflows[0].jobs[0].kind else { panic!("no build") };
    let found: Vec<_> = spec.environment.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(found, ["A=1", "B=2", "C=2", "D=2"]);
}

#[test]
fn a_job_spec_holds_everything_a_runner_needs() {
    let text = "jobs:\n  build:\n    docker:\n    - {image: cimg/base:1, user: root, environment: {IN: true}}\n    - {image: redis, name: cache, command: [a, b], entrypoint: x}\n    environment: {DEBUG: true, N: 5, BIG: 1234567}\n    working_directory: ~/w\n    shell: /bin/sh\n    parallelism: 3\n    resource_class: large\n    retention: {caches: 3d}\n    steps:\n    - checkout: {path: src}\n    - run: {name: Build, command: make, environment: {Q: false}, background: true, no_output_timeout: 1m, working_directory: src, shell: bash, when: always}\n    - run: {command: flaky, max_auto_reruns: 2, auto_rerun_delay: 5s}\n    - restore_cache: {keys: [a, b]}\n    - save_cache: {key: k, paths: x}\n    - store_artifacts: {path: out, destination: d}\n    - store_test_results: {path: t, when: on_success}\n    - persist_to_workspace: {root: ., paths: [p]}\n    - attach_workspace: {at: /tmp/w}\n    - add_ssh_keys\n    - setup_remote_docker\n";
    let plan = planned(text, &on_branch("main"));
    let JobKind::Build { spec } = &plan.workflows[0].jobs[0].kind else { panic!("no build") };
    let Executor::Docker { images } = &spec.executor else { panic!("no docker") };
    assert_eq!(
        (images.len(), images[0].environment["IN"].as_str(), images[1].name.as_deref()),
        (2, "1", Some("cache"))
    );
    assert_eq!(images[1].entrypoint, Some(vec!["x".to_owned()]));
    assert_eq!(
        (
            spec.environment["DEBUG"].as_str(),
            spec.environment["N"].as_str(),
            spec.environment["BIG"].as_str()
        ),
        ("1", "5", "1.234567e+06")
    );
    assert_eq!(
        (spec.working_directory.as_str(), spec.shell.as_deref(), spec.parallelism),
        ("~/w", Some("/bin/sh"), 3)
    );
    assert_eq!(
        (spec.resource_class.as_deref(), spec.cache_retention_days),
        (Some("large"), Some(3))
    );
    let names: Vec<&str> = spec.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "Checkout code",
            "Build",
            "flaky",
            "Restoring cache",
            "Saving cache",
            "Uploading artifacts",
            "Uploading test results",
            "Persisting to workspace",
            "Attaching workspace",
            "Installing additional SSH keys",
            "Setup a remote Docker engine"
        ]
    );
    let Action::Run(run) = &spec.steps[1].action else { panic!("no run") };
    assert_eq!(
        (run.environment["Q"].as_str(), run.background, run.no_output_timeout),
        ("0", true, Duration::from_secs(60))
    );
    assert_eq!(spec.steps[1].when, When::Always);
    let Action::Run(run) = &spec.steps[2].action else { panic!("no run") };
    assert_eq!((run.max_auto_reruns, run.auto_rerun_delay), (2, Duration::from_secs(5)));
    assert_eq!((spec.steps[5].when, spec.steps[6].when), (When::Always, When::OnSuccess));
    assert!(matches!(spec.steps[9].action, Action::Ignored { .. }));
    assert!(matches!(spec.steps[10].action, Action::Unsupported { .. }));
}

#[test]
fn executors_without_keys_take_defaults_and_foreign_ones_are_marked() {
    let spec = |job: &str| {
        let plan = planned(
            &format!("jobs: {{build: {{{job}, steps: [checkout]}}}}\n"),
            &on_branch("main"),
        );
        let JobKind::Build { spec } = &plan.workflows[0].jobs[0].kind else { panic!("no build") };
        (**spec).clone()
    };
    let plain = spec("machine: true");
    assert_eq!(
        (plain.executor, plain.parallelism, plain.working_directory.as_str()),
        (Executor::Machine { image: None }, 1, "~/project")
    );
    assert_eq!(
        spec("machine: {image: 'ubuntu-2204:current'}").executor,
        Executor::Machine { image: Some("ubuntu-2204:current".into()) }
    );
    assert_eq!(
        spec("machine: {image: x, resource_class: arm.large}").resource_class.as_deref(),
        Some("arm.large")
    );
    for foreign in [
        "macos: {xcode: 15.0.0}",
        "machine: {image: 'windows-server-2022-gui:current'}",
        "machine: true, resource_class: windows.medium",
    ] {
        assert!(matches!(spec(foreign).executor, Executor::Unsupported { .. }), "{foreign}");
    }
}

#[test]
fn requirements_name_the_states_that_satisfy_them() {
    let text = format!(
        "{JOBS}workflows: {{w: {{jobs: [a, hold: {{type: approval, requires: [a]}}, b: {{requires: [hold, {{a: failed}}], context: [x, y], serial-group: g}}, c: {{requires: [{{b: terminal}}]}}], max_auto_reruns: 2}}}}\n"
    );
    let plan = planned(&text, &on_branch("main"));
    let workflow = &plan.workflows[0];
    assert_eq!(workflow.max_auto_reruns, 2);
    assert_eq!(workflow.jobs[1].kind, JobKind::Approval);
    assert_eq!(workflow.jobs[1].requires[0].any_of, [JobState::Success]);
    assert_eq!(
        workflow.jobs[2].requires[1].any_of,
        [JobState::Failed, JobState::TimedOut, JobState::InfrastructureFail]
    );
    assert_eq!(
        (workflow.jobs[2].contexts.len(), workflow.jobs[2].serial_group.as_deref()),
        (2, Some("g"))
    );
    assert_eq!(workflow.jobs[3].requires[0].any_of.len(), 7);
}

#[test]
fn the_jobs_of_a_locked_job_group_have_its_serial_group_together() {
    let text = format!(
        "{JOBS}job-groups: {{g: {{jobs: [a, b]}}}}\nworkflows: {{w: {{jobs: [g: {{serial-group: lab}}]}}}}\n"
    );
    let plan = planned(&text, &on_branch("main"));
    let of = |job: &base::plan::PlannedJob| {
        (job.name.clone(), job.serial_group.clone().zip(job.serial_end.clone()))
    };
    let groups: Vec<_> = plan.workflows[0].jobs.iter().map(of).collect();
    let locked = Some(("lab".to_owned(), "g/group-unlock".to_owned()));
    assert_eq!(
        groups,
        [
            ("g/group-start".to_owned(), None),
            ("g/a".to_owned(), locked.clone()),
            ("g/b".to_owned(), locked),
            ("g".to_owned(), None),
            ("g/group-unlock".to_owned(), None)
        ]
    );
}

#[test]
fn without_workflows_a_job_filters_its_branches_itself() {
    let text = "jobs: {build: {machine: true, branches: {ignore: docs}, steps: [checkout]}}\n";
    check(text, &on_branch("main"), &["build"]);
    check(text, &on_branch("docs"), &[]);
}

fn trigger(config: ConfigText) -> Trigger {
    Trigger {
        project: ProjectId("018f3c9e-0000-7000-8000-000000000001".parse().unwrap()),
        kind: TriggerKind::Webhook,
        actor: "kim".into(),
        received_at: Timestamp(0),
        vcs: Vcs {
            repository_url: "https://x/git/acme/relay".into(),
            revision: "a".repeat(40),
            branch: Some("main".into()),
            tag: None,
            default_branch: "main".into(),
            base_revision: None,
            subject: "s".into(),
            body: String::new(),
            author: "kim".into(),
        },
        config,
        parameters: indexmap::IndexMap::new(),
        push: None,
        due: None,
    }
}

fn of_trigger(config: ConfigText) -> Result<pipeline::Planned, pipeline::Rejected> {
    let id = PipelineId("018f3c9e-0000-7000-8000-000000000002".parse().unwrap());
    plan_trigger(
        &trigger(config),
        id,
        PipelineNumber(7),
        &"acme/relay".parse().unwrap(),
        &Orbs::default(),
    )
}

#[test]
fn a_trigger_becomes_a_plan_or_a_list_of_errors() {
    let text = "version: 2.1\njobs: {build: {machine: true, steps: [run: 'echo << pipeline.number >> << pipeline.project.slug >> << pipeline.git.branch.is_default >> << pipeline.trigger_source >>']}}\n";
    let planned = of_trigger(ConfigText::Found(text.into())).unwrap();
    assert!(
        planned.processed.contains("command: echo 7 gh/acme/relay true webhook"),
        "{}",
        planned.processed
    );
    assert_eq!(planned.plan.workflows[0].name, "workflow");
    let rejected = of_trigger(ConfigText::Found(
        "version: 2.1\njobs: {build: {machine: true, steps: [chekout]}}\n".into(),
    ))
    .unwrap_err();
    assert_eq!(rejected.errors[0].kind, "config");
    assert_eq!(
        rejected.errors[0].message,
        ".circleci/config.yml:2:39: Cannot find a definition for command named chekout (did you mean `checkout`?)"
    );
    let missing =
        of_trigger(ConfigText::Missing("there is no .circleci/config.yml at aaaa".into()))
            .unwrap_err();
    assert_eq!((missing.errors[0].kind.as_str(), missing.errors.len()), ("config-fetch", 1));
}

#[test]
fn a_plan_can_be_stored_and_read_back() {
    let plan = planned(
        &format!("{JOBS}workflows: {{w: {{jobs: [a, hold: {{type: approval}}]}}}}\n"),
        &on_branch("main"),
    );
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn keys_that_are_named_and_cannot_be_added_fail_their_step() {
    for (step, fails) in [
        ("add_ssh_keys", false),
        ("add_ssh_keys: {fingerprints: []}", false),
        ("add_ssh_keys: {fingerprints: [a, 'SHA256:b']}", true),
    ] {
        let text = format!("jobs: {{build: {{machine: true, steps: [{step}]}}}}\n");
        let plan = planned(&text, &on_branch("main"));
        let JobKind::Build { spec } = &plan.workflows[0].jobs[0].kind else { panic!("no build") };
        match &spec.steps[0].action {
            Action::Unsupported { message } => {
                assert!(fails && message.contains("so a, SHA256:b cannot be added"), "{message}");
            }
            Action::Ignored { message } => {
                assert!(!fails && message.contains("nothing was added"), "{step}: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_scheduled_setup_leads_to_is_planned_by_its_own_names() {
    let text = "version: 2.1\njobs: {build: {machine: true, steps: [checkout]}}\nworkflows: {main: {jobs: [build]}}\n";
    let due = Some(base::trigger::Due::Workflow { name: "nightly-setup".into() });
    let trigger = Trigger { due, ..trigger(ConfigText::Found(text.into())) };
    let id = PipelineId("018f3c9e-0000-7000-8000-000000000002".parse().unwrap());
    let repo = "acme/relay".parse().unwrap();
    let planned =
        plan_continuation(&trigger, id, PipelineNumber(7), &repo, &Orbs::default()).unwrap();
    assert_eq!(planned.plan.workflows.len(), 1);
}
