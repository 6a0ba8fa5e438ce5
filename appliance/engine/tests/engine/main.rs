//! The engine over a real store, as its users hold it: one binary, because each costs seconds to link.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod bounds;
mod flood;
mod handle;
mod house;
mod kill;
mod leftovers;
mod next;
mod pace;
mod removal;
mod retention;
mod slow;
mod still;
mod trust;
