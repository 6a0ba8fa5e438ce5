//! Mistakes as people make them: every one told, once, at its place, with what to do.

use crate::errors::request;
use pipeline::compile;

/// Errors as `line:column message | remedy`, and no other.
fn check(text: &str, expected: &[&str]) {
    let found = compile(text, &request());
    let shown = |e: &pipeline::Diagnostic| {
        format!("{}:{} {} | {}", e.line, e.column, e.message, e.hint.as_deref().unwrap_or("?"))
    };
    let shown: Vec<String> = found.errors().map(shown).collect();
    assert_eq!(shown, expected, "{text}");
}

/// A workflow's condition.
fn when(condition: &str, expected: &str) {
    check(
        &format!(
            "version: 2.1\njobs:\n  build: {{machine: true, steps: [checkout]}}\nworkflows: {{w: {{jobs: [build], when: {condition}}}}}\n"
        ),
        &[expected],
    );
}

#[test]
fn keys_that_are_indented_too_little_are_told_and_taken_as_meant() {
    check(
        "version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run:
        name: hello
        comand: make
workflows:
  main:
    jobs:
      - build:
        requires: [lint]
",
        &[
            "6:9 a step has exactly one name, found 3: run, name, comand | indent `name`, `comand` below `run:` by two more spaces",
            "6:12 required key [command] not found | add `command:`",
            "8:9 extraneous key [comand] is not permitted | did you mean `command`?",
            "12:9 a job of a workflow has exactly one name, found 2: build, requires | indent `requires` below `build:` by two more spaces",
            "13:20 Job 'build' requires 'lint', which is the name of 0 other jobs in workflow 'main' | add the job to workflow 'main', or remove the requirement",
        ],
    );
}

#[test]
fn misspelt_sections_are_named() {
    check(
        "version: 2.1\njob:\n  build: {machine: true, steps: [checkout]}\nworkflow: {main: {jobs: [build]}}\n",
        &[
            "1:1 Cannot find a job named `build` to run in the `jobs:` section of your configuration file. If you expected a workflow to run, check your config contains a top-level key called 'workflows:' | `job` should be `jobs`, `workflow` should be `workflows`",
        ],
    );
}

#[test]
fn every_unknown_name_of_a_text_is_told() {
    check(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n    - run: |\n        echo << parameters.a >> << pipeline.git.brnch >>\n        cat <<EOF >> x << matrix.b >>\n",
        &[
            "7:17 Arguments referenced without declared parameters: parameters.a | declare it under the `parameters` of the job, command or executor that holds this text",
            "7:36 Arguments referenced without declared parameters: pipeline.git.brnch | did you mean `pipeline.git.branch`?",
            "8:15 Arguments referenced without declared parameters: EOF | known prefixes are `parameters.`, `matrix.`, `pipeline.` and `pipeline.parameters.`; write `\\<<` for a literal `<<`",
            "8:27 Arguments referenced without declared parameters: matrix.b | matrix values can be used in the keys of the workflow's job beside `matrix:` alone",
        ],
    );
}

#[test]
fn a_broken_expression_breaks_nothing_else() {
    check(
        "version: 2.1
jobs:
  build:
    parameters: {count: {type: integer, default: 1}, kind: {type: enum, enum: [a, b], default: a}}
    machine: true
    parallelism: << parameters.m >>
    steps: [run: {command: x, when: << parameters.w >>, no_output_timeout: << parameters.t >>}]
workflows:
  main: {jobs: [build: {count: << pipeline.parameters.n >>, kind: << pipeline.parameters.e >>, requires: [<< pipeline.parameters.r >>]}]}
",
        &[
            "6:21 Arguments referenced without declared parameters: parameters.m | declare it under the `parameters` of the job, command or executor that holds this text",
            "7:40 Arguments referenced without declared parameters: parameters.w | declare it under the `parameters` of the job, command or executor that holds this text",
            "7:79 Arguments referenced without declared parameters: parameters.t | declare it under the `parameters` of the job, command or executor that holds this text",
            "9:35 Arguments referenced without declared parameters: pipeline.parameters.n | declare it under `parameters` at the top of the configuration",
            "9:70 Arguments referenced without declared parameters: pipeline.parameters.e | declare it under `parameters` at the top of the configuration",
            "9:110 Arguments referenced without declared parameters: pipeline.parameters.r | declare it under `parameters` at the top of the configuration",
        ],
    );
}

#[test]
fn expressions_are_wrong_at_their_own_place() {
    const FORM: &str =
        "an expression is `pipeline.git.branch == \"main\" and not pipeline.parameters.x`";
    when(
        "pipeline.number = 1",
        &format!("4:54 unexpected `=` in an expression: write `==` | {FORM}"),
    );
    when(
        "pipeline.git.branch && true",
        &format!("4:58 unexpected `&&` in an expression: write `and` | {FORM}"),
    );
    when("(true or false", &format!("4:38 expected `)`, found the end | {FORM}"));
    when(
        "pipeline.number starts-with \"1\"",
        "4:54 `starts-with` compares strings only, not integer with string | compare texts: quote a text, `\"like this\"`",
    );
    when(
        "pipeline.git.branch > 3",
        "4:58 `>` compares numbers only, not string with integer | compare a parameter of type integer, without quotes, or use `==`",
    );
    when(
        "pipeline.git.branch matches /(/",
        "4:58 pattern /(/: unclosed group | patterns are Java's regular expressions and must match the whole text, for example `release-.*`",
    );
    when(
        "branch == \"main\"",
        "4:38 Arguments referenced without declared parameters: branch | known prefixes are `parameters.`, `matrix.`, `pipeline.` and `pipeline.parameters.`",
    );
    when("{and: []}", "4:44 `and` needs at least one argument | write `and: [a, b]`, or remove it");
}

#[test]
fn an_executors_mistake_is_told_once_where_it_stands() {
    check(
        "version: 2.1
executors:
  both: {docker: [{image: x}], machine: true}
  none: {resource_class: small}
jobs:
  a: {executor: both, steps: [checkout]}
  b: {executor: none, steps: [checkout]}
  c: {executor: {nam: both}, steps: [checkout]}
  d: {docker: [{image: x}], machine: true, executor: both, steps: [nothing]}
workflows: {main: {jobs: [a, b, c, d]}}
",
        &[
            "3:3 2 subschemas matched instead of one: docker, machine | keep one of: docker, machine",
            "4:3 0 subschemas matched instead of one: required key [docker], [machine], [macos] not found | say where it runs, for example `docker: [{image: cimg/base:stable}]` or `machine: true`",
            "8:18 required key [name] not found | `nam` should be `name`",
            "9:3 3 subschemas matched instead of one: docker, machine, executor | keep one of: docker, machine, executor",
            "9:68 Cannot find a definition for command named nothing | define it under `commands`",
        ],
    );
}

#[test]
fn steps_say_how_they_are_written() {
    check(
        "version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: [a]
      - run: {command: x, when: on_failure, no_output_timeout: 10}
      - store_artifacts: out
      - checkout: src
      - {}
",
        &[
            "6:14 expected type: Mapping, found: JSONArray | write `run: COMMAND`; several lines of a script stand below `run: |`",
            "7:33 Input not a valid enum value | did you mean `on_fail`?",
            "7:64 '10' is not a span of time | write its unit: 10s, 10m or 10h",
            "8:26 expected type: Mapping, found: String | write `store_artifacts: {path: out}`",
            "9:19 expected type: Mapping, found: String | write `checkout: {path: src}`",
            "10:9 a step is empty | write `- NAME`, or remove the `-`",
        ],
    );
}

#[test]
fn version_2_has_no_parameters_and_says_so() {
    check(
        "version: 2\ncommands: {a: {steps: [checkout]}}\nexecutors: {}\njobs: {build: {machine: true, steps: [a]}}\n",
        &[
            "2:1 `commands` need version 2.1 | write `version: 2.1`",
            "3:1 `executors` need version 2.1 | write `version: 2.1`",
        ],
    );
}

#[test]
fn a_wrong_type_of_job_hides_nothing_else() {
    check(
        "version: 2.1
jobs: {a: {machine: true, steps: [checkout]}}
workflows:
  w: {jobs: [a: {type: approve, context: {x: y}, pre_steps: [checkout]}]}
  x: {jobs: [{a: , b: }]}
",
        &[
            "4:24 Input not a valid enum value | did you mean `approval`?",
            "4:42 expected type: String, found: Mapping | `context` is a name or a list of names",
            "4:50 Unexpected argument(s): pre_steps | did you mean `pre-steps`?",
            "5:14 a job of a workflow has exactly one name, found 2: a, b | start each job with its own `- `",
        ],
    );
}

#[test]
fn job_groups_keep_to_their_rules() {
    check(
        "version: 2.1
jobs: {a: {machine: true, steps: [checkout]}, g: {machine: true, steps: [checkout]}}
job-groups:
  g: {jobs: [a]}
  h: {jobs: [a: {requires: [x]}], parameters: {}}
  i: {jobs: [h]}
workflows: {main: {jobs: [h, h, i, h: {name: other}]}}
",
        &[
            "4:6 'g' names a job and a job group | rename one of them",
            "5:29 Job 'a' requires 'x', which is the name of 0 other jobs in job group 'h' | add the job to job group 'h', or remove the requirement",
            "5:35 extraneous key [parameters] is not permitted | permitted keys: jobs",
            "6:14 a job group cannot hold another job group | list the jobs of the other group here",
            "7:30 job group 'h' is called twice in this workflow | give each call its own `name:`; the first is at line 7",
        ],
    );
}

#[test]
fn the_first_finding_of_a_text_that_is_no_configuration_has_a_remedy() {
    for text in
        ["", "a", "jobs: {}", "version: 3", "version: 2.1\njobs: 5\norbs: 5\nworkflows: 5\n"]
    {
        let found = compile(text, &request());
        assert!(found.errors().count() > 0, "{text}");
        assert!(found.diagnostics.iter().all(|d| d.hint.is_some()), "{text}: {found:#?}");
    }
}
