//! The permits: first arguments of handlers, made from a request or refused.

use super::{Caller, Permit, User, identify};
use crate::{State, error::Failure};
use axum::extract::FromRequestParts;
use http::request::Parts;
use store::access::Role;

/// Everybody; nobody is identified. For assets and health.
#[derive(Debug, Clone, Copy)]
pub struct Public;

/// Everybody, identified if they showed something. For log-in and Git.
#[derive(Debug, Clone)]
pub struct Anyone(pub Caller);

/// Every person who is logged in, even with a one-time password.
#[derive(Debug, Clone)]
pub struct Account(pub User);

/// May see everything but secrets, users and the audit log.
#[derive(Debug, Clone)]
pub struct Viewer(pub User);

/// May also trigger, cancel, rerun, approve, and change projects and contexts, as far as no protected
/// job runs with them ([`crate::guarded`]).
#[derive(Debug, Clone)]
pub struct Member(pub User);

/// May also manage users, and read the audit log: deeds of the whole site, so that a token which is
/// bound to projects is refused.
#[derive(Debug, Clone)]
pub struct Admin(pub User);

/// The local runner, by its socket alone: whoever speaks for a runner may end any job that it holds,
/// so that no token opens these routes.
#[derive(Debug, Clone, Copy)]
pub struct Runner;

fn account(caller: Caller) -> Result<User, Failure> {
    match caller {
        Caller::User(user) => Ok(user),
        Caller::Nobody => Err(Failure::Anonymous),
        Caller::Runner => Err(Failure::Forbidden("this is not for the runner".into())),
        Caller::Job(_) => Err(Failure::Forbidden(JOB.into())),
    }
}

/// What a job is told everywhere but at its repository.
pub(crate) const JOB: &str = "the key of a job opens the repository of its project, nothing else";

fn at_least(role: Role, caller: Caller) -> Result<User, Failure> {
    let user = account(caller)?;
    if user.password_is_one_time {
        return Err(Failure::PasswordIsOneTime);
    }
    if user.role < role {
        let needed = format!("this needs the role {role}; you have {}", user.role);
        return Err(Failure::Forbidden(needed));
    }
    Ok(user)
}

macro_rules! permits {
    ($($permit:ident, $name:literal, |$caller:ident| $admit:expr;)*) => {$(
        impl FromRequestParts<State> for $permit {
            type Rejection = Failure;
            async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
                let $caller = identify(parts, state).await?;
                $admit
            }
        }

        impl Permit for $permit {
            const NAME: &'static str = $name;
        }
    )*};
}

permits! {
    Anyone, "anyone", |caller| Ok(Self(caller));
    Account, "account", |caller| account(caller).map(Self);
    Viewer, "viewer", |caller| at_least(Role::Viewer, caller).map(Self);
    Member, "member", |caller| at_least(Role::Member, caller).map(Self);
    Admin, "admin", |caller| {
        let user = at_least(Role::Admin, caller)?;
        user.unbound()?;
        Ok(Self(user))
    };
    Runner, "runner", |caller| match caller {
        Caller::Runner => Ok(Self),
        Caller::Nobody => Err(Failure::Anonymous),
        Caller::User(_) | Caller::Job(_) => {
            Err(Failure::Forbidden("this is for the local runner alone".into()))
        }
    };
}

impl FromRequestParts<State> for Public {
    type Rejection = Failure;
    async fn from_request_parts(_: &mut Parts, _: &State) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Permit for Public {
    const NAME: &'static str = "public";
}
