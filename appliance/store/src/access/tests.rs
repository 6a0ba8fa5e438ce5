//! Accounts, sessions, tokens and the audit log over a database in memory.

use super::{NewAudit, NewSession, NewToken, NewUser, Role, Scope};
use crate::{Error, Txn, migrate, objects::NewAccessKey};
use base::{
    ids::{Cursor, UserId},
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_000_000);
const LATER: Timestamp = Timestamp(2_000_000);

fn check(test: impl FnOnce(&mut Txn<'_>) -> Result<(), Error>) {
    let (sql, key) = migrate::in_memory();
    test(&mut Txn::new(&sql, &key, Cursor(0))).unwrap();
}

fn user(txn: &Txn<'_>, login: &str, role: Role) -> Result<UserId, Error> {
    let password = Some("$argon2id$x".to_owned());
    let new = NewUser { login: login.into(), name: login.into(), role, password, one_time: true };
    Ok(txn.user_create(&new, NOW)?.id)
}

#[test]
fn logins_are_unique_in_any_case() {
    check(|txn| {
        let id = user(txn, "Mira", Role::Member)?;
        assert!(matches!(user(txn, "mira", Role::Viewer), Err(Error::Conflict(_))));
        assert_eq!(txn.user_by_login("MIRA")?.unwrap().id, id);
        assert_eq!(txn.user_password(id)?.unwrap(), "$argon2id$x");
        Ok(())
    });
}

#[test]
fn the_oldest_deeds_go_and_the_newest_stay() {
    check(|txn| {
        for number in 1..=10 {
            let subject = number.to_string();
            txn.audit_append(NOW, &NewAudit { subject, ..NewAudit::default() })?;
        }
        assert_eq!(
            (txn.audit_trim(3, 5)?, txn.audit_trim(3, 5)?, txn.audit_trim(3, 5)?),
            (5, 2, 0)
        );
        let left = txn.audit_list(None, 100)?;
        let left: Vec<&str> = left.iter().map(|entry| entry.deed.subject.as_str()).collect();
        assert_eq!(left, ["10", "9", "8"]);
        Ok(())
    });
}

#[test]
fn the_last_administrator_stays() {
    check(|txn| {
        let first = user(txn, "a", Role::Admin)?;
        assert!(matches!(txn.user_role_set(first, Role::Viewer), Err(Error::Conflict(_))));
        Ok(())
    });
    check(|txn| {
        let first = user(txn, "a", Role::Admin)?;
        user(txn, "b", Role::Admin)?;
        txn.user_disabled_set(first, true)
    });
}

#[test]
fn a_session_ends_with_its_time_its_account_and_a_new_password() {
    check(|txn| {
        user(txn, "root", Role::Admin)?;
        let user = user(txn, "a", Role::Member)?;
        let new = NewSession { hash: [1; 32], user, agent: "browser".into(), expires_at: LATER };
        txn.session_create(&new, NOW)?;
        assert_eq!(txn.session_find(&[1; 32], NOW)?.unwrap().1.id, user);
        assert!(txn.session_find(&[2; 32], NOW)?.is_none());
        assert!(txn.session_find(&[1; 32], LATER)?.is_none());
        txn.user_disabled_set(user, true)?;
        assert!(txn.session_find(&[1; 32], NOW)?.is_none());
        txn.user_disabled_set(user, false)?;
        txn.user_password_set(user, "$argon2id$y", false)?;
        assert!(txn.session_find(&[1; 32], NOW)?.is_none());
        Ok(())
    });
}

#[test]
fn a_token_is_found_until_it_expires_or_is_revoked() {
    check(|txn| {
        let user = user(txn, "a", Role::Admin)?;
        let scope = Scope { role: Role::Member, projects: None };
        let new = |hash, expires_at| NewToken {
            hash,
            user,
            label: "laptop".into(),
            scope: scope.clone(),
            expires_at,
        };
        let id = txn.token_create(&new([1; 32], None), NOW)?;
        txn.token_create(&new([2; 32], Some(LATER)), NOW)?;
        let (token, owner) = txn.token_find(&[1; 32], LATER)?.unwrap();
        assert_eq!((token.id, &token.scope, owner.id), (id, &scope, user));
        assert!(token.touch_due(LATER));
        txn.token_touch(id, LATER)?;
        assert!(!txn.token_find(&[1; 32], LATER)?.unwrap().0.touch_due(LATER));
        assert!(txn.token_find(&[2; 32], LATER)?.is_none());
        txn.token_revoke(user, id, LATER)?;
        assert!(txn.token_find(&[1; 32], NOW)?.is_none());
        assert_eq!(txn.token_list(user)?.len(), 2);
        Ok(())
    });
}

#[test]
fn what_is_over_stays_closed_by_any_clock_and_is_forgotten() {
    const AHEAD: Timestamp = Timestamp(9_000_000);
    check(|txn| {
        let user = user(txn, "a", Role::Admin)?;
        let session =
            |hash, expires_at| NewSession { hash, user, agent: String::new(), expires_at };
        txn.session_create(&session([1; 32], LATER), NOW)?;
        txn.session_create(&session([2; 32], Timestamp(i64::MAX)), Timestamp(AHEAD.0 + 1))?;
        txn.session_create(&session([3; 32], AHEAD), NOW)?;
        let scope = Scope { role: Role::Member, projects: None };
        let token = |hash, expires_at| NewToken {
            hash,
            user,
            label: String::new(),
            scope: scope.clone(),
            expires_at,
        };
        txn.token_create(&token([1; 32], Some(LATER)), NOW)?;
        let stays = txn.token_create(&token([2; 32], None), NOW)?;
        let secret = base::secret::Secret::new("s");
        for (id, owner, expires) in
            [("1", "a", Some(LATER)), ("2", "a", None), ("3", "b", Some(LATER))]
        {
            let (display, email, scope, created) = (owner, "", "{}", NOW);
            let secret = &secret;
            let new = NewAccessKey { id, secret, owner, display, email, scope, created, expires };
            txn.access_key_insert(&new)?;
        }
        assert_eq!(txn.ended_sweep(NOW, LATER, AHEAD)?, 1);
        assert!(txn.session_find(&[1; 32], NOW)?.is_none(), "over");
        assert!(txn.session_find(&[2; 32], NOW)?.is_none(), "begun by a clock that was ahead");
        assert!(txn.session_find(&[3; 32], NOW)?.is_some());
        assert!(txn.token_find(&[1; 32], NOW)?.is_none());
        assert!(txn.access_key_get("1")?.unwrap().revoked.is_some());
        assert_eq!(txn.ended_sweep(LATER, LATER, AHEAD)?, 2);
        assert_eq!(txn.token_list(user)?[0].id, stays);
        let left: Vec<String> = txn.access_key_list(None)?.into_iter().map(|key| key.id).collect();
        assert_eq!(left, ["2", "3"], "the last of an owner stays");
        Ok(())
    });
}

#[test]
fn the_audit_log_is_read_backwards_in_pages() {
    check(|txn| {
        for n in 0..5 {
            let deed =
                NewAudit { actor: "a".into(), action: format!("x.{n}"), ..NewAudit::default() };
            txn.audit_append(NOW, &deed)?;
        }
        let page = txn.audit_list(None, 2)?;
        assert_eq!(page[0].deed.action, "x.4");
        assert_eq!(txn.audit_list(Some(page[1].id), 9)?.len(), 3);
        Ok(())
    });
}
