//! `config explain`: where the values of a job came from.

use crate::errors::request;
use pipeline::compile;

#[test]
fn a_job_is_explained_by_the_places_its_values_come_from() {
    let text = "version: 2.1\nexecutors: {e: {docker: [{image: i}], environment: {A: 1}}}\ncommands: {c: {parameters: {p: {type: string}}, steps: [run: << parameters.p >>]}}\njobs:\n  j:\n    executor: e\n    steps:\n    - c: {p: make}\nworkflows: {w: {jobs: [j]}}\n";
    let compilation = compile(text, &request());
    let config = compilation.config.unwrap();
    let explained = pipeline::explain(&config, "j").unwrap();
    let found: Vec<(String, u32)> =
        explained.origins.iter().map(|o| (format!("{}={}", o.key, o.value), o.line)).collect();
    let expected =
        [("docker[0].image=i", 2), ("steps[0].run.command=make", 8), ("environment[0].A=1", 2)];
    assert_eq!(found, expected.map(|(value, line)| (value.to_owned(), line)));
    assert!(
        explained.render().contains(".circleci/config.yml:8:14  steps[0].run.command = make"),
        "{}",
        explained.render()
    );
    assert!(pipeline::explain(&config, "k").is_none());
}

#[test]
fn an_explanation_names_the_parameter_and_the_commands_behind_a_value() {
    let text = "version: 2.1
executors:
  e: {parameters: {size: {type: string, default: small}}, machine: true, resource_class: << parameters.size >>}
commands:
  inner: {parameters: {dir: {type: string}}, steps: [run: {command: make, working_directory: << parameters.dir >>}]}
  outer: {steps: [inner: {dir: src}]}
jobs:
  j: {executor: e, steps: [checkout, outer]}
workflows: {w: {jobs: [j]}}
";
    let config = compile(text, &request()).config.unwrap();
    let shown = pipeline::explain(&config, "j").unwrap().render();
    let expected = "job j
  .circleci/config.yml:3:68  machine = true
  .circleci/config.yml:3:50  resource_class = small  (parameter size)
  .circleci/config.yml:8:28  steps[0] = checkout
  .circleci/config.yml:5:69  steps[1].run.command = make  (command outer, command inner)
  .circleci/config.yml:6:32  steps[1].run.working_directory = src  (parameter dir, command outer, command inner)
";
    assert_eq!(shown, expected);
}
