//! Who sends this request: read once from its connection and headers.
//!
//! Invariants: a credential that proves nothing is refused, not taken for nobody, but for a
//! session that ran out: its browser is sent to log in again.

use super::{
    credential::{Credential, credential},
    origin::{Origin, changes_something, host, origin},
};
use crate::{State, error::Failure};
use base::ids::{ProjectId, SessionId, TokenId, UserId};
use http::{HeaderMap, request::Parts};
use std::net::IpAddr;
use store::{
    access::{NewAudit, Role},
    runs::KeyHolder,
};

/// The other end of the connection; the listener puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over the network.
    Network(IpAddr),
    /// The local runner's Unix socket, which nobody else can open.
    LocalRunner,
    /// The control socket, which only the appliance's own user can open.
    Operator,
}

/// Who sends a request.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nothing was shown.
    Nobody,
    /// A person or a machine account.
    User(User),
    /// The local runner.
    Runner,
    /// A job, with the key that it was given: at Git alone.
    Job(Job),
}

/// A job that runs, and the address that it asks from.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which, by which lease, how far trusted.
    pub holder: KeyHolder,
    /// Address of the other side.
    pub address: String,
}

impl Job {
    /// What stands where a login is shown; no login has a slash.
    #[must_use]
    pub fn name(&self) -> String {
        let number = self.holder.number.map(|number| number.to_string());
        format!("job/{}", number.unwrap_or_else(|| self.holder.job.to_string()))
    }

    /// A line for the audit log; append it in the transaction of the deed.
    #[must_use]
    pub fn deed(&self, action: &str, subject: impl Into<String>) -> NewAudit {
        NewAudit {
            actor: self.name(),
            address: Some(self.address.clone()),
            action: action.to_owned(),
            subject: subject.into(),
            detail: None,
        }
    }
}

/// A person or machine account that proved who it is.
#[derive(Debug, Clone)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its login.
    pub login: String,
    /// What it may do here and now: a token may less than its owner.
    pub role: Role,
    /// How it proved it.
    pub via: Via,
    /// Nothing is possible before it is changed.
    pub password_is_one_time: bool,
    /// A token may be bound to these projects.
    pub projects: Option<Vec<ProjectId>>,
    /// Address of the other side.
    pub address: String,
}

impl User {
    /// Is this project within the bounds of the caller's token?
    pub fn reach(&self, project: ProjectId) -> Result<(), Failure> {
        match &self.projects {
            Some(bounds) if !bounds.contains(&project) => {
                Err(Failure::Forbidden("this token is bound to other projects".into()))
            }
            _ => Ok(()),
        }
    }

    /// What belongs to no project is closed to a token that is bound to some.
    pub fn unbound(&self) -> Result<(), Failure> {
        match self.projects {
            Some(_) => Err(Failure::Forbidden(
                "this token is bound to projects: it opens nothing of the whole site".into(),
            )),
            None => Ok(()),
        }
    }

    /// May it at least what `role` may?
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }

    /// A line for the audit log; append it in the transaction of the deed.
    #[must_use]
    pub fn deed(&self, action: &str, subject: impl Into<String>) -> NewAudit {
        NewAudit {
            actor: self.login.clone(),
            address: Some(self.address.clone()),
            action: action.to_owned(),
            subject: subject.into(),
            detail: None,
        }
    }
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A browser's session.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
    /// Login and password in this very request.
    Password,
    /// The control socket of this machine.
    Socket,
}

/// Login of whoever uses the control socket, in the audit log and as a pipeline's actor.
pub(crate) const OPERATOR: &str = "operator";

/// The appliance's own user may do everything: it owns the files.
fn operator() -> User {
    User {
        id: UserId(uuid::Uuid::nil()),
        login: OPERATOR.to_owned(),
        role: Role::Admin,
        via: Via::Socket,
        password_is_one_time: false,
        projects: None,
        address: "local".to_owned(),
    }
}

/// Reads who sends a request, and refuses what other sites make a browser send.
pub async fn identify(parts: &Parts, state: &State) -> Result<Caller, Failure> {
    if parts.extensions.get::<Peer>() == Some(&Peer::LocalRunner) {
        return Ok(Caller::Runner);
    }
    if parts.extensions.get::<Peer>() == Some(&Peer::Operator) {
        return Ok(Caller::User(operator()));
    }
    let shown = credential(&parts.headers, state.transport());
    refuse_forged(parts, &shown)?;
    super::session::lookup(shown, peer_address(parts), state).await
}

/// Who looks, by the session of a browser alone; `None` when it proves nothing, or nothing any more.
pub(crate) async fn visitor(headers: &HeaderMap, state: &State) -> Option<User> {
    let shown = credential(headers, state.transport());
    if !matches!(shown, Credential::Session(_)) {
        return None;
    }
    match super::session::lookup(shown, String::new(), state).await {
        Ok(Caller::User(user)) => Some(user),
        _ => None,
    }
}

/// A session may change something only from our own page; nobody else's page may even log in.
fn refuse_forged(parts: &Parts, shown: &Credential) -> Result<(), Failure> {
    if !changes_something(&parts.method) {
        return Ok(());
    }
    let allowed = match (shown, origin(&parts.headers, host(&parts.uri, &parts.headers))) {
        (_, Origin::Same) => true,
        (Credential::Session(_), _) => false,
        (_, origin) => origin == Origin::Untold,
    };
    if allowed { Ok(()) } else { Err(Failure::Forged) }
}

/// For counting attempts; without a listener's word all count together.
pub(super) fn peer_address(parts: &Parts) -> String {
    match parts.extensions.get::<Peer>() {
        Some(Peer::Network(address)) => address.to_string(),
        _ => "unknown".to_owned(),
    }
}
