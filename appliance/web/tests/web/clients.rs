//! What programs send to API v2, and what they are answered.

use crate::{
    doors::{BASE, WORD, ask, text},
    site::{
        Site,
        past::{self, Run},
    },
};
use base::{
    ids::ProjectId,
    protocol::TestResult,
    state::{JobState, StepState, WorkflowState},
    trigger::{ParameterValue, Trigger},
};
use http::{StatusCode, header};
use std::time::Duration;
use store::access::Role;

/// What generated clients and older tools send, word for word.
#[tokio::test]
async fn the_api_takes_what_clients_send() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    let token = ("circle-token", token.as_str());
    let json = ("content-type", "application/json");
    let project = "/api/v2/project/gh/acme/relay";
    let escaped = "/api/v2/project/gh%2Facme%2Frelay";
    let rerun = "/api/v2/workflow/00000000-0000-7000-8000-000000000001/rerun";
    let job = "/api/v2/jobs/00000000-0000-7000-8000-000000000001/cancel";
    let nulls = r#"{"enable_ssh":null,"from_failed":null,"jobs":null,"sparse_tree":null}"#;
    // Method, address, body, whether it is said to be JSON, status, a part of the answer.
    let rows = [
        ("GET", escaped, "", false, 200, r#""slug":"gh/acme/relay""#),
        ("GET", &format!("{escaped}/pipeline?page-token="), "", false, 200, r#""items":[]"#),
        ("GET", "/api/v2/pipeline?org-slug=github/acme&page-token=", "", false, 200, "items"),
        ("GET", "/api/v2/pipeline?page-token=x", "", false, 400, "next_page_token"),
        ("GET", "/api/v2/pipeline?mine=True", "", false, 200, "items"),
        ("GET", "/api/v2/pipeline?mine=maybe", "", false, 400, "neither `true` nor `false`"),
        ("GET", &format!("{project}/job/abc"), "", false, 400, "`abc` is not the number"),
        // The project has no repository: the body was understood.
        ("POST", &format!("{project}/pipeline"), "", false, 404, "acme/relay"),
        ("POST", &format!("{project}/pipeline"), "", true, 404, "acme/relay"),
        ("POST", &format!("{project}/pipeline"), r#"{"parameters":null}"#, true, 404, "acme/relay"),
        ("POST", &format!("{project}/pipeline"), r#"{"branch":1}"#, true, 400, "expected a string"),
        ("POST", &format!("{project}/pipeline"), "{", true, 400, "not JSON"),
        ("POST", rerun, "", false, 404, "Workflow not found."),
        ("POST", rerun, nulls, true, 404, "Workflow not found."),
        ("POST", rerun, r#"{"jobs":["x"]}"#, true, 400, "the body of the request"),
        ("POST", job, "", false, 404, "Job not found."),
        (
            "POST",
            &format!("{project}/envvar"),
            r#"{"name":"A","value":5}"#,
            true,
            400,
            "expected a string",
        ),
        ("POST", &format!("{project}/envvar"), r#"{"name":"A"}"#, true, 400, "`value`"),
        (
            "POST",
            &format!("{project}/pipeline"),
            r#"{"branch":"","tag":""}"#,
            true,
            404,
            "acme/relay",
        ),
        (
            "POST",
            &format!("{project}/pipeline"),
            r#"{"branch":"a","tag":"b"}"#,
            true,
            400,
            "not both",
        ),
        ("GET", &format!("{project}/settings"), "", false, 404, "does not offer GET"),
        ("GET", "/api/v2/owner/x/decision", "", false, 501, r#""error":"this appliance"#),
        ("GET", "/api/v2/insights/gh", "", false, 404, "does not offer GET /api/v2/insights"),
        ("PUT", project, "", false, 405, "does not take that method"),
    ];
    for (method, path, body, is_json, status, told) in rows {
        let headers = if is_json { vec![token, json] } else { vec![token] };
        let answer = ask(&site, method, path, &headers, body).await;
        let found = answer.status().as_u16();
        let kind = answer.headers()[header::CONTENT_TYPE].clone();
        let answer = text(answer).await;
        let place = format!("{method} {path} {body}: {answer}");
        assert_eq!(found, status, "{place}");
        assert!(answer.contains(told) && kind == "application/json", "{place}");
    }
    let path = format!("{project}?circle-token={}", token.1);
    let answer = ask(&site, "GET", &path, &[], "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = text(answer).await;
    assert!(answer.contains("Circle-Token header") && !answer.contains(token.1), "{answer}");
}

/// What both spellings, and version 1 of the command line, read of contexts and variables.
#[tokio::test]
async fn contexts_are_found_by_name_and_told_with_what_they_hold() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    let call = async |method: &str, path: &str, body: &str| {
        let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
        let answer = ask(&site, method, path, &headers, body).await;
        let status = answer.status();
        let body = text(answer).await;
        assert!(status.is_success(), "{method} {path}: {status} {body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let make = r#"{"name":"deploy","owner":{"slug":"gh/acme","type":"organization"}}"#;
    let made = call("POST", "/api/v2/context", make).await;
    let context = format!("/api/v2/context/{}", made["id"].as_str().unwrap());
    let variable = format!("{context}/environment-variable/KEY");
    call("PUT", &variable, r#"{"value":"a long secret"}"#).await;
    let restrict = format!(r#"{{"restriction_type":"project","restriction_value":"{project}"}}"#);
    call("POST", &format!("{context}/restrictions"), &restrict).await;
    for (name, count) in [("", 1), ("dep", 1), ("zzz", 0)] {
        let path = format!("/api/v2/context?owner-slug=gh/acme&name={name}");
        assert_eq!(
            call("GET", &path, "").await["items"].as_array().unwrap().len(),
            count,
            "{name}"
        );
    }
    let one = call("GET", &context, "").await;
    assert!(one["org_id"].is_string());
    assert_eq!(one["environment_variables"][0]["truncated_value"], "cret");
    assert_eq!(one["restrictions"][0]["restriction_value"], project.to_string());
    let restrict = r#"{"restriction_type":"expression","restriction_value":"pipeline.number > 3"}"#;
    let made = call("POST", &format!("{context}/restrictions"), restrict).await;
    assert_eq!(made["restriction_value"], "pipeline.number > 3");
    let listed = call("GET", &format!("{context}/restrictions"), "").await;
    assert_eq!((&listed["items"][1], listed["items"].as_array().unwrap().len()), (&made, 2));
    let gone = format!("{context}/restrictions/{}", made["id"].as_str().unwrap());
    call("DELETE", &gone, "").await;
    let again = ask(&site, "DELETE", &gone, &[("circle-token", token.as_str())], "").await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    let orgs = call("GET", "/api/v2/me/collaborations", "").await;
    assert_eq!((&orgs[0]["vcs_type"], &orgs[0]["vcs-type"]), (&"github".into(), &"github".into()));
    let set =
        call("POST", "/api/v2/project/gh/acme/relay/envvar", r#"{"name":"A","value":"b"}"#).await;
    assert!(set["created_at"].is_string() && set["created_at"] == set["created-at"]);
}

#[tokio::test]
async fn a_schedule_tells_for_whom_it_acts() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let call = async |method: &str, path: &str, body: &str| {
        let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
        let body = text(ask(&site, method, path, &headers, body).await).await;
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let me = call("GET", "/api/v2/me", "").await;
    let all = "/api/v2/project/gh/acme/relay/schedule";
    let make = r#"{"name":"noon","timetable":{"per-hour":1,"hours-of-day":[12],"days-of-week":["MON"]},"parameters":{"branch":"main"},"attribution-actor":"current"}"#;
    let made = call("POST", all, make).await;
    assert_eq!(made["actor"], me);
    let one = format!("/api/v2/schedule/{}", made["id"].as_str().unwrap());
    assert_eq!(call("GET", &one, "").await["actor"], me);
    assert_eq!(call("GET", all, "").await["items"][0]["actor"], me);
    let system = call("PATCH", &one, r#"{"attribution-actor":"system"}"#).await;
    assert_eq!(system["actor"]["login"], "system");
    assert_eq!(system["actor"]["id"], uuid::Uuid::nil().to_string());
}

/// Clients with strict decoders take a text for null nowhere, and need all members that they name.
#[tokio::test]
async fn strict_clients_read_pipelines_builds_tests_and_output() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let jobs = vec![past::ended(past::good("compile", &[], 1, 2), JobState::Failed)];
    let failed = Run { project, state: WorkflowState::Failed, jobs, ..run(1) };
    let job = site.past(failed).await[0];
    let task = site.steps(job, &[("make", 1, StepState::Failed, "no rule\n")]).await;
    let test = TestResult {
        classname: "frame".into(),
        name: "short".into(),
        file: None,
        result: "failure".into(),
        message: String::new(),
        run_time_ms: 4,
        source: "x.xml".into(),
    };
    site.store.write(move |txn| txn.tests_save(task, 0, &[test])).await.unwrap();
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let get = async |path: &str| {
        let answer = ask(&site, "GET", path, &[("circle-token", &token)], "").await;
        (answer.status().as_u16(), text(answer).await)
    };
    let json = async |path: &str| {
        let (status, body) = get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let pipeline = &json("/api/v2/pipeline?org-slug=gh/acme&mine=True").await["items"][0];
    assert_eq!(pipeline["trigger"]["actor"]["avatar_url"], "");
    assert!(pipeline.get("trigger_parameters").is_none(), "{pipeline}");
    let tests = json("/api/v2/project/gh/acme/relay/1/tests").await;
    assert_eq!(tests["items"][0]["file"], "", "{tests}");
    let build = json("/api/v1.1/project/github/acme/relay/1").await;
    assert_eq!((&build["branch"], &build["outcome"]), (&"main".into(), &"failed".into()));
    assert_eq!((&build["build_time_millis"], &build["build_num"]), (&2000.into(), &1.into()));
    assert_eq!(build["workflows"]["job_name"], "compile", "{build}");
    let action = &build["steps"][0]["actions"][0];
    assert_eq!(action["failed"], true, "{build}");
    // It is fetched without the token, as long as that stands.
    let output = action["output_url"].as_str().unwrap().strip_prefix(BASE).unwrap();
    let answer = ask(&site, "GET", output, &[], "").await;
    assert!(text(answer).await.contains("no rule"), "{output}");
    let (place, pass) = output.rsplit_once('/').unwrap();
    let (token_id, rest) = pass.split_once('.').unwrap();
    let longer = format!("{place}/{token_id}.9{rest}");
    for wrong in [place.to_owned(), format!("{place}/x{pass}"), longer] {
        let answer = ask(&site, "GET", &wrong, &[], "").await;
        assert_eq!(answer.status(), 401, "{wrong}");
    }
    let raw = "/api/private/output/raw/gh/acme/relay/1";
    assert_eq!(get(&format!("{raw}/output/0/0")).await, (200, "no rule\n".into()));
    assert_eq!(get(&format!("{raw}/error/0/0")).await, (200, String::new()));
    assert_eq!(get(&format!("{raw}/output/0/9")).await.0, 404);
    let followed = json("/api/private/me/followed-projects").await;
    let (slug, next) = (&followed["items"][0]["slug"], &followed["next_page_token"]);
    assert!(slug == "gh/acme/relay" && next.is_null(), "{followed}");
    let listed = site.store.read(move |reader| reader.token_list(user)).await.unwrap();
    let (id, at) = (listed[0].id, listed[0].created_at);
    site.store.write(move |txn| txn.token_revoke(user, id, at)).await.unwrap();
    assert_eq!(ask(&site, "GET", output, &[], "").await.status(), 401, "it ended with the token");
}

/// The parameters that a pipeline was given are among its values; `trigger_parameters`, which clients
/// decode into what other services tell of a trigger, is not there.
#[tokio::test]
async fn a_pipeline_tells_its_values_apart_from_its_trigger() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let config = "version: 2.1\nparameters: {board: {type: string, default: a}}\njobs: {j: {machine: true, steps: [run: x]}}\nworkflows: {w: {jobs: [j]}}\n";
    let board = ("board".to_owned(), ParameterValue::String("b".into()));
    let trigger = Trigger {
        parameters: [board].into_iter().collect(),
        ..past::trigger(&Run { project, config, ..run(1) })
    };
    let made = site.engine.trigger(trigger).await.unwrap();
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let json = async |path: String| {
        let answer = ask(&site, "GET", &path, &[("circle-token", &token)], "").await;
        serde_json::from_str::<serde_json::Value>(&text(answer).await).unwrap()
    };
    let place = format!("/api/v2/pipeline/{}", made.pipeline);
    let pipeline = json(place.clone()).await;
    assert_eq!((&pipeline["state"], pipeline.get("trigger_parameters")), (&"created".into(), None));
    let values = json(format!("{place}/values")).await;
    assert_eq!(values["pipeline.parameters.board"], "b", "{values}");
    assert_eq!((&values["pipeline.number"], &values["pipeline.id"]), (&1.into(), &pipeline["id"]));
    assert_eq!(values["pipeline.git.branch.is_default"], true, "{values}");
}

/// That a token was used is noted beside the request.
#[tokio::test]
async fn who_only_looks_does_not_wait_for_the_disk() {
    let site = Site::open(BASE).await;
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let (begin, begun) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let slow = move |_: &mut store::Txn<'_>| {
        begin.send(()).unwrap();
        wait.recv().unwrap();
        Ok::<_, store::Error>(())
    };
    let store = site.store.clone();
    let held = tokio::spawn(async move { store.write(slow).await });
    begun.await.unwrap();
    let headers = [("circle-token", token.as_str())];
    let me = ask(&site, "GET", "/api/v2/me", &headers, "");
    let answer = tokio::time::timeout(Duration::from_secs(20), me).await;
    assert_eq!(answer.expect("it does not wait").status(), 200);
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    let read = move |reader: &store::Reader<'_>| reader.token_list(user);
    while site.store.read(read).await.unwrap()[0].last_used_at.is_none() {
        tokio::task::yield_now().await;
    }
}

/// What was not there to be removed is no deed.
#[tokio::test]
async fn removing_a_variable_that_is_not_there_is_not_noted() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let call = async |method: &str, path: &str, body: &str| {
        let answer = ask(&site, method, path, &[("circle-token", token.as_str())], body).await;
        (answer.status().as_u16(), text(answer).await)
    };
    let make = r#"{"name":"deploy","owner":{"slug":"gh/acme","type":"organization"}}"#;
    let made = call("POST", "/api/v2/context", make).await.1;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let variables =
        format!("/api/v2/context/{}/environment-variable", made["id"].as_str().unwrap());
    for path in ["/api/v2/project/gh/acme/relay/envvar/A", &format!("{variables}/A")] {
        assert_eq!(call("DELETE", path, "").await.0, 404, "{path}");
    }
    let noted = site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
    let noted: Vec<String> = noted.into_iter().map(|entry| entry.deed.action).collect();
    assert_eq!(noted, ["context.create"]);
}

/// A page of one organisation is full, whatever the others have done since.
#[tokio::test]
async fn pipelines_of_an_organisation_fill_their_pages() {
    let site = Site::open(BASE).await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    let (own, other) = (site.project("acme/relay").await, site.project("other/noise").await);
    for number in 1..=45 {
        let project = if number <= 22 { own } else { other };
        site.past(Run { project, ..run(number) }).await;
    }
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("/api/v2/pipeline?org-slug=github/acme&page-token={next}");
        let page = text(ask(&site, "GET", &path, &[("circle-token", &token)], "").await).await;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        seen.push(page["items"].as_array().unwrap().len());
        match page["next_page_token"].as_str() {
            Some(token) => token.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(seen, [20, 2]);
    let path = "/api/v2/pipeline?org-slug=gh/nobody";
    let none = text(ask(&site, "GET", path, &[("circle-token", &token)], "").await).await;
    assert!(none.contains(r#""items":[]"#), "{none}");
}

pub(crate) fn run(number: u64) -> Run<'static> {
    Run {
        project: ProjectId(uuid::Uuid::nil()),
        number,
        first_job: number,
        ago: 10_000 - number,
        branch: "main",
        subject: "A change",
        actor: "mira",
        workflow: "main",
        state: WorkflowState::Success,
        jobs: vec![],
        errors: vec![],
        config: "version: 2.1\n",
    }
}
