//! The official command line against the appliance: its requests as it sends them, and itself
//! where it is installed.
//!
//! Source: the requests and decoders of the published command lines, version 0.1 and version 1:
//! methods, paths, headers, bodies, and the members of the answers that they read.

mod itself;
mod orbs;
mod version_3;

use crate::{git::account, harness::Appliance, workspace::WorkingCopy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fs, process::Command};

const ORB: &str = "version: 2.1
commands:
  greet:
    parameters: {name: {type: string}}
    steps: [run: 'echo hello << parameters.name >>']
";

const CONFIG: &str = "version: 2.1
orbs: {say: acme/say@1}
parameters: {who: {type: string, default: relay}}
jobs:
  build:
    machine: true
    steps: [say/greet: {name: << pipeline.parameters.who >> << pipeline.number >>}]
workflows: {main: {jobs: [build]}}
";

const INVALID: &str = "version: 2.1\njobs: {build: {machine: true, steps: [chekout]}}\n";

/// What `config validate` reads of the compile endpoint.
#[derive(Deserialize)]
struct Compiled {
    valid: bool,
    #[serde(alias = "source-yaml", alias = "sourceYaml")]
    source: String,
    #[serde(alias = "output-yaml", alias = "outputYaml")]
    output: String,
    errors: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(alias = "title")]
    message: String,
}

/// An answer: status, media type, body.
struct Answer {
    status: u16,
    media: String,
    body: String,
}

impl Answer {
    /// The member at `pointer` as the client reads it; other media types it refuses.
    fn read<T: DeserializeOwned>(&self, pointer: &str) -> T {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.media.contains("application/json"), "{}", self.media);
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let part = body.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {body:#}"));
        serde_json::from_value(part.clone()).unwrap()
    }
}

/// The network side of the command line: TLS, the site's authority, its headers.
struct Caller {
    appliance: Appliance,
    token: String,
    /// Of the project `acme/relay`.
    copy: WorkingCopy,
}

impl Caller {
    fn new() -> Self {
        let appliance = Appliance::start();
        let orb = appliance.folder.path().join("say.yml");
        fs::write(&orb, ORB).unwrap();
        let imported = appliance.cli(&["orb", "import", orb.to_str().unwrap(), "acme/say@1.0.0"]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        let account = account(&appliance, "dev", "member");
        let token = account.split_once(':').unwrap().1.to_owned();
        let copy = WorkingCopy::new(&appliance, "acme/relay", &account);
        copy.commit(".circleci/config.yml", "version: 2.1\njobs: {}\n", "[skip ci] First");
        copy.push();
        Self { appliance, token, copy }
    }

    fn authority(&self) -> String {
        self.appliance.data().join("tls/ca.pem").display().to_string()
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str], body: Option<&Value>) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--request", method]);
        curl.args(["--cacert", &self.authority(), "--write-out", "\n%{http_code} %{content_type}"]);
        curl.args(["--header", "User-Agent: circleci-cli/0.1.0 (source)"]);
        for header in headers {
            curl.args(["--header", header]);
        }
        if let Some(body) = body {
            curl.args(["--data-binary", &body.to_string()]);
        }
        let output = curl.arg(format!("{}{path}", self.appliance.base_url)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, last) = text.rsplit_once('\n').unwrap();
        let (status, media) = last.split_once(' ').unwrap();
        Answer { status: status.parse().unwrap(), media: media.into(), body: body.into() }
    }

    /// As its client for API v2.
    fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Circle-Token: {}", self.token);
        let mut headers =
            vec![&*token, "Accept: application/json", "Circleci-Cli-Command: circleci config"];
        if body.is_some() {
            headers.push("Content-Type: application/json");
        }
        self.ask(method, path, &headers, body)
    }

    /// As its client for GraphQL: the token stands bare in `Authorization`.
    fn graphql(&self, query: &str, variables: &Value) -> Answer {
        let token = format!("Authorization: {}", self.token);
        let json = "application/json; charset=utf-8";
        let headers = [&*token, &format!("Content-Type: {json}"), &format!("Accept: {json}")];
        let body = json!({ "query": query, "variables": variables });
        self.ask("POST", "/graphql-unstable", &headers, Some(&body))
    }
}

/// Values as the command line makes them up: all with their prefix, of all types.
fn values() -> Value {
    json!({
        "pipeline.id": "00000000-0000-0000-0000-000000000001",
        "pipeline.number": 1,
        "pipeline.git.branch": "main",
        "pipeline.git.branch.is_default": false,
        "pipeline.event.github.pull_request.number": 111,
        "pipeline.event.github.pull_request.draft": false,
        "pipeline.trigger_parameters.gitlab.is_fork_merge_request": false,
        "pipeline.parameters.who": "you",
    })
}

fn check(answer: &Compiled, source: &str, output: &str) {
    let told: Vec<&str> = answer.errors.iter().map(|error| &*error.message).collect();
    assert_eq!((answer.valid, told), (true, vec![]));
    assert_eq!(answer.source, source);
    assert!(answer.output.contains(output), "{}", answer.output);
}

#[test]
fn every_request_of_the_official_command_lines_is_answered_as_they_read_it() {
    let caller = Caller::new();
    config(&caller);
    graphql(&caller);
    orbs::lists(&caller);
    orbs::dates_and_releases(&caller);
    contexts(&caller);
    version_3::compile(&caller);
    version_3::orbs(&caller);
    people(&caller);
}

/// `config validate` and `config process`.
fn config(caller: &Caller) {
    const PATH: &str = "/api/v2/compile-config-with-defaults";
    // It asks first without a body: whatever is refused is there, and only 404 is not.
    let probe = caller.rest("POST", PATH, None);
    assert!(probe.status >= 400 && probe.status != 404, "{} {}", probe.status, probe.body);
    let ask = |text: &str, options: Value| {
        let body = json!({ "config_yaml": text, "options": options });
        caller.rest("POST", PATH, Some(&body)).read::<Compiled>("")
    };
    check(&ask(CONFIG, json!({ "pipeline_values": values() })), CONFIG, "echo hello relay 1");
    let owner = "018f3c9e-0000-7000-8000-000000000000";
    let given = json!({ "owner_id": owner, "pipeline_values": values(), "pipeline_parameters": { "who": "you" } });
    check(&ask(CONFIG, given), CONFIG, "echo hello you 1");
    let refused = ask(INVALID, json!({ "pipeline_values": values() }));
    assert_eq!((refused.valid, refused.output.as_str(), refused.errors.len()), (false, "", 1));
    let message = &refused.errors[0].message;
    assert!(message.starts_with(".circleci/config.yml:2:39: "), "{message}");
    assert!(message.contains("Cannot find a definition for command named chekout"), "{message}");
    assert!(message.contains("did you mean `checkout`?"), "{message}");
}

/// `orb validate`, `orb source`, `orb info`, and `config` where the endpoint above is missing.
fn graphql(caller: &Caller) {
    let query = "query ValidateConfig ($config: String!, $pipelineParametersJson: String, $pipelineValues: [StringKeyVal!], $orgSlug: String, $next: Boolean!) {\n\tbuildConfig(configYaml: $config, pipelineValues: $pipelineValues, next: $next, pipelineParametersJson: $pipelineParametersJson) {\n\t\tvalid,\n\t\terrors { message },\n\t\tsourceYaml,\n\t\toutputYaml\n\t}\n}";
    let pairs = json!([{ "key": "pipeline.number", "val": 7 }]);
    let variables = json!({ "config": CONFIG, "next": false, "pipelineValues": pairs, "pipelineParametersJson": "{\"who\":\"you\"}" });
    let answer: Compiled = caller.graphql(query, &variables).read("/data/buildConfig");
    check(&answer, CONFIG, "echo hello you 7");

    let query = "query ValidateOrb ($config: String!, $owner: UUID) {\n\torbConfig(orbYaml: $config, ownerId: $owner) {\n\t\tvalid,\n\t\terrors { message },\n\t\tsourceYaml,\n\t\toutputYaml\n\t}\n}";
    let ask = |text: &str| caller.graphql(query, &json!({ "config": text }));
    check(&ask(ORB).read("/data/orbConfig"), ORB, "greet");
    let refused: Compiled = ask("commands: {c: {steps: [nothing]}}").read("/data/orbConfig");
    assert!(refused.errors[0].message.starts_with("orb.yml:1:24: "));

    let query = "query($orbVersionRef: String!) { orbVersion(orbVersionRef: $orbVersionRef) { id version orb { id name versions(count: 200) { version } } source } }";
    let ask = |reference: &str| caller.graphql(query, &json!({ "orbVersionRef": reference }));
    let found: Value = ask("acme/say@volatile").read("/data/orbVersion");
    assert_eq!((&found["source"], &found["version"]), (&json!(ORB), &json!("1.0.0")));
    assert_eq!(found["orb"]["versions"][0]["version"], "1.0.0");
    assert!(ask("acme/none@volatile").read::<Value>("/data/orbVersion").is_null());
    let answer = caller.graphql("mutation($name: String!) { createNamespace }", &json!({}));
    assert!(answer.read::<Message>("/errors/0").message.contains("orb import"));
}

/// `setup`, `diagnostic`, and the look-up of `--org-slug`.
fn people(caller: &Caller) {
    assert_eq!(caller.rest("GET", "/api/v2/me", None).read::<String>("/name"), "dev");
    let orgs: Vec<Value> = caller.rest("GET", "/api/v2/me/collaborations", None).read("");
    assert!(orgs.iter().all(|org| org["slug"].is_string() && org["vcs-type"] == "github"));
    let nobody = caller.ask("GET", "/api/v2/me", &["Circle-Token: apl_x"], None);
    assert_eq!(nobody.status, 401, "{}", nobody.body);
    // Of this face it reads what comes with 200 alone, and "must log in" as a missing token.
    let bare = caller.ask("POST", "/graphql-unstable", &["Authorization: apl_x"], None);
    assert!(bare.read::<Message>("/errors/0").message.contains("must log in"), "{}", bare.body);
}

/// What all `context` commands ask first, and the organisation of those that name it.
fn contexts(caller: &Caller) {
    let document = caller.rest("GET", "/api/v2/openapi.json", None);
    assert!(document.read::<Value>("/paths/~1context").is_object());
    let query = "query($orgName: String!, $vcsType: VCSType!) {\n\torganization(name: $orgName, vcsType: $vcsType) {\n\t\tid\n\t\tname\n\t\tvcsType\n\t}\n}";
    let named = |name: &str| json!({ "orgName": name, "vcsType": "GITHUB" });
    let none = caller.graphql(query, &named("none"));
    assert!(none.read::<Message>("/errors/0").message.contains("Organization not found."));
    let orgs: Vec<Value> = caller.rest("GET", "/api/v2/me/collaborations", None).read("");
    let org = orgs.first().unwrap();
    let found: Value = caller.graphql(query, &named("acme")).read("/data/organization");
    assert_eq!((&found["id"], &found["vcsType"]), (&org["id"], &json!("GITHUB")));
    let query = "query($orgId: ID!) { organization(id: $orgId) { id name vcsType } }";
    let found = caller.graphql(query, &json!({ "orgId": org["id"] }));
    assert_eq!(found.read::<String>("/data/organization/name"), "acme");
}
