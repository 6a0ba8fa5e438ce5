//! From what was shown to who it is; logging in, logging out, a new password.
//!
//! Invariants: an unknown login and a wrong password take as long and read the same; every
//! attempt with a password is counted for its address and for its login before it is checked;
//! a new password ends all sessions of its account; each deed is noted in its own transaction.

use super::{
    Caller, Job, User, Via,
    credential::Credential,
    password,
    token::{self, TokenHash},
};
use crate::{State, error::Failure};
use base::{ids::UserId, secret::Secret, time::Timestamp};
use store::access::{NewAudit, NewSession, Token};
use tokio::sync::Semaphore;

/// Of the browser's name for itself, this many bytes are kept.
const AGENT_MAX: usize = 200;

/// Finds who a credential belongs to.
pub(super) async fn lookup(
    shown: Credential,
    address: String,
    state: &State,
) -> Result<Caller, Failure> {
    match shown {
        Credential::None => Ok(Caller::Nobody),
        Credential::Unreadable => Err(Failure::Unproven),
        Credential::Session(secret) => by_session(token::hash(secret.expose()), address, state),
        Credential::Token(secret) => by_token(token::hash(secret.expose()), address, state),
        Credential::Job(key) => by_job(&key, address, state),
        Credential::Password { login, password } => {
            let account = by_password(&login, password, &address, state).await?;
            Ok(Caller::User(user(account, Via::Password, address)))
        }
    }
}

/// Would who began a long answer a while ago still be let in? A password counts for its request, as
/// long as its account does.
pub(crate) async fn stands(user: &User, state: &State) -> Result<bool, Failure> {
    let (id, via, now) = (user.id, user.via, state.now());
    let stands = state.store.look(|reader| match via {
        Via::Session(id) => reader.session_holder(id, now).map(|held| held.is_some()),
        Via::Token(id) => reader.token_holder(id, now).map(|held| held.is_some()),
        Via::Password => reader.user_get(id).map(|held| held.is_some_and(|held| !held.disabled)),
        Via::Socket => Ok(true),
    });
    Ok(stands?)
}

fn user(account: store::access::User, via: Via, address: String) -> User {
    User {
        id: account.id,
        login: account.login,
        role: account.role,
        via,
        password_is_one_time: account.one_time,
        projects: None,
        address,
    }
}

fn by_session(hash: TokenHash, address: String, state: &State) -> Result<Caller, Failure> {
    let now = state.now();
    let found = state.store.look(|reader| reader.session_find(&hash, now))?;
    Ok(found.map_or(Caller::Nobody, |(session, account)| {
        Caller::User(user(account, Via::Session(session.id), address))
    }))
}

fn by_job(key: &Secret, address: String, state: &State) -> Result<Caller, Failure> {
    let found = state.store.look(|reader| reader.job_key_holder(key.expose()))?;
    found.map(|holder| Caller::Job(Job { holder, address })).ok_or(Failure::Unproven)
}

fn by_token(hash: TokenHash, address: String, state: &State) -> Result<Caller, Failure> {
    let now = state.now();
    let found = state.store.look(|reader| reader.token_find(&hash, now))?;
    let (token, account) = found.ok_or(Failure::Unproven)?;
    if token.touch_due(now) {
        note_use(&token, state, now);
    }
    Ok(of_token(token, account, address))
}

/// Uses that are noted at the same time; what is beyond is noted with a later request.
static NOTING: Semaphore = Semaphore::const_new(16);

/// Notes the use of a token beside the request: who only looks is let in also while the disk is slow,
/// full, or gone.
fn note_use(token: &Token, state: &State, now: Timestamp) {
    let Ok(place) = NOTING.try_acquire() else { return };
    let (id, store) = (token.id, state.store.clone());
    tokio::spawn(async move {
        let noted: Result<(), store::Error> =
            store.write(move |txn| txn.token_touch(id, now)).await;
        drop(place);
        if let Err(error) = noted {
            tracing::debug!(%error, token.id = %id, "the use of a token could not be noted");
        }
    });
}

fn of_token(token: Token, account: store::access::User, address: String) -> Caller {
    let role = account.role.min(token.scope.role);
    let base = user(account, Via::Token(token.id), address);
    Caller::User(User { role, projects: token.scope.projects, ..base })
}

/// The account, if the password fits; counts the attempt.
async fn by_password(
    login: &str,
    password: Secret,
    address: &str,
    state: &State,
) -> Result<store::access::User, Failure> {
    let counted = state.attempts().count(login, address, state.now());
    counted.map_err(|after| Failure::TooOften { after })?;
    let wanted = login.to_owned();
    let found = state
        .store
        .read(move |reader| {
            let account = reader.user_by_login(&wanted)?.filter(|account| !account.disabled);
            let phc =
                account.as_ref().map(|account| reader.user_password(account.id)).transpose()?;
            Ok::<_, store::Error>((account, phc.flatten()))
        })
        .await?;
    let (account, phc) = found;
    // Without an account as much work is done: the time tells nothing.
    let fits = state.passwords().fits(password, phc).await;
    let account = account.filter(|_| fits).ok_or(Failure::Unproven)?;
    state.attempts().take_back(login, address);
    Ok(account)
}

/// A browser that logs in.
#[derive(Debug)]
pub struct LogIn {
    /// As typed.
    pub login: String,
    /// As typed.
    pub password: Secret,
    /// `User-Agent`.
    pub agent: String,
    /// Address of the other side.
    pub address: String,
}

/// Checks the password and begins a session; returns the cookie's value.
pub async fn log_in(attempt: LogIn, state: &State) -> Result<Secret, Failure> {
    let LogIn { login, password, agent, address } = attempt;
    let account = match by_password(&login, password, &address, state).await {
        Ok(account) => account,
        Err(failure) => {
            note_refused(&login, &address, &failure, state).await?;
            return Err(failure);
        }
    };
    begin(account.id, account.login, agent, address, state).await
}

async fn begin(
    user: UserId,
    login: String,
    agent: String,
    address: String,
    state: &State,
) -> Result<Secret, Failure> {
    let (secret, hash) = token::new_session().map_err(Failure::inside)?;
    let now = state.now();
    let expires_at = now.plus(state.config.session_life);
    let agent = agent.chars().take(AGENT_MAX).collect();
    let new = NewSession { hash, user, agent, expires_at };
    let deed = deed(login, address, "session.create");
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.session_create(&new, now)
        })
        .await?;
    Ok(secret)
}

/// Refused attempts are noted, too; the limit on attempts bounds how many.
async fn note_refused(
    login: &str,
    address: &str,
    failure: &Failure,
    state: &State,
) -> Result<(), Failure> {
    if !matches!(failure, Failure::Unproven) {
        return Ok(());
    }
    let named: String = login.chars().take(64).collect();
    let deed = deed(named, address.to_owned(), "session.refuse");
    let now = state.now();
    Ok(state.store.write(move |txn| txn.audit_append(now, &deed)).await?)
}

fn deed(login: String, address: String, action: &str) -> NewAudit {
    NewAudit {
        subject: format!("account {login}"),
        actor: login,
        address: Some(address),
        action: action.to_owned(),
        detail: None,
    }
}

/// Ends the session by which `user` came; any other way in has none.
pub async fn log_out(user: &User, state: &State) -> Result<(), Failure> {
    let Via::Session(id) = user.via else { return Ok(()) };
    let deed = user.deed("session.remove", format!("account {}", user.login));
    let now = state.now();
    Ok(state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.session_remove(id)
        })
        .await?)
}

/// Sets a new password, ends all sessions, and begins one for this browser.
pub async fn change_password(
    user: &User,
    old: Secret,
    new: Secret,
    agent: String,
    state: &State,
) -> Result<Secret, Failure> {
    by_password(&user.login, old.clone(), &user.address, state).await.map_err(|failure| {
        match failure {
            Failure::Unproven => Failure::Invalid("the old password is not right".into()),
            other => other,
        }
    })?;
    password::judge(&user.login, &old, &new).map_err(|weak| Failure::Invalid(weak.to_string()))?;
    let phc = state.passwords().hash(new).await;
    let (id, now) = (user.id, state.now());
    let deed = user.deed("account.password", format!("account {}", user.login));
    write_password(id, phc, deed, now, state).await?;
    begin(id, user.login.clone(), agent, user.address.clone(), state).await
}

async fn write_password(
    id: UserId,
    phc: String,
    deed: NewAudit,
    now: Timestamp,
    state: &State,
) -> Result<(), Failure> {
    Ok(state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_password_set(id, &phc, false)
        })
        .await?)
}
