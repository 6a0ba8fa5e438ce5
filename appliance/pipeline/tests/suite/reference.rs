//! Every key of the language's reference, line by line: what is valid compiles without an error,
//! what is not is refused. The rows follow the reference's order.

use pipeline::{Orbs, Request, Values, compile};

/// Rows that hold a job's keys; `%` is put beside `steps`.
const JOB_KEYS: [(&str, bool); 42] = [
    ("docker: [{image: 'cimg/base:1'}]", true),
    ("docker: []", false),
    ("docker: [{name: db}]", false),
    (
        "docker: [{image: a, name: db, entrypoint: [x], command: y, user: root, environment: {A: b}}]",
        true,
    ),
    ("docker: [{image: a, auth: {username: u, password: $P}}]", true),
    ("docker: [{image: a, aws_auth: {aws_access_key_id: $I, aws_secret_access_key: $K}}]", true),
    ("docker: [{image: a, aws_auth: {oidc_role_arn: arn}}]", true),
    (
        "docker: [{image: a, gcp_auth: {oidc_service_account: a, workload_identity_pool: p, workload_identity_provider: q}}]",
        true,
    ),
    ("docker: [{image: a, imgae: b}]", false),
    ("machine: true", true),
    ("machine: default", true),
    ("machine: {image: ubuntu-2404:current, docker_layer_caching: true}", true),
    (
        "machine: {image: windows-server-2022-gui:current, resource_class: windows.medium, shell: bash.exe}",
        true,
    ),
    ("macos: {xcode: 16.0.0}", true),
    ("macos: {}", false),
    ("executor: linux", true),
    ("executor: {name: linux, tag: '2'}", true),
    ("executor: {name: linux, tug: '2'}", false),
    ("executor: {linux: {tag: '2'}}", true),
    ("executor: nowhere", false),
    ("docker: [{image: a}]\n    machine: true", false),
    ("machine: true\n    type: build", true),
    ("machine: true\n    type: unheard", false),
    ("machine: true\n    environment: {A: b, N: 1, B: true, E: null}", true),
    ("machine: true\n    environment: [A=b, C=d]", true),
    ("machine: true\n    environment: [{A: b}, {C: d}]", true),
    ("machine: true\n    environment: {A: [b]}", false),
    ("machine: true\n    working_directory: ~/app", true),
    ("machine: true\n    working_directory: [a]", false),
    ("machine: true\n    shell: /bin/sh -eo pipefail", true),
    ("machine: true\n    parallelism: 4", true),
    ("machine: true\n    parallelism: << pipeline.parameters.n >>", true),
    ("machine: true\n    parallelism: many", false),
    ("machine: true\n    resource_class: large", true),
    ("machine: true\n    resource_class: acme/lab", true),
    ("machine: true\n    retention: {caches: 15d}", true),
    ("machine: true\n    retention: {caches: 31d}", false),
    ("machine: true\n    retention: {caches: {d: 1}}", false),
    ("machine: true\n    circleci_ip_ranges: true", true),
    ("machine: true\n    description: what it does", true),
    ("machine: true\n    parameters: {p: {type: string, default: x}}", true),
    ("machine: true\n    paralellism: 4", false),
];

const STEPS: [(&str, bool); 56] = [
    ("checkout", true),
    ("checkout: {path: src, method: full}", true),
    ("checkout: {method: blobless}", true),
    ("checkout: {method: shallow, depth: 1}", true),
    ("checkout: {method: odd}", false),
    ("run: make", true),
    (
        "run: {command: make, name: Make, shell: sh, environment: {A: b}, background: true, working_directory: x, no_output_timeout: 1.5h, when: always}",
        true,
    ),
    ("run: {command: make, when: on_fail}", true),
    ("run: {command: make, when: never}", false),
    ("run: {name: nothing}", false),
    ("run: {command: make, no_output_timeout: soon}", false),
    ("run: {command: make, max_auto_reruns: 5, auto_rerun_delay: 10m}", true),
    ("run: {command: make, max_auto_reruns: 6}", false),
    ("run: {command: make, auto_rerun_delay: 1m}", false),
    ("run: {command: make, max_auto_reruns: 2, auto_rerun_delay: 11m}", false),
    ("run: {command: make, background: true, max_auto_reruns: 2}", false),
    ("run: {command: make, comand: x}", false),
    ("when: {condition: << pipeline.parameters.b >>, steps: [run: x]}", true),
    ("when: {condition: true, steps: {run: x}}", true),
    ("when: {condition: 'pipeline.git.branch == \"main\"', steps: [run: x]}", true),
    ("when: {steps: [run: x]}", false),
    ("when: {condition: true}", false),
    ("unless: {condition: {equal: [a, b]}, steps: [run: x]}", true),
    ("unless: {condition: {and: []}, steps: [run: x]}", false),
    ("setup_remote_docker", true),
    (
        "setup_remote_docker: {version: default, docker_layer_caching: true, prefer_same_region: true}",
        true,
    ),
    ("save_cache: {key: 'v1-{{ checksum \"a\" }}', paths: [a], name: Keep, when: always}", true),
    ("save_cache: {paths: [a]}", false),
    ("save_cache: {key: a}", false),
    ("restore_cache: {key: a}", true),
    ("restore_cache: {keys: [a, b], name: Get}", true),
    ("restore_cache: {name: Get}", false),
    ("persist_to_workspace: {root: ., paths: [a], name: Pass}", true),
    ("persist_to_workspace: {root: .}", false),
    ("attach_workspace: {at: ., name: Take}", true),
    ("attach_workspace: {name: Take}", false),
    ("store_artifacts: {path: out, destination: d, name: Keep}", true),
    ("store_artifacts: {destination: d}", false),
    ("store_test_results: {path: out}", true),
    ("store_test_results: {}", false),
    ("add_ssh_keys", true),
    ("add_ssh_keys: {fingerprints: ['SO:ME:FIN:G:ER:PR:IN:T']}", true),
    ("deploy: {command: ship}", true),
    ("greet", true),
    ("greet: {who: you}", true),
    ("greet: {whom: you}", false),
    ("tools/say: {what: x}", true),
    ("tools/say", false),
    ("tools/shout", false),
    ("strict: {n: 3, b: true, e: one, v: TOKEN}", true),
    ("strict: {n: three, b: true, e: one, v: TOKEN}", false),
    ("strict: {n: 3, b: maybe, e: one, v: TOKEN}", false),
    ("strict: {n: 3, b: true, e: four, v: TOKEN}", false),
    ("strict: {n: 3, b: true, e: one, v: 'not a name'}", false),
    ("strict: {n: 3, b: true, e: one}", false),
    ("cheqout", false),
];

const CALLS: [(&str, bool); 33] = [
    ("a", true),
    ("a: {requires: [b]}\n    - b", true),
    ("a: {requires: [b: failed]}\n    - b", true),
    ("a: {requires: [b: [success, canceled, unauthorized, not_run]]}\n    - b", true),
    ("a: {requires: [b: terminal]}\n    - b", true),
    ("a: {requires: [b: sometimes]}\n    - b", false),
    ("a: {requires: [c]}", false),
    ("a: {requires: [b]}\n    - b: {requires: [a]}", false),
    ("a: {name: other}", true),
    ("a: {context: site}", true),
    ("a: {context: [site, lab]}", true),
    ("hold: {type: approval}\n    - a: {requires: [hold]}", true),
    ("join: {type: no-op, requires: [a]}\n    - a", true),
    ("a: {filters: {branches: {only: main}, tags: {ignore: /.*/}}}", true),
    ("a: {filters: {branches: {only: [main, /rel-.*/], ignore: x}}}", true),
    ("a: {filters: pipeline.git.branch == \"main\"}", true),
    ("a: {filters: 'pipeline.git.branch ='}", false),
    ("a: {filters: {branches: {only: /(/}}}", false),
    ("a: {filters: {branch: {only: main}}}", false),
    ("many: {matrix: {parameters: {p: [x, y]}}}", true),
    (
        "many: {matrix: {parameters: {p: [x, y]}, alias: all, exclude: [{p: x}]}}\n    - a: {requires: [all]}",
        true,
    ),
    ("many: {name: m-<< matrix.p >>, matrix: {parameters: {p: [x, y]}}}", true),
    ("many: {matrix: {parameters: {q: [x]}}}", false),
    ("many: {matrix: {parameters: {p: []}}}", false),
    ("many", false),
    ("many: {p: x, q: y}", false),
    ("a: {pre-steps: [run: x], post-steps: [run: y]}", true),
    ("a: {serial-group: acme/lab}", true),
    ("a: {serial-group: ''}", false),
    ("a: {override-with: tools/work}", true),
    ("group", true),
    ("group: {matrix: {parameters: {p: [x]}}}", false),
    ("nothing", false),
];

const WORKFLOW_KEYS: [(&str, bool); 18] = [
    ("when: << pipeline.parameters.b >>", true),
    ("when: pipeline.git.branch == \"main\" and not pipeline.parameters.b", true),
    (
        "when: {or: [{equal: [main, << pipeline.git.branch >>]}, {matches: {pattern: '^r.*$', value: << pipeline.git.branch >>}}]}",
        true,
    ),
    ("when: {not: true}", true),
    ("unless: false", true),
    ("when: true\n    unless: false", false),
    ("when: [true]", false),
    ("when: {nor: [true]}", false),
    ("max_auto_reruns: 5", true),
    ("max_auto_reruns: 6", false),
    ("triggers: [schedule: {cron: '0 3 * * 1', filters: {branches: {only: main}}}]", true),
    ("triggers: [schedule: {cron: '*/20 * * * *', filters: {branches: {only: main}}}]", false),
    ("triggers: [schedule: {cron: '0 3 * * mon,thu', filters: {branches: {ignore: main}}}]", true),
    ("triggers: [schedule: {cron: '0 3 * * tue-sat', filters: {branches: {only: main}}}]", false),
    ("triggers: [schedule: {cron: '0 3 1-3,5 * *', filters: {branches: {only: main}}}]", false),
    ("triggers: [schedule: {filters: {branches: {only: main}}}]", false),
    ("triggers: [schedule: {cron: '0 3 * * 1'}]", false),
    ("trigers: []", false),
];

const TOP_KEYS: [(&str, bool); 22] = [
    ("anything: [at, all]", true),
    ("description: text", true),
    ("experimental: {notify: {branches: {only: main}}}", true),
    ("build_agent: << pipeline.parameters.s >>", true),
    (
        "executors: {e: {machine: true, environment: {A: b}, working_directory: w, shell: sh, resource_class: large, description: d}}",
        true,
    ),
    ("executors: {e: {}}", false),
    (
        "commands: {c: {description: d, parameters: {p: {type: steps, default: []}}, steps: [steps: << parameters.p >>]}}",
        true,
    ),
    ("commands: {c: {steps: [c]}}", true), // warned of: nothing calls it
    ("commands: {c: {parameters: {p: {type: string, default: 1}}, steps: []}}", false),
    ("commands: {c: {parameters: {p: {type: odd}}, steps: []}}", false),
    ("commands: {c: {parameters: {p: {type: enum, default: a}}, steps: []}}", false),
    ("commands: {c: {parameters: {p: {type: enum, enum: [b], default: a}}, steps: []}}", false),
    ("commands: {c: {parameters: {p: {type: boolean, default: 'on'}}, steps: []}}", false),
    ("commands: {c: {parameters: {p: {type: boolean, default: yes}}, steps: []}}", true),
    ("commands: {c: {steps: [run: 'echo << parameters.q >>']}}", false),
    ("commands: {c: {steps: [run: 'echo \\<< parameters.q >>']}}", true),
    (
        "commands: {c: {parameters: {p: {type: boolean, default: true}}, steps: [run: 'a<<# parameters.p >>b<</ parameters.p >>']}}",
        true,
    ),
    ("orbs: {o: {jobs: {j: {machine: true, steps: [checkout]}}}}", true),
    ("orbs: {o: not a reference}", false),
    ("orbs: {o: acme/gone@1.0.0}", false),
    ("job-groups: {g: {jobs: [a, b: {requires: [a]}]}}", true),
    ("setup: maybe", false),
];

/// A configuration with one thing put into each of its places.
fn text(top: &str, job: &str, step: &str, keys: &str, calls: &str) -> String {
    let orb = if top.starts_with("orbs:") {
        String::new()
    } else {
        "orbs:\n  tools:\n    commands: {say: {parameters: {what: {type: string}}, steps: [run: 'echo << parameters.what >>']}}\n    jobs: {work: {machine: true, steps: [checkout]}}\n".to_owned()
    };
    let or = |own: &str, key: &str, usual: &str| {
        if own.starts_with(key) { String::new() } else { usual.to_owned() }
    };
    format!(
        "version: 2.1\n{top}\n{orb}parameters:\n  n: {{type: integer, default: 2}}\n  b: {{type: boolean, default: false}}\n  s: {{type: string, default: x}}\n{executors}{commands}{groups}jobs:\n  a:\n    {job}\n    steps:\n    - {step}\n  b: {{machine: true, steps: [checkout]}}\n  many: {{machine: true, parameters: {{p: {{type: string}}}}, steps: [run: 'echo << parameters.p >>']}}\nworkflows:\n  w:\n    {keys}\n    jobs:\n    - {calls}\n",
        executors = or(
            top,
            "executors:",
            "executors: {linux: {parameters: {tag: {type: string, default: '1'}}, docker: [{image: 'a:<< parameters.tag >>'}]}}\n"
        ),
        commands = or(
            top,
            "commands:",
            "commands:\n  greet: {parameters: {who: {type: string, default: me}}, steps: [run: 'echo << parameters.who >>']}\n  strict: {parameters: {n: {type: integer}, b: {type: boolean}, e: {type: enum, enum: [one, two]}, v: {type: env_var_name}}, steps: [run: 'echo << parameters.n >> << parameters.e >> $<< parameters.v >>']}\n"
        ),
        groups = or(top, "job-groups:", "job-groups: {group: {jobs: [b]}}\n"),
    )
}

fn check(text: &str, expected: bool) -> Option<String> {
    let request = Request { values: Values::local(), orbs: Orbs::default(), ..Request::default() };
    let done = compile(text, &request);
    let errors: Vec<String> = done.errors().map(pipeline::Diagnostic::render).collect();
    (errors.is_empty() != expected)
        .then(|| format!("expected {expected}:\n{text}\n{}", errors.join("\n")))
}

#[test]
fn every_key_of_the_reference_is_taken_and_every_break_of_its_rules_refused() {
    let (job, step, keys, calls) = ("machine: true", "checkout", "x-none: 0", "a");
    let keys = keys.replace("x-none: 0", "max_auto_reruns: 1");
    let rows = JOB_KEYS.iter().map(|(own, ok)| (text("", own, step, &keys, calls), *ok));
    let rows = rows.chain(STEPS.iter().map(|(own, ok)| (text("", job, own, &keys, calls), *ok)));
    let rows = rows.chain(CALLS.iter().map(|(own, ok)| (text("", job, step, &keys, own), *ok)));
    let rows =
        rows.chain(WORKFLOW_KEYS.iter().map(|(own, ok)| (text("", job, step, own, calls), *ok)));
    let rows =
        rows.chain(TOP_KEYS.iter().map(|(own, ok)| (text(own, job, step, &keys, calls), *ok)));
    let rows: Vec<(String, bool)> = rows.collect();
    let wrong: Vec<String> = rows.iter().filter_map(|(text, ok)| check(text, *ok)).collect();
    println!("reference: {} rows, {} as written", rows.len(), rows.len() - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

/// Names of the reference's table of pipeline values.
const VALUES: &str = "id number definition.id project.git_url project.type project.slug name
integration_source git.tag git.branch git.branch.is_default git.revision git.repo_url git.repo_owner
git.repo_name git.repo_id git.commit.url git.commit.subject git.commit.body git.commit.author_login
git.base_revision config.repository.name config.repository.url config.file_path config.ref config.sha
trigger.received_at trigger.id trigger.type trigger_source schedule.name schedule.id event.name
event.action event.context.github.pr_url trigger_parameters.webhook.body
trigger_parameters.circleci.trigger_type trigger_parameters.circleci.event_time
trigger_parameters.circleci.event_type deploy.component_name deploy.environment_name
deploy.target_version deploy.current_version deploy.namespace deploy.reason
event.github.pull_request.number event.github.ref trigger_parameters.github_app.branch
trigger_parameters.gitlab.web_url parameters.s";

#[test]
fn every_pipeline_value_is_known_and_no_other() {
    for name in VALUES.split_whitespace() {
        let step = format!("run: 'echo << pipeline.{name} >>'");
        let text = text("", "machine: true", &step, "max_auto_reruns: 1", "a");
        assert_eq!(check(&text, true), None, "{name}");
    }
    let text = text(
        "",
        "machine: true",
        "run: 'echo << pipeline.git.brunch >>'",
        "max_auto_reruns: 1",
        "a",
    );
    assert_eq!(check(&text, false), None);
}
