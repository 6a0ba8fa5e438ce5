//! Deleting a project: who may, what is told, that nobody sees it while its rows still go, and that what a
//! cut left is carried on.

use crate::{
    doors::{BASE, FORM, SAME, WORD, ask, cookie, log_in, text},
    git,
    site::{
        Site,
        past::{Run, ended, good},
    },
};
use base::{
    ids::{ProjectId, TaskId},
    state::{JobState, StepState, WorkflowState},
};
use http::StatusCode;
use store::{
    access::Role,
    runs::family::{job_of, workflow_of},
};

const API: &str = "/api/v2/project/gh/acme/relay";
const FORM_PAGE: &str = "/projects/acme/relay/delete";

/// A project with one run, which has an artifact and a log.
async fn project(site: &Site, state: (WorkflowState, JobState)) -> (ProjectId, TaskId) {
    let project = site.project("acme/relay").await;
    let run = Run {
        project,
        number: 1,
        first_job: 1,
        ago: 900,
        branch: "main",
        subject: "First",
        actor: "mira",
        workflow: "main",
        state: state.0,
        jobs: vec![ended(good("build", &[], 3, 31), state.1)],
        errors: vec![],
        config: "version: 2.1\n",
    };
    let job = site.past(run).await[0];
    let steps = [("Test", 9, StepState::Success, "secret words\n")];
    let task = site.steps(job, &steps).await;
    site.artifact(task, "report.txt", b"report".to_vec()).await;
    (project, task)
}

const OVER: (WorkflowState, JobState) = (WorkflowState::Success, JobState::Success);

async fn token(site: &Site, login: &str, role: Role) -> String {
    let user = site.account(login, role, WORD, false).await;
    site.token(user, role).await
}

async fn status(site: &Site, token: &str, method: &str, path: &str) -> StatusCode {
    ask(site, method, path, &[("circle-token", token)], "").await.status()
}

#[tokio::test]
async fn administrators_alone_delete_and_whoever_is_refused_changes_nothing() {
    let site = Site::open(BASE).await;
    let (id, _) = project(&site, OVER).await;
    let user = site.account("ada", Role::Admin, WORD, false).await;
    let bound = site.bound_token(user, Role::Admin, id).await;
    let member = token(&site, "mira", Role::Member).await;
    for refused in [bound, member] {
        assert_eq!(status(&site, &refused, "DELETE", API).await, StatusCode::FORBIDDEN);
    }
    let admin = site.token(user, Role::Admin).await;
    assert_eq!(status(&site, &admin, "DELETE", &format!("{API}x")).await, StatusCode::NOT_FOUND);
    let by_id = format!("/api/v2/project/circleci/org/{id}");
    let answer = ask(&site, "DELETE", &by_id, &[("circle-token", &admin)], "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, r#"{"message":"Project deleted."}"#);
    assert_eq!(status(&site, &admin, "DELETE", API).await, StatusCode::NOT_FOUND);
    let deeds = site.store.read(|reader| reader.audit_list(None, 9)).await.unwrap();
    let deeds: Vec<_> = deeds.iter().map(|entry| &entry.deed).collect();
    assert_eq!(deeds.len(), 1, "{deeds:?}");
    assert_eq!(
        (deeds[0].action.as_str(), &*deeds[0].subject),
        ("project.delete", "project acme/relay")
    );
}

#[tokio::test]
async fn a_deleted_project_is_gone_for_every_face_before_its_rows_are() {
    let site = Site::open(BASE).await;
    let (id, task) = project(&site, OVER).await;
    let admin = token(&site, "ada", Role::Admin).await;
    let (job, workflow) = (job_of(task), workflow_of(job_of(task)));
    let run = site.store.read(move |reader| reader.workflow_get(workflow)).await.unwrap().unwrap();
    let pipeline = run.pipeline;
    let places = [
        API.to_owned(),
        format!("{API}/pipeline"),
        format!("{API}/pipeline/1"),
        format!("{API}/job/1"),
        format!("{API}/1/artifacts"),
        format!("{API}/1/tests"),
        format!("{API}/envvar"),
        format!("{API}/schedule"),
        format!("/api/v2/pipeline/{pipeline}"),
        format!("/api/v2/pipeline/{pipeline}/config"),
        format!("/api/v2/pipeline/{pipeline}/workflow"),
        format!("/api/v2/workflow/{workflow}"),
        format!("/api/v2/workflow/{workflow}/job"),
        format!("/api/v3/jobs/{job}"),
        format!("/artifacts/{task}/report.txt"),
        format!("/tasks/{task}/steps/0/stream"),
        format!("/jobs/{job}"),
        format!("/pipelines/{pipeline}"),
        "/pipelines/gh/acme/relay/1".to_owned(),
        "/gh/acme/relay/1".to_owned(),
        "/projects/acme/relay/settings".to_owned(),
        "/git/acme/relay.git/info/refs?service=git-upload-pack".to_owned(),
    ];
    let mut before = Vec::new();
    for place in &places {
        before.push(status(&site, &admin, "GET", place).await);
    }
    let found = before.iter().filter(|status| !status.is_client_error()).count();
    assert!(found > 18, "{before:?}");
    assert_eq!(status(&site, &admin, "DELETE", API).await, StatusCode::OK);
    for place in &places {
        let status = status(&site, &admin, "GET", place).await;
        let is_git = place.starts_with("/git/");
        assert!(status == StatusCode::NOT_FOUND || is_git, "{place}: {status}");
    }
    for deed in
        [format!("/api/v2/workflow/{workflow}/rerun"), format!("/workflows/{workflow}/rerun")]
    {
        assert_eq!(status(&site, &admin, "POST", &deed).await, StatusCode::NOT_FOUND, "{deed}");
    }
    let header = [("circle-token", admin.as_str())];
    for list in ["/api/v2/pipeline", "/projects", "/", "/api/v3/runs"] {
        let listed = text(ask(&site, "GET", list, &header, "").await).await;
        assert!(
            !listed.contains("relay") && !listed.contains(&pipeline.to_string()),
            "{list}: {listed}"
        );
    }
    let rows = site.store.read(move |reader| reader.pipeline_last_number(id)).await.unwrap();
    assert_eq!(rows.0, 1, "its rows are still there");
}

#[tokio::test]
async fn the_first_page_shows_what_is_older_than_many_pipelines_of_a_deleted_project() {
    let site = Site::open(BASE).await;
    let other = site.project("acme/other").await;
    let (id, _) = project(&site, OVER).await;
    let run = |project, number, ago| Run {
        project,
        number,
        first_job: 1000 * number,
        ago,
        branch: "main",
        subject: "Shown words",
        actor: "mira",
        workflow: "main",
        state: WorkflowState::Success,
        jobs: vec![],
        errors: vec![],
        config: "version: 2.1\n",
    };
    site.past(run(other, 1, 9000)).await;
    for number in 2..90 {
        site.past(run(id, number, 800)).await;
    }
    let admin = token(&site, "ada", Role::Admin).await;
    assert_eq!(status(&site, &admin, "DELETE", API).await, StatusCode::OK);
    let page = text(ask(&site, "GET", "/", &[("circle-token", &admin)], "").await).await;
    assert!(page.contains("Shown words"), "{page}");
}

#[tokio::test]
async fn the_page_has_the_name_typed_and_then_shows_the_other_projects() {
    let site = Site::open(BASE).await;
    project(&site, OVER).await;
    site.project("acme/other").await;
    site.account("ada", Role::Admin, WORD, false).await;
    site.account("mira", Role::Member, WORD, false).await;
    let session = cookie(&log_in(&site, "ada", WORD).await);
    let headers = [FORM, SAME, ("cookie", session.as_str())];
    let page = text(ask(&site, "GET", "/projects/acme/relay/settings", &headers, "").await).await;
    assert!(page.contains(FORM_PAGE) && page.contains("Delete project"), "{page}");
    let member = cookie(&log_in(&site, "mira", WORD).await);
    let theirs = [FORM, SAME, ("cookie", member.as_str())];
    let page = text(ask(&site, "GET", "/projects/acme/relay/settings", &theirs, "").await).await;
    assert!(!page.contains("Delete project"), "{page}");
    let right = "name=acme%2Frelay";
    let sent = async |headers: &[(&str, &str)], body: &str| {
        ask(&site, "POST", FORM_PAGE, headers, body).await
    };
    assert_eq!(sent(&theirs, right).await.status(), StatusCode::FORBIDDEN);
    let cross = [FORM, ("sec-fetch-site", "cross-site"), ("cookie", session.as_str())];
    assert_eq!(sent(&cross, right).await.status(), StatusCode::FORBIDDEN);
    let wrong = sent(&headers, "name=acme%2Fother").await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(text(wrong).await.contains("nothing was deleted"));
    let done = sent(&headers, right).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let to = done.headers()["location"].to_str().unwrap().to_owned();
    let page = text(ask(&site, "GET", &to, &headers, "").await).await;
    assert!(page.contains("The project <b>acme/relay</b> was deleted."), "{page}");
    assert!(page.contains("/projects/acme/other/settings"));
    // The same address of one that is there tells nothing.
    let page = text(ask(&site, "GET", "/projects?deleted=acme%2Fother", &headers, "").await).await;
    assert!(!page.contains("was deleted"), "{page}");
}

#[tokio::test]
async fn a_context_of_a_deleted_project_alone_says_so() {
    let site = Site::open(BASE).await;
    let (id, _) = project(&site, OVER).await;
    let admin = token(&site, "ada", Role::Admin).await;
    let make = move |txn: &mut store::Txn<'_>| {
        let org = txn.org_by_name("acme")?.unwrap().id;
        let context = txn.context_create(org, "deploy", base::time::Timestamp(1))?.id;
        txn.context_restrict(context, id).map(|()| context)
    };
    let context = site.store.write(make).await.unwrap();
    assert_eq!(status(&site, &admin, "DELETE", API).await, StatusCode::OK);
    let header = [("circle-token", admin.as_str())];
    let address = format!("/contexts/{context}");
    let page = text(ask(&site, "GET", &address, &header, "").await).await;
    assert!(page.contains("a deleted project"), "{page}");
    let path = format!("/api/v2/context/{context}/restrictions/{id}");
    assert_eq!(status(&site, &admin, "DELETE", &path).await, StatusCode::OK);
}

#[tokio::test]
async fn a_deletion_that_was_cut_keeps_its_name_until_the_folder_is_away_and_then_goes_on() {
    let site = git::Site::open().await;
    site.account("ada", Role::Admin).await;
    let (copy, url) = (site.copy("a").await, site.url("ada"));
    copy.git(&["push", "-q", "-o", "ci.skip", &url, "main"]).await;
    let (state, old) = (&site.state, site.project().await.unwrap());
    let repos = std::path::Path::new(&copy.dir).with_file_name("repos");
    let (folder, aside) = (repos.join("acme/relay.git"), repos.join(".removed"));
    // As far as a service comes that is killed at the worst moment.
    state.engine.remove_project(old, store::access::NewAudit::default()).await.unwrap();
    assert!(folder.exists());
    let said = copy.fails(&["push", &url, "main"]).await;
    assert!(said.contains("still in the way"), "{said}");
    web::removal::free_names(state).await;
    assert!(!folder.exists() && aside.join(old.to_string()).exists());
    copy.git(&["push", "-q", &url, "main"]).await;
    let new = site.project().await.unwrap();
    assert!(new != old && site.pipelines().await.len() == 1 && folder.exists());
    let keeper = tokio::spawn(web::removal::keep(state.clone()));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !state.store.read(|reader| reader.removal_list()).await.unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "it goes on");
        tokio::task::yield_now().await;
    }
    keeper.abort();
    assert!(!aside.join(old.to_string()).exists() && folder.exists());
    assert_eq!(site.pipelines().await.len(), 1, "of the new project nothing goes");
}
