//! Access logs as an owner meets them: asked for, gathered, delivered, ended.

use super::{
    journal::Peer,
    matrix::{Site, as_owner, ask, request, site},
};
use http::Response;
use http_body_util::BodyExt;

async fn body(response: Response<axum::body::Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn owner(site: &Site, method: &str, path: &str, query: &str, text: &str) -> String {
    body(as_owner(site, method, path, query, text).await).await
}

async fn status(site: &Site, method: &str, path: &str, query: &str, text: &str) -> u16 {
    let asked = request((method, path, query, text), ("AKOWNER", "s"), false);
    ask(site, asked).await.status().as_u16()
}

const ENABLED: &str = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>dst</TargetBucket><TargetPrefix>log/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>";

const POLICY: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::dst/log/*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::src"}}}]}"#;

/// A log line's fields: quoted and bracketed ones hold spaces.
fn fields(line: &str) -> Vec<String> {
    let (mut all, mut field, mut until) = (Vec::new(), String::new(), None);
    for byte in line.chars() {
        match (byte, until) {
            (' ', None) => all.push(std::mem::take(&mut field)),
            ('"', None) => until = Some('"'),
            ('[', None) => until = Some(']'),
            (end, Some(wanted)) if end == wanted => until = None,
            (other, _) => field.push(other),
        }
    }
    all.push(field);
    all
}

/// The delivered logs, line by line.
async fn delivered(site: &Site) -> Vec<Vec<String>> {
    site.objects.deliver_access_logs().await;
    let page = site.objects.list("dst", "log/", None, None, 1000).await.unwrap();
    let mut lines = Vec::new();
    for entry in page.entries {
        let crate::Entry::Object(info) = entry else { panic!("no delimiter was given") };
        let text = site.objects.get_small("dst", &info.key, 1 << 20).await.unwrap();
        lines.extend(String::from_utf8(text).unwrap().lines().map(fields));
    }
    lines
}

/// A line of this operation, key, requester, status and error is there.
fn check(lines: &[Vec<String>], expected: [&str; 5]) {
    let seen = |line: &Vec<String>| [6, 7, 4, 9, 10].map(|at| line[at].clone());
    assert!(lines.iter().any(|line| seen(line) == expected), "{expected:?} is not in {lines:?}");
}

#[tokio::test]
async fn requests_of_a_logged_bucket_become_objects_of_the_target() {
    let site = site().await;
    for name in ["src", "dst"] {
        owner(&site, "PUT", &format!("/{name}"), "", "").await;
    }
    assert!(!owner(&site, "GET", "/src", "logging", "").await.contains("LoggingEnabled"));
    assert_eq!(status(&site, "PUT", "/src", "logging", ENABLED).await, 403, "no policy yet");
    owner(&site, "PUT", "/dst", "policy", POLICY).await;
    assert_eq!(status(&site, "PUT", "/src", "logging", &ENABLED.replace("dst", "no")).await, 400);
    owner(&site, "PUT", "/src", "logging", ENABLED).await;
    let set = owner(&site, "GET", "/src", "logging", "").await;
    assert!(set.contains("<TargetBucket>dst</TargetBucket>") && set.contains("SimplePrefix"));

    owner(&site, "PUT", "/src/a b", "", "bytes").await;
    assert_eq!(owner(&site, "GET", "/src/a b", "", "").await, "bytes");
    drop(body(ask(&site, request(("GET", "/src/a b", "", ""), ("", ""), false)).await).await);
    let many = "<Delete><Object><Key>a b</Key></Object></Delete>";
    owner(&site, "POST", "/src", "delete", many).await;
    owner(&site, "PUT", "/dst/other", "", "is not logged").await;

    let lines = delivered(&site).await;
    assert!(lines.iter().all(|line| line.len() == 26 && line[1] == "src"), "{lines:?}");
    check(&lines, ["REST.PUT.OBJECT", "a%20b", "ann", "200", "-"]);
    check(&lines, ["REST.GET.OBJECT", "a%20b", "ann", "200", "-"]);
    check(&lines, ["REST.GET.OBJECT", "a%20b", "-", "403", "AccessDenied"]);
    check(&lines, ["REST.POST.MULTI_OBJECT_DELETE", "-", "ann", "200", "-"]);
    check(&lines, ["BATCH.DELETE.OBJECT", "a%20b", "ann", "204", "-"]);
    let read = lines.iter().find(|line| line[6] == "REST.GET.OBJECT" && line[9] == "200").unwrap();
    assert_eq!((read[11].as_str(), read[12].as_str(), read[21].as_str()), ("5", "5", "AuthHeader"));
}

#[tokio::test]
async fn logs_end_with_the_targets_permission_and_with_the_setting() {
    let site = site().await;
    for name in ["src", "dst"] {
        owner(&site, "PUT", &format!("/{name}"), "", "").await;
    }
    owner(&site, "PUT", "/dst", "policy", POLICY).await;
    owner(&site, "PUT", "/src", "logging", ENABLED).await;
    owner(&site, "GET", "/src", "", "").await;
    let before = delivered(&site).await.len();
    assert!(before > 0);
    owner(&site, "DELETE", "/dst", "policy", "").await;
    owner(&site, "GET", "/src", "", "").await;
    assert_eq!(delivered(&site).await.len(), before, "the target's owner takes no more");
    assert_eq!(site.objects.account().await.unwrap().log_lines_lost, 1);
    owner(&site, "PUT", "/dst", "policy", POLICY).await;
    owner(&site, "PUT", "/src", "logging", "<BucketLoggingStatus/>").await;
    owner(&site, "GET", "/src", "", "").await;
    assert_eq!(delivered(&site).await.len(), before, "logging ended");
}

#[tokio::test]
async fn an_address_is_that_of_the_connection_and_not_what_a_header_says() {
    let site = site().await;
    owner(&site, "PUT", "/src", "", "").await;
    owner(&site, "PUT", "/src/k", "", "bytes").await;
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::src/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}"#;
    owner(&site, "PUT", "/src", "policy", policy).await;
    let asked = |address: Option<&str>| {
        let mut asked = request(("GET", "/src/k", "", ""), ("", ""), false);
        asked.headers_mut().insert("x-forwarded-for", "10.1.1.1".parse().unwrap());
        let address = address.map(|text| text.parse().unwrap());
        asked.extensions_mut().insert(Peer { address, secure: true });
        asked
    };
    for (address, expected) in [(None, 403), (Some("192.0.2.1"), 403), (Some("10.2.2.2"), 200)] {
        assert_eq!(ask(&site, asked(address)).await.status(), expected, "{address:?}");
    }
}
