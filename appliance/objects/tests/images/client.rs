//! A client of the registry, straight into the room.

use crate::{CONFIG, digest};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use objects::{Objects, registry::Caller};
use serde_json::{Value, json};

pub(crate) const REALM: &str = "https://box.site/v2/token";
pub(crate) const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and the first error's code.
    pub(crate) fn failed(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap().to_owned())
    }
}

/// A client of one room.
pub(crate) struct Client {
    pub(crate) objects: Objects,
    pub(crate) caller: Option<Caller>,
}

impl Client {
    pub(crate) fn new(objects: &Objects) -> Self {
        Self { objects: objects.clone(), caller: Some(Caller::new(|_, _| true)) }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let answer = self.objects.registry(request, self.caller.clone(), REALM).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri, &[], b"").await
    }

    /// Pushes a blob in one request.
    pub(crate) async fn blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let uri = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer = self.send("POST", &uri, &[], bytes).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("location"), format!("/v2/{name}/blobs/{digest}"));
        digest
    }

    pub(crate) async fn manifest(
        &self,
        name: &str,
        reference: &str,
        kind: &str,
        body: &Value,
    ) -> Answer {
        let uri = format!("/v2/{name}/manifests/{reference}");
        self.send("PUT", &uri, &[("content-type", kind)], body.to_string().as_bytes()).await
    }

    /// Pushes an image of one layer; its manifest.
    pub(crate) async fn image(&self, name: &str, tag: &str, layer: &[u8]) -> (Value, String) {
        self.blob(name, CONFIG).await;
        self.blob(name, layer).await;
        let manifest = image(layer);
        let answer = self.manifest(name, tag, OCI, &manifest).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let digest = answer.header("docker-content-digest").to_owned();
        (manifest, digest)
    }
}

pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() })
}

pub(crate) fn image(layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
}
