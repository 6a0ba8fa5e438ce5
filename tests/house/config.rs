//! The configuration language through its faces: command line, orbs, continuation.

use crate::{
    git::account,
    harness::{Appliance, BINARY, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const PROJECT: &str = "acme/relay";

const ORB: &str = "version: 2.1
commands:
  greet:
    parameters: {name: {type: string}}
    steps: [run: 'echo hello << parameters.name >>']
";

const WITH_ORB: &str = "version: 2.1
orbs: {say: acme/say@1}
jobs:
  build:
    machine: true
    steps: [say/greet: {name: relay}]
workflows: {main: {jobs: [build]}}
";

/// The command line in a folder that is also its data directory.
fn cli(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .env("APPLIANCE_DATA_DIR", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, and words of standard output and standard error.
fn check(folder: &Path, arguments: &[&str], code: i32, out: &str, err: &str) {
    let output = cli(folder, arguments);
    let (found_out, found_err) = (text(&output.stdout), text(&output.stderr));
    let told = format!("{arguments:?}\n{found_out}\n{found_err}");
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(found_out.contains(out) && found_err.contains(err), "{told}");
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn the_command_line_checks_explains_and_draws() {
    const CONFIG: &str = "version: 2.1
parameters: {image: {type: string, default: base}}
commands:
  make: {parameters: {t: {type: string}}, steps: [run: make << parameters.t >>]}
jobs:
  build: {docker: [{image: 'cimg/<< pipeline.parameters.image >>:1'}], steps: [checkout, make: {t: all}]}
  test: {docker: [{image: 'cimg/base:1'}], steps: [run: make test]}
workflows: {main: {jobs: [build, test: {requires: [build]}]}}
";
    let broken = CONFIG.replace("make: {t: all}", "maek: {t: all}");
    let folder = folder(&[
        (".circleci/config.yml", CONFIG),
        ("broken.yml", &broken),
        ("parts/@all.yml", "version: 2.1"),
        ("parts/jobs/build.yml", "machine: true"),
    ]);
    let at = folder.path();
    fs::write(at.join("latin.yml"), b"version: 2.1\n# gr\xfcn\n").unwrap();
    check(at, &["config", "validate"], 0, "Config file at .circleci/config.yml is valid.", "");
    check(at, &["config", "validate", "-c", "broken.yml"], 8, "", "did you mean `make`?");
    let shown = text(&cli(at, &["config", "validate", "broken.yml"]).stderr);
    assert!(shown.contains("broken.yml:6:"), "{shown}");
    assert!(shown.contains('^') && shown.contains("called from job 'build'"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal: {shown:?}");
    check(at, &["config", "validate", "broken.yml", "--json"], 8, "\"code\": \"unknown-name\"", "");
    check(at, &["config", "process"], 0, "image: cimg/base:1", "");
    check(at, &["config", "process", "-p", "image=go"], 0, "image: cimg/go:1", "");
    let map =
        ["config", "process", "--pipeline-parameters", "{image: go}", "--org-slug", "gh/acme"];
    check(at, &map, 0, "image: cimg/go:1", "");
    check(at, &["config", "explain", "build"], 0, ".circleci/config.yml:4:", "");
    check(at, &["config", "explain", "bild"], 3, "", "there are build, test");
    check(at, &["config", "graph"], 0, "    test  ← build", "");
    check(at, &["config", "graph", "--format", "dot"], 0, "\"build\" -> \"test\";", "");
    check(at, &["config", "graph", "--format", "svg"], 0, "<svg", "");
    check(at, &["config", "pack", "parts"], 0, "jobs:\n  build:\n    machine: true\n", "");
    check(at, &["config", "schema"], 0, "\"$schema\"", "");
    check(at, &["config", "validate", "gone.yml"], 2, "", "gone.yml");
    check(at, &["config", "validate", "latin.yml"], 2, "", "latin.yml:2 is not UTF-8 text");
}

#[test]
fn orbs_come_from_the_store_and_a_missing_one_tells_how() {
    let folder = folder(&[
        ("config.yml", WITH_ORB),
        ("say.yml", ORB),
        ("bad.yml", "version: 2.1\ncommands: {c: {steps: [nothing]}}\n"),
        ("src/@orb.yml", "version: 2.1\n"),
        (
            "src/commands/greet.yml",
            "parameters: {name: {type: string}}\nsteps: [run: <<include(x.sh)>>]\n",
        ),
        ("src/x.sh", "echo packed"),
    ]);
    let at = folder.path();
    check(
        at,
        &["config", "validate", "config.yml"],
        8,
        "",
        "appliance orb import FILE acme/say@VERSION",
    );
    let looked_for = format!("orbs are looked for in {}/orbs", at.display());
    check(at, &["config", "validate", "config.yml"], 8, "", &looked_for);
    check(at, &["orb", "import", "bad.yml", "acme/say@1.0.0"], 8, "", "nothing");
    check(at, &["orb", "import", "say.yml", "acme/say@1.0.0"], 0, "acme/say@1.0.0 imported", "");
    check(at, &["orb", "import", "src", "acme/say@1.0.0"], 1, "", "never changes");
    check(at, &["orb", "import", "src", "acme/say@1.1.0"], 0, "acme/say@1.1.0 imported", "");
    check(at, &["orb", "list"], 0, "acme/say  1.0.0 1.1.0", "");
    check(at, &["orb", "source", "acme/say"], 0, "echo packed", "");
    check(at, &["orb", "pack", "src"], 0, "- run: echo packed", "");
    check(at, &["orb", "validate", "src"], 0, "is valid", "");
    check(
        at,
        &["config", "process", "config.yml"],
        0,
        "# Orb 'acme/say@1' resolved to 'acme/say@1.1.0'",
        "",
    );
    check(at, &["orb", "export", "all.tar.gz"], 0, "", "2 orbs written");
    let other = self::folder(&[("config.yml", WITH_ORB)]);
    let bundle = at.join("all.tar.gz").display().to_string();
    check(other.path(), &["orb", "import", &bundle], 0, "acme/say@1.0.0 imported", "");
    check(other.path(), &["config", "validate", "config.yml"], 0, "is valid", "");
}

#[test]
fn a_data_directory_that_is_named_is_meant_whatever_the_environment_says() {
    let folder = folder(&[("say.yml", ORB)]);
    let at = folder.path();
    let check = |words: &[&str], code: i32, expected: &str| {
        let output = Command::new(BINARY)
            .args(words)
            .current_dir(at)
            .env("APPLIANCE_HOST", "https://127.0.0.1:1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = text(&[output.stdout, output.stderr].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}\n{told}");
        assert!(told.contains(expected), "{words:?}: {expected}\n{told}");
    };
    let import = ["orb", "import", "say.yml", "acme/say@1.0.0"];
    check(&import, 7, "https://127.0.0.1:1");
    let into = format!("imported into {}/data/orbs", at.display());
    check(&[&import[..], &["--data-dir", "data"]].concat(), 0, &into);
    check(&["orb", "list", "--data-dir=data"], 0, "acme/say  1.0.0");
    check(&["registry", "list"], 7, "https://127.0.0.1:1");
    check(&["registry", "list", "--data-dir", "data"], 7, "data/control.sock");
    let both = ["orb", "list", "--data-dir", "data", "--host", "https://127.0.0.1:2"];
    check(&both, 7, "https://127.0.0.1:2");
}

#[test]
fn a_setup_job_continues_its_pipeline_with_its_key() {
    if !may_run_jobs() {
        return;
    }
    const SETUP: &str = "version: 2.1
setup: true
jobs:
  choose:
    machine: true
    steps:
      - run: mkdir out && printf %s \"$CIRCLE_CONTINUATION_KEY\" > out/key
      - store_artifacts: {path: out}
workflows: {setup: {jobs: [choose]}}
";
    let appliance = Appliance::start();
    let orb = appliance.folder.path().join("say.yml");
    fs::write(&orb, ORB).unwrap();
    let imported = appliance.cli(&["orb", "import", orb.to_str().unwrap(), "acme/say@1.0.0"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", SETUP, "Configure");
    copy.push();
    let pipeline = appliance.newest_pipeline(PROJECT);
    assert!(pipeline["state"].as_str().unwrap().starts_with("setup"), "{pipeline:#}");
    let id = pipeline["id"].as_str().unwrap();
    assert_eq!(appliance.wait_for_workflows(id), [("setup".to_owned(), "success".to_owned())]);

    let number = appliance.jobs(id)[0]["job_number"].to_string();
    let out = appliance.folder.path().join("artifacts").display().to_string();
    let got = appliance.cli(&["artifact", "get", PROJECT, &number, "--output", &out]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    let key = find(Path::new(&out), "key");
    let body = json!({ "continuation-key": key, "configuration": WITH_ORB, "parameters": {} });
    let go_on = || appliance.api("POST", "/api/v2/pipeline/continue", Some(&body.to_string()));
    assert_eq!(go_on()["message"], "Pipeline successfully continued.");
    assert!(go_on()["message"].as_str().unwrap().contains("once"));
    let states = wait_for("both workflows to end", || {
        Some(appliance.wait_for_workflows(id)).filter(|states| states.len() == 2)
    });
    assert!(states.iter().all(|(_, state)| state == "success"), "{states:?}");
    let texts = appliance.api("GET", &format!("/api/v2/pipeline/{id}/config"), None);
    assert_eq!((&texts["source"], &texts["setup-config"]), (&json!(WITH_ORB), &json!(SETUP)));
    assert_eq!(appliance.newest_pipeline(PROJECT)["state"], "created");
}

/// The text of the file of that name somewhere below a folder.
fn find(folder: &Path, name: &str) -> String {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return find(&path, name);
        }
        if path.ends_with(name) {
            return fs::read_to_string(path).unwrap();
        }
    }
    panic!("no {name} in {}", folder.display());
}
