//! Who canceled, approved and ran again: what the audit log and the answers tell.

use crate::{
    doors::{BASE, FORM, SAME, WORD, ask, text},
    site::{
        Site,
        past::{Run, Spec, good},
    },
};
use base::{
    ids::{JobId, UserId},
    state::{JobState, WorkflowState},
};
use serde_json::Value;
use store::access::Role;

struct Work {
    site: Site,
    member: UserId,
    token: String,
    /// One that was held for approval, and one that has run.
    jobs: Vec<JobId>,
}

/// A workflow that waits for approval.
async fn work() -> Work {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let waiting = |name, requires, state| Spec { state, ..good(name, requires, 1, 1) };
    let run = Run {
        project,
        number: 1,
        first_job: 1,
        ago: 60,
        branch: "main",
        subject: "x",
        actor: "ben",
        workflow: "build",
        state: WorkflowState::OnHold,
        jobs: vec![
            waiting("hold", &[], JobState::OnHold),
            waiting("deploy", &[0], JobState::Blocked),
        ],
        errors: vec![],
        config: "",
    };
    let jobs = site.past(run).await;
    let member = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(member, Role::Member).await;
    Work { site, member, token, jobs }
}

impl Work {
    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let kind = if path.starts_with("/api/") { "application/json" } else { FORM.1 };
        let headers = [("circle-token", self.token.as_str()), ("content-type", kind), SAME];
        let answer = ask(&self.site, method, path, &headers, body).await;
        (answer.status().as_u16(), text(answer).await)
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Actions of the audit log, oldest first.
    async fn noted(&self) -> Vec<String> {
        let all = self.site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
        assert!(all.iter().all(|entry| entry.deed.actor == "mira"));
        all.into_iter().rev().map(|entry| entry.deed.action).collect()
    }

    fn workflow(&self) -> String {
        store::runs::family::workflow_of(self.jobs[0]).to_string()
    }
}

#[tokio::test]
async fn deeds_are_noted_from_every_face_and_refused_ones_from_none() {
    let work = work().await;
    let id = work.workflow();
    let faces = [format!("/api/v2/workflow/{id}"), format!("/api/v3/workflows/{id}")];
    let page = format!("/workflows/{id}");
    let cancel = async |at: &str| work.call("POST", &format!("{at}/cancel"), "").await.0;
    assert_eq!(cancel(&faces[0]).await, 202);
    assert_eq!(work.noted().await, ["workflow.cancel"]);
    for again in [&faces[0], &faces[1], &page] {
        assert_eq!(cancel(again).await, 409, "{again}");
    }
    let job = format!("/jobs/{}", work.jobs[1]);
    for path in [&format!("/api/v2{job}/cancel"), &format!("{job}/cancel")] {
        assert_eq!(work.call("POST", path, "").await.0, 409, "{path}");
    }
    let approve = format!("{}/approve/{}", faces[0], work.jobs[0]);
    assert_eq!(work.call("POST", &approve, "").await.0, 409);
    assert_eq!(work.noted().await, ["workflow.cancel"], "nothing more was done");
    for (path, expected) in [(&faces[0], 202), (&faces[1], 201), (&page, 303)] {
        let (status, told) = work.call("POST", &format!("{path}/rerun"), "").await;
        assert_eq!(status, expected, "{told}");
    }
    let rerun = "workflow.rerun";
    assert_eq!(work.noted().await, ["workflow.cancel", rerun, rerun, rerun]);
}

#[tokio::test]
async fn an_approval_and_a_canceled_job_are_noted_over_the_api() {
    let work = work().await;
    let approve = format!("/api/v2/workflow/{}/approve/{}", work.workflow(), work.jobs[0]);
    assert_eq!(work.call("POST", &approve, "").await.0, 202);
    let cancel = "/api/v2/project/gh/acme/relay/job/2/cancel";
    assert_eq!(work.call("POST", cancel, "").await.0, 202);
    assert_eq!(work.noted().await, ["job.approve", "job.cancel"]);
    let jobs = work.json(&format!("/api/v2/workflow/{}/job", work.workflow())).await;
    assert_eq!(jobs["items"][0]["approved_by"], work.member.to_string());
}

#[tokio::test]
async fn who_canceled_is_told_and_a_canceled_approval_is_no_approval() {
    let work = work().await;
    let workflow = format!("/api/v2/workflow/{}", work.workflow());
    assert_eq!(work.call("POST", &format!("{workflow}/cancel"), "").await.0, 202);
    let jobs = work.json(&format!("{workflow}/job")).await;
    for job in jobs["items"].as_array().unwrap() {
        if job["type"] == "approval" {
            assert_eq!(job["status"], "canceled");
            assert_eq!(job["canceled_by"], work.member.to_string());
        }
        assert!(job.get("approved_by").is_none(), "{job}");
    }
}

#[tokio::test]
async fn a_canceled_job_says_by_whom() {
    let work = work().await;
    let cancel = format!("/api/v2/jobs/{}/cancel", work.jobs[1]);
    assert_eq!(work.call("POST", &cancel, "").await.0, 202);
    let job = work.json("/api/v2/project/gh/acme/relay/job/2").await;
    assert_eq!(job["messages"][0]["message"], "canceled by mira", "{job}");
    let (_, page) = work.call("GET", "/gh/acme/relay/2", "").await;
    assert!(page.contains("<dt>Canceled by</dt><dd>mira</dd>"), "{page}");
}

#[tokio::test]
async fn schedules_that_come_change_and_go_are_noted() {
    let work = work().await;
    let all = "/api/v2/project/gh/acme/relay/schedule";
    let body = r#"{"name":"nightly","attribution-actor":"current","parameters":{"branch":"main"},
        "timetable":{"per-hour":1,"hours-of-day":[1],"days-of-week":["MON"]}}"#;
    let (status, made) = work.call("POST", all, body).await;
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let one = format!("/api/v2/schedule/{}", made["id"].as_str().unwrap());
    assert_eq!(work.call("PATCH", &one, r#"{"description":"x"}"#).await.0, 200);
    assert_eq!(work.call("PATCH", &one, r#"{"name":" "}"#).await.0, 400);
    assert_eq!(work.call("DELETE", &one, "").await.0, 200);
    assert_eq!(work.noted().await, ["schedule.create", "schedule.change", "schedule.remove"]);
}

#[tokio::test]
async fn a_variable_that_is_not_there_is_not_told_to_have_been_removed() {
    let work = work().await;
    let project = "/projects/acme/relay/variables";
    for (path, form) in [("/remove", "name=A"), ("", "name=A&value=1"), ("/remove", "name=A")] {
        assert_eq!(work.call("POST", &format!("{project}{path}"), form).await.0, 303, "{path}");
    }
    assert_eq!(work.noted().await, ["project.variable.set", "project.variable.remove"]);
}

#[tokio::test]
async fn a_deed_has_one_name_whichever_face_it_came_by() {
    let work = work().await;
    let told = async |method: &str, path: &str, body: &str| {
        let (status, answer) = work.call(method, path, body).await;
        assert!(status < 400, "{method} {path}: {status} {answer}");
        let all = work.site.store.read(|reader| reader.audit_list(None, 1)).await.unwrap();
        (all[0].deed.action.clone(), all[0].deed.subject.clone())
    };
    let made = r#"{"name":"B","owner":{"slug":"gh/acme","type":"organization"}}"#;
    let by_page = told("POST", "/contexts", "org=acme&name=A").await;
    assert_eq!(told("POST", "/api/v2/context", made).await.0, by_page.0);
    let listed = work.json("/api/v2/context?owner-slug=gh/acme").await;
    let id = |n: usize| listed["items"][n]["id"].as_str().unwrap().to_owned();
    let (page, api) = (format!("/contexts/{}", id(0)), format!("/api/v2/context/{}", id(0)));
    let of_project = "/api/v2/project/gh/acme/relay/envvar";
    let of_context = format!("{api}/environment-variable/V");
    let faces = [
        ("/projects/acme/relay/variables", "POST", of_project, r#"{"name":"V","value":"1"}"#),
        (&format!("{page}/variables"), "PUT", &of_context, r#"{"value":"1"}"#),
    ];
    for (page, method, api, body) in faces {
        let by_page = told("POST", page, "name=V&value=1").await;
        assert_eq!(told(method, api, body).await, by_page, "{api}");
        let by_page = told("POST", &format!("{page}/remove"), "name=V").await;
        told("POST", page, "name=V&value=1").await;
        let api = if method == "PUT" { api.to_owned() } else { format!("{api}/V") };
        assert_eq!(told("DELETE", &api, "").await, by_page, "{api}");
    }
}

#[tokio::test]
async fn an_orb_that_comes_is_noted_and_one_that_is_there_or_refused_is_not() {
    let work = work().await;
    let admin = work.site.account("ada", Role::Admin, WORD, false).await;
    let token = work.site.token(admin, Role::Admin).await;
    let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
    let good = "version: 2.1\\ncommands: {a: {steps: [run: x]}}\\n";
    let other = good.replace("run: x", "run: y");
    let sent = [(good, 200), (good, 200), (&other, 409), ("commands: 7\\n", 400)];
    for (source, expected) in sent {
        let body = format!(r#"{{"reference":"acme/tool@1.0.0","source":"{source}"}}"#);
        let answer = ask(&work.site, "POST", "/api/appliance/v1/orb", &headers, &body).await;
        assert_eq!(answer.status().as_u16(), expected, "{}", text(answer).await);
    }
    let all = work.site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
    let noted: Vec<&str> = all.iter().map(|entry| entry.deed.action.as_str()).collect();
    assert_eq!(noted, ["orb.import"]);
}
