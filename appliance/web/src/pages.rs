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

pub use frame::Theme;

pub(crate) use log::output;
pub(crate) use report::Key as ReportKey;
pub(crate) use settings::networks_check;

use crate::{State, access::Routes};
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

/// The page for a failed request.
pub(crate) fn failure(
    status: StatusCode,
    message: &str,
    remedy: Option<&str>,
    id: &str,
    theme: Theme,
    state: &State,
) -> Markup {
    let title = status.canonical_reason().unwrap_or("Failed");
    let body = html! {
        section.lone {
            p.lone-code aria-hidden="true" { (status.as_u16()) }
            h1 { (title) }
            p { (message) }
            p.faint { "Request " code { (id) } }
            @if let Some(remedy) = remedy {
                p { a.button.primary href=(remedy) { @if remedy.starts_with("/login") { "Log in" } @else { "To your account" } } }
            }
            p { a.button href="/" { "To the pipelines" } }
        }
    };
    frame::bare(title, theme, &state.config.version, &body)
}
