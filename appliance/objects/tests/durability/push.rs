//! A push through the registry: a layer in two chunks, a configuration, a manifest with a tag.

use crate::load::{Value, noise};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use objects::{Objects, digest::hex, registry::Caller};
use sha2::{Digest, Sha256};

pub(crate) fn sha(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// One request; the `Location` of its answer, or why it failed.
async fn ask(
    objects: &Objects,
    method: &str,
    uri: &str,
    kind: &str,
    body: Vec<u8>,
) -> Result<String, String> {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    let everything = Caller::new(|_, _| true);
    let answer = objects.registry(request, Some(everything), "https://load/v2/token").await;
    let (status, location) = (answer.status(), answer.headers().get("location").cloned());
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    if !status.is_success() {
        return Err(format!("{method} {uri}: {status}: {}", String::from_utf8_lossy(&text)));
    }
    Ok(location.map_or_else(String::new, |value| value.to_str().unwrap().to_owned()))
}

async fn blob(objects: &Objects, name: &str, chunks: &[&[u8]]) -> Result<String, String> {
    const BYTES: &str = "application/octet-stream";
    let begin = format!("/v2/{name}/blobs/uploads/");
    let mut at = ask(objects, "POST", &begin, BYTES, Vec::new()).await?;
    for chunk in chunks {
        at = ask(objects, "PATCH", &at, BYTES, chunk.to_vec()).await?;
    }
    let digest = sha(&chunks.concat());
    ask(objects, "PUT", &format!("{at}?digest={digest}"), BYTES, Vec::new()).await?;
    Ok(digest)
}

/// Begins to push a layer, if that is taken.
pub(crate) async fn try_begin(objects: &Objects, line: &str) -> Result<String, String> {
    let begin = format!("/v2/load/{line}/blobs/uploads/");
    ask(objects, "POST", &begin, "application/octet-stream", Vec::new()).await
}

/// Begins to push a layer; where its bytes go.
pub(crate) async fn begin(objects: &Objects, line: &str) -> String {
    try_begin(objects, line).await.unwrap()
}

/// Begins to push a layer and goes away.
pub(crate) async fn cut(objects: &Objects, line: &str, layer: Vec<u8>) {
    let at = begin(objects, line).await;
    ask(objects, "PATCH", &at, "application/octet-stream", layer).await.unwrap();
}

/// Pushes an image whose only layer is the value.
pub(crate) async fn push(objects: &Objects, line: &str, value: Value) -> Result<(), String> {
    let name = format!("load/{line}");
    let layer = noise(value);
    let config = format!(r#"{{"config":{{}},"seed":{}}}"#, value.seed).into_bytes();
    let (first, second) = layer.split_at(layer.len() / 3);
    let layer_digest = blob(objects, &name, &[first, second]).await?;
    let config_digest = blob(objects, &name, &[&config]).await?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{}}}]}}"#,
        config.len(),
        layer.len()
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let uri = format!("/v2/{name}/manifests/1");
    ask(objects, "PUT", &uri, kind, manifest.into_bytes()).await.map(drop)
}
