//! What surrounds every page: head, navigation, foot.

use super::{assets, look::Look};
use crate::{
    Config,
    access::{Role, User, cookie_read},
};
use axum::extract::FromRequestParts;
use base::ids::{Cursor, ProjectId};
use http::{HeaderMap, request::Parts};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::convert::Infallible;

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

impl<S: Sync> FromRequestParts<S> for Theme {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// Which entry of the navigation is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    /// Pipelines, and all below.
    Pipelines,
    /// Projects and their settings.
    Projects,
    /// Runners.
    Runners,
    /// The machine.
    Hardware,
    /// Contexts.
    Contexts,
    /// Buckets and what they hold.
    Buckets,
    /// Accounts of others.
    Users,
    /// The audit log.
    Audit,
    /// One's own account.
    Account,
}

impl Here {
    /// The entry that a path belongs to.
    pub(super) fn of(path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next();
        let of = |entry: &&(Self, &str, &str, &str, Role)| Some(&entry.1[1..]) == first;
        ENTRIES.iter().find(of).map_or(Self::Pipelines, |entry| entry.0)
    }
}

/// Address, icon, name, and who sees it.
const ENTRIES: [(Here, &str, &str, &str, Role); 9] = [
    (Here::Pipelines, "/", "pipelines", "Pipelines", Role::Viewer),
    (Here::Projects, "/projects", "projects", "Projects", Role::Viewer),
    (Here::Runners, "/runners", "runners", "Runners", Role::Viewer),
    (Here::Hardware, "/hardware", "hardware", "Hardware", Role::Viewer),
    (Here::Contexts, "/contexts", "contexts", "Contexts", Role::Viewer),
    (Here::Buckets, "/buckets", "folder", "Buckets", Role::Admin),
    (Here::Users, "/users", "users", "Users", Role::Admin),
    (Here::Audit, "/audit", "audit", "Audit log", Role::Admin),
    (Here::Account, "/account", "me", "Account", Role::Viewer),
];

/// Address and name of what administrators alone see, which a small screen has no room for.
pub(super) fn of_administrators() -> impl Iterator<Item = (&'static str, &'static str)> {
    let admin = ENTRIES.iter().filter(|(.., role)| *role == Role::Admin);
    admin.map(|(_, address, _, name, _)| (*address, *name))
}

/// What a page tells its frame.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Who looks.
    pub user: &'a User,
    /// Light or dark.
    pub theme: Theme,
    /// Settings of the site.
    pub config: &'a Config,
    /// Lit in the navigation.
    pub here: Here,
    /// Title of the browser's tab.
    pub title: String,
    /// Shown in the tab's icon.
    pub look: Option<Look>,
    /// The page is kept fresh from this event on; `None` when nothing on it changes by itself.
    pub live: Option<Live>,
}

/// What a live page follows.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// The last event that the page already shows.
    pub cursor: Cursor,
    /// Only events of this project.
    pub project: Option<ProjectId>,
}

impl Live {
    fn address(&self) -> String {
        let project = self.project.map(|id| format!("&project={id}")).unwrap_or_default();
        format!("/events?after={}{project}", self.cursor)
    }
}

/// The whole page around `body`, which becomes the content of `main`.
#[must_use]
pub(super) fn page(frame: &Frame<'_>, body: &Markup) -> Markup {
    let content = html! {
        body {
            a.skip-link href="#main" { "Skip to content" }
            (header(frame))
            @if frame.user.password_is_one_time { nav.rail {} } @else { (navigation(frame)) }
            main #main tabindex="-1" data-live=[frame.live.as_ref().map(Live::address)] { (body) }
            div #notice role="status" aria-live="polite" {}
        }
    };
    document(&frame.title, frame.look, frame.theme, &content)
}

fn header(frame: &Frame<'_>) -> Markup {
    html! {
        header.top {
            a.brand href="/" {
                svg.logo aria-hidden="true" { use href=(assets::icon("logo")) {} }
                span { "appliance" }
            }
            span.site { (site(&frame.config.base_url)) }
            div.top-tools {
                (theme_switch(frame.theme))
                a.quiet href="/account" aria-label=(format!("Account of {}", frame.user.login)) {
                    svg.icon aria-hidden="true" { use href=(assets::icon("me")) {} }
                    span.top-login { (frame.user.login) }
                }
                form.top-out method="post" action="/logout" { button.quiet type="submit" { "Log out" } }
            }
        }
    }
}

/// `https://ci.site:8443` as `ci.site:8443`.
fn site(base_url: &str) -> &str {
    base_url.split_once("://").map_or(base_url, |(_, host)| host)
}

fn theme_switch(theme: Theme) -> Markup {
    let (next, label) = match theme {
        Theme::System => (Theme::Dark, "Theme: as the system has it. Switch to dark"),
        Theme::Dark => (Theme::Light, "Theme: dark. Switch to light"),
        Theme::Light => (Theme::System, "Theme: light. Switch to the system's"),
    };
    html! {
        form method="post" action="/theme" data-theme-form {
            input type="hidden" name="theme" value=(next.name());
            button.quiet type="submit" aria-label=(label) title=(label) {
                svg.icon aria-hidden="true" { use href=(assets::icon("theme")) {} }
            }
        }
    }
}

fn navigation(frame: &Frame<'_>) -> Markup {
    html! {
        nav.rail aria-label="Main" {
            @for (here, address, icon, name, role) in ENTRIES {
                @if frame.user.may(role) {
                    a href=(address) aria-current=[(here == frame.here).then_some("page")]
                        .admin[role == Role::Admin] {
                        svg.icon aria-hidden="true" { use href=(assets::icon(icon)) {} }
                        span { (name) }
                    }
                }
            }
            p.version { "appliance " (frame.config.version) }
        }
    }
}

fn document(title: &str, look: Option<Look>, theme: Theme, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if let Some(look) = look { (look.sign()) " " } (title) " · appliance" }
                link rel="icon" href=(favicon(look));
                link rel="stylesheet" href=(assets::address("style.css"));
                @if look.is_some() { link rel="stylesheet" href=(assets::address("ansi.css")); }
                @for module in ["base.js", "lines.js", "log.js"] { link rel="modulepreload" href=(assets::address(module)); }
                script type="module" src=(assets::address("live.js")) {}
            }
            (body)
        }
    }
}

/// The tab's icon: the mark, with a dot in the state's colour.
fn favicon(look: Option<Look>) -> String {
    let dot = look.map(|look| {
        format!(
            "<circle cx='24' cy='24' r='8' fill='{}' stroke='white' stroke-width='2'/>",
            look.tab_colour()
        )
    });
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='8' \
         fill='#0f766e'/><path d='M7 16h6M19 9.500h6M19 22.500h6M13 16c4 0 2.500-6.500 6-6.500M13 16c4 0 \
         2.500 6.500 6 6.500' fill='none' stroke='white' stroke-width='2.600' stroke-linecap='round'/>{}</svg>",
        dot.unwrap_or_default()
    );
    format!("data:image/svg+xml,{}", utf8_percent_encode(&svg, NON_ALPHANUMERIC))
}

/// A page without navigation: log-in and failures.
#[must_use]
pub(super) fn bare(title: &str, theme: Theme, version: &str, body: &Markup) -> Markup {
    let content = html! {
        body.bare {
            main #main { (body) }
            footer { "appliance " (version) }
        }
    };
    document(title, None, theme, &content)
}
