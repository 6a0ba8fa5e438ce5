//! The official command line against the appliance: its requests as it sends them, and itself
//! where it is installed.
//!
//! Source: the requests and decoders of the published command lines, version 0.1 and version 1:
//! methods, paths, headers, bodies, and the members of the answers that they read.

use crate::{
    git::account,
    harness::{Appliance, announce},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};

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
        Self { appliance, token }
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
    version_1(&caller);
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
    assert_eq!(found["orb"]["versions"], json!([{ "version": "1.0.0" }]));
    assert!(ask("acme/none@volatile").read::<Value>("/data/orbVersion").is_null());
    let answer = caller.graphql("mutation($name: String!) { createNamespace }", &json!({}));
    assert!(answer.read::<Message>("/errors/0").message.contains("orb import"));
    orb_lists(caller);
}

/// `orb list`, `orb list NAMESPACE`, with and without details, and what other orb commands ask
/// first. The store holds one orb of `acme`, and more than one page of `many`.
fn orb_lists(caller: &Caller) {
    for number in 0..23 {
        let orb = caller.appliance.folder.path().join("say.yml");
        let name = format!("many/orb{number:02}@1.0.0");
        let added = caller.appliance.cli(&["orb", "import", orb.to_str().unwrap(), &name]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
    // All pages, as the command line walks them: by the cursor of the last edge.
    let walk = |query: &str, at: &str, mut variables: Value| {
        let (mut found, mut pages) = (vec![], 0);
        loop {
            let answer: Value = caller.graphql(query, &variables).read(at);
            pages += 1;
            for edge in answer["edges"].as_array().unwrap() {
                variables["after"] = edge["cursor"].clone();
                found.push(edge["node"].clone());
            }
            if !answer["pageInfo"]["hasNextPage"].as_bool().unwrap() {
                return (found, pages);
            }
        }
    };
    let all = "\nquery ListOrbs ($after: String!, $certifiedOnly: Boolean!) {\n  orbs(first: 20, after: $after, certifiedOnly: $certifiedOnly) {\n\ttotalCount,\n    edges {\n\t\tcursor\n\t  node {\n\t    name\n\t    statistics {\n\t\tlast30DaysBuildCount,\n\t\tlast30DaysProjectCount,\n\t\tlast30DaysOrganizationCount\n\t    }\n\t\t  versions(count: 1) {\n\t\t\tversion,\n\t\t\tsource\n\t\t  }\n\t\t}\n\t}\n    pageInfo {\n      hasNextPage\n    }\n  }\n}\n";
    let (orbs, pages) = walk(all, "/data/orbs", json!({ "after": "", "certifiedOnly": true }));
    assert_eq!((orbs.len(), pages), (24, 2));
    assert_eq!(orbs[0]["name"], "acme/say");
    assert_eq!(
        orbs[0]["versions"],
        json!([{ "id": "acme/say@1.0.0", "version": "1.0.0", "source": ORB }])
    );
    assert!(orbs.iter().all(|orb| orb["statistics"]["last30DaysBuildCount"].is_u64()));

    let of_namespace = |versions: &str| {
        format!(
            "\nquery namespaceOrbs ($namespace: String, $after: String!, $view: OrbListViewType) {{\n\tregistryNamespace(name: $namespace) {{\n\t\tname\n                id\n\t\torbs(first: 20, after: $after, view: $view) {{\n\t\t\tedges {{\n\t\t\t\tcursor\n\t\t\t\tnode {{\n\t\t\t\t\tversions {versions} version\n\t\t\t\t\t}}\n\t\t\t\t\tname\n\t                                statistics {{\n\t\t                           last30DaysBuildCount,\n\t\t                           last30DaysProjectCount,\n\t\t                           last30DaysOrganizationCount\n\t                               }}\n\t\t\t\t}}\n\t\t\t}}\n\t\t\ttotalCount\n\t\t\tpageInfo {{\n\t\t\t\thasNextPage\n\t\t\t}}\n\t\t}}\n\t}}\n}}\n"
        )
    };
    let asked =
        |namespace: &str, view: &str| json!({ "after": "", "namespace": namespace, "view": view });
    let at = "/data/registryNamespace/orbs";
    let (orbs, pages) = walk(&of_namespace("{"), at, asked("many", "PUBLIC_ONLY"));
    assert_eq!((orbs.len(), pages), (23, 2));
    assert_eq!(orbs[22]["versions"], json!([{ "version": "1.0.0" }]));
    let (orbs, _) = walk(&of_namespace("(count: 1){ source,"), at, asked("acme", "PUBLIC_ONLY"));
    assert_eq!((orbs.len(), &orbs[0]["versions"][0]["source"]), (1, &json!(ORB)));
    assert!(walk(&of_namespace("{"), at, asked("acme", "PRIVATE_ONLY")).0.is_empty());
    let nobody = caller.graphql(&of_namespace("{"), &asked("none", "PUBLIC_ONLY"));
    assert!(nobody.read::<Value>("/data/registryNamespace").is_null());

    let id = "\n\tquery ($name: String!, $namespace: String) {\n\t\torb(name: $name) {\n\t\t  id\n\t\t  isPrivate\n\t\t}\n\t\tregistryNamespace(name: $namespace) {\n\t\t\tid\n\t\t  }\n\t  }\n\t  ";
    let ask = |name: &str| {
        let variables = json!({ "name": name, "namespace": name.split('/').next() });
        caller.graphql(id, &variables).read::<Value>("/data")
    };
    let found = ask("acme/say");
    assert_eq!(
        (&found["orb"]["isPrivate"], &found["registryNamespace"]["id"]),
        (&json!(false), &json!("acme"))
    );
    assert!(ask("acme/none")["orb"].is_null() && ask("none/say")["registryNamespace"].is_null());
    let newest = "query($name: String!) {\n\t\t\t    orb(name: $name) {\n\t\t\t      versions(count: 1) {\n\t\t\t\t    version\n\t\t\t      }\n\t\t\t    }\n\t\t      }";
    let found = caller.graphql(newest, &json!({ "name": "acme/say" }));
    assert_eq!(found.read::<Value>("/data/orb/versions"), json!([{ "version": "1.0.0" }]));
    let categories = "\n\tquery ListOrbCategories($after: String!) {\n\t\torbCategories(first: 20, after: $after) {\n\t\t\ttotalCount\n\t\t\tedges {\n\t\t\t\tcursor\n\t\t\t\tnode {\n\t\t\t\t\tid\n\t\t\t\t\tname\n\t\t\t\t}\n\t\t\t}\n\t\t\tpageInfo {\n\t\t\t\thasNextPage\n\t\t\t}\n\t\t}\n\t}\n";
    assert!(walk(categories, "/data/orbCategories", json!({ "after": "" })).0.is_empty());
}

/// `config validate` of version 1, which sends its token as a bearer.
fn version_1(caller: &Caller) {
    let token = format!("Authorization: Bearer {}", caller.token);
    let headers = [&*token, "Content-Type: application/json", "Accept: application/json"];
    let ask = |text: &str| {
        let attributes = json!({ "config": text, "pipeline_values": values(), "pipeline_parameters": { "who": "you" } });
        let body = json!({ "data": { "attributes": attributes, "references": { "org": { "id": "018f3c9e-0000-7000-8000-000000000000" } } } });
        caller.ask("POST", "/api/v3/configs/compile", &headers, Some(&body))
    };
    let answer = ask(CONFIG);
    assert_eq!(answer.read::<String>("/data/attributes/outcome"), "succeeded");
    let output: String = answer.read("/data/attributes/compiled_config");
    assert!(output.contains("echo hello you 1"), "{output}");
    let refused = ask(INVALID);
    assert_eq!(refused.read::<String>("/data/attributes/outcome"), "failed");
    let told: Vec<Message> = refused.read("/meta/messages");
    assert!(told.iter().any(|told| told.message.contains("named chekout")));
}

/// `setup`, `diagnostic`, and the look-up of `--org-slug`.
fn people(caller: &Caller) {
    assert_eq!(caller.rest("GET", "/api/v2/me", None).read::<String>("/name"), "dev");
    let orgs: Vec<Value> = caller.rest("GET", "/api/v2/me/collaborations", None).read("");
    assert!(orgs.iter().all(|org| org["slug"].is_string() && org["vcs-type"] == "github"));
    let nobody = caller.ask("GET", "/api/v2/me", &["Circle-Token: apl_x"], None);
    assert_eq!(nobody.status, 401, "{}", nobody.body);
    let bare = caller.ask("POST", "/graphql-unstable", &["Authorization: apl_x"], None);
    assert_eq!(bare.status, 401, "{}", bare.body);
}

/// Runs the official command line; `None` where it is not installed.
fn official(caller: &Caller, arguments: &[&str]) -> Option<(bool, String)> {
    let folder = caller.appliance.folder.path();
    let output = Command::new("circleci")
        .args(arguments)
        .arg("--skip-update-check")
        .current_dir(folder)
        .env("HOME", folder)
        .env("SSL_CERT_FILE", caller.authority())
        .env("CIRCLECI_CLI_HOST", &caller.appliance.base_url)
        .env("CIRCLECI_CLI_TOKEN", &caller.token)
        .env("CIRCLECI_CLI_TELEMETRY_OPTOUT", "1")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let told = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&told).into_owned()))
}

#[test]
fn the_official_command_line_works_against_the_appliance() {
    if Command::new("circleci").arg("version").stdin(Stdio::null()).output().is_err() {
        announce("skipped: the official command line is not installed");
        return;
    }
    let caller = Caller::new();
    for (name, text) in [("ok.yml", CONFIG), ("bad.yml", INVALID), ("orb.yml", ORB)] {
        fs::write(caller.appliance.folder.path().join(name), text).unwrap();
    }
    for (arguments, fine, words) in [
        (&["diagnostic"][..], true, "Hello, dev."),
        (&["config", "validate", "ok.yml"], true, "Config file at ok.yml is valid."),
        (&["config", "process", "ok.yml"], true, "command: echo hello relay 1"),
        (
            &["config", "process", "ok.yml", "--pipeline-parameters", "{who: you}"],
            true,
            "command: echo hello you 1",
        ),
        (&["config", "validate", "bad.yml"], false, "did you mean `checkout`?"),
        (&["orb", "validate", "orb.yml"], true, "is valid"),
        (&["orb", "source", "acme/say"], true, "echo hello"),
        (&["orb", "info", "acme/say"], true, "acme/say@1.0.0"),
        (&["orb", "list"], true, "acme/say (1.0.0)"),
        (&["orb", "list", "acme"], true, "acme/say (1.0.0)"),
        (&["orb", "list", "none"], false, "No namespace found"),
    ] {
        let (ended_well, told) = official(&caller, arguments).unwrap();
        assert!(ended_well == fine && told.contains(words), "{arguments:?}: {told}");
    }
}
