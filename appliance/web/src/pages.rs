//! The dashboard: pages made on the server, complete without a script.
//!
//! Why: a field engineer on a slow link or a locked-down browser sees everything; the script only
//! keeps it fresh. A page is a view model (plain data read in one go from the store) and a pure
//! function from it to markup.
//! Invariants: nothing comes from another host; state is told by shape and word, not by colour
//! alone; everything that matters has an address.

mod account;
mod artifacts;
pub mod assets;
mod audit;
mod buckets;
mod chart;
mod config_error;
mod config_texts;
mod contexts;
#[cfg(test)]
mod contrast;
mod deeds;
mod frame;
mod graph;
mod hardware;
mod job;
pub mod links;
mod log;
mod login;
pub mod look;
mod media;
pub mod moment;
mod pipeline;
mod pipelines;
mod preview;
mod projects;
mod report;
mod restrictions;
mod results;
mod runners;
mod settings;
mod steps;
mod strip;
mod timeline;
mod trigger;
mod users;
mod variables;
mod visit;

pub use frame::Theme;

pub(crate) use log::output;
pub(crate) use settings::networks_check;
pub(crate) use visit::Refused;

use crate::{
    State,
    access::{Routes, User},
};
use base::units::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use std::time::Duration;

pub(crate) fn routes() -> Routes {
    assets::routes()
        .merge(login::routes())
        .merge(pipelines::routes())
        .merge(pipeline::routes())
        .merge(deeds::routes())
        .merge(job::routes())
        .merge(log::routes())
        .merge(artifacts::routes())
        .merge(report::routes())
        .merge(projects::routes())
        .merge(settings::routes())
        .merge(trigger::routes())
        .merge(runners::routes())
        .merge(hardware::routes())
        .merge(contexts::routes())
        .merge(restrictions::routes())
        .merge(account::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .merge(buckets::routes())
        .body_max(FORM_MAX)
        .answer_within(ANSWER_MAX)
}

/// The largest form: a variable's value.
const FORM_MAX: Bytes = Bytes::kib(256);

/// A page reads from memory and disk; what takes longer is broken.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A request that failed, as its page tells it.
pub(crate) struct Failed<'a> {
    pub(crate) status: StatusCode,
    pub(crate) message: &'a str,
    /// Where something can be done about it.
    pub(crate) remedy: Option<&'a str>,
    /// The page that it came from.
    pub(crate) back: Option<String>,
    pub(crate) id: &'a str,
    pub(crate) theme: Theme,
    pub(crate) path: &'a str,
    /// Who looks: without a session there is no navigation.
    pub(crate) user: Option<User>,
}

/// The page for a failed request.
pub(crate) fn failure(failed: &Failed<'_>, state: &State) -> Markup {
    let title = failed.status.canonical_reason().unwrap_or("Failed");
    let body = failed_body(title, failed);
    let Some(user) = &failed.user else {
        return frame::bare(title, failed.theme, &state.config.version, &body);
    };
    frame::page(
        &frame::Frame {
            user,
            theme: failed.theme,
            config: &state.config,
            here: frame::Here::of(failed.path),
            title: title.to_owned(),
            look: None,
            live: None,
        },
        &body,
    )
}

fn failed_body(title: &str, failed: &Failed<'_>) -> Markup {
    html! {
        section.lone {
            p.lone-code aria-hidden="true" { (failed.status.as_u16()) }
            h1 { (title) }
            p role="alert" { (failed.message) }
            p.faint { "Request " code { (failed.id) } }
            @if let Some(remedy) = failed.remedy {
                p { a.button.primary href=(remedy) { @if remedy.starts_with("/login") { "Log in" } @else { "To your account" } } }
            }
            @if let Some(back) = &failed.back { p { a.button.primary href=(back) { "Back" } } }
            p { a.button href="/" { "To the pipelines" } }
        }
    }
}
