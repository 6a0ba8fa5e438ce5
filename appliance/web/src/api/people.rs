//! Identifiers of those who did something: rows keep their logins, the API tells identifiers.

use crate::{State, error::Failure};
use base::ids::UserId;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Identifiers by login.
#[derive(Debug, Default)]
pub(super) struct People(BTreeMap<String, UserId>);

impl People {
    /// Looks up these logins.
    ///
    /// # Errors
    /// As every read.
    pub(super) async fn find<'a>(
        state: &State,
        logins: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Failure> {
        let mut logins: Vec<String> = logins.map(str::to_owned).collect();
        logins.sort_unstable();
        logins.dedup();
        if logins.is_empty() {
            return Ok(Self::default());
        }
        let read = move |reader: &store::Reader<'_>| {
            let mut known = BTreeMap::new();
            for login in logins {
                if let Some(user) = reader.user_by_login(&login)? {
                    known.insert(login, user.id);
                }
            }
            Ok::<_, store::Error>(known)
        };
        Ok(Self(state.store.read(read).await?))
    }

    /// Of a login; zero for what the service did by itself and for accounts that are gone.
    pub(super) fn id(&self, login: &str) -> UserId {
        self.0.get(login).copied().unwrap_or(UserId(Uuid::nil()))
    }
}
