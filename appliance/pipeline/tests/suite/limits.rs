//! What is no YAML, and every direction in which a configuration can grow.

use crate::errors::{check, errors, request};

#[test]
fn yaml_and_limits() {
    assert_eq!(errors("", &request()), ["1:1 yaml-syntax the configuration is empty"]);
    assert_eq!(errors("a", &request()), ["1:1 wrong-type expected type: Mapping, found: String"]);
    assert_eq!(errors("jobs: {}", &request()), ["1:1 version required key [version] not found"]);
    assert_eq!(errors("version: 3\n", &request()), ["1:10 version version 3 is not known"]);
    assert!(errors("version: 2.1\njobs:\n\tbuild: x\n", &request())[0].starts_with("3:"));
    let deep = format!("version: 2.1\na: {}{}", "[".repeat(120), "]".repeat(120));
    assert_eq!(errors(&deep, &request()), ["2:103 yaml-syntax nested more than 100 levels deep"]);
    let deep = format!("version: 2.1\na: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(
        errors(&deep, &request()),
        ["2:259 yaml-syntax error parsing YAML: recursion limit exceeded"]
    );
    let mut bomb = "version: 2.1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(
        errors(&bomb, &request())[0]
            .contains("more than 1000000 values with all aliases written out")
    );
}

#[test]
fn patterns_are_bounded_wherever_they_stand() {
    let workflows: String = (0..5)
        .map(|workflow| {
            let terms: Vec<String> = (0..240)
                .map(|n| format!("pipeline.git.branch matches /x{workflow}-{n}/"))
                .collect();
            format!("  w{workflow}: {{when: '{}', jobs: [j]}}\n", terms.join(" or "))
        })
        .collect();
    let text = format!(
        "version: 2.1\njobs: {{j: {{machine: true, steps: [checkout]}}}}\nworkflows:\n{workflows}"
    );
    assert!(errors(&text, &request())[0].contains("more than 1000 different patterns"));
}

#[test]
fn commands_that_multiply_are_bounded() {
    let mut text = "version: 2.1\ncommands:\n  c0: {steps: [checkout]}\n".to_owned();
    for level in 1..9 {
        let calls = vec![format!("c{}", level - 1); 10].join(", ");
        text.push_str(&format!("  c{level}: {{steps: [{calls}]}}\n"));
    }
    text.push_str("jobs: {build: {machine: true, steps: [c8]}}\n");
    assert!(errors(&text, &request()).iter().any(|error| error.contains("more than 200000 steps")));
}

#[test]
fn depth_is_bounded_however_it_comes_about() {
    let mut chain = "version: 2.1\na0: &a0 [x]\n".to_owned();
    for level in 1..300 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(errors(&chain, &request())[0].contains("nested more than 100 levels deep"));

    let terms = vec!["true"; 600].join(" or ");
    check(
        &format!(
            "jobs: {{j: {{machine: true, steps: [checkout]}}}}\nworkflows: {{w: {{when: '{terms}', jobs: [j]}}}}\n"
        ),
        &["3:24 expression more than 500 operators in one expression"],
    );

    let (open, close) = ("[".repeat(60), "]".repeat(60));
    let wrapping = commands(
        4,
        "steps",
        "<< parameters.s >>",
        &format!("{open}<< parameters.s >>{close}"),
        "[checkout]",
    );
    assert!(
        errors(&wrapping, &request())
            .iter()
            .any(|e| e.contains("nested more than 100 levels deep"))
    );
}

#[test]
fn lists_in_lists_through_commands_fit_a_small_stack() {
    let (open, close) = ("[".repeat(90), "]".repeat(90));
    let mut text = "version: 2.1\ncommands:\n  c0: {steps: [checkout]}\n".to_owned();
    for level in 1..45 {
        text.push_str(&format!("  c{level}: {{steps: {open}c{}{close}}}\n", level - 1));
    }
    text.push_str("jobs: {build: {machine: true, steps: [c44]}}\n");
    assert!(errors(&text, &request()).iter().any(|e| e.contains("nested more than 150 deep")));
}

/// `levels` commands that each call the one before with `passed` made of their own argument.
fn commands(levels: usize, kind: &str, innermost: &str, passed: &str, first: &str) -> String {
    let mut text = format!(
        "version: 2.1\ncommands:\n  c0: {{parameters: {{s: {{type: {kind}}}}}, steps: {innermost}}}\n"
    );
    for level in 1..levels {
        text.push_str(&format!(
            "  c{level}: {{parameters: {{s: {{type: {kind}}}}}, steps: [c{}: {{s: {passed}}}]}}\n",
            level - 1
        ));
    }
    text.push_str(&format!(
        "jobs: {{build: {{machine: true, steps: [c{}: {{s: {first}}}]}}}}\n",
        levels - 1
    ));
    text
}

#[test]
fn size_is_bounded_however_it_comes_about() {
    let doubling = commands(
        40,
        "string",
        "[run: << parameters.s >>]",
        "'<< parameters.s >><< parameters.s >>'",
        "xxxxxxxx",
    );
    assert!(errors(&doubling, &request())[0].contains("grows beyond"));

    let value = "x".repeat(2000);
    let variables: String = (0..200).map(|n| format!("V{n}: {value}, ")).collect();
    let runs = vec!["c"; 400].join(", ");
    let wide = format!(
        "version: 2.1\ncommands: {{c: {{steps: [run: {{command: x, environment: {{{variables}}}}}]}}}}\njobs: {{build: {{machine: true, steps: [{runs}]}}}}\n"
    );
    assert!(errors(&wide, &request())[0].contains("A compiled config YAML must be at most 8MB"));

    let values = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let calls =
        vec![format!("j: {{type: approval, matrix: {{parameters: {{n: [{values}]}}}}}}"); 11]
            .join(", ");
    let many = format!(
        "version: 2.1\njobs: {{j: {{parameters: {{n: {{type: integer}}}}, machine: true, steps: [checkout]}}}}\nworkflows: {{w: {{jobs: [{calls}]}}}}\n"
    );
    assert!(errors(&many, &request())[0].contains("more than 10000 jobs"));
}

#[test]
fn requirements_that_multiply_are_bounded() {
    let values = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 2.1\njobs: {{j: {{parameters: {{n: {{type: integer}}}}, machine: true, steps: [checkout]}}}}\nworkflows: {{w: {{jobs: [j: {{matrix: {{alias: all, parameters: {{n: [{values}]}}}}}}, j: {{name: 'b<< matrix.n >>', requires: [all], matrix: {{parameters: {{n: [{values}]}}}}}}]}}}}\n"
    );
    let found = errors(&text, &request());
    assert!(found[0].contains("more than 200000 requirements"), "{found:?}");
}

/// Lines of one pattern, `#` being their number.
fn lines(count: usize, line: &str) -> String {
    (0..count).map(|n| line.replace('#', &n.to_string())).collect()
}

#[test]
fn work_grows_with_the_text_and_not_with_its_square() {
    const COUNT: usize = 40_000;
    let job = "jobs: {j: {machine: true, steps: [checkout]}}\n";
    let texts = [
        format!(
            "executors:\n  e:\n    machine: true\n    environment:\n{}jobs:\n  j:\n    executor: e\n    environment:\n{}    steps: [checkout]\nworkflows: {{w: {{jobs: [j]}}}}\n",
            lines(COUNT, "      A#: 1\n"),
            lines(COUNT, "      B#: 1\n"),
        ),
        format!(
            "{job}workflows:\n  w:\n    jobs:\n    - j:\n        context:\n{}",
            lines(4 * COUNT, "        - c#\n")
        ),
        format!(
            "jobs:\n  j:\n    machine: true\n    steps: [checkout]\n{}workflows: {{w: {{jobs: [j]}}}}\n",
            lines(COUNT, "    zzzzz#: 1\n")
        ),
        format!(
            "{job}workflows:\n  w:\n    jobs:\n{}    - j:\n        name: last\n        requires:\n{}",
            lines(2000, "    - j: {name: n#}\n"),
            lines(COUNT, "        - m#q\n")
        ),
        format!(
            "jobs: {{j: {{machine: true, steps: [run: '{}']}}}}\nworkflows: {{w: {{jobs: [j]}}}}\n",
            lines(COUNT / 8, "<< parameters.p# >>")
        ),
    ];
    for text in texts {
        let started = std::time::Instant::now();
        errors(&format!("version: 2.1\n{text}"), &request());
        let start = &text[..40];
        assert!(started.elapsed().as_secs() < 20, "{:?} for {start}", started.elapsed());
    }
}

#[test]
fn a_file_of_one_line_is_not_shown_with_each_of_its_mistakes() {
    let keys: Vec<String> = (0..300).map(|n| format!("zzzzz{n}: 1")).collect();
    let text = format!(
        "{{version: 2.1, x-filling: \"{}\", jobs: {{j: {{machine: true, steps: [checkout], {}}}}}, workflows: {{w: {{jobs: [j]}}}}}}",
        "x".repeat(100_000),
        keys.join(", ")
    );
    let found = pipeline::compile(&text, &request());
    let shown: usize = found.diagnostics.iter().map(|one| one.source_line.len()).sum();
    assert!(found.diagnostics.len() > 200 && shown < 100_000, "{shown}");
}
