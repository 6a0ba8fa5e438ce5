//! What was acknowledged is there, and nothing is there in part: after a failed operation, a kill,
//! a full disk and a cut of the power.
//!
//! The way: a worker (this very binary, started again) puts mixed load on the room and tells what
//! it begins and what was acknowledged; the parent keeps the [`ledger`], does the harm, opens the
//! room again and compares. Whatever was begun and not acknowledged may be there whole or not at all.
//! Rounds are few by default; `APPLIANCE_CUTS=200` and `APPLIANCE_KILLS=50` are the promise's own figures;
//! `APPLIANCE_FAILS=100` harms every operation and system call; `APPLIANCE_SEED` gives another load.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]
#![expect(clippy::disallowed_methods, reason = "the test starts workers and breaks file systems")]
#![expect(clippy::print_stderr, reason = "a skipped or failed round says why")]

mod collect;
mod fail;
mod faulty;
mod full;
mod kill;
mod leave;
mod ledger;
mod load;
mod mark;
mod peer;
mod power;
mod push;
mod rot;
mod rot_http;
mod s3;
mod worker;
