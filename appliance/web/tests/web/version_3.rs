//! What version 1 of the official command line asks of version 3 of the API, and reads.

use crate::{
    clients::run,
    doors::{BASE, WORD, ask, text},
    site::{
        Site,
        past::{Run, ended, good},
    },
};
use base::{
    ids::ProjectId,
    state::{JobState, StepState, WorkflowState},
};
use serde_json::{Value, json};
use store::access::Role;

/// A site with a project, and a caller of it.
struct Asker {
    site: Site,
    project: ProjectId,
    token: String,
}

impl Asker {
    async fn new() -> Self {
        let site = Site::open(BASE).await;
        let project = site.project("acme/relay").await;
        let user = site.account("mira", Role::Admin, WORD, false).await;
        let token = site.token(user, Role::Admin).await;
        Self { site, project, token }
    }

    async fn raw(&self, method: &str, path: &str, body: &str) -> http::Response<axum::body::Body> {
        let bearer = format!("Bearer {}", self.token);
        let path = path.replace('[', "%5B").replace(']', "%5D");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        ask(&self.site, method, &path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.raw("GET", path, "").await;
        let status = answer.status();
        let body = text(answer).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn search(&self, filter: &str, cursor: &str) -> Value {
        let body = json!({
            "scope": { "project_ids": [self.project], "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z" },
            "filter": filter,
            "page": { "cursor": cursor, "limit": 2 },
        });
        let answer = self.raw("POST", "/api/v3/runs/search", &body.to_string()).await;
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&text(answer).await).unwrap()
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn names_become_identifiers() {
    let asker = Asker::new().await;
    let project = asker.project.to_string();
    let found = asker.get("/api/v3/projects?filter[slug]=gh/acme/relay").await;
    assert_eq!(ids(&found), [project.as_str()]);
    let org = found["data"][0]["references"]["org"]["id"].as_str().unwrap().to_owned();
    let orgs = asker.get("/api/v3/orgs?filter[slug]=gh/acme").await;
    assert_eq!(ids(&orgs), [org.as_str()]);
    let named = format!("/api/v3/projects?filter[org_id]={org}&filter[name]=relay");
    assert_eq!(ids(&asker.get(&named).await), [project.as_str()]);
    for nothing in [
        "/api/v3/projects?filter[slug]=gh/acme/none",
        "/api/v3/orgs?filter[slug]=gh/none",
        "/api/v3/orb/packages?filter[name]=acme/none",
        "/api/v3/orb/versions?filter[ref]=acme/none@volatile",
        "/api/v3/orb/categories",
    ] {
        assert_eq!(asker.get(nothing).await["data"], json!([]), "{nothing}");
    }
    // As `project link` keeps it.
    let linked = format!("/api/v3/projects?filter[slug]=circleci/{org}/{project}");
    assert_eq!(ids(&asker.get(&linked).await), [project.as_str()]);
    let linked = asker.get(&format!("/api/v2/project/circleci/{org}/{project}")).await;
    assert_eq!(linked["slug"], "gh/acme/relay");
    let contexts = format!("/api/v2/context?owner-slug=circleci/{org}");
    assert_eq!(asker.get(&contexts).await["items"], json!([]));
    let one = asker.get(&format!("/api/v3/projects/{project}")).await;
    assert_eq!(one["data"]["attributes"]["name"], "relay");
    let me = asker.get("/api/v3/users?filter[user_id]=me").await;
    assert_eq!(me["data"][0]["attributes"]["login"], "mira");
    let definitions = asker.get(&format!("/api/v3/pipelines?filter[project_id]={project}")).await;
    assert_eq!(definitions["data"][0]["attributes"]["config"]["file_path"], ".circleci/config.yml");
    let runners = asker.get(&format!("/api/v3/runner/resource?org-id={org}")).await;
    assert_eq!(runners["items"], json!([]));
}

/// 404 would be read as "no such namespace" and the like.
#[tokio::test]
async fn what_is_not_offered_says_so_in_the_form_of_version_3() {
    let asker = Asker::new().await;
    let id = "00000000-0000-7000-8000-000000000001";
    for (method, path, status, title, detail) in [
        ("GET", "/api/v3/deploys", 501, "Not offered", "does not offer GET /api/v3/deploys"),
        ("POST", "/api/v3/orb/packages", 501, "Not offered", "appliance orb import"),
        ("POST", "/api/v3/namespaces", 501, "Not offered", "appliance orb import"),
        ("POST", "/api/v3/pipelines", 501, "Not offered", "one pipeline definition"),
        ("POST", "/api/v3/runner/token", 501, "Not offered", "local runner"),
        ("GET", "/api/v3/namespaces?filter[name]=none", 404, "Not found", "Namespace not found."),
        ("GET", &format!("/api/v3/runs/{id}"), 404, "Not found", "Pipeline not found."),
        ("GET", &format!("/api/v3/jobs/{id}/stdout"), 404, "Not found", "Job not found."),
        ("GET", "/api/v3/workflows", 400, "Bad request", "filter[run_id]"),
        ("PATCH", "/api/v3/orgs", 405, "Method not allowed", "does not take that method"),
    ] {
        let answer = asker.raw(method, path, "{}").await;
        assert_eq!(answer.status(), status, "{method} {path}");
        let body: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(body["error"]["title"], title, "{method} {path}");
        let told = body["error"]["detail"].as_str().unwrap();
        assert!(told.contains(detail) && body["message"] == told, "{method} {path}: {told}");
    }
    let nobody = ask(&asker.site, "GET", "/api/v3/users", &[], "").await;
    assert_eq!(nobody.status(), 401);
    assert!(text(nobody).await.contains(r#""title":"Unauthorized""#));
}

#[tokio::test]
async fn runs_are_found_by_branch_commit_status_and_person() {
    let asker = Asker::new().await;
    let other = asker.site.project("other/noise").await;
    for number in 1..=5 {
        let state = if number == 4 { WorkflowState::Failed } else { WorkflowState::Success };
        let branch = if number % 2 == 0 { "main" } else { "side" };
        let jobs = vec![good("build", &[], 2, 3)];
        asker.site.past(Run { project: asker.project, state, branch, jobs, ..run(number) }).await;
        let actor = if number == 5 { "mira" } else { "somebody" };
        asker.site.past(Run { project: other, actor, jobs: vec![], ..run(number + 50) }).await;
    }
    let first = asker.search("", "").await;
    let second = asker.search("", first["page"]["next"].as_str().unwrap()).await;
    let third = asker.search("", second["page"]["next"].as_str().unwrap()).await;
    let mut all: Vec<&str> = [&first, &second, &third].into_iter().flat_map(ids).collect();
    assert_eq!((all.len(), &third["page"]["next"]), (5, &Value::Null));
    all.dedup();
    assert_eq!(all.len(), 5);
    let main = asker.search(r#"pipeline.git.branch == "main""#, "").await;
    assert_eq!(ids(&main).len(), 2);
    assert_eq!(main["data"][0]["attributes"]["current_outcome"], "failed");
    let vcs = &main["data"][1]["references"]["event"]["attributes"]["vcs"];
    let revision = vcs["revision"].as_str().unwrap();
    let filter =
        format!(r#"pipeline.git.revision == "{revision}" and pipeline.git.branch == "main""#);
    assert_eq!(ids(&asker.search(&filter, "").await), [ids(&main)[1]]);
    let failed = asker.search(r#"pipeline.status == "failed""#, "").await;
    assert_eq!(ids(&failed), [ids(&main)[0]]);
    let mine = asker.get("/api/v3/runs?filter[user_id]=me&page[limit]=20").await;
    assert_eq!(ids(&mine).len(), 6, "five of the project and one of the other");
    let failed = asker
        .get("/api/v3/runs?filter[user_id]=me&filter[phase]=ended&filter[current_outcome]=failed")
        .await;
    assert_eq!(ids(&failed), [ids(&main)[0]]);
    let one = asker.get(&format!("/api/v3/runs/{}", ids(&main)[0])).await;
    assert_eq!(one["data"]["attributes"]["phase"], "ended");
    let body = r#"{"scope":{"project_ids":[]},"filter":"pipeline.number == 4"}"#;
    let refused = asker.raw("POST", "/api/v3/runs/search", body).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn a_run_is_read_down_to_the_bytes_of_its_steps() {
    let asker = Asker::new().await;
    let jobs = vec![good("build", &[], 2, 3), ended(good("test", &[0], 6, 9), JobState::Failed)];
    let state = WorkflowState::Failed;
    let made = asker.site.past(Run { project: asker.project, state, jobs, ..run(1) }).await;
    let steps = [
        ("Spin up environment", 1, StepState::Success, "ready\n"),
        ("cargo test", 4, StepState::Failed, "one\ntwo\n"),
        ("Following", 1, StepState::Running, "so far\n"),
    ];
    let task = asker.site.steps(made[1], &steps).await;
    asker.site.artifact(task, "logs/all.txt", b"all".to_vec()).await;
    asker
        .site
        .results(
            task,
            &[("short", "frame", "failure", 1500, "no"), ("long", "frame", "success", 2, "")],
        )
        .await;

    let run = asker.search("", "").await;
    let workflows = asker.get(&format!("/api/v3/workflows?filter[run_id]={}", ids(&run)[0])).await;
    let workflow = ids(&workflows)[0].to_owned();
    assert_eq!(workflows["data"][0]["references"]["run"]["id"], run["data"][0]["id"]);
    assert_eq!(
        asker.get(&format!("/api/v3/workflows/{workflow}")).await["data"],
        workflows["data"][0]
    );
    let jobs = asker.get(&format!("/api/v3/jobs?filter[workflow_id]={workflow}")).await;
    let job = made[1].to_string();
    assert_eq!(ids(&jobs), [made[0].to_string(), job.clone()]);
    assert_eq!(jobs["data"][1]["attributes"]["outcome"], "failed");
    let detail = asker.get(&format!("/api/v3/jobs/{job}")).await;
    let step = &detail["data"]["attributes"]["parallel_executions"][0]["steps"][1];
    let read = ["name", "num", "phase", "outcome", "exit_code"].map(|name| &step[name]);
    assert_eq!(json!(read), json!(["cargo test", 1, "ended", "failed", 100]));
    assert_eq!(detail["data"]["references"]["pipeline"]["id"], run["data"][0]["id"]);

    output(&asker, &job).await;
    let artifacts = asker.get(&format!("/api/v3/jobs/{job}/artifacts")).await;
    let url = artifacts["data"][0]["attributes"]["url"].as_str().unwrap();
    assert_eq!(text(asker.raw("GET", url.strip_prefix(BASE).unwrap(), "").await).await, "all");
    let tests = text(asker.raw("GET", &format!("/api/v3/jobs/{job}/tests"), "").await).await;
    let tests: Vec<Value> = tests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((tests.len(), &tests[0]["run_time"]), (2, &json!(1.5)));
}

/// Whole, from an offset, at its end, and while it goes on.
async fn output(asker: &Asker, job: &str) {
    for (kind, step, range, status, body, terminal) in [
        ("stdout", 1, "", 200, "one\ntwo\n", "true"),
        ("stdout", 1, "bytes=4-", 206, "two\n", "true"),
        ("stdout", 1, "bytes=8-", 200, "", "true"),
        ("stdout", 2, "bytes=0-", 206, "so far\n", "false"),
        ("stdout/condensed", 1, "", 200, "one\ntwo\n", "true"),
        ("stderr", 1, "", 200, "", "true"),
    ] {
        let path = format!(
            "/api/v3/jobs/{job}/{kind}?filter%5Bexecution%5D=0&filter%5Bstep_num%5D={step}"
        );
        let mut headers = vec![("circle-token", asker.token.as_str())];
        if !range.is_empty() {
            headers.push(("range", range));
        }
        let answer = ask(&asker.site, "GET", &path, &headers, "").await;
        let place = format!("{kind} {step} {range}");
        assert_eq!(answer.status(), status, "{place}");
        assert_eq!(answer.headers()["x-terminal"], terminal, "{place}");
        assert_eq!(text(answer).await, body, "{place}");
    }
    let none = asker.raw("GET", &format!("/api/v3/jobs/{job}/stdout?filter[step_num]=9"), "").await;
    assert_eq!(none.status(), 404);
}
