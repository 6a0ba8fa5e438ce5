//! Values that must not be seen: keys, tokens, environment values.
//!
//! Why: a secret leaks by being printed. This type has no `Display` and its `Debug` shows nothing.
//! Invariants: the memory is overwritten when the value is dropped; the only ways out are
//! [`Secret::expose`] and serialisation, which exists because the runner protocol must carry
//! the values of one job to the one runner that holds its lease.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// A text that cannot be printed by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of a text that must stay hidden.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hidden text; name the reason where you call this.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
