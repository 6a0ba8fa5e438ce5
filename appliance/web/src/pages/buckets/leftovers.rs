//! Older versions of a bucket's objects and its unfinished uploads, to be looked at alone: S3 clients
//! change them.

use super::{LINES, key, way};
use crate::{State, error::Failure};
use base::{time::Timestamp, units::Bytes};
use maud::{Markup, html};
use objects::{Unfinished, Version};
use serde::Deserialize;

/// What is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shown {
    /// The newest objects.
    #[default]
    Objects,
    /// All versions of each.
    Versions,
    /// Uploads that nobody finished.
    Uploads,
}

impl Shown {
    pub(super) const ALL: [(Self, &str, &str); 3] = [
        (Self::Objects, "objects", "Objects"),
        (Self::Versions, "versions", "All versions"),
        (Self::Uploads, "uploads", "Unfinished uploads"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|one| one.0 == self).map_or("objects", |one| one.1)
    }
}

/// The address of a part of a bucket, behind `after`.
pub(super) fn address(
    bucket: &str,
    prefix: &str,
    shown: Shown,
    after: Option<&(String, String)>,
) -> String {
    let (key, id) = after.map_or(("", ""), |(key, id)| (key, id));
    let name = if shown == Shown::Objects { "" } else { shown.name() };
    let pairs = [("prefix", prefix), ("show", name), ("after", key), ("id", id)];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => format!("/buckets/{bucket}"),
        query => format!("/buckets/{bucket}?{query}"),
    }
}

/// The list of one kind.
pub(super) async fn list(
    state: &State,
    bucket: &str,
    prefix: &str,
    shown: Shown,
    after: Option<(String, String)>,
) -> Result<Markup, Failure> {
    let (objects, now) = (&state.objects, state.now());
    let (lines, next) = if shown == Shown::Versions {
        let (found, next) = objects.versions(bucket, prefix, after, LINES).await?;
        (versions(&found, now), next)
    } else {
        let (found, next) = objects.unfinished(bucket, prefix, after, LINES).await?;
        (uploads(&found, now), next)
    };
    Ok(html! {
        (way(bucket, prefix))
        (lines)
        @if let Some(next) = &next {
            p { a.button rel="next" href=(address(bucket, prefix, shown, Some(next))) { "What follows" } }
        }
    })
}

fn versions(found: &[Version], now: Timestamp) -> Markup {
    html! {
        @if found.is_empty() { section.empty { p { "No key begins with this prefix." } } } @else {
            p.hint { "Every version of each object, newest first. A delete marker hides what is older; S3 clients delete and restore versions by their names." }
            div.scroll { table.wide {
                thead { tr { th { "Key" } th { "State" } th { "Size" } th { "Stored" } th { "Version" } } }
                tbody { @for one in found { tr {
                    td { (key::shown(&one.key)) }
                    td data-th="State" { (state_of(one)) }
                    td data-th="Size" { @if one.marker { "–" } @else { (Bytes(one.size)) } }
                    td data-th="Stored" { (super::moment::ago(one.modified, now)) }
                    td data-th="Version" { code { (one.version) } }
                } } }
            } }
        }
    }
}

fn state_of(version: &Version) -> Markup {
    match (version.latest, version.marker) {
        (true, false) => html! { span.pill { "current" } },
        (false, false) => html! { span.pill { "old" } },
        (_, true) => html! { span.pill.bad { "delete marker" } },
    }
}

fn uploads(found: &[Unfinished], now: Timestamp) -> Markup {
    html! {
        @if found.is_empty() { section.empty { p { "No upload here is unfinished." } } } @else {
            p.hint { "Uploads in parts that were neither completed nor aborted. Their parts count against the quota; a lifecycle rule of the bucket can abort them by age." }
            div.scroll { table.wide {
                thead { tr { th { "Key" } th { "Parts" } th { "Size" } th { "Begun" } th { "Upload ID" } } }
                tbody { @for one in found { tr {
                    td { (key::shown(&one.key)) }
                    td data-th="Parts" { (one.parts.objects) }
                    td data-th="Size" { (Bytes(one.parts.bytes)) }
                    td data-th="Begun" { (super::moment::ago(one.started, now)) }
                    td data-th="Upload ID" { code { (one.id) } }
                } } }
            } }
        }
    }
}
