//! How fast configurations compile: a usual one, the corpus's largest, and 2,000 jobs in 1 MB.
//!
//! Run: `cargo bench -p pipeline`. Numbers and what they are compared with: `README.md` here.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pipeline::{PlanValues, Request, Values, compile, plan, process};
use std::{fmt::Write as _, fs, hint::black_box, path::PathBuf};

fn request() -> Request {
    Request { values: Values::local(), ..Request::default() }
}

/// 2,000 jobs of a command with parameters, in one workflow where each requires the one before.
fn synthetic() -> String {
    let mut text = "version: 2.1\ncommands:\n  build:\n    parameters: {target: {type: string}}\n    steps:\n    - run: {name: \"Build << parameters.target >>\", command: \"make << parameters.target >>\"}\njobs:\n".to_owned();
    let script =
        "          echo a line of a script that is as long as lines usually are in such files\n"
            .repeat(3);
    for job in 0..2000 {
        let _ = write!(
            text,
            "  job-{job}:\n    docker:\n    - image: cimg/base:stable\n    environment:\n      NUMBER: {job}\n    steps:\n    - checkout\n    - build:\n        target: t{job}\n    - run:\n        name: Script\n        command: |\n{script}"
        );
    }
    text.push_str("workflows:\n  main:\n    jobs:\n    - job-0\n");
    for job in 1..2000 {
        let _ = write!(
            text,
            "    - job-{job}:\n        requires: [job-{}]\n        filters: {{branches: {{only: /ma.*/}}}}\n",
            job - 1
        );
    }
    text
}

/// The largest file of the corpus, if that stands beside the repository.
fn largest() -> Option<String> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let files = ["configs", "pairs"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(corpus.join(folder)).into_iter().flatten());
    let texts = files.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    texts.filter(|text| compile(text, &request()).config.is_some()).max_by_key(String::len)
}

fn whole_way(text: &str) -> usize {
    let compilation = compile(text, &request());
    let Some(config) = compilation.config else { return 0 };
    let plan = plan(&config, &PlanValues { branch: Some("main".into()), ..PlanValues::default() });
    plan.workflows.len() + process(&config).len()
}

fn compiling(criterion: &mut Criterion) {
    let small = "version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n    - checkout\n    - run: make\n".to_owned();
    let mut texts = vec![("small", small), ("synthetic", synthetic())];
    texts.extend(largest().map(|text| ("largest", text)));
    let mut group = criterion.benchmark_group("compile");
    for (name, text) in &texts {
        assert!(whole_way(text) > 0, "{name} compiles");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| bencher.iter(|| whole_way(black_box(text))));
    }
    group.finish();
}

criterion_group!(benches, compiling);
criterion_main!(benches);
