//! The dashboard: pages made on the server, complete without a script.
//!
//! Why: a field engineer on a slow link or a locked-down browser sees everything; the script only
//! keeps it fresh. A page is a view model (plain data read in one go from the store) and a pure
//! function from it to markup.
//! Invariants: nothing comes from another host; state is told by shape and word, not by colour
//! alone; everything that matters has an address.

pub mod assets;
mod frame;
pub mod look;
pub mod moment;

pub use frame::Theme;

use crate::{State, access::Routes};
use http::StatusCode;
use maud::{Markup, html};

pub(crate) fn routes() -> Routes {
    assets::routes()
}

/// The page for a failed request.
pub(crate) fn failure(
    status: StatusCode,
    message: &str,
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
            p { a.button href="/" { "To the pipelines" } }
        }
    };
    frame::bare(title, theme, &state.config.version, &body)
}
