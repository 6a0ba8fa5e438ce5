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
      - deploy: {context: [paint]}
"#;

/// Triggers a project's pipeline; how its workflow ends, and what its job says.
fn outcome(appliance: &Appliance, project: &str) -> (String, String) {
    let made = appliance.api("POST", &format!("/api/v2/project/gh/{project}/pipeline"), Some("{}"));
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
    assert!(refused["message"].as_str().unwrap().contains("`group`"), "{refused}");
    // What a library refuses is told in the form of the API, too.
    let garbage = appliance.api("POST", &restrictions, Some("garbage"));
    assert!(garbage["message"].as_str().unwrap().contains("JSON"), "{garbage}");
    let wrong = appliance.api("PATCH", &restrictions, None);
    assert!(wrong["message"].as_str().unwrap().contains("method"), "{wrong}");
    appliance.api("DELETE", &format!("{restrictions}/{}", made["id"].as_str().unwrap()), None);
    assert!(appliance.items(&restrictions).is_empty());
}
