//! Buckets: what each holds, its folders, and its objects as a browser may see them.
//!
//! Why for administrators: a bucket may hold the backups of other tools. Objects are shown as
//! artifacts are: in the sandbox of [`media`].

use super::{
    assets,
    frame::{self, Frame, Here, Theme},
    media, moment, preview,
};
use crate::{
    State,
    access::{Admin, Routes, User},
    error::Failure,
};
use axum::{
    extract::{Path, Query},
    response::Response,
};
use base::{time::Timestamp, units::Bytes};
use maud::{Markup, html};
use objects::{BucketInfo, Entry, Page};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Lines of one page.
const LINES: u32 = 200;

/// Characters of a key that stay as they are in an address.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/buckets", list)
        .get("/buckets/{bucket}", folder)
        .get("/buckets/{bucket}/{*key}", object)
}

fn framed(user: &User, theme: Theme, state: &State, title: String, body: &Markup) -> Markup {
    let config = &state.config;
    let frame = Frame { user, theme, config, here: Here::Buckets, title, look: None, live: None };
    frame::page(&frame, body)
}

async fn list(Admin(user): Admin, state: State, theme: Theme) -> Result<Markup, Failure> {
    let infos = state.objects.bucket_infos().await?;
    Ok(framed(&user, theme, &state, "Buckets".into(), &overview(&infos)))
}

fn overview(infos: &[BucketInfo]) -> Markup {
    html! {
        div.head { h1 { "Buckets" } }
        p.faint { "Every S3 client works with them; make keys with " code { "appliance key create" } "." }
        div.scroll { table.users {
            thead { tr { th { "Name" } th { "Owner" } th { "Objects" } th { "Size" } th { "Quota" } } }
            tbody {
                @for info in infos {
                    tr {
                        td { a href=(address(&info.name, "")) { (info.name) } }
                        td { @if info.is_house() { span.faint { "the appliance" } } @else { (info.owner) } }
                        td { (info.usage.objects) }
                        td { (Bytes(info.usage.bytes)) }
                        td { (quota(info)) }
                    }
                }
            }
        } }
    }
}

fn quota(info: &BucketInfo) -> Markup {
    html! {
        @match (info.quota.bytes, info.quota.objects) {
            (None, None) => span.faint { "none" },
            (bytes, objects) => {
                @if let Some(bytes) = bytes { (Bytes(bytes)) }
                @if let Some(objects) = objects { " " (objects) " objects" }
            }
        }
    }
}

/// A folder of a bucket.
fn address(bucket: &str, prefix: &str) -> String {
    let prefix = utf8_percent_encode(prefix, NON_ALPHANUMERIC).to_string();
    if prefix.is_empty() {
        format!("/buckets/{bucket}")
    } else {
        format!("/buckets/{bucket}?prefix={prefix}")
    }
}

/// An object of a bucket.
fn place(bucket: &str, key: &str) -> String {
    format!("/buckets/{bucket}/{}", utf8_percent_encode(key, KEY))
}

/// Which part of a listing.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
}

async fn folder(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Path(bucket): Path<String>,
    Query(part): Query<Part>,
) -> Result<Markup, Failure> {
    let after = part.after.as_deref();
    let page = state.objects.list(&bucket, &part.prefix, Some("/"), after, LINES).await?;
    let body = listing(&bucket, &part.prefix, &page, state.now());
    Ok(framed(&user, theme, &state, bucket, &body))
}

fn listing(bucket: &str, prefix: &str, page: &Page, now: Timestamp) -> Markup {
    html! {
        div.head { h1 { (bucket) } }
        (way(bucket, prefix))
        @if page.entries.is_empty() {
            section.empty { h2 { "Nothing here" } p { "No key begins with this prefix." } }
        }
        div.tree { ul {
            @for entry in &page.entries {
                li {
                    @match entry {
                        Entry::Prefix(folder) => a.file href=(address(bucket, folder)) {
                            svg.icon aria-hidden="true" { use href=(assets::icon("folder")) {} }
                            span { (folder.strip_prefix(prefix).unwrap_or(folder)) }
                        },
                        Entry::Object(info) => {
                            a.file href=(format!("{}?view", place(bucket, &info.key))) {
                                svg.icon aria-hidden="true" { use href=(assets::icon("file")) {} }
                                span { (info.key.strip_prefix(prefix).unwrap_or(&info.key)) }
                            }
                            span.size { (Bytes(info.size)) " · " (moment::ago(info.modified, now)) }
                        }
                    }
                }
            }
        } }
        @if let Some(next) = &page.next {
            @let after = utf8_percent_encode(next, NON_ALPHANUMERIC);
            @let joint = if prefix.is_empty() { '?' } else { '&' };
            p { a.button href=(format!("{}{joint}after={after}", address(bucket, prefix))) { "What follows" } }
        }
    }
}

/// The folders above, each as a link.
fn way(bucket: &str, prefix: &str) -> Markup {
    let folders: Vec<&str> = prefix.split_inclusive('/').collect();
    html! {
        nav.crumbs aria-label="Folders" {
            a href="/buckets" { "Buckets" } " / " a href=(address(bucket, "")) { (bucket) }
            @for (index, name) in folders.iter().enumerate() {
                " / " a href=(address(bucket, &folders[..=index].concat())) { (name.trim_end_matches('/')) }
            }
        }
    }
}

async fn object(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Path((bucket, key)): Path<(String, String)>,
    Query(asked): Query<media::Asked>,
) -> Result<Response, Failure> {
    if asked.view.is_some() {
        return view(&state, &user, theme, &bucket, &key).await;
    }
    let found = state.objects.get(&bucket, &key, None).await?;
    Ok(media::answer(found, &key, &asked))
}

/// The page about an object.
async fn view(
    state: &State,
    user: &User,
    theme: Theme,
    bucket: &str,
    key: &str,
) -> Result<Response, Failure> {
    let info = state.objects.head(bucket, key).await?;
    let sealed = match state.objects.get(bucket, key, None).await {
        Err(objects::Error::Sealed) => true,
        opened => opened.map(|_| false)?,
    };
    let kind = if sealed { media::SEALED } else { media::kind(key, info.content_type.as_deref()) };
    let text = media::text(&state.objects, bucket, key, (info.size, kind.1)).await?;
    let address = place(bucket, key);
    let folder = key.rfind('/').map_or("", |at| &key[..=at]);
    let file = preview::File {
        trail: way(bucket, folder),
        name: &key[folder.len()..],
        address: &address,
        framed: &address,
        kind,
        size: info.size,
        modified: Some((info.modified, state.now())),
        etag: Some(&info.etag),
        text,
    };
    let body = preview::body(&file);
    Ok(preview::answer(framed(user, theme, state, format!("{key} · {bucket}"), &body)))
}
