//! What is refused, where and in which words.

use pipeline::{Request, Values, compile};

pub(crate) fn request() -> Request {
    Request { values: Values::local(), ..Request::default() }
}

/// All errors as `line:column code message`.
pub(crate) fn errors(text: &str, request: &Request) -> Vec<String> {
    let compilation = compile(text, request);
    assert_eq!(compilation.config.is_some(), compilation.errors().count() == 0);
    compilation
        .errors()
        .map(|e| format!("{}:{} {} {}", e.line, e.column, e.code.as_str(), e.message))
        .collect()
}

pub(crate) fn check(text: &str, expected: &[&str]) {
    assert_eq!(errors(&format!("version: 2.1\n{text}"), &request()), expected, "{text}");
}

const REST: &str = "workflows: {w: {jobs: [j]}}\n";

/// A job `j` from line 2 on, called by a workflow.
fn job(text: &str, expected: &[&str]) {
    check(&format!("jobs:\n  j:\n    machine: true\n{text}{REST}"), expected);
}

#[test]
fn the_originals_words_are_used_where_known() {
    check(
        "jobs: {j: {parameters: {foo: {type: string}}, machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["3:24 missing-argument Missing required argument(s): foo"],
    );
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {x: 1}]}}\n",
        &["3:28 unexpected-argument Unexpected argument(s): x"],
    );
    check(
        "jobs: {j: {parameters: {foo: {type: string, default: false}}, machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &[
            "2:54 parameter Parameter error: default value of parameter 'foo' is 'false' (type boolean): expected type string",
        ],
    );
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [k]}}\n",
        &["3:24 unknown-name Cannot find a definition for job named k"],
    );
    job(
        "    steps: [chekout]\n",
        &["5:13 unknown-name Cannot find a definition for command named chekout"],
    );
    check(
        "jobs: {j: {executor: e, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:22 unknown-name Cannot find a definition for executor named e"],
    );
    job(
        "    steps: [run: 'echo << parameters.message >>']\n",
        &[
            "5:27 unknown-reference Arguments referenced without declared parameters: parameters.message",
        ],
    );
    job(
        "    parallelism: 2\n    steps: [deploy: {command: ship}]\n",
        &["6:13 unsupported-here `deploy` would run in each of the job's 2 copies"],
    );
    job("    parallelism: 1\n    steps: [deploy: {command: ship}]\n", &[]);
    check(
        "orbs: {o: ns/orb@1}\njobs: {j: {machine: true, steps: [o/x]}}\nworkflows: {w: {jobs: [j]}}\n",
        &[
            "2:11 orb Cannot find ns/orb@1 in the orb registry. Check that the namespace, orb name and version are correct.",
        ],
    );
    check(
        "jobs: {test: {machine: true, steps: [checkout]}, bug: {machine: true, steps: [checkout]}}\nworkflows: {infra: {jobs: [test, test, bug: {requires: [test]}]}}\n",
        &[
            "3:57 requires Job 'bug' requires 'test', which is the name of 2 other jobs in workflow 'infra'",
        ],
    );
    check(
        "jobs: {j: {parameters: {n: {type: integer}}, machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {n: \"1\"}]}}\n",
        &[
            "3:31 argument-type Type error for argument n: expected type: integer, actual value: \"1\" (type string)",
        ],
    );
    check(
        "jobs: {j: {retention: {caches: 40d}, machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:32 invalid-value does not match pattern ^([1-9]|[12][0-9]|30)d$"],
    );
}

#[test]
fn all_errors_come_in_one_run() {
    check(
        "jobs:\n  a:\n    steps: [run]\n  j:\n    machine: yes please\n    stepz: []\nworkflows: {w: {jobs: [j, b]}}\n",
        &[
            "3:3 missing-key 0 subschemas matched instead of one: required key [docker], [machine], [macos], [executor] not found",
            "5:3 missing-key required key [steps] not found",
            "7:5 unexpected-key extraneous key [stepz] is not permitted",
            "8:27 unknown-name Cannot find a definition for job named b",
        ],
    );
}

#[test]
fn mistakes_in_uncalled_jobs_are_warnings_but_for_their_shape() {
    let rest = "  j: {machine: true, steps: [checkout]}\nworkflows: {w: {jobs: [j]}}\n";
    check(
        &format!("jobs:\n  u: {{machine: true, steps: [checkout], colour: red}}\n{rest}"),
        &["3:41 unexpected-key extraneous key [colour] is not permitted"],
    );
    let text = format!(
        "version: 2.1\njobs:\n  u: {{machine: true, steps: [run: {{cmd: x}}, nothing]}}\n{rest}"
    );
    let compilation = compile(&text, &request());
    let warnings: Vec<&str> = compilation.warnings().map(|w| w.code.as_str()).collect();
    assert_eq!(
        (compilation.errors().count(), warnings),
        (0, vec!["missing-key", "unexpected-key", "unknown-name"])
    );
}

#[test]
fn steps_are_checked() {
    job(
        "    steps: [run: {cmd: x}]\n",
        &[
            "5:18 missing-key required key [command] not found",
            "5:19 unexpected-key extraneous key [cmd] is not permitted",
        ],
    );
    job(
        "    steps:\n    - run:\n      command: x\n",
        &["6:7 unexpected-key a step has exactly one name, found 2: run, command"],
    );
    job(
        "    steps: [run: {command: x, when: sometimes}]\n",
        &["5:37 invalid-value Input not a valid enum value"],
    );
    job(
        "    steps: [run: {command: x, background: true, max_auto_reruns: 2}]\n",
        &["5:18 invalid-value a background step cannot have max_auto_reruns"],
    );
    job(
        "    steps: [run: {command: x, no_output_timeout: soon}]\n",
        &["5:50 invalid-value 'soon' is not a span of time"],
    );
    let key = "    steps: [save_cache: {key: 'a {{ .Brnch }}', paths: [x]}]\n";
    job(key, &[]);
    let text = format!("version: 2.1\njobs:\n  j:\n    machine: true\n{key}{REST}");
    let warnings: Vec<String> =
        compile(&text, &request()).warnings().map(|w| w.message.clone()).collect();
    assert_eq!(warnings, ["cache key template: `{{ .Brnch }}` is not known: this step will fail"]);
    job(
        "    steps: [restore_cache: {}]\n",
        &["5:28 missing-key required key [key] or [keys] not found"],
    );
    job(
        "    steps: [persist_to_workspace: {root: x}]\n",
        &["5:35 missing-key required key [paths] not found"],
    );
    job(
        "    steps: [when: {condition: [a], steps: [checkout]}]\n",
        &["5:31 logic-statement expected a logic statement, found a list"],
    );
    job(
        "    steps: [when: {condition: true}]\n",
        &["5:13 missing-key required key [steps] not found"],
    );
    job(
        "    steps: checkout please\n",
        &["5:12 wrong-type expected type: JSONArray, found: String"],
    );
    job("    steps: 5\n", &["5:12 wrong-type expected type: JSONArray, found: Integer"]);
}

#[test]
fn jobs_and_executors_are_checked() {
    job(
        "    parallelism: two\n    steps: [checkout]\n",
        &["5:18 invalid-value parallelism is not a whole number from 1 to 1024"],
    );
    job(
        "    environment: [a]\n    steps: [checkout]\n",
        &["5:19 wrong-type 'a' is not a variable"],
    );
    job(
        "    environment: {A: {b: c}}\n    steps: [checkout]\n",
        &["5:22 wrong-type expected type: String, found: Mapping"],
    );
    job(
        "    docker: [{image: x}]\n    steps: [checkout]\n",
        &["3:3 missing-key 2 subschemas matched instead of one: docker, machine"],
    );
    check(
        "jobs: {j: {docker: [], steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:20 wrong-type expected minimum item count: 1, found: 0"],
    );
    check(
        "jobs: {j: {docker: [{imag: x}], steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &[
            "2:21 missing-key required key [image] not found",
            "2:22 unexpected-key extraneous key [imag] is not permitted",
        ],
    );
    check(
        "executors: {e: {machine: {image: a, resource_class: small}, resource_class: large}}\njobs: {j: {executor: e, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:37 invalid-value resource_class stands here and beside `machine`"],
    );
}

#[test]
fn lists_have_items_where_the_original_wants_them() {
    let none = "expected minimum item count: 1, found: 0";
    job("    steps: []\n", &[&format!("5:12 wrong-type {none}")]);
    job("    steps: {run: x}\n", &["5:12 wrong-type expected type: JSONArray, found: Mapping"]);
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j, j: {name: k, requires: [{j: []}]}]}}\n",
        &[&format!("3:55 requires {none}")],
    );
}

#[test]
fn only_a_group_itself_is_required() {
    let jobs =
        "jobs: {a: {machine: true, steps: [checkout]}, c: {machine: true, steps: [checkout]}}\n";
    check(
        &format!(
            "{jobs}job-groups: {{g: {{jobs: [a]}}}}\nworkflows: {{w: {{jobs: [g, c: {{requires: [g/a]}}]}}}}\n"
        ),
        &["4:42 requires Job 'c' requires 'g/a', which is inside job group 'g'"],
    );
    check(
        &format!("{jobs}job-groups: {{g: {{jobs: []}}}}\nworkflows: {{w: {{jobs: [g, c]}}}}\n"),
        &["3:24 wrong-type expected minimum item count: 1, found: 0"],
    );
}

#[test]
fn one_mistake_is_told_once() {
    // An enum without values, an argument that is missing where a text belongs, a login's keys.
    check(
        "commands:\n  c:\n    parameters: {e: {type: enum, default: x}, s: {type: string}}\n    steps: [run: << parameters.s >>]\njobs: {j: {machine: true, steps: [c]}}\nworkflows: {w: {jobs: [j]}}\n",
        &[
            "4:21 parameter Parameter error: type enum needs a list `enum` of its values",
            "6:35 missing-argument Missing required argument(s): s",
        ],
    );
    check(
        "jobs: {j: {docker: [{image: x, auth: {user: x}}], steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:39 unexpected-key extraneous key [user] is not permitted"],
    );
    check(
        "jobs: {j: {executor: {name: }, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:27 wrong-type expected type: String, found: Null"],
    );
}

#[test]
fn an_element_that_names_nothing_is_told_at_the_name() {
    check(
        "commands: {c: nothing}\njobs: {j: {machine: true, steps: [c]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:15 unknown-name Cannot find a definition for command named nothing"],
    );
    check(
        "executors: {a: b, b: a}\njobs: {j: {executor: a, steps: [checkout]}}\nworkflows: {w: {jobs: [j]}}\n",
        &[
            "2:16 unknown-name Cannot find a definition for executor named b",
            "2:22 unknown-name Cannot find a definition for executor named a",
        ],
    );
}

#[test]
fn recursion_and_cycles_are_found() {
    let text = "version: 2.1\ncommands:\n  wrap: {parameters: {s: {type: steps}}, steps: [steps: << parameters.s >>]}\n  b: {steps: [wrap: {s: [b]}]}\njobs: {j: {machine: true, steps: [b]}}\nworkflows: {w: {jobs: [j]}}\n";
    let found = errors(text, &request());
    assert_eq!(found, ["4:15 recursion command 'wrap' calls itself"]);
    check(
        "commands: {a: {steps: [b]}, b: {steps: [a]}}\njobs: {j: {machine: true, steps: [a]}}\nworkflows: {w: {jobs: [j]}}\n",
        &["2:41 recursion command 'a' calls itself"],
    );
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {name: a, requires: [b]}, j: {name: b, requires: [a]}]}}\n",
        &["3:48 requires the jobs of workflow 'w' require each other in a cycle: a → b → a"],
    );
    check(
        "jobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [j: {requires: [j]}]}}\n",
        &["3:39 requires the jobs of workflow 'w' require each other in a cycle: j → j"],
    );
}

#[test]
fn mistakes_inside_scripts_point_at_their_own_line() {
    job(
        "    steps:\n    - run: |\n        first\n        echo << parameters.q >>\n",
        &["8:17 unknown-reference Arguments referenced without declared parameters: parameters.q"],
    );
    job(
        "    steps:\n    - run: |\n        first\n        cat <<EOF\n        EOF\n",
        &["8:13 expression Unclosed '<<' tag in string: \"<<EOF\" (`<<` without its `>>`)"],
    );
}

#[test]
fn setup_rules() {
    check(
        "setup: true\njobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {a: {jobs: [j]}, b: {jobs: [j]}}\n",
        &["2:1 setup a setup configuration has exactly one workflow, found 2"],
    );
    let continued = Request { continuation: true, ..request() };
    let text = "version: 2.1\nsetup: true\njobs: {j: {machine: true, steps: [checkout]}}\nworkflows: {a: {jobs: [j]}}\n";
    assert_eq!(
        errors(text, &continued),
        ["2:1 setup a setup configuration cannot continue a setup pipeline"]
    );
}

#[test]
fn an_error_tells_the_calls_that_led_to_it_and_a_remedy() {
    let text = "version: 2.1\ncommands:\n  build:\n    steps:\n      - run: {comand: make}\njobs:\n  j:\n    machine: true\n    steps:\n      - build\nworkflows:\n  w:\n    jobs:\n      - j\n";
    let compilation = compile(text, &request());
    let shown: Vec<String> = compilation.errors().map(|error| error.render()).collect();
    assert_eq!(
        shown[1],
        ".circleci/config.yml:5:15: error[unexpected-key]: extraneous key [comand] is not permitted\n   |\n 5 |       - run: {comand: make}\n   |               ^\n  called from step 'run' at .circleci/config.yml:5:9\n  called from command 'build' at .circleci/config.yml:10:9\n  called from job 'j' at .circleci/config.yml:14:9\n  called from workflow 'w' at .circleci/config.yml:12:3\n  help: did you mean `command`?\n"
    );
    let json = serde_json::to_value(compilation.errors().next().unwrap()).unwrap();
    assert_eq!(json["code"], "missing-key");
    assert_eq!(json["line"], 5);
}
