//! Reads the machine: sensors, cards, pressure, disks, power; runs the firmware hooks.
//!
//! Why: a box in a hot cabinet on a thin radio link must know its own state before it takes work.
//! This room reads and tells; it decides nothing. What it tells is [`base::reading::Readings`].
//! Invariants: everything below `/sys` and `/proc` is reached through one [`Root`], so that a
//! captured tree is read as the living machine is; nothing that a device answers, or refuses to
//! answer, is an error of this room: it becomes a [`base::reading::Quality`].

mod clock;
mod config;
mod cooling;
mod disks;
pub mod doctor;
mod energy;
pub mod happenings;
pub mod hooks;
mod hwmon;
mod inventory;
mod kind;
mod link_events;
mod links;
mod memory;
mod network;
pub mod nut;
mod paths;
mod probe;
mod processor;
mod root;
mod sampler;
mod sensors;
mod slow;
mod smart;
mod sockets;
mod supply;
mod track;
mod trouble;
pub mod watchdog;
mod wear;
mod zones;

pub use clock::{AskClock, KernelClock};
pub use config::Config;
pub use inventory::{Card, DiskPart, Inventory};
pub use root::Root;
pub use sampler::{Handle, Sampler, Spacing, start};
pub use smart::{Health, smartctl};
pub use trouble::Bounds;
