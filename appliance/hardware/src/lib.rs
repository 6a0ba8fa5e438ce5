//! Reads the machine: sensors, cards, pressure, disks, power; runs the firmware hooks.
//!
//! Why: a box in a hot cabinet on a thin radio link must know its own state before it takes work.
//! This room reads and tells; it decides nothing. What it tells is [`base::reading::Readings`].
//! Invariants: everything below `/sys` and `/proc` is reached through one [`Root`], so that a
//! captured tree is read as the living machine is; nothing that a device answers, or refuses to
//! answer, is an error of this room: it becomes a [`base::reading::Quality`].

mod config;
mod cooling;
mod hwmon;
mod kind;
mod memory;
mod processor;
mod root;
mod sampler;
mod sensors;
mod slow;
mod track;
mod zones;

pub use config::Config;
pub use root::Root;
pub use sampler::{Handle, Sampler, start};
