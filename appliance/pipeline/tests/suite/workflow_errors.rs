//! Errors of workflows and of pipeline parameters: each with its code and its place.

use crate::errors::{check, errors, request};
use base::trigger::ParameterValue;

#[test]
fn workflows_are_checked() {
    let wf = |workflow: &str, expected: &[&str]| {
        check(
            &format!(
                "jobs: {{j: {{machine: true, steps: [checkout]}}}}\nworkflows: {{w: {workflow}}}\n"
            ),
            expected,
        )
    };
    wf("{}", &["3:13 missing-key required key [jobs] not found"]);
    wf("{jobs: []}", &["3:23 wrong-type expected minimum item count: 1, found: 0"]);
    wf(
        "{jobs: [j], when: true, unless: false}",
        &["3:40 logic-statement a workflow has `when` or `unless`, not both"],
    );
    wf(
        "{jobs: [j: {filters: {branch: {only: x}}}]}",
        &["3:38 filter extraneous key [branch] is not permitted"],
    );
    wf(
        "{jobs: [j: {filters: {branches: {only: '/(/'}}}]}",
        &["3:55 pattern pattern /(/: unclosed group"],
    );
    wf("{jobs: [j: {type: aproval}]}", &["3:34 invalid-value Input not a valid enum value"]);
    wf(
        "{jobs: [j: {serial-group: 'a b'}]}",
        &["3:42 invalid-value serial-group 'a b' is not valid"],
    );
    wf(
        "{jobs: [j: {requires: [k]}]}",
        &["3:39 requires Job 'j' requires 'k', which is the name of 0 other jobs in workflow 'w'"],
    );
    wf(
        "{jobs: [j: {requires: [{j: [sucess]}]}]}",
        &[
            "3:40 requires the jobs of workflow 'w' require each other in a cycle: j → j",
            "3:44 requires 'sucess' is not a status that can be required",
        ],
    );
    wf(
        "{jobs: [j: {matrix: {parameters: {}}}]}",
        &["3:36 matrix required key [parameters] not found"],
    );
    wf(
        "{jobs: [j: {matrix: {parameters: {p: [1]}}}]}",
        &["3:54 unexpected-argument Unexpected argument(s): p"],
    );
    wf(
        "{jobs: [j], when: 'pipeline.git.branch ='}",
        &["3:55 expression unexpected `=` in an expression: write `==`"],
    );
    wf(
        "{jobs: [j], when: pipeline.git.brunch}",
        &[
            "3:34 unknown-reference Arguments referenced without declared parameters: pipeline.git.brunch",
        ],
    );
    wf(
        "{jobs: [j], triggers: [schedule: {cron: '*/5 * * * *', filters: {branches: {only: main}}}]}",
        &[
            "3:56 invalid-value cron '*/5 * * * *': steps such as `*/20` are not supported; list the values of minute",
        ],
    );
}

#[test]
fn pipeline_parameters_are_checked() {
    let text = "version: 2.1\nparameters: {n: {type: integer, default: 1}, e: {type: enum, enum: [a, b], default: a}}\njobs: {build: {machine: true, steps: [checkout]}}\n";
    let with = |name: &str, value: ParameterValue| {
        let mut request = request();
        request.parameters.insert(name.into(), value);
        errors(text, &request)
    };
    assert!(with("n", ParameterValue::Integer(4)).is_empty());
    assert!(with("e", ParameterValue::String("b".into())).is_empty());
    assert_eq!(
        with("n", ParameterValue::String("4".into())),
        [
            "0:0 argument-type Type error for argument n: expected type: integer, actual value: \"4\" (type string)"
        ]
    );
    assert_eq!(
        with("e", ParameterValue::String("c".into())),
        [
            "0:0 argument-type Type error for argument e: expected one of: a, b, actual value: \"c\" (type string)"
        ]
    );
    assert_eq!(
        with("x", ParameterValue::Boolean(true)),
        ["0:0 unexpected-argument Unexpected argument(s): x"]
    );
    check(
        "parameters: {p: {type: string}}\njobs: {build: {machine: true, steps: [checkout]}}\n",
        &["2:17 parameter Parameter error: pipeline parameter 'p' has no default"],
    );
    check(
        "orbs: {o: {commands: {c: {steps: [run: << pipeline.parameters.p >>]}}}}\nparameters: {p: {type: string, default: x}}\njobs: {build: {machine: true, steps: [o/c]}}\n",
        &[
            "2:43 unknown-reference Arguments referenced without declared parameters: pipeline.parameters.p",
        ],
    );
}
