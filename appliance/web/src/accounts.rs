//! What happens to accounts: made, raised or lowered, locked out, given a new password.
//!
//! Why here: pages and API do the same deeds, and a rule that stands twice is forgotten once.
//! Invariants: each change and its line in the audit log are one transaction; a one-time password
//! is in the answer of its making and nowhere else; the last administrator stays (`store`).

pub(crate) mod tokens;

use crate::{
    State,
    access::{OPERATOR, User, password},
    error::Failure,
};
use base::{ids::UserId, secret::Secret};
use store::access::{NewUser, Role, User as Row};

const LOGIN_MAX: usize = 64;
const NAME_MAX: usize = 100;

/// How a new account logs in.
#[derive(Debug)]
pub(crate) enum Word {
    /// Not at all: a machine account, which only holds tokens.
    None,
    /// With a password that is made here and must be changed at the first log-in.
    OneTime,
    /// With this one, which must be changed at the first log-in, too: another person knows it.
    Given(Secret),
}

/// An account to be made.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) login: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) word: Word,
}

/// An account and the password that was made for it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: UserId,
    pub(crate) login: String,
    pub(crate) one_time: Option<Secret>,
}

/// A role by its name.
pub(crate) fn role(text: &str) -> Result<Role, Failure> {
    text.parse::<Role>().map_err(|error| Failure::Invalid(error.to_string()))
}

/// Makes an account.
pub(crate) async fn create(state: &State, by: &User, asked: Asked) -> Result<Made, Failure> {
    let login = asked.login.trim().to_owned();
    judge_login(&login)?;
    let one_time = match asked.word {
        Word::OneTime => Some(password::one_time().map_err(Failure::inside)?),
        Word::None | Word::Given(_) => None,
    };
    let word = match asked.word {
        Word::Given(word) => {
            password::judge(&login, &Secret::new(""), &word)
                .map_err(|weak| Failure::Invalid(weak.to_string()))?;
            Some(word)
        }
        Word::None | Word::OneTime => one_time.clone(),
    };
    let phc = match word {
        Some(word) => Some(state.passwords().hash(word).await),
        None => None,
    };
    let new = NewUser {
        login,
        name: asked.name.trim().chars().take(NAME_MAX).collect(),
        role: asked.role,
        one_time: phc.is_some(),
        password: phc,
    };
    let (deed, now) = (by.deed("account.create", format!("account {}", new.login)), state.now());
    let made = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_create(&new, now)
        })
        .await?;
    Ok(Made { id: made.id, login: made.login, one_time })
}

/// Raises or lowers an account.
pub(crate) async fn set_role(
    state: &State,
    by: &User,
    of: &Row,
    role: Role,
) -> Result<(), Failure> {
    let mut deed = by.deed("account.role", format!("account {}", of.login));
    deed.detail = Some(role.to_string());
    let (id, now) = (of.id, state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_role_set(id, role)
        })
        .await?;
    Ok(())
}

/// Locks an account out, or lets it in again. Its sessions end; its tokens rest until it is let in.
pub(crate) async fn set_disabled(
    state: &State,
    by: &User,
    of: &Row,
    disabled: bool,
) -> Result<(), Failure> {
    let action = if disabled { "account.disable" } else { "account.enable" };
    let deed = by.deed(action, format!("account {}", of.login));
    let (id, now) = (of.id, state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            if disabled {
                txn.session_remove_all(id)?;
            }
            txn.user_disabled_set(id, disabled)
        })
        .await?;
    Ok(())
}

/// Gives an account a one-time password and ends its sessions.
pub(crate) async fn reset_password(state: &State, by: &User, of: &Row) -> Result<Secret, Failure> {
    let deed = by.deed("account.password_reset", format!("account {}", of.login));
    let secret = password::one_time().map_err(Failure::inside)?;
    let phc = state.passwords().hash(secret.clone()).await;
    let (id, now) = (of.id, state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_password_set(id, &phc, true)
        })
        .await?;
    Ok(secret)
}

/// In the audit log and as owners these stand for whoever holds the machine, and for the house.
const OWN_NAMES: [&str; 2] = [OPERATOR, objects::HOUSE_OWNER];

fn judge_login(login: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fits = !login.is_empty()
        && login.len() <= LOGIN_MAX
        && login.chars().all(plain)
        && !login.starts_with(['.', '-']);
    if OWN_NAMES.contains(&login) {
        return Err(Failure::Invalid(format!(
            "`{login}` is what the appliance calls itself or its operator"
        )));
    }
    if fits {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "a login has at most {LOGIN_MAX} letters, digits, `.`, `_` and `-`, and begins with a letter, a digit or `_`"
    )))
}
