//! The pages over a real site: what they show, how much they weigh, and how they stay fresh.

use crate::site::{Site, work};
use axum::{body::Body, http::Request};
use futures_util::StreamExt;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use std::time::Duration;
use store::access::Role;
use tower::ServiceExt;

const BASE: &str = "https://ci.test:8443";

/// A step of a test waits no longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

struct Visitor {
    site: Site,
    token: String,
}

impl Visitor {
    async fn new() -> Self {
        Self::of(Role::Member).await
    }

    /// With a token of this role.
    async fn of(role: Role) -> Self {
        let site = Site::open(BASE).await;
        let user = site.account("mira", Role::Admin, "correct horse", false).await;
        let token = site.token(user, role).await;
        Self { site, token }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request =
            Request::builder().method(method).uri(path).header("circle-token", &self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.site.faces().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let response = self.ask("GET", path, &[("accept", "text/html")]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// The page holds each of these texts.
    async fn check(&self, path: &str, expected: &[&str]) {
        let page = self.page(path).await;
        for text in expected {
            assert!(page.contains(text), "{path} lacks {text}:\n{page}");
        }
        for forbidden in ["style=\"", "<script>", "onclick=", "javascript:"] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}, which the policy forbids");
        }
    }

    /// The next message of an event stream.
    async fn next(
        body: &mut (impl StreamExt<Item = Result<bytes::Bytes, axum::Error>> + Unpin),
    ) -> String {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let part =
                tokio::time::timeout(DEADLINE, body.next()).await.expect("a message in time");
            text.push_str(
                std::str::from_utf8(&part.expect("the stream goes on").unwrap()).unwrap(),
            );
        }
        text
    }
}

#[tokio::test]
async fn pages_tell_what_happened_without_a_script() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    visitor
        .check(
            "/",
            &["Reject Modbus frames", "Needs approval", "Config error", "build-test-deploy"],
        )
        .await;
    visitor.check("/?project=acme%2Foperator-console", &["Sort alarms", "Settings"]).await;
    visitor.check("/?status=failed", &["Sort alarms", "Reject Modbus"]).await;
    visitor.check("/?branch=nowhere", &["No pipeline fits"]).await;
    visitor
        .check(
            "/pipelines/gh/acme/relay-firmware/119",
            &["<svg", "unit-tests", "Rerun from failed"],
        )
        .await;
    visitor
        .check(
            "/pipelines/gh/acme/operator-console/43",
            &["did you mean", "<span class=\"caret\">", "biuld:"],
        )
        .await;
    visitor
        .check(
            "/gh/acme/relay-firmware/221",
            &["exit 100", "id=\"S3L14\"", "class=\"f1 bold\"", "1.2 GiB"],
        )
        .await;
    visitor.check("/gh/acme/relay-firmware/221?step=1#S1", &["Receiving objects: 100%"]).await;
    visitor.check("/gh/acme/relay-firmware/221/tests", &["1 failed", "a frame of 3 bytes"]).await;
    visitor.check("/gh/acme/relay-firmware/221/artifacts", &["coverage/", "1.7 MiB"]).await;
    visitor.check("/projects/acme/relay-firmware/settings", &["Environment variables"]).await;
    visitor.check("/projects", &["acme/relay-firmware"]).await;
    visitor.check("/runners", &["No runner has registered"]).await;
    visitor.check("/contexts", &["No context yet"]).await;
}

#[tokio::test]
async fn a_failed_parallel_job_opens_on_the_copy_that_failed() {
    let visitor = Visitor::new().await;
    let (_, project) = work::populate(&visitor.site).await;
    let add = move |txn: &mut store::Txn<'_>| {
        let number = base::ids::JobNumber(221);
        let job = txn.job_by_number(project, number)?.unwrap();
        let failed = txn.task_list_newest(job.source())?.remove(0);
        let other = store::runs::Task {
            id: store::runs::family::task(job.id, 2),
            node: 1,
            ..failed.clone()
        };
        let step = store::runs::Step {
            task: other.id,
            name: "The step that failed".into(),
            ..txn.step_list(failed.id)?.remove(3)
        };
        let outcome = Some(base::state::TaskOutcome::Success);
        txn.task_save(&store::runs::Task { outcome, ..failed })?;
        txn.task_save(&other)?;
        txn.step_save(&step)
    };
    visitor.site.store.write(add).await.unwrap();
    let page = "/gh/acme/relay-firmware/221";
    let open = "open data-step=\"3\"><summary>";
    visitor.check(page, &["?node=1\" aria-current", "The step that failed", open]).await;
    visitor.check(&format!("{page}?node=0"), &["?node=0\" aria-current", "Checkout code"]).await;
}

#[tokio::test]
async fn what_the_bar_of_a_small_screen_leaves_out_is_linked_from_the_account() {
    for (role, shown) in [(Role::Admin, true), (Role::Member, false)] {
        let page = Visitor::of(role).await.page("/account").await;
        let more = page.split("<nav class=\"more\"").nth(1).unwrap_or_default();
        for address in ["/buckets", "/users", "/audit"] {
            assert_eq!(more.contains(&format!("href=\"{address}\"")), shown, "{address}: {page}");
        }
    }
}

#[tokio::test]
async fn a_number_that_no_database_holds_is_not_found() {
    let visitor = Visitor::new().await;
    visitor.site.project("acme/relay").await;
    const HUGE: u64 = u64::MAX;
    for path in [
        format!("/api/v2/project/gh/acme/relay/pipeline/{HUGE}"),
        format!("/api/v2/project/gh/acme/relay/pipeline?page-token={HUGE}"),
        format!("/api/v2/project/gh/acme/relay/job/{HUGE}"),
        format!("/api/appliance/v1/event?page-token={HUGE}"),
        format!("/pipelines/gh/acme/relay/{HUGE}"),
        format!("/gh/acme/relay/{HUGE}"),
    ] {
        let response = visitor.ask("GET", &path, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_tab_of_a_job_is_live() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    for tab in ["", "/tests", "/artifacts"] {
        let page = format!("/gh/acme/relay-firmware/221{tab}");
        visitor.check(&page, &["data-live=\"/events?after="]).await;
    }
}

#[tokio::test]
async fn a_step_is_followed_from_where_the_page_ended() {
    let visitor = Visitor::new().await;
    let (task, _) = work::populate(&visitor.site).await;
    let logs = &visitor.site.logs;
    let size = logs.read(task, 2, 0..0).await.unwrap().size;
    let size = logs.append(task, 2, size, b"two\nthr").await.unwrap();
    let path = format!("/tasks/{task}/steps/2/stream?line=1");
    let mut body = visitor.ask("GET", &path, &[]).await.into_body().into_data_stream();
    let message = Visitor::next(&mut body).await;
    assert!(message.contains(r#"{"first":1,"lines":["two"],"rest":"thr"}"#), "{message}");
    assert!(message.contains("id: 2\n"), "{message}");
    logs.append(task, 2, size, b"ee\n").await.unwrap();
    let message = Visitor::next(&mut body).await;
    assert!(message.contains(r#"{"first":2,"lines":["three"],"rest":null}"#), "{message}");
    let headers = [("last-event-id", "2")];
    let mut again = visitor.ask("GET", &path, &headers).await.into_body().into_data_stream();
    let message = Visitor::next(&mut again).await;
    assert!(message.contains(r#""first":2,"lines":["three"]"#), "{message}");
}

/// More than one answer holds: 400 lines of five thousand characters.
async fn long_lines(visitor: &Visitor) -> (base::ids::TaskId, u64) {
    let (task, _) = work::populate(&visitor.site).await;
    let logs = &visitor.site.logs;
    let before = logs.read_lines(task, 2, 0, 0).await.unwrap();
    let mut size = before.chunk.size;
    for number in 0..400 {
        let line = format!("{number} {}\n", "x".repeat(5000));
        size = logs.append(task, 2, size, line.as_bytes()).await.unwrap();
    }
    (task, logs.read_lines(task, 2, 0, 0).await.unwrap().total)
}

fn numbers(items: &str) -> Vec<u64> {
    let values = items.split("value=\"").skip(1);
    values.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_newest_lines_are_shown_however_long_they_are() {
    let visitor = Visitor::new().await;
    let (task, total) = long_lines(&visitor).await;
    let newest = numbers(&visitor.page(&format!("/tasks/{task}/steps/2/lines?count=300")).await);
    assert_eq!(newest.last(), Some(&total));
    assert!(newest.len() > 150 && newest.len() < 300, "{}", newest.len());
    assert!(newest.windows(2).all(|two| two[0] + 1 == two[1]));
}

#[tokio::test]
async fn an_answer_ends_with_a_whole_line() {
    let visitor = Visitor::new().await;
    let (task, total) = long_lines(&visitor).await;
    let first = total - 400;
    let path = format!("/tasks/{task}/steps/2/lines?first={first}&count=400");
    let page = visitor.page(&path).await;
    assert!(numbers(&page).len() < 400);
    let last = page.rsplit("<code>").next().unwrap();
    assert_eq!(last.matches('x').count(), 5000);
}

#[tokio::test]
async fn a_message_holds_no_more_lines_than_a_page_draws() {
    let visitor = Visitor::new().await;
    let (task, _) = work::populate(&visitor.site).await;
    let logs = &visitor.site.logs;
    let before = logs.read_lines(task, 2, 0, 0).await.unwrap();
    logs.append(task, 2, before.chunk.size, "\n".repeat(100_000).as_bytes()).await.unwrap();
    let path = format!("/tasks/{task}/steps/2/stream?line={}", before.total);
    let mut body = visitor.ask("GET", &path, &[]).await.into_body().into_data_stream();
    let message = Visitor::next(&mut body).await;
    let data = message.split("data: ").nth(1).unwrap();
    let told: serde_json::Value = serde_json::from_str(data.lines().next().unwrap()).unwrap();
    let (first, lines) = (told["first"].as_u64().unwrap(), told["lines"].as_array().unwrap().len());
    assert_eq!(lines, 1000);
    assert_eq!(first + 1000, before.total + 100_000);
}

#[tokio::test]
async fn a_follower_whose_account_was_locked_is_cut() {
    let visitor = Visitor::new().await;
    let (task, _) = work::populate(&visitor.site).await;
    let store = &visitor.site.store;
    let job = store
        .read(move |reader| Ok::<_, store::Error>(reader.task_get(task)?.map(|task| task.job())))
        .await
        .unwrap()
        .unwrap();
    let number = store.read(move |reader| reader.job_get(job)).await.unwrap().unwrap().number;
    let number = number.unwrap();
    let path = format!("/api/v2/project/gh/acme/relay-firmware/job/{number}/log?follow=true");
    let response = visitor.ask("GET", &path, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    // The last administrator cannot be locked out.
    visitor.site.account("jonas", Role::Admin, "battery staple", false).await;
    let lock = |txn: &mut store::Txn<'_>| {
        let mira = txn.user_by_login("mira")?.unwrap();
        txn.user_disabled_set(mira.id, true)
    };
    store.write(lock).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let end = tokio::time::timeout(DEADLINE, response.into_body().collect()).await;
    end.expect("cut in time").expect_err("cut, not ended as if it were whole");
}

#[tokio::test]
async fn a_step_that_is_over_ends_its_stream() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    let page = visitor.page("/gh/acme/relay-firmware/221").await;
    let task = page.split("data-task=\"").nth(1).unwrap().split('"').next().unwrap();
    let response = visitor.ask("GET", &format!("/tasks/{task}/steps/0/stream?line=4"), &[]).await;
    let text =
        tokio::time::timeout(DEADLINE, response.into_body().collect()).await.unwrap().unwrap();
    let text = String::from_utf8(text.to_bytes().to_vec()).unwrap();
    assert!(text.contains("Ready in 38 ms") && text.contains("event: end"), "{text}");
}

#[tokio::test]
async fn events_go_on_after_the_cursor_that_a_browser_names() {
    let visitor = Visitor::new().await;
    let project = visitor.site.project("acme/relay").await;
    let note = move |txn: &mut store::Txn<'_>| {
        for number in 1..=3 {
            let event = base::event::Event::PipelineCreated {
                pipeline: base::ids::PipelineId(uuid::Uuid::from_u128(number)),
                number: base::ids::PipelineNumber(u64::try_from(number).unwrap()),
                state: base::state::PipelineState::Created,
            };
            txn.event_append(crate::site::now(), Some(project), &event)?;
        }
        Ok::<_, store::Error>(())
    };
    visitor.site.store.write(note).await.unwrap();
    let mut body = visitor.ask("GET", "/events?after=1", &[]).await.into_body().into_data_stream();
    let message = Visitor::next(&mut body).await;
    assert!(message.contains("id: 2\n") && message.contains(r#""number":2"#), "{message}");
    let headers = [("last-event-id", "2")];
    let mut again =
        visitor.ask("GET", "/events?after=1", &headers).await.into_body().into_data_stream();
    assert!(Visitor::next(&mut again).await.contains("id: 3\n"));
}

#[tokio::test]
async fn what_a_build_made_is_served_without_any_power() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    let page = visitor.page("/gh/acme/relay-firmware/221/artifacts").await;
    let link = |name: &str| {
        page.split('"')
            .filter_map(|text| text.strip_suffix("?view"))
            .find(|text| text.starts_with("/artifacts/") && text.ends_with(name))
            .unwrap()
    };
    let report = visitor.ask("GET", link("index.html"), &[]).await;
    let policy = report.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox") && !policy.contains("allow-scripts"), "{policy}");
    let file = visitor.ask("GET", link(".crate"), &[]).await;
    let disposition = file.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"relay-core-2.4.0.crate\"");
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    assert_eq!(file.into_body().collect().await.unwrap().to_bytes().len(), 1_803_211);
}

#[tokio::test]
async fn raw_output_comes_whole_and_as_text() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    let page = visitor.page("/gh/acme/relay-firmware/221").await;
    let raw = page.split('"').find(|text| text.ends_with("/steps/3/raw")).unwrap();
    let response = visitor.ask("GET", raw, &[]).await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&bytes[..], crate::site::output::TESTS_FAIL.as_bytes());
}

#[tokio::test]
async fn each_step_of_a_log_begins_on_a_line_of_its_own() {
    let visitor = Visitor::new().await;
    work::populate(&visitor.site).await;
    let path = "/api/v2/project/gh/acme/relay-firmware/job/221/log";
    let log = visitor.ask("GET", path, &[]).await.into_body().collect().await.unwrap().to_bytes();
    let log = String::from_utf8_lossy(&log);
    for text in [
        "==> Saving cache (node 0)\n==> Uploading test results",
        "214 tests\n==> Uploading artifacts",
    ] {
        assert!(log.contains(text), "`{text}` is missing: {log}");
    }
}
