//! Mutations of a valid configuration: none that the rules forbid passes in silence.
//!
//! Each line of [`BASE`] is mutated by what stands on it: keys are misspelt, values change their
//! type, references point elsewhere, required lines go. Marks: `#free` – the key is a free name
//! that nothing refers to; `#any` – any scalar or structure is allowed as the value;
//! `#required` – the line must not go; `#ref` – the value must be one of those known.

use pipeline::{Request, Values, compile};

pub(crate) const BASE: &str = r#"version: 2.1 #required
parameters:
  deploy:
    type: boolean #required #ref
    default: false #required
  level:
    type: enum #required #ref
    enum: [low, high] #required
    default: low #required
    description: text
executors:
  linux:
    parameters:
      tag:
        type: string #ref
        default: stable
    docker:
      - image: cimg/base:<< parameters.tag >> #required
        user: root
        environment:
          IN_IMAGE: x #free
    working_directory: ~/work
    resource_class: small
  iron:
    machine:
      image: ubuntu
commands:
  build:
    description: text
    parameters:
      target:
        type: string #required #ref
      flags:
        type: enum #ref
        enum: [fast, safe]
        default: safe
      after:
        type: steps #ref
        default: []
    steps:
      - run:
          name: Build << parameters.target >>
          command: make << parameters.target >> << parameters.flags >> #required
          environment:
            TARGET: << parameters.target >> #free
          no_output_timeout: 20m #ref
          when: always #ref
          background: false
          working_directory: src
          shell: /bin/bash
      - when:
          condition: << parameters.after >> #required
          steps: << parameters.after >> #required
      - unless:
          condition:
            equal: [fast, << parameters.flags >>]
          steps:
            - run: echo slow
jobs:
  compile:
    parameters:
      target:
        type: string #required #ref
      how:
        type: executor #ref
        default: linux #ref
    executor: << parameters.how >> #required
    parallelism: 2
    environment:
      CI_LEVEL: << pipeline.parameters.level >> #free
    steps:
      - checkout:
          path: src
          method: blobless #ref
      - restore_cache:
          keys:
            - v1-{{ checksum "Cargo.lock" }} #any
            - v1- #any
      - build:
          target: << parameters.target >> #required
          flags: fast #ref
          after:
            - run: echo after
      - save_cache:
          key: v1-{{ checksum "Cargo.lock" }} #required
          paths:
            - target #any
      - persist_to_workspace:
          root: . #required
          paths:
            - out #any
      - store_artifacts:
          path: out #required
          destination: bin
      - store_test_results:
          path: results #required
  ship:
    executor:
      name: linux #required #ref
      tag: edge
    retention:
      caches: 3d #ref
    steps:
      - attach_workspace:
          at: . #required
      - run:
          command: ship #required
          max_auto_reruns: 2 #required
          auto_rerun_delay: 5s #ref
  metal:
    executor: iron #required #ref
    steps:
      - run: uname
workflows:
  main: #free
    when:
      or:
        - equal: [main, << pipeline.git.branch >>]
        - << pipeline.parameters.deploy >>
    max_auto_reruns: 2
    jobs:
      - compile:
          name: compile-x #required
          target: x #required
          how: linux #ref
          context: shared
          serial-group: group/a
          pre-steps:
            - checkout
          post-steps:
            - build:
                target: again #required
      - compile:
          matrix:
            alias: all #required
            parameters:
              target: [a, b] #required
            exclude:
              - target: b #required
      - hold:
          type: approval #required #ref
          requires:
            - compile-x #ref
      - ship:
          requires:
            - hold #ref
            - all #ref
            - compile-x:
                - success #ref
          filters:
            branches:
              only: main
            tags:
              ignore: /v.*/
      - metal
  nightly: #free
    triggers:
      - schedule:
          cron: 0 3 * * * #required
          filters:
            branches:
              only: main
    jobs:
      - metal
"#;

fn findings(text: &str) -> Vec<String> {
    let request = Request { values: Values::local(), ..Request::default() };
    let compilation = compile(text, &request);
    compilation
        .diagnostics
        .iter()
        .map(|diagnostic| {
            format!("{}:{} {}", diagnostic.line, diagnostic.code.as_str(), diagnostic.message)
        })
        .collect()
}

/// A line taken apart: indent with dash, key, value, marks.
struct Line<'a> {
    lead: &'a str,
    key: &'a str,
    value: &'a str,
    marks: &'a str,
}

fn take_apart(line: &str) -> Line<'_> {
    let (text, marks) = line.split_at(line.find(" #").unwrap_or(line.len()));
    let lead = text.len() - text.trim_start_matches([' ', '-']).len();
    // `- name` and `- "a: b"` have no key.
    let (key, value) = match text[lead..].split_once(':') {
        Some((key, value))
            if (value.is_empty() || value.starts_with(' ')) && !key.contains(['{', '<']) =>
        {
            (key, value.trim())
        }
        _ => ("", &text[lead..]),
    };
    Line { lead: &text[..lead], key, value, marks }
}

/// All mutations of one line, with what was done.
fn mutations(line: &Line<'_>) -> Vec<(String, String)> {
    let Line { lead, key, value, marks } = line;
    let mut found = vec![];
    let with = |key: &str, value: &str| {
        if key.is_empty() { format!("{lead}{value}") } else { format!("{lead}{key}: {value}") }
    };
    if !key.is_empty() && !marks.contains("#free") {
        let swapped: String = key
            .chars()
            .skip(1)
            .take(1)
            .chain(key.chars().take(1))
            .chain(key.chars().skip(2))
            .collect();
        for misspelt in
            [format!("{key}x"), format!("x{key}"), swapped, key.chars().skip(1).collect()]
        {
            if misspelt != *key && misspelt.chars().all(|c| c != ' ') {
                found.push((format!("key {key} misspelt {misspelt}"), with(&misspelt, value)));
            }
        }
    }
    if value.is_empty() || marks.contains("#any") {
        return found;
    }
    if !value.starts_with('[') {
        found.push(("value becomes a nested list".into(), with(key, "[[1], {x: y}]")));
    }
    if !key.is_empty() && !value.starts_with("[") {
        found.push(("value becomes a map".into(), with(key, "{no-such-name: {x: y}, other: 1}")));
    }
    if marks.contains("#ref") {
        found.push(("value misspelt".into(), with(key, &format!("{value}x"))));
        found.push(("value replaced".into(), with(key, "qqqqqq")));
    }
    if marks.contains("#required") {
        found.push(("line removed".into(), String::new()));
        found.push(("value removed".into(), with(key, "")));
    }
    found
}

#[test]
fn the_base_is_valid_and_quiet() {
    assert_eq!(findings(BASE), Vec::<String>::new());
}

/// Mutates every second line from `first` on; gives the number of mutations.
fn mutate(first: usize) -> usize {
    let lines: Vec<&str> = BASE.lines().collect();
    let (mut count, mut silent) = (0, vec![]);
    for (number, line) in lines.iter().enumerate().skip(first).step_by(2) {
        for (what, mutated) in mutations(&take_apart(line)) {
            let mut text = lines.clone();
            text[number] = &mutated;
            count += 1;
            if findings(&text.join("\n")).is_empty() {
                silent.push(format!("{}: {what}: {mutated}", number + 1));
            }
        }
    }
    assert!(
        silent.is_empty(),
        "{} of {count} accepted in silence:\n{}",
        silent.len(),
        silent.join("\n")
    );
    println!("{count} mutations from line {}, none accepted in silence", first + 1);
    count
}

// Two halves, because two cores finish sooner.
#[test]
fn no_forbidden_mutation_of_an_odd_line_passes_in_silence() {
    assert!(mutate(0) >= 250);
}

#[test]
fn no_forbidden_mutation_of_an_even_line_passes_in_silence() {
    assert!(mutate(1) >= 250);
}
