//! The faces over a real site: one binary, because each costs seconds to link.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod badges;
mod clients;
mod deeds;
mod deletion;
mod disk;
mod doors;
mod files;
mod first_push;
mod forms;
mod git;
mod guards;
mod insights;
mod large;
mod lengths;
mod levels;
mod many;
mod pages;
mod refusals;
mod registry;
#[path = "site/site.rs"]
mod site;
mod streams;
mod trigger;
mod version_1;
mod version_3;
mod webhooks;
