//! Tokens: programs act with them for an account.
//!
//! Invariants: a token never may more than whoever makes it; who came with a token makes none for
//! oneself, so that one which leaked cannot outlive its end; the text is in the answer of its making
//! and nowhere else.

use crate::{
    State,
    access::{User, Via, token},
    error::Failure,
};
use base::{
    ids::{ProjectId, TokenId},
    secret::Secret,
    time::Timestamp,
};
use std::time::Duration;
use store::access::{NewToken, Role, Scope, Token, User as Row};

/// Tokens of one account that are in force at once; more means that nobody knows what they are for.
const TOKENS_MAX: usize = 100;
const LABEL_MAX: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);
const DAYS_MAX: u32 = 3650;

/// A token to be made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) label: String,
    /// `None`: as much as the account may.
    pub(crate) role: Option<Role>,
    /// `None`: all projects.
    pub(crate) projects: Option<Vec<ProjectId>>,
    /// `None`: until it is revoked.
    pub(crate) days: Option<u32>,
    /// Refused when a token with this label is in force: a form that is sent again makes no second.
    pub(crate) once: bool,
}

/// How long a token or key of so many days is in force.
pub(crate) fn life(days: u32) -> Result<Duration, Failure> {
    match days {
        1..=DAYS_MAX => Ok(DAY * days),
        _ => Err(Failure::Invalid(format!("days must be 1 to {DAYS_MAX}"))),
    }
}

/// Is it in force?
pub(crate) fn is_live(token: &Token, now: Timestamp) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|end| end > now)
}

/// Makes a token for the account `of`; its id, and its text for the one answer.
pub(crate) async fn create(
    state: &State,
    by: &User,
    of: &Row,
    asked: Asked,
) -> Result<(TokenId, Secret), Failure> {
    let scope = scope(by, of, &asked)?;
    let label = label(&asked.label)?;
    let life = asked.days.map(life).transpose()?;
    let now = state.now();
    let (secret, hash) = token::new_token().map_err(Failure::inside)?;
    let new =
        NewToken { hash, user: of.id, label, scope, expires_at: life.map(|life| now.plus(life)) };
    let deed = by.deed("token.create", told(&of.login, &new));
    let id = state
        .store
        .write(move |txn| {
            let mut live = txn.token_list(new.user)?;
            live.retain(|token| is_live(token, now));
            if live.len() >= TOKENS_MAX {
                return Err(store::Error::Conflict("revoke some of the tokens first".into()));
            }
            if asked.once && live.iter().any(|token| token.label == new.label) {
                return Err(store::Error::Conflict(format!(
                    "there is a token `{}` already: choose another label, or revoke it first",
                    new.label
                )));
            }
            txn.audit_append(now, &deed)?;
            txn.token_create(&new, now)
        })
        .await?;
    Ok((id, secret))
}

fn label(asked: &str) -> Result<String, Failure> {
    let label: String = asked.trim().chars().take(LABEL_MAX).collect();
    if label.is_empty() {
        return Err(Failure::Invalid("the label is empty: say what the token is for".into()));
    }
    Ok(label)
}

/// What was granted, for the audit log.
fn told(login: &str, new: &NewToken) -> String {
    let projects = new.scope.projects.as_ref().map_or(String::new(), |projects| {
        let ids: Vec<String> = projects.iter().map(ToString::to_string).collect();
        format!(" for projects {}", ids.join(" "))
    });
    let until = new.expires_at.map_or_else(String::new, |end| format!(" until {end}"));
    format!("account {login} token {} as {}{projects}{until}", new.label, new.scope.role.as_str())
}

fn scope(by: &User, of: &Row, asked: &Asked) -> Result<Scope, Failure> {
    let refused = |why: &str| Err(Failure::Forbidden(why.into()));
    if by.projects.is_some() {
        return refused("a token that is bound to projects makes no tokens");
    }
    if matches!(by.via, Via::Token(_)) && by.id == of.id {
        return refused("a token for oneself is made with a password: on the page Account");
    }
    if by.id != of.id && !by.may(Role::Admin) {
        return refused("only an administrator may do this for another account");
    }
    let most = of.role.min(by.role);
    let role = asked.role.unwrap_or(most).min(most);
    Ok(Scope { role, projects: asked.projects.clone() })
}

/// Revokes a token of the account `of`, at once.
pub(crate) async fn revoke(state: &State, by: &User, of: &Row, id: TokenId) -> Result<(), Failure> {
    let deed = by.deed("token.revoke", format!("account {} token {id}", of.login));
    let (owner, now) = (of.id, state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.token_revoke(owner, id, now)
        })
        .await?;
    Ok(())
}
