//! What surrounds every page: head, navigation, foot.

use super::assets;
use crate::access::cookie_read;
use http::HeaderMap;
use maud::{DOCTYPE, Markup, html};

/// Light, dark, or as the system has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Every choice, in the order of the form.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Reads the cookie.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Self::named(cookie_read(headers, "theme").unwrap_or_default())
    }

    /// By its name; anything else follows the system.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.name() == name).unwrap_or_default()
    }

    /// Name in the cookie; empty for the system's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

fn document(title: &str, theme: Theme, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · appliance" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(assets::address("style.css"));
                script type="module" src=(assets::address("live.js")) {}
            }
            (body)
        }
    }
}

/// A page without navigation: log-in and failures.
#[must_use]
pub fn bare(title: &str, theme: Theme, version: &str, body: &Markup) -> Markup {
    document(
        title,
        theme,
        &html! {
            body.bare {
                main id="main" { (body) }
                footer { "appliance " (version) }
            }
        },
    )
}
