//! The first start: an administrator with a one-time password, told once.
//!
//! Invariants: the password is random, kept as a hash, and good for nothing but choosing another;
//! a store that has an account is never touched.

use base::{secret::Secret, time::Timestamp};
use store::{
    Store,
    access::{NewAudit, NewUser, Role},
};

/// Makes the administrator if there is no account yet; returns the password to show.
pub(crate) async fn administrator(store: &Store, now: Timestamp) -> anyhow::Result<Option<Secret>> {
    if !store.read(|reader| reader.user_list()).await?.is_empty() {
        return Ok(None);
    }
    let password = web::access::password::one_time()?;
    let hashed = Secret::new(password.expose());
    let phc = tokio::task::spawn_blocking(move || web::access::password::hash(&hashed)).await?;
    store
        .write(move |txn| {
            let new = NewUser {
                login: "admin".into(),
                name: "Administrator".into(),
                role: Role::Admin,
                password: Some(phc),
                one_time: true,
            };
            txn.user_create(&new, now)?;
            let deed = NewAudit {
                actor: "system".into(),
                action: "account.create".into(),
                subject: "account admin".into(),
                ..NewAudit::default()
            };
            txn.audit_append(now, &deed)
        })
        .await?;
    Ok(Some(password))
}
