//! Buckets: what each holds, its folders, and its objects as a browser may see them.
//!
//! Why for administrators: a bucket may hold the backups of other tools. Objects are shown as
//! artifacts are: in the sandbox of [`media`].

mod key;
mod leftovers;

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
    response::{IntoResponse, Response},
};
use base::{time::Timestamp, units::Bytes};
use leftovers::Shown;
use maud::{Markup, html};
use objects::{BucketInfo, Entry, Page};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Lines of one page.
const LINES: u32 = 200;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/buckets", list)
        .get("/buckets/{bucket}", part)
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
        div.scroll { table.wide {
            thead { tr { th { "Name" } th { "Owner" } th { "Objects" } th { "Size" } th { "Unfinished uploads" } th { "Quota" } } }
            tbody {
                @for info in infos {
                    tr {
                        td { a href=(address(&info.name, "")) { (info.name) } }
                        td data-th="Owner" { @if info.is_house() { span.faint { "the appliance" } } @else { (info.owner) } }
                        td data-th="Objects" { (info.usage.objects) }
                        td data-th="Size" { (Bytes(info.usage.bytes)) }
                        td data-th="Unfinished uploads" { (unfinished(info)) }
                        td data-th="Quota" { (quota(info)) }
                    }
                }
            }
        } }
    }
}

fn unfinished(info: &BucketInfo) -> Markup {
    html! {
        @if info.unfinished.objects == 0 { span.faint { "none" } } @else {
            a href=(leftovers::address(&info.name, "", Shown::Uploads, None)) {
                (info.unfinished.objects) ", " (Bytes(info.unfinished.bytes))
            }
        }
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

/// Which part of a bucket.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    prefix: String,
    show: Shown,
    after: Option<String>,
    /// Of the last version or upload of the page before.
    id: String,
    /// An object whose key is no path that a browser leaves as it is.
    object: Option<String>,
    view: Option<String>,
    download: Option<String>,
}

async fn part(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Path(bucket): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Failure> {
    let Part { prefix, show, after, id, object, view, download } = part;
    if let Some(key) = object {
        return one(&state, &user, theme, (&bucket, &key), media::Asked { view, download }).await;
    }
    let content = if show == Shown::Objects {
        let after = after.as_deref();
        let page = state.objects.list(&bucket, &prefix, Some("/"), after, LINES).await?;
        listing(&bucket, &prefix, &page, state.now())
    } else {
        let after = after.map(|key| (key, id));
        leftovers::list(&state, &bucket, &prefix, show, after).await?
    };
    let body = html! {
        div.head { h1 { (bucket) } }
        (kinds(&bucket, &prefix, show))
        (content)
    };
    Ok(framed(&user, theme, &state, bucket, &body).into_response())
}

/// Links to the other lists of the bucket.
fn kinds(bucket: &str, prefix: &str, shown: Shown) -> Markup {
    html! {
        nav.tabs aria-label="What is listed" {
            @for (kind, _, name) in Shown::ALL {
                a href=(leftovers::address(bucket, prefix, kind, None)) aria-current=[(kind == shown).then_some("page")] { (name) }
            }
        }
    }
}

fn listing(bucket: &str, prefix: &str, page: &Page, now: Timestamp) -> Markup {
    html! {
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
                            span { (key::shown(folder.strip_prefix(prefix).unwrap_or(folder))) }
                        },
                        Entry::Object(info) => {
                            a.file href=(media::asked(&key::address(bucket, &info.key), "view")) {
                                svg.icon aria-hidden="true" { use href=(assets::icon("file")) {} }
                                span { (key::shown(info.key.strip_prefix(prefix).unwrap_or(&info.key))) }
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
                " / " a href=(address(bucket, &folders[..=index].concat())) { (key::shown(name.trim_end_matches('/'))) }
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
    one(&state, &user, theme, (&bucket, &key), asked).await
}

/// An object, or the page about it.
async fn one(
    state: &State,
    user: &User,
    theme: Theme,
    (bucket, key): (&str, &str),
    asked: media::Asked,
) -> Result<Response, Failure> {
    if asked.view.is_some() {
        return view(state, user, theme, bucket, key).await;
    }
    let found = state.objects.get(bucket, key, None).await?;
    Ok(media::answer(found, key, &asked))
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
    let address = key::address(bucket, key);
    let told = key::told(key);
    let folder = key.rfind('/').map_or("", |at| &key[..=at]);
    let name = key::told(&key[folder.len()..]);
    let file = preview::File {
        trail: way(bucket, folder),
        name: if name.is_empty() { &told } else { &name },
        address: &address,
        framed: &address,
        kind,
        size: info.size,
        modified: Some((info.modified, state.now())),
        etag: Some(&info.etag),
        text,
    };
    let body = preview::body(&file);
    Ok(preview::answer(framed(user, theme, state, format!("{told} · {bucket}"), &body)))
}
