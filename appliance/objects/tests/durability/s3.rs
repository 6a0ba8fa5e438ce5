//! The few signed S3 requests of the load, straight into the router.

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use objects::{Objects, Owner, Scope, digest::hex};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

const KEY: &str = "AKLOAD";
const SECRET: &str = "load-secret";

/// A client; clones share its server.
#[derive(Clone)]
pub(crate) struct S3(axum::Router);

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl S3 {
    /// Makes key and bucket unless they are there.
    pub(crate) async fn new(objects: &Objects) -> Result<Self, String> {
        let known = objects.key_list(None).await.map_err(|error| error.to_string())?;
        if !known.iter().any(|key| key.id == KEY) {
            let owner = Owner { id: "load".into(), display: "Load".into(), email: String::new() };
            let secret = base::secret::Secret::new(SECRET);
            let made = objects.key_import(KEY, &secret, owner, Scope::Site, None).await;
            made.map_err(|error| error.to_string())?;
        }
        let client = Self::unprepared(objects);
        client.ask("PUT", crate::load::BUCKET, "", "", Vec::new(), None).await?;
        Ok(client)
    }

    /// A client for which all is there.
    pub(crate) fn unprepared(objects: &Objects) -> Self {
        Self(objects::s3::router(objects.clone()))
    }

    /// One request; its answer as text when that is a success.
    pub(crate) async fn ask(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        query: &str,
        body: Vec<u8>,
        copy_from: Option<&str>,
    ) -> Result<String, String> {
        let path = format!("/{bucket}/{key}").trim_end_matches('/').to_owned();
        let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![
            ("host", "load"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-date", &date),
        ];
        headers.extend(copy_from.map(|from| ("x-amz-copy-source", from)));
        headers.sort_unstable();
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
        let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
        let hash = hex(&Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let mut signing = format!("AWS4{SECRET}").into_bytes();
        for part in [&date[..8], "us-east-1", "s3", "aws4_request"] {
            signing = mac(&signing, part);
        }
        let signature = hex(&mac(&signing, &text));
        let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        let request = request
            .header("authorization", authorization)
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        let answer = ServiceExt::<Request<Body>>::oneshot(self.0.clone(), request).await.unwrap();
        let status = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Some answers begin before their work is done and tell the error in the body.
        let good =
            (status.is_success() && !text.contains("<Error>")) || status == StatusCode::CONFLICT;
        if good { Ok(text) } else { Err(format!("{status}: {text}")) }
    }

    pub(crate) async fn copy(&self, bucket: &str, from: &str, to: &str) -> Result<(), String> {
        let from = format!("/{bucket}/{from}");
        self.ask("PUT", bucket, to, "", Vec::new(), Some(&from)).await.map(drop)
    }

    /// Stores bytes in two parts when they are many enough, else in one.
    pub(crate) async fn parts(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
    ) -> Result<(), String> {
        let begun = self.ask("POST", bucket, key, "uploads=", Vec::new(), None).await?;
        let upload = between(&begun, "<UploadId>", "</UploadId>")?;
        let mut list = String::new();
        let first = bytes.len().min(5 << 20);
        for (index, part) in [&bytes[..first], &bytes[first..]].into_iter().enumerate() {
            if index > 0 && part.is_empty() {
                continue;
            }
            let query = format!("partNumber={}&uploadId={upload}", index + 1);
            self.ask("PUT", bucket, key, &query, part.to_vec(), None).await?;
            let etag = hex(&objects_md5(part));
            list +=
                &format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", index + 1);
        }
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = format!("uploadId={upload}");
        self.ask("POST", bucket, key, &query, body.into_bytes(), None).await.map(drop)
    }
}

fn objects_md5(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str, String> {
    let begin = text.find(from).ok_or_else(|| text.to_owned())? + from.len();
    let end = text[begin..].find(to).ok_or_else(|| text.to_owned())?;
    Ok(&text[begin..begin + end])
}
