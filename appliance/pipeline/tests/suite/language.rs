//! What configurations mean, by their processed form.
//!
//! Each case is a rule of the language that the corpus does not show.

use base::trigger::ParameterValue;
use pipeline::{Orbs, Request, Values, compile, process};

fn request() -> Request {
    let mut orbs = Orbs::default();
    orbs.add(
        "acme/tools@1.2.3",
        "version: 2.1\nparameters_are_not_here: 1\nexecutors:\n  default:\n    parameters: {tag: {type: string, default: stable}}\n    docker: [{image: \"tools:<< parameters.tag >>\"}]\n    environment: {FROM: orb}\ncommands:\n  build: {steps: [run: orb build]}\n  all: {parameters: {after: {type: steps, default: []}}, steps: [build, when: {condition: << parameters.after >>, steps: << parameters.after >>}]}\njobs:\n  check:\n    parameters: {after: {type: steps, default: []}}\n    executor: default\n    steps: [all: {after: << parameters.after >>}]\n".replace("parameters_are_not_here: 1\n", ""),
    )
    .unwrap();
    Request { values: Values::local(), orbs, ..Request::default() }
}

/// The processed form without its first line, `version: 2`, and the last, the workflows' version.
fn check(text: &str, expected: &str) {
    check_with(text, &request(), expected);
}

fn check_with(text: &str, request: &Request, expected: &str) {
    let text = format!("version: 2.1\n{text}");
    let compilation = compile(&text, request);
    let shown: Vec<String> = compilation.errors().map(|error| error.render()).collect();
    let config = compilation.config.unwrap_or_else(|| panic!("{text}\n{}", shown.join("")));
    let processed = process(&config);
    let body =
        processed.split_once("version: 2\n").unwrap().1.strip_suffix("  version: 2\n").unwrap();
    assert_eq!(body, expected, "\n{processed}");
}

const J: &str = "jobs:\n  j:\n    machine: true\n    steps:\n";
const W: &str = "workflows: {w: {jobs: [j]}}\n";
const JOB_HEAD: &str = "jobs:\n  j:\n    machine: true\n    steps:\n";
const FLOW: &str = "workflows:\n  w:\n    jobs:\n    - j\n";

/// One job's steps, before and after.
fn steps(before: &str, extra: &str, after: &str) {
    check(&format!("{extra}{J}{before}{W}"), &format!("{JOB_HEAD}{after}{FLOW}"));
}

#[test]
fn commands_are_inlined_with_their_own_parameters() {
    steps(
        "    - greet: {who: you}\n    - greet\n",
        "commands:\n  greet:\n    parameters: {who: {type: string, default: all}}\n    steps: [run: \"echo << parameters.who >>\"]\n",
        "    - run:\n        command: echo you\n    - run:\n        command: echo all\n",
    );
}

#[test]
fn a_timetable_may_hold_pipeline_values() {
    check(
        "parameters: {at: {type: string, default: 0 3 * * 1}}\njobs: {j: {machine: true, steps: [checkout]}}\nworkflows:\n  w:\n    triggers: [schedule: {cron: << pipeline.parameters.at >>, filters: {branches: {only: << pipeline.git.branch >>}}}]\n    jobs: [j]\n",
        "jobs:\n  j:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    triggers:\n    - schedule:\n        cron: 0 3 * * 1\n        filters:\n          branches:\n            only: main\n    jobs:\n    - j\n",
    );
}

#[test]
fn an_element_may_be_only_the_name_of_an_orbs() {
    check(
        "orbs: {tools: acme/tools@1}\nexecutors: {mine: tools/default}\ncommands: {make: tools/build}\njobs:\n  theirs: tools/check\n  j:\n    executor: {name: mine, tag: x}\n    steps: [make]\nworkflows:\n  w: {jobs: [j, theirs: {after: [make]}]}\n",
        "jobs:\n  j:\n    docker:\n    - image: tools:x\n    steps:\n    - run:\n        command: orb build\n    environment:\n    - FROM: orb\n  theirs:\n    docker:\n    - image: tools:stable\n    steps:\n    - run:\n        command: orb build\n    - run:\n        command: orb build\n    environment:\n    - FROM: orb\nworkflows:\n  w:\n    jobs:\n    - j\n    - theirs\n",
    );
}

#[test]
fn a_command_may_stand_inside_itself_where_the_text_is_finite() {
    // Handed over to itself, used by what it is handed, and named like an orb's own command.
    let wrap = "  wrap:\n    parameters: {inside: {type: steps}}\n    steps: [run: open, steps: << parameters.inside >>]\n";
    steps(
        "    - wrap: {inside: [wrap: {inside: [deploy-it]}]}\n",
        &format!("commands:\n{wrap}  deploy-it: {{steps: [wrap: {{inside: [checkout]}}]}}\n"),
        "    - run:\n        command: open\n    - run:\n        command: open\n    - run:\n        command: open\n    - checkout\n",
    );
    steps(
        "    - build\n",
        "orbs: {o: {commands: {all: {steps: [build]}, build: {steps: [run: theirs]}}}}\ncommands: {build: {steps: [o/all]}}\n",
        "    - run:\n        command: theirs\n",
    );
}

#[test]
fn a_command_sees_its_own_parameters_and_never_its_callers() {
    steps(
        "    - outer: {p: a}\n",
        "commands:\n  outer:\n    parameters: {p: {type: string}}\n    steps:\n    - inner: {p: \"b<< parameters.p >>\"}\n  inner:\n    parameters: {p: {type: string}}\n    steps: [run: \"echo << parameters.p >>\"]\n",
        "    - run:\n        command: echo ba\n",
    );
}

#[test]
fn steps_parameters_are_spliced_where_they_stand() {
    steps(
        "    - wrap:\n        inside:\n        - run: one\n        - checkout\n",
        "commands:\n  wrap:\n    parameters: {inside: {type: steps, default: []}}\n    steps:\n    - run: before\n    - steps: << parameters.inside >>\n    - when:\n        condition: << parameters.inside >>\n        steps: << parameters.inside >>\n",
        "    - run:\n        command: before\n    - run:\n        command: one\n    - checkout\n    - run:\n        command: one\n    - checkout\n",
    );
}

#[test]
fn conditions_of_steps_are_decided_when_compiling() {
    let when = |condition: &str, holds: bool| {
        let after = if holds {
            "    - run:\n        command: yes it is\n"
        } else {
            "    - run:\n        command: no it is not\n"
        };
        steps(
            &format!(
                "    - when:\n        condition: {condition}\n        steps: [run: yes it is]\n    - unless:\n        condition: {condition}\n        steps: [run: no it is not]\n"
            ),
            "",
            after,
        );
    };
    when("true", true);
    when("\"\"", false);
    when("0", false);
    when("12", true);
    when("<< pipeline.git.branch >>", true);
    when("<< pipeline.git.tag >>", false);
    when("{equal: [main, << pipeline.git.branch >>]}", true);
    when("{equal: [1, \"1\"]}", false);
    when("{not: {equal: [main, << pipeline.git.branch >>]}}", false);
    when("{and: [true, {or: [false, 1]}]}", true);
    when("{matches: {pattern: \"^ma.*$\", value: << pipeline.git.branch >>}}", true);
    when("{matches: {pattern: \"ma\", value: << pipeline.git.branch >>}}", false);
}

#[test]
fn whole_expressions_keep_their_type() {
    check(
        "jobs:\n  j:\n    parameters:\n      n: {type: integer, default: 3}\n      e: {type: executor, default: x}\n    executor: << parameters.e >>\n    parallelism: << parameters.n >>\n    steps: [run: \"echo << parameters.n >>\"]\nexecutors: {x: {machine: true}}\nworkflows: {w: {jobs: [j]}}\n",
        "jobs:\n  j:\n    machine: true\n    parallelism: 3\n    steps:\n    - run:\n        command: echo 3\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn named_executors_come_first_and_the_job_wins() {
    check(
        "executors:\n  e:\n    parameters: {v: {type: string, default: a}}\n    working_directory: ~/x\n    docker: [{image: \"i:<< parameters.v >>\"}]\n    environment: {A: 1, B: 2}\njobs:\n  j:\n    working_directory: ~/y\n    executor: {name: e, v: z}\n    environment: {B: 3}\n    steps: [checkout]\n  k:\n    executor: e\n    steps: [checkout]\nworkflows: {w: {jobs: [j, k]}}\n",
        "jobs:\n  j:\n    working_directory: ~/y\n    docker:\n    - image: i:z\n    environment:\n    - A: 1\n    - B: 3\n    steps:\n    - checkout\n  k:\n    working_directory: ~/x\n    docker:\n    - image: i:a\n    steps:\n    - checkout\n    environment:\n    - A: 1\n    - B: 2\nworkflows:\n  w:\n    jobs:\n    - j\n    - k\n",
    );
}

#[test]
fn matrices_multiply_jobs_and_requirements() {
    check(
        "jobs:\n  t:\n    parameters: {os: {type: string}, v: {type: string}}\n    machine: true\n    steps: [run: \"<< parameters.os >> << parameters.v >>\"]\n  d: {machine: true, steps: [checkout]}\nworkflows:\n  w:\n    jobs:\n    - t: {matrix: {parameters: {v: [\"1\", \"2\"], os: [a, b]}, exclude: [{os: b, v: \"1\"}]}}\n    - d: {requires: [t]}\n",
        "jobs:\n  t-a-1:\n    machine: true\n    steps:\n    - run:\n        command: a 1\n  t-a-2:\n    machine: true\n    steps:\n    - run:\n        command: a 2\n  t-b-2:\n    machine: true\n    steps:\n    - run:\n        command: b 2\n  d:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - t-a-1\n    - t-a-2\n    - t-b-2\n    - d:\n        requires:\n        - t-a-1\n        - t-a-2\n        - t-b-2\n",
    );
}

#[test]
fn matrix_values_reach_names_requirements_and_other_arguments() {
    check(
        "jobs:\n  b: {parameters: {v: {type: integer}}, machine: true, steps: [run: \"<< parameters.v >>\"]}\nworkflows:\n  w:\n    jobs:\n    - b: {name: \"b<< matrix.v >>\", matrix: {alias: all, parameters: {v: [1, 2]}}}\n    - b: {name: \"after<< matrix.v >>\", requires: [\"b<< matrix.v >>\"], matrix: {parameters: {v: [1, 2]}}}\n    - hold: {type: approval, requires: [all]}\n",
        "jobs:\n  b1:\n    machine: true\n    steps:\n    - run:\n        command: 1\n  b2:\n    machine: true\n    steps:\n    - run:\n        command: 2\n  after1:\n    machine: true\n    steps:\n    - run:\n        command: 1\n  after2:\n    machine: true\n    steps:\n    - run:\n        command: 2\nworkflows:\n  w:\n    jobs:\n    - b1\n    - b2\n    - after1:\n        requires:\n        - b1\n    - after2:\n        requires:\n        - b2\n    - hold:\n        type: approval\n        requires:\n        - b1\n        - b2\n",
    );
}

#[test]
fn copies_of_one_job_are_numbered() {
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j, j: {requires: [j]}]}}\n",
        "jobs:\n  j-1:\n    machine: true\n    steps:\n    - checkout\n  j-2:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - j-1\n    - j-2:\n        requires:\n        - j-1\n",
    );
}

#[test]
fn a_number_given_by_hand_is_not_given_twice() {
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j, j, j: {name: j-1}]}}\n",
        "jobs:\n  j-2:\n    machine: true\n    steps:\n    - checkout\n  j-3:\n    machine: true\n    steps:\n    - checkout\n  j-1:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - j-2\n    - j-3\n    - j-1\n",
    );
}

#[test]
fn pre_and_post_steps_stand_around_a_jobs_own() {
    check(
        "commands: {c: {steps: [run: c]}}\njobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {pre-steps: [c], post-steps: [run: z]}]}}\n",
        "jobs:\n  j:\n    machine: true\n    steps:\n    - run:\n        command: c\n    - checkout\n    - run:\n        command: z\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn workflow_conditions_remove_workflows() {
    let wf = |condition: &str, kept: bool| {
        let text = format!(
            "parameters: {{on: {{type: boolean, default: false}}, s: {{type: string, default: x}}}}\njobs: {{j: {{machine: true, steps: [checkout]}}}}\nworkflows:\n  always: {{jobs: [j]}}\n  w: {{{condition}, jobs: [j]}}\n"
        );
        let more = if kept { "  w:\n    jobs:\n    - j\n" } else { "" };
        check(
            &text,
            &format!(
                "jobs:\n  j:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  always:\n    jobs:\n    - j\n{more}"
            ),
        );
    };
    wf("when: << pipeline.parameters.on >>", false);
    wf("unless: << pipeline.parameters.on >>", true);
    wf("when: pipeline.git.branch == \"main\"", true);
    wf("when: 'not pipeline.parameters.on and pipeline.parameters.s == \"x\"'", true);
    wf("when: 'pipeline.git.branch matches /^(release|hotfix).*$/'", false);
    wf("when: 'pipeline.git.branch starts-with \"ma\"'", true);
    wf("when: pipeline.number >= 2", false);
    wf("when: 'pipeline.event.github.pull_request.draft'", false);
    wf(
        "when: {and: [{equal: [x, << pipeline.parameters.s >>]}, {not: << pipeline.parameters.on >>}]}",
        true,
    );
}

#[test]
fn orbs_have_their_own_names() {
    let inner = "    docker:\n    - image: tools:stable\n";
    check(
        "orbs: {t: acme/tools@1}\ncommands: {build: {steps: [run: my build]}}\nworkflows: {w: {jobs: [t/check: {after: [build, t/build]}]}}\n",
        &format!(
            "jobs:\n  t/check:\n{inner}    steps:\n    - run:\n        command: orb build\n    - run:\n        command: my build\n    - run:\n        command: orb build\n    environment:\n    - FROM: orb\nworkflows:\n  w:\n    jobs:\n    - t/check\n"
        ),
    );
}

#[test]
fn inline_orbs_are_namespaces_with_orbs_inside() {
    check(
        "orbs:\n  o:\n    orbs: {t: acme/tools@1.2}\n    commands: {c: {steps: [t/build, d]}, d: {steps: [run: d]}}\n    executors: {e: {machine: true}}\njobs: {j: {executor: o/e, steps: [o/c]}}\nworkflows: {w: {jobs: [j]}}\n",
        "jobs:\n  j:\n    machine: true\n    steps:\n    - run:\n        command: orb build\n    - run:\n        command: d\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn orb_versions_can_come_from_pipeline_parameters() {
    let mut request = request();
    request.parameters.insert("v".into(), ParameterValue::String("1.2.3".into()));
    check_with(
        "parameters: {v: {type: string, default: \"9\"}}\norbs: {t: \"acme/tools@<<pipeline.parameters.v>>\"}\njobs: {j: {machine: true, steps: [t/build]}}\nworkflows: {w: {jobs: [j]}}\n",
        &request,
        &format!("{JOB_HEAD}    - run:\n        command: orb build\n{FLOW}"),
    );
}

#[test]
fn a_custom_command_hides_a_built_in_step_but_not_in_its_own_body() {
    steps(
        "    - checkout\n",
        "commands: {checkout: {steps: [run: mine, checkout]}}\n",
        "    - run:\n        command: mine\n    - checkout\n",
    );
}

#[test]
fn job_groups_stand_between_an_entry_and_an_exit() {
    check(
        "jobs: {a: {machine: true, steps: [checkout]}, b: {machine: true, steps: [checkout]}}\njob-groups: {g: {jobs: [a, b: {requires: [a]}]}}\nworkflows: {w: {jobs: [g: {serial-group: x/y}, a: {name: last, requires: [g]}]}}\n",
        "jobs:\n  g/a:\n    machine: true\n    steps:\n    - checkout\n  g/b:\n    machine: true\n    steps:\n    - checkout\n  last:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - g/group-start:\n        type: lock\n        serial-group: x/y\n    - g/a:\n        requires:\n        - g/group-start\n    - g/b:\n        requires:\n        - g/a\n    - g:\n        type: no-op\n        requires:\n        - g/b\n    - g/group-unlock:\n        type: unlock\n        requires:\n        - g/b:\n          - terminal\n        serial-group: x/y\n    - last:\n        requires:\n        - g\n",
    );
}

#[test]
fn invocation_keys_keep_their_order_and_form() {
    check(
        "jobs: {a: {machine: true, steps: [checkout]}, b: {machine: true, steps: [checkout]}}\nworkflows:\n  w:\n    jobs:\n    - a\n    - b:\n        context: [x, y]\n        requires: [{a: [success, failed]}]\n        filters: {branches: {only: /v.*/}}\n",
        "jobs:\n  a:\n    machine: true\n    steps:\n    - checkout\n  b:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - a\n    - b:\n        filters:\n          branches:\n            only: /v.*/\n        requires:\n        - a:\n          - success\n          - failed\n        context:\n        - x\n        - y\n",
    );
}

#[test]
fn heredocs_sections_and_overrides() {
    steps(
        "    - run: |\n        cat \\<<EOF\n        EOF\n",
        "",
        "    - run:\n        command: |\n          cat <<EOF\n          EOF\n",
    );
    steps(
        "    - c: {flag: true}\n    - c\n",
        "commands:\n  c:\n    parameters: {flag: {type: boolean, default: false}}\n    steps: [run: \"x<<# parameters.flag >> --on<</ parameters.flag >><<^ parameters.flag >> --off<</ parameters.flag >>\"]\n",
        "    - run:\n        command: x --on\n    - run:\n        command: x --off\n",
    );
}

#[test]
fn version_2_has_no_expressions() {
    let compilation = compile(
        "version: 2\njobs:\n  build:\n    machine: true\n    steps:\n    - run: cat <<EOF\n",
        &request(),
    );
    let processed = process(&compilation.config.unwrap());
    assert_eq!(
        processed,
        "version: 2\njobs:\n  build:\n    machine: true\n    steps:\n    - run:\n        command: cat <<EOF\nworkflows:\n  version: 2\n  workflow:\n    jobs:\n    - build\n"
    );
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    check(
        "base: &base {machine: true, steps: [checkout]}\njobs:\n  j:\n    shell: sh\n    <<: *base\n    steps: [run: x]\nworkflows: {w: {jobs: [j]}}\n",
        "jobs:\n  j:\n    shell: sh\n    machine: true\n    steps:\n    - run:\n        command: x\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn scheduled_workflows_keep_their_triggers() {
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {triggers: [schedule: {cron: \"0 3 * * *\", filters: {branches: {only: main}}}], jobs: [j]}}\n",
        "jobs:\n  j:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    triggers:\n    - schedule:\n        cron: 0 3 * * *\n        filters:\n          branches:\n            only: main\n    jobs:\n    - j\n",
    );
}

#[test]
fn defaults_are_filled_in_with_pipeline_values() {
    check(
        "parameters: {tag: {type: string, default: << pipeline.git.branch >>}, n: {type: integer, default: 2}}\nexecutors: {e: {parameters: {t: {type: string, default: << pipeline.parameters.tag >>}}, docker: [{image: 'i:<< parameters.t >>'}]}}\ncommands: {c: {parameters: {s: {type: steps, default: [run: '<< pipeline.number >> \\<<']}}, steps: << parameters.s >>}}\njobs: {j: {parameters: {n: {type: integer, default: << pipeline.parameters.n >>}}, executor: e, parallelism: << parameters.n >>, steps: [c]}}\nworkflows: {w: {jobs: [j]}}\n",
        "jobs:\n  j:\n    docker:\n    - image: i:main\n    parallelism: 2\n    steps:\n    - run:\n        command: 1 <<\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn an_orbs_defaults_see_pipeline_values_and_no_pipeline_parameters() {
    let orb = |default: &str| {
        format!(
            "orbs: {{o: {{commands: {{c: {{parameters: {{p: {{type: string, default: {default}}}}}, steps: [run: << parameters.p >>]}}}}}}}}\nparameters: {{x: {{type: string, default: y}}}}\n{J}    - o/c\n{W}"
        )
    };
    check(
        &orb("'<< pipeline.git.branch >>'"),
        &format!("{JOB_HEAD}    - run:\n        command: main\n{FLOW}"),
    );
    let text = format!("version: 2.1\n{}", orb("'<< pipeline.parameters.x >>'"));
    let found = compile(&text, &request());
    let told: Vec<&str> = found.errors().map(|error| error.message.as_str()).collect();
    assert_eq!(told, ["Arguments referenced without declared parameters: pipeline.parameters.x"]);
}

#[test]
fn a_job_may_say_itself_where_it_runs_and_keep_the_rest_of_its_executor() {
    check(
        "executors: {e: {machine: {image: m, resource_class: large}, environment: {ENV: ci}, shell: sh}}\njobs: {j: {docker: [{image: d}], executor: e, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        "jobs:\n  j:\n    shell: sh\n    docker:\n    - image: d\n    steps:\n    - checkout\n    environment:\n    - ENV: ci\nworkflows:\n  w:\n    jobs:\n    - j\n",
    );
}

#[test]
fn an_approval_may_bear_the_name_of_a_job() {
    check(
        "jobs: {j: {parameters: {p: {type: string}}, machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {type: approval, name: hold}, j: {p: x, requires: [hold]}]}}\n",
        "jobs:\n  j:\n    machine: true\n    steps:\n    - checkout\nworkflows:\n  w:\n    jobs:\n    - hold:\n        type: approval\n    - j:\n        requires:\n        - hold\n",
    );
}
