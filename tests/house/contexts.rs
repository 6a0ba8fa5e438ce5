//! Contexts that not every project may use.

use crate::{
    git::account,
    harness::{Appliance, may_run_jobs},
    workspace::WorkingCopy,
};

const CONFIG: &str = r#"version: 2.1
jobs:
  deploy:
    machine: true
    steps: [run: 'test "$COLOUR" = turquoise']
workflows:
  main:
    jobs:
      - deploy: {context: [paint], filters: {tags: {only: /.*/}}}
"#;

/// Triggers a project's pipeline; how its workflow ends, and what its job says.
fn outcome(appliance: &Appliance, project: &str) -> (String, String) {
    outcome_of(appliance, project, "{}")
}

/// The same of a branch or tag.
fn outcome_of(appliance: &Appliance, project: &str, wanted: &str) -> (String, String) {
    let path = format!("/api/v2/project/gh/{project}/pipeline");
    let made = appliance.api("POST", &path, Some(wanted));
    let pipeline = made["id"].as_str().unwrap();
    let state = appliance.wait_for_workflows(pipeline).remove(0).1;
    let number = appliance.jobs(pipeline)[0]["job_number"].to_string();
    let job = appliance.api("GET", &format!("/api/v2/project/gh/{project}/job/{number}"), None);
    (state, job["messages"].to_string())
}

#[test]
fn a_restricted_context_is_closed_to_other_projects() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let login = account(&appliance, "dev", "member");
    for project in ["acme/one", "acme/two"] {
        let copy = WorkingCopy::new(&appliance, project, &login);
        copy.commit(".circleci/config.yml", CONFIG, "[skip ci] Paint");
        copy.push();
    }
    let context = r#"{"name":"paint","owner":{"slug":"gh/acme"}}"#;
    let context = appliance.api("POST", "/api/v2/context", Some(context));
    let path = format!("/api/v2/context/{}", context["id"].as_str().unwrap());
    let value = Some(r#"{"value":"turquoise"}"#);
    appliance.api("PUT", &format!("{path}/environment-variable/COLOUR"), value);
    assert_eq!(outcome(&appliance, "acme/two").0, "success", "open to all at first");

    let restrictions = format!("{path}/restrictions");
    let one = appliance.api("GET", "/api/v2/project/gh/acme/one", None)["id"].clone();
    let body = serde_json::json!({ "restriction_type": "project", "restriction_value": one });
    let made = appliance.api("POST", &restrictions, Some(&body.to_string()));
    assert_eq!(made["name"], "acme/one", "{made}");
    assert_eq!(appliance.items(&restrictions), std::slice::from_ref(&made));
    assert_eq!(outcome(&appliance, "acme/one").0, "success");
    let (state, told) = outcome(&appliance, "acme/two");
    assert_eq!(state, "unauthorized", "{told}");
    assert!(told.contains("`paint` is restricted to other projects"), "{told}");

    let group = r#"{"restriction_type":"group","restriction_value":"x"}"#;
    let refused = appliance.api("POST", &restrictions, Some(group));
    let told = refused["message"].as_str().unwrap();
    assert!(told.contains("`group`") && told.contains("`expression`"), "{refused}");
    // What a library refuses is told in the form of the API, too.
    let garbage = appliance.api("POST", &restrictions, Some("garbage"));
    assert!(garbage["message"].as_str().unwrap().contains("JSON"), "{garbage}");
    let wrong = appliance.api("PATCH", &restrictions, None);
    assert!(wrong["message"].as_str().unwrap().contains("method"), "{wrong}");
    appliance.api("DELETE", &format!("{restrictions}/{}", made["id"].as_str().unwrap()), None);
    assert!(appliance.items(&restrictions).is_empty());
}

#[test]
fn a_context_is_open_where_its_expressions_hold() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let login = account(&appliance, "dev", "member");
    let copy = WorkingCopy::new(&appliance, "acme/one", &login);
    copy.commit(".circleci/config.yml", CONFIG, "[skip ci] Paint");
    copy.git(&["tag", "v1"]);
    copy.git(&["push", "--quiet", "origin", "main", "main:dev", "v1"]);
    let context = r#"{"name":"paint","owner":{"slug":"gh/acme"}}"#;
    let context = appliance.api("POST", "/api/v2/context", Some(context));
    let path = format!("/api/v2/context/{}", context["id"].as_str().unwrap());
    let value = Some(r#"{"value":"turquoise"}"#);
    appliance.api("PUT", &format!("{path}/environment-variable/COLOUR"), value);
    let restrictions = format!("{path}/restrictions");
    let restrict = |text: &str| {
        let body =
            serde_json::json!({ "restriction_type": "expression", "restriction_value": text });
        appliance.api("POST", &restrictions, Some(&body.to_string()))
    };
    let wrong = restrict("pipeline.git.brunch == \"main\"");
    let told = wrong["message"].as_str().unwrap();
    assert!(told.contains("wrong at 1:1") && told.contains("`pipeline.git.branch`"), "{wrong}");

    let made = restrict(
        "pipeline.git.branch == \"main\"\nand not job.ssh.enabled and not (pipeline.config_source starts-with \"api\")",
    );
    assert_eq!(made["restriction_type"], "expression", "{made}");
    assert_eq!(appliance.items(&restrictions), std::slice::from_ref(&made));
    let branch =
        |name: &str| outcome_of(&appliance, "acme/one", &format!(r#"{{"branch":"{name}"}}"#));
    assert_eq!(branch("main").0, "success");
    let (state, told) = branch("dev");
    assert_eq!(state, "unauthorized", "{told}");
    for part in ["context `paint`", "pipeline.git.branch ==", "which is false"] {
        assert!(told.contains(part), "{told}");
    }
    let (state, told) = outcome_of(&appliance, "acme/one", r#"{"tag":"v1"}"#);
    assert_eq!(state, "unauthorized", "{told}");
    assert!(told.contains("this pipeline has no `pipeline.git.branch`"), "{told}");

    // Every expression must hold.
    let second = restrict("pipeline.number > 1000");
    assert_eq!(branch("main").0, "unauthorized");
    appliance.api("DELETE", &format!("{restrictions}/{}", second["id"].as_str().unwrap()), None);
    assert_eq!(branch("main").0, "success");
}
