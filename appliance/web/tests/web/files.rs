//! Files of builds and buckets in a browser: the page about each, and what it cannot do.

use crate::{
    doors::{BASE, FORM, SAME, WORD, ask, cookie, log_in, text},
    site::{Site, work},
};
use axum::body::Body;
use base::ids::TaskId;
use http::Response;
use store::access::Role;

const REPORT: &str = "<link rel=stylesheet href=style.css><script>alert(1)</script><h1>Cover</h1>";

/// A site with a job that kept files, and who looks.
struct Desk {
    site: Site,
    task: TaskId,
    session: String,
}

impl Desk {
    async fn new() -> Self {
        let site = Site::open(BASE).await;
        let (task, _) = work::populate(&site).await;
        for (path, bytes) in [
            ("out/report.html", REPORT.as_bytes()),
            ("out/style.css", b"h1 { color: teal }"),
            ("out/shot.png", b"\x89PNG"),
            ("out/notes.txt", b"<b>bold</b> & more"),
            ("Makefile", b"all:\n\tcc"),
            ("core", b"\x7fELF\0\x01"),
            ("none.log", b""),
        ] {
            site.artifact(task, path, bytes.to_vec()).await;
        }
        site.account("mira", Role::Admin, WORD, false).await;
        let session = cookie(&log_in(&site, "mira", WORD).await);
        Self { site, task, session }
    }

    async fn get(&self, path: &str) -> Response<Body> {
        ask(&self.site, "GET", path, &[("cookie", &self.session)], "").await
    }

    fn artifact(&self, path: &str) -> String {
        format!("/artifacts/{}/{path}", self.task)
    }

    /// The page about a file holds these texts and runs nothing.
    async fn check(&self, address: &str, expected: &[&str]) -> String {
        let answer = self.get(&format!("{address}?view")).await;
        assert_eq!(answer.status(), 200, "{address}");
        let policy = header(&answer, "content-security-policy").to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let page = text(answer).await;
        for text in expected {
            assert!(page.contains(text), "{address} lacks {text}:\n{page}");
        }
        page
    }
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// The address in `src` of a page's frame.
fn framed(page: &str) -> &str {
    page.split("<iframe").nth(1).unwrap().split("src=\"").nth(1).unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn each_artifact_has_a_page_with_a_look_at_it() {
    let desk = Desk::new().await;
    let at = |path: &str| desk.artifact(path);
    let list = text(desk.get("/gh/acme/relay-firmware/221/artifacts").await).await;
    assert!(list.contains("coverage/index.html?view"), "{list}");
    desk.check(&at("out/notes.txt"), &["&lt;b&gt;bold&lt;/b&gt; &amp; more", "?download"]).await;
    desk.check(&at("Makefile"), &["all:\n\tcc", "relay-firmware"]).await;
    let shot = format!("<img src=\"{}\" alt=", at("out/shot.png"));
    desk.check(&at("out/shot.png"), &[&shot]).await;
    desk.check(&at("core"), &["no preview", "6 B"]).await;
    desk.check(&at("none.log"), &["is empty"]).await;
    desk.check(&at("out/report.html"), &["<iframe", "sandbox=\"\""]).await;
    let kept = desk.get(&format!("{}?download", at("out/notes.txt"))).await;
    assert_eq!(header(&kept, "content-disposition"), "attachment; filename=\"notes.txt\"");
}

#[tokio::test]
async fn a_report_comes_with_its_style_and_without_any_power() {
    let desk = Desk::new().await;
    let page = desk.check(&desk.artifact("out/report.html"), &[]).await;
    let address = framed(&page);
    assert!(address.starts_with("/reports/"), "{address}");
    // The browser sends no cookie from within the sandbox.
    let get = async |path: &str| ask(&desk.site, "GET", path, &[], "").await;
    let report = get(address).await;
    assert_eq!((report.status().as_u16(), header(&report, "x-frame-options")), (200, "SAMEORIGIN"));
    let policy = header(&report, "content-security-policy");
    assert!(policy.contains("sandbox") && !policy.contains("allow-"), "{policy}");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'self'"));
    let style = get(&address.replace("report.html", "style.css")).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    assert_eq!(header(&style, "cross-origin-resource-policy"), "cross-origin");
    for bad in [
        address.replace(&desk.task.to_string(), "00000000-0000-7000-8000-000000000001"),
        address.replacen("/reports/0", "/reports/1", 1),
        address.replace("report.html", "none"),
    ] {
        let refused = get(&bad).await.status().as_u16();
        let expected = if bad.ends_with("none") { 404 } else { 401 };
        assert_eq!(refused, expected, "{bad}");
    }
    let session = ("cookie", desk.session.as_str());
    ask(&desk.site, "POST", "/logout", &[session, SAME, FORM], "").await;
    assert_eq!(get(address).await.status(), 401, "it ends with the session");
}

#[tokio::test]
async fn a_program_with_a_token_gets_no_pass() {
    let desk = Desk::new().await;
    let user = desk.site.account("robot", Role::Viewer, WORD, false).await;
    let token = desk.site.token(user, Role::Viewer).await;
    let address = desk.artifact("out/report.html");
    let (view, token) = (format!("{address}?view"), [("circle-token", token.as_str())]);
    let page = text(ask(&desk.site, "GET", &view, &token, "").await).await;
    assert_eq!(framed(&page), address);
}

#[tokio::test]
async fn objects_of_a_bucket_are_looked_at_as_artifacts_are() {
    let desk = Desk::new().await;
    let objects = &desk.site.objects;
    objects.bucket_create("spare", "ann", objects::alone).await.unwrap();
    for (key, bytes) in [
        ("a b/notes.md", "<i>x</i>".as_bytes()),
        ("page.html", REPORT.as_bytes()),
        ("plan.svg", b"<svg onload='x'/>"),
        ("disk.img", &[0; 3000]),
    ] {
        objects.put("spare", key, bytes.to_vec()).await.unwrap();
    }
    let list = text(desk.get("/buckets/spare").await).await;
    assert!(list.contains("/buckets/spare/page.html?view"), "{list}");
    let notes = ["&lt;i&gt;x&lt;/i&gt;", "<h1><bdi>notes.md</bdi></h1>", "prefix=a%20b%2F", "ETag"];
    desk.check("/buckets/spare/a%20b/notes.md", &notes).await;
    desk.check("/buckets/spare/plan.svg", &["<img src=\"/buckets/spare/plan.svg\""]).await;
    desk.check("/buckets/spare/disk.img", &["no preview", "2.9 KiB"]).await;
    let page = desk.check("/buckets/spare/page.html", &[]).await;
    let raw = desk.get(framed(&page)).await;
    assert!(header(&raw, "content-security-policy").contains("sandbox"));
    let drawing = desk.get("/buckets/spare/plan.svg").await;
    assert!(header(&drawing, "content-security-policy").contains("sandbox"));
    let gone = desk.get("/buckets/spare/gone?view").await;
    assert_eq!(gone.status(), 404);
}

#[tokio::test]
async fn keys_that_a_browser_would_resolve_or_turn_are_shown_and_reached_as_they_are() {
    let desk = Desk::new().await;
    let objects = &desk.site.objects;
    objects.bucket_create("spare", "ann", objects::alone).await.unwrap();
    let keys = ["a/../b.txt", "/c.txt", "plan\u{202e}txt.exe", &"long/".repeat(200)];
    for key in keys {
        objects.put("spare", key, key.as_bytes().to_vec()).await.unwrap();
    }
    let list = text(desk.get("/buckets/spare").await).await;
    assert!(
        list.contains("<bdi>plan\\u{202e}txt.exe</bdi>") && !list.contains('\u{202e}'),
        "{list}"
    );
    for (key, name) in [("a/../b.txt", "b.txt"), ("/c.txt", "c.txt")] {
        let folder = key.trim_end_matches(name);
        let encoded: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
        let list = text(desk.get(&format!("/buckets/spare?prefix={encoded}")).await).await;
        let link = list.split('"').find(|part| part.contains("object=") && part.contains("view"));
        let link = link.unwrap_or_else(|| panic!("{key}: {list}")).replace("&amp;", "&");
        let page = text(desk.get(&link).await).await;
        assert!(page.contains(&format!("<h1><bdi>{name}</bdi></h1>")), "{page}");
        let raw = desk.get(&link.replace("&view", "")).await;
        assert_eq!(text(raw).await, key);
    }
}

#[tokio::test]
async fn older_versions_and_unfinished_uploads_are_looked_at() {
    let desk = Desk::new().await;
    desk.site.objects.bucket_create("spare", "ann", objects::alone).await.unwrap();
    let at = base::time::Timestamp(1);
    let fill = move |txn: &mut store::Txn<'_>| {
        let bucket = txn.bucket_get("spare")?.unwrap().id;
        for number in 0..3_u64 {
            txn.object_insert(&store::objects::NewObject {
                bucket,
                key: "notes/a.txt",
                version: &format!("version-{number}"),
                marker: number == 2,
                size: number * 1024,
                etag: "e",
                modified: at,
                blob: None,
                details: "{}",
            })?;
        }
        txn.upload_insert(bucket, "big.img", "upload-1", at, "{}")?;
        txn.upload_insert(bucket, "notes/other.img", "upload-2", at, "{}").map(drop)
    };
    desk.site.store.write(fill).await.unwrap();
    let check = async |path: &str, expected: &[&str]| {
        let page = text(desk.get(path).await).await;
        for text in expected {
            assert!(page.contains(text), "{path} lacks {text}: {page}");
        }
        page
    };
    check("/buckets", &["href=\"/buckets/spare?show=uploads\">2, 0 B"]).await;
    let versions =
        ["version-0", "version-1", "delete marker", "old", "1 KiB", "<bdi>notes/a.txt</bdi>"];
    check("/buckets/spare?show=versions", &versions).await;
    check("/buckets/spare?show=uploads", &["upload-1", "upload-2", "<bdi>big.img</bdi>"]).await;
    let part = check("/buckets/spare?show=uploads&prefix=notes%2F", &["upload-2"]).await;
    assert!(!part.contains("upload-1"), "{part}");
    let rest = "/buckets/spare?show=versions&after=notes%2Fa.txt&id=version-1";
    let rest = check(rest, &["version-0"]).await;
    assert!(!rest.contains("version-2"), "{rest}");
}
