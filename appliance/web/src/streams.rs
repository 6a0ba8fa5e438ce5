//! How many live streams are open, in all and for each account.
//!
//! Why: each costs some kilobytes; a forgotten tab must not cost the service its memory, nor one
//! account with many of them all others their live pages.
//! Invariants: a stream holds its [`StreamRoom`], and its place is free when that is dropped.

use crate::error::Failure;
use base::ids::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Event and log streams at once.
const STREAMS_MAX: usize = 256;

/// Of one account.
const STREAMS_OF_ONE: usize = 64;

/// Open streams of each account that has some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<UserId, usize>>>);

/// One stream's place.
#[derive(Debug)]
pub(crate) struct StreamRoom {
    of: UserId,
    streams: Streams,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more.
    pub(crate) fn room(&self, of: UserId) -> Result<StreamRoom, Failure> {
        let mut open = self.open();
        let own = open.get(&of).copied().unwrap_or(0);
        if own >= STREAMS_OF_ONE || open.values().sum::<usize>() >= STREAMS_MAX {
            return Err(Failure::Unavailable("too many live pages are open: close some".into()));
        }
        open.insert(of, own + 1);
        Ok(StreamRoom { of, streams: self.clone() })
    }
}

impl Drop for StreamRoom {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(own) = open.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn one_account_leaves_room_for_others_and_all_have_a_bound() {
        let streams = Streams::default();
        let mut held: Vec<StreamRoom> =
            (0..STREAMS_OF_ONE).map(|_| streams.room(account(0)).unwrap()).collect();
        assert!(streams.room(account(0)).is_err());
        let others = STREAMS_MAX - STREAMS_OF_ONE;
        held.extend((1..=others).map(|n| streams.room(account(n as u128)).unwrap()));
        assert!(streams.room(account(9999)).is_err());
        drop(held);
        assert!(streams.room(account(9999)).is_ok() && streams.open().is_empty());
    }
}
