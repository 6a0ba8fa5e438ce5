//! Real configurations: source and processed pairs of the original, and files known to be valid or
//! invalid. The corpus stands beside the repository and may be absent; then the tests say so and pass.

use pipeline::{Code, Compilation, Request, Values, compile, process};
use saphyr::{LoadableYamlNode, Yaml};
use std::{collections::BTreeMap, fs, path::PathBuf};

fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no corpus beside the repository");
    None
}

fn request() -> Request {
    Request { values: Values::local(), ..Request::default() }
}

/// The rows of an index file, without its head.
fn rows(path: &PathBuf) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Only errors about orbs that no store can have here.
fn lacks_only_orbs(compilation: &Compilation) -> bool {
    let mut errors = compilation.errors().peekable();
    errors.peek().is_some()
        && errors.all(|error| error.code == Code::Orb && error.message.contains("orb registry"))
}

fn without_trailer(processed: &str) -> String {
    let end = processed.find("\n# Original config.yml file:").unwrap_or(processed.len());
    format!("{}\n", processed[..end].trim_end())
}

/// Equal as YAML, whatever the order of keys.
fn same(a: &Yaml<'_>, b: &Yaml<'_>) -> bool {
    match (a.as_mapping(), b.as_mapping(), a.as_sequence(), b.as_sequence()) {
        (Some(a), Some(b), ..) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (_, _, Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

/// Equal as YAML, with the jobs in the same order.
fn equal(ours: &str, theirs: &str) -> bool {
    let ours = Yaml::load_from_str(ours).unwrap().remove(0);
    let theirs = Yaml::load_from_str(theirs).unwrap().remove(0);
    let jobs = |document: &Yaml<'_>| -> Vec<String> {
        let jobs = document.as_mapping_get("jobs").and_then(|jobs| jobs.as_mapping());
        jobs.into_iter().flatten().filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect()
    };
    same(&ours, &theirs) && jobs(&ours) == jobs(&theirs)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    Bytes,
    Meaning,
    OrbAbsent,
    Different,
    Refused,
}

fn agreement(source: &str, theirs: &str, name: &str) -> Agreement {
    let compilation = compile(source, &request());
    let Some(config) = &compilation.config else {
        if lacks_only_orbs(&compilation) {
            return Agreement::OrbAbsent;
        }
        compilation.errors().for_each(|error| println!("pair {name}: {}", error.render()));
        return Agreement::Refused;
    };
    let (ours, theirs) = (process(config), without_trailer(theirs));
    match (ours == theirs, equal(&ours, &theirs)) {
        (true, _) => Agreement::Bytes,
        (false, true) => {
            first_difference(name, &ours, &theirs);
            Agreement::Meaning
        }
        (false, false) => {
            first_difference(name, &ours, &theirs);
            Agreement::Different
        }
    }
}

fn first_difference(name: &str, ours: &str, theirs: &str) {
    let differing = ours.lines().zip(theirs.lines()).enumerate().find(|(_, (a, b))| a != b);
    if let Some((line, (a, b))) = differing {
        println!("pair {name} line {}: ours {a:?}, theirs {b:?}", line + 1);
    }
}

/// Pairs whose two files do not belong together: somebody edited one of them afterwards. Each was
/// looked at; the reason stands beside it.
const EDITED: [(&str, &str); 4] = [
    ("006", "names another GitHub organisation than its source"),
    ("010", "has another step than its source"),
    ("024", "lacks a flag that its source has"),
    ("031", "is a source itself, `version: 2.1` with commented steps"),
];

#[test]
fn processed_pairs_agree_with_the_original() {
    let Some(corpus) = corpus() else { return };
    let mut counts: BTreeMap<(bool, Agreement), usize> = BTreeMap::new();
    let mut bad = vec![];
    for row in rows(&corpus.join("PAIRS.tsv")) {
        let (name, has_orbs) = (row[0].as_str(), row[4] == "true");
        let read = |kind: &str| {
            fs::read_to_string(corpus.join(format!("pairs/{name}.{kind}.yml"))).unwrap()
        };
        let found = agreement(&read("source"), &read("processed"), name);
        if EDITED.iter().any(|(edited, _)| *edited == name) {
            continue;
        }
        *counts.entry((has_orbs, found)).or_default() += 1;
        if matches!(found, Agreement::Different | Agreement::Refused) {
            bad.push(name.to_owned());
        }
    }
    println!(
        "pairs, (with registry orbs, agreement): {counts:#?}; edited and not counted: {EDITED:?}"
    );
    assert!(bad.is_empty(), "pairs that disagree: {bad:?}");
    let count = |found| counts.get(&(false, found)).copied().unwrap_or(0);
    let plain = count(Agreement::Bytes) + count(Agreement::Meaning);
    assert!(
        count(Agreement::Bytes) * 10 >= plain * 9,
        "byte-equal: {} of {plain}",
        count(Agreement::Bytes)
    );
}

/// An excerpt, as documents show them: it lacks things (a version, a job's steps, definitions of
/// what it names), but nothing that is there is wrong.
fn is_excerpt(text: &str, kind: &str) -> bool {
    let has_version =
        text.starts_with("version:") || text.contains("\nversion:") || text.starts_with('{');
    let whole = if has_version { text.to_owned() } else { format!("version: 2.1\n{text}") };
    let lacks = |error: &pipeline::Diagnostic| match error.code {
        Code::UnknownName | Code::MissingKey | Code::MissingArgument => true,
        Code::UnknownReference => error.message.contains("pipeline.parameters."),
        Code::Orb => error.message.contains("orb registry") || error.message.contains(['x', '<']),
        _ => false,
    };
    kind != "repo-config" && compile(&whole, &request()).errors().all(lacks)
}

/// Files that their source calls valid and that the original refuses, too; each was looked at: one
/// code that we report for it, and what the original trips over.
const NOT_VALID: [(&str, Code, &str); 18] = [
    ("041.yml", Code::Syntax, "an archived repository: every line is a comment"),
    ("042.yml", Code::Version, INPUT),
    ("043.yml", Code::Version, INPUT),
    ("044.yml", Code::Version, INPUT),
    ("045.yml", Code::Version, INPUT),
    ("046.yml", Code::Version, INPUT),
    ("048.yml", Code::UnknownName, UNDER_TEST),
    ("051.yml", Code::UnknownName, UNDER_TEST),
    (
        "084.yml",
        Code::WrongType,
        "what a packer put together, never compiled: version 2, where `<< parameters.mybool >>` is a text, and `docker_layer_caching` takes a boolean",
    ),
    ("093.yml", Code::Version, "an orb's source, no configuration: no `version`, no job"),
    (
        "097.yml",
        Code::MissingArgument,
        "line 67 gives `gcloud-service-key`; the command's required parameter is `gcloud_service_key`",
    ),
    (
        "168.yml",
        Code::Parameter,
        "line 8: the default `windows` is none of the enum's values; its own comment says so",
    ),
    (
        "179.yml",
        Code::WrongType,
        "line 4: `steps: []`, to show an executor's keys; the original's schema refuses a job without steps",
    ),
    (
        "187.yml",
        Code::UnexpectedKey,
        "line 22: `name` and `command` stand beside `run`, not below it",
    ),
    (
        "188.yml",
        Code::MissingKey,
        "line 7 calls an orb's job under `jobs`, where jobs are defined: it has no executor",
    ),
    ("201.yml", Code::UnexpectedKey, "line 23: `environment` stands beside `run`, not below it"),
    (
        "218.yml",
        Code::WrongType,
        "line 17: `jobs` stands where a workflow's name belongs, so a list is the workflow",
    ),
    (
        "236.yml",
        Code::Orb,
        "line 10: the parameter's value, `bad/orb`, has no version; the page shows what a policy refuses",
    ),
];

const INPUT: &str = "input of an orb's own script test, never compiled: no `version`";

const UNDER_TEST: &str =
    "`{}` stands for the orb under test, which a tool puts in before it compiles: no commands yet";

#[test]
fn configurations_compile_or_fail_as_their_source_says() {
    let Some(corpus) = corpus() else { return };
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut bad = vec![];
    for row in rows(&corpus.join("CONFIGS.tsv")) {
        let (name, expected) = (row[0].as_str(), row[2].as_str());
        let text = fs::read_to_string(corpus.join("configs").join(name)).unwrap();
        let compilation = compile(&text, &request());
        let outcome = match &compilation.config {
            Some(_) => "compiles",
            None if lacks_only_orbs(&compilation) => "lacks orbs",
            None if expected != "invalid" && is_excerpt(&text, &row[1]) => "is an excerpt",
            None => "errors",
        };
        *counts.entry((expected.to_owned(), outcome)).or_default() += 1;
        let unexpected = match expected {
            "valid" => outcome == "errors",
            "invalid" => outcome != "errors" || compilation.errors().all(|error| error.line == 0),
            _ => false,
        };
        if unexpected || (expected != "valid" && outcome == "errors") {
            let shown: Vec<String> =
                compilation.errors().take(4).map(|error| error.render()).collect();
            println!("{name} ({}, {expected}): {outcome}\n{}", row[5], shown.join(""));
        }
        let listed = NOT_VALID.iter().find(|(known, ..)| *known == name);
        if let Some((_, code, why)) = listed {
            // One that compiles after all, or fails by something else, does not belong here.
            let reported = compilation.errors().any(|error| error.code == *code);
            assert!(outcome == "errors" && reported, "{name}: {outcome}, not by {code:?}");
            println!("{name} is called valid and is not: [{}] {why}", code.as_str());
        }
        if unexpected && listed.is_none() {
            bad.push(name.to_owned());
        }
    }
    println!("configurations, (expected, found): {counts:#?}");
    assert!(bad.is_empty(), "unexpected: {bad:?}");
}
