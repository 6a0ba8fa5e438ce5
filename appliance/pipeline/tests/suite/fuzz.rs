//! Mutated input never panics and never hangs.
//!
//! `APPLIANCE_FUZZ_SECONDS` is the processor time of each entry point (default 0.2),
//! `APPLIANCE_FUZZ_ONLY` names the one that is run, `APPLIANCE_FUZZ_SEED` picks another sequence.
//! Inputs that once failed stand in `REGRESSIONS`.

use pipeline::{
    Orbs, PlanValues, Request, Values, cache_key::Template, compile, continue_parameters,
    cron::Cron, glob::Glob, graph, json_schema, pack, plan, process, validate_orb,
};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// One input must be done by then even on a busy machine without optimisation.
const SLOWEST: Duration = Duration::from_secs(10);

const REGRESSIONS: [&str; 4] = [
    "version: 2.1\na: *a",
    "version: 2.1\n? [a]\n: b",
    "version: 2.1\nx: &a [*a]",
    "version: 2.1\njobs: {build: {machine: true, steps: [run: \"<<<<<<\"]}}",
];

/// Configurations to start from: our own, and the corpus when it is there.
pub(crate) fn seeds() -> Vec<(String, String)> {
    let mut seeds: Vec<(String, String)> =
        vec![("sample".into(), crate::mutation::BASE.replace("#free", ""))];
    seeds.extend(REGRESSIONS.iter().map(|text| ("regression".to_owned(), (*text).to_owned())));
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    for folder in ["configs", "pairs"] {
        let mut paths: Vec<PathBuf> = fs::read_dir(corpus.join(folder))
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.path()))
            .collect();
        paths.sort();
        seeds.extend(
            paths.iter().filter_map(|path| {
                Some((path.display().to_string(), fs::read_to_string(path).ok()?))
            }),
        );
    }
    seeds
}

/// A small generator: the same seed gives the same sequence.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % below.max(1)
    }
}

const WORDS: [&str; 40] = [
    "<<",
    ">>",
    "<< parameters.x >>",
    "<<# parameters.x >>",
    "<</ parameters.x >>",
    "<< pipeline.number >>",
    "\\<<",
    "{{",
    "}}",
    "{{ .Branch }}",
    "*a",
    "&a ",
    "<<: *a",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "|",
    "null",
    "true",
    "-1",
    "1e999",
    "0x",
    "🚀",
    "when:",
    "matrix:",
    "requires:",
    "(?!x)",
    "(((((",
    "[[:alpha:]]",
    "**/",
    "{a,{b,c}}",
    "not not not",
    "\u{0}",
];

fn mutated(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().take(8000).collect();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(chars.len() + 1);
        let end = (at + dice.roll(30)).min(chars.len());
        match dice.roll(5) {
            0 => drop(chars.drain(at..end)),
            1 => chars.splice(at..at, WORDS[dice.roll(WORDS.len())].chars()).for_each(drop),
            2 => {
                let copy: Vec<char> = chars[at..end].to_vec();
                let target = dice.roll(chars.len() + 1);
                chars.splice(target..target, copy).for_each(drop);
            }
            3 if at < chars.len() => {
                chars[at] = char::from(u8::try_from(32 + dice.roll(95)).unwrap_or(b'x'))
            }
            _ => chars.splice(at..end, WORDS[dice.roll(WORDS.len())].chars()).for_each(drop),
        }
    }
    chars.into_iter().collect()
}

fn seconds() -> f64 {
    std::env::var("APPLIANCE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.2)
}

/// What this thread has spent on a processor so far.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let spent = text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    Duration::from_nanos(spent.unwrap())
}

/// Feeds mutations of the seeds to `entry`.
fn fuzz(name: &str, seeds: &[String], mut entry: impl FnMut(&str)) {
    if std::env::var("APPLIANCE_FUZZ_ONLY").is_ok_and(|only| only != name) {
        return;
    }
    let seed = std::env::var("APPLIANCE_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0x5eed_u64);
    let mut dice = Dice(seed | 1);
    let end = processor_time() + Duration::from_secs_f64(seconds());
    let mut count = 0_u64;
    while processor_time() < end {
        let input = mutated(&seeds[dice.roll(seeds.len())], &mut dice);
        let start = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| entry(&input)));
        assert!(result.is_ok(), "{name} panics on {input:?}");
        if start.elapsed() > SLOWEST {
            // A busy machine makes anything late: what counts is the time on a processor.
            let before = processor_time();
            entry(&input);
            let spent = processor_time().saturating_sub(before);
            assert!(spent < SLOWEST, "{name} takes {spent:?} on {input:?}");
        }
        count += 1;
    }
    println!("{name}: {count} inputs");
}

fn whole_way(text: &str) {
    let request = Request { values: Values::local(), ..Request::default() };
    let compilation = compile(text, &request);
    compilation
        .diagnostics
        .iter()
        .for_each(|diagnostic| drop((diagnostic.render(), diagnostic.original_text())));
    if let Some(config) = &compilation.config {
        let plan =
            plan(config, &PlanValues { branch: Some("main".into()), ..PlanValues::default() });
        plan.workflows.iter().for_each(|workflow| {
            drop((graph::text(workflow), graph::dot(workflow), graph::svg(workflow)))
        });
        drop(process(config));
        config.job_names().for_each(|job| drop(pipeline::explain(config, job)));
    }
}

#[test]
fn configurations() {
    REGRESSIONS.iter().for_each(|text| whole_way(text));
    let texts: Vec<String> = seeds().into_iter().map(|(_, text)| text).collect();
    fuzz("configuration", &texts, whole_way);
}

#[test]
fn other_readers_of_configurations() {
    let texts: Vec<String> = seeds().into_iter().map(|(_, text)| text).collect();
    fuzz("orb", &texts, |text| drop(validate_orb(text, "orb.yml", &Orbs::default())));
    fuzz("continuation", &texts, |text| {
        drop(continue_parameters(
            text,
            text,
            &indexmap::IndexMap::new(),
            &indexmap::IndexMap::new(),
        ))
    });
    fuzz("pack", &texts, |text| {
        let files =
            [("@a.yml".to_owned(), text.to_owned()), ("b/c.yml".to_owned(), text.to_owned())]
                .into();
        drop((pack::pack(&files), pack::pack_orb(&files)));
    });
}

#[test]
fn expressions_and_patterns() {
    let quote = |text: &str| serde_json::to_string(text).unwrap();
    let expressions: Vec<String> = [
        "pipeline.git.branch == \"main\" and not (pipeline.number > 3 or false)",
        "pipeline.git.branch matches /^(a|b)+$/",
        "x starts-with \"y\"",
    ]
    .map(str::to_owned)
    .into();
    fuzz("expression", &expressions, |text| {
        whole_way(&format!(
            "version: 2.1\njobs: {{j: {{machine: true, steps: [run: {}]}}}}\nworkflows: {{w: {{when: {}, jobs: [j: {{filters: {}}}]}}}}\n",
            quote(&format!("<< {text} >>")),
            quote(text),
            quote(text)
        ));
    });
    let patterns: Vec<String> =
        ["/^(?!main$)[a-z]+\\/v\\d{1,3}(-rc)?.*$/", "/(a+)+$/", "/\\p{Alpha}\\Q.\\E[^]]/"]
            .map(str::to_owned)
            .into();
    fuzz("pattern", &patterns, |text| {
        whole_way(&format!(
            "version: 2.1\njobs: {{j: {{machine: true, steps: [checkout]}}}}\nworkflows: {{w: {{jobs: [j: {{filters: {{branches: {{only: {}}}}}}}]}}}}\n",
            quote(text)
        ));
    });
}

#[test]
fn small_languages() {
    let own =
        |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    fuzz(
        "cache key",
        &own(&["v1-{{ arch }}-{{ checksum \"a\" }}", "{{ .Environment.A }}{{ epoch }}"]),
        |text| drop(Template::parse(text)),
    );
    fuzz("glob", &own(&["src/**/{a,b}[!c-d]?.rs", "[]a-]", "./x/\\*"]), |text| {
        if let Ok(glob) = Glob::new(text) {
            let _ = glob.matches(text);
        }
        drop(Glob::workspace(text));
    });
    drop(json_schema());
}

#[test]
fn timetables() {
    let texts = ["0 3 1-5 jan,feb sun", "*/5 * * * *"].map(str::to_owned);
    fuzz("cron", &texts, |text| drop(Cron::parse(text)));
}
