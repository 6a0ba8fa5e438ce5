//! A registry's passes, and what becomes of them when their owner's rights end.

use crate::{
    doors::{BASE, WORD, ask, text},
    site::{Site, now},
};
use base::ids::UserId;
use base64::{Engine, prelude::BASE64_STANDARD};
use objects::{Owner, Rule, Scope, Verb};
use store::{
    Error, Txn,
    access::{NewToken, Role},
};
use web::access::token;

const TOKEN: &str = "/v2/token?service=appliance&scope=repository:acme/relay/app:pull,push\
                     &scope=registry:catalog:*";

fn basic(login: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{login}:{secret}")))
}

/// Gets a pass by that `Authorization`.
async fn pass(site: &Site, proof: &str) -> String {
    let answer = text(ask(site, "GET", TOKEN, &[("authorization", proof)], "").await).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    format!("Bearer {}", answer["token"].as_str().unwrap())
}

/// What a pass still opens: to look, to list all, and to push.
async fn opened(site: &Site, pass: &str) -> [u16; 3] {
    let mut found = [0; 3];
    let asked = [
        ("GET", "/v2/acme/relay/app/tags/list"),
        ("GET", "/v2/_catalog"),
        ("POST", "/v2/acme/relay/app/blobs/uploads/"),
    ];
    for (place, (method, path)) in found.iter_mut().zip(asked) {
        let answer = ask(site, method, path, &[("authorization", pass)], "").await;
        *place = answer.status().as_u16();
        let told = answer.headers().contains_key("www-authenticate");
        assert_eq!(told, *place == 401, "{method} {path}: a client is told where to get another");
    }
    found
}

/// There is nothing in the repository yet.
const ALL: [u16; 3] = [404, 200, 202];
const NOTHING: [u16; 3] = [401; 3];

async fn change(
    site: &Site,
    change: impl FnOnce(&mut Txn<'_>) -> Result<(), Error> + Send + 'static,
) {
    site.store.write(change).await.unwrap();
}

/// A site with an administrator who stays, and a member.
async fn site() -> (Site, UserId) {
    let site = Site::open(BASE).await;
    site.account("root", Role::Admin, WORD, false).await;
    let member = site.account("mira", Role::Member, WORD, false).await;
    (site, member)
}

#[tokio::test]
async fn a_pass_ends_with_its_token() {
    let (site, user) = site().await;
    let (secret, hash) = token::new_token().unwrap();
    let scope = store::access::Scope { role: Role::Member, projects: None };
    let new = NewToken { hash, user, label: "laptop".into(), scope, expires_at: None };
    let id = site.store.write(move |txn| txn.token_create(&new, now())).await.unwrap();
    let pass = pass(&site, &basic("mira", secret.expose())).await;
    assert_eq!(opened(&site, &pass).await, ALL);
    change(&site, move |txn| txn.token_revoke(user, id, now())).await;
    assert_eq!(opened(&site, &pass).await, NOTHING);
}

#[tokio::test]
async fn a_pass_ends_with_the_password_that_it_was_given_for() {
    let (site, user) = site().await;
    let pass = pass(&site, &basic("mira", WORD)).await;
    assert_eq!(opened(&site, &pass).await, ALL);
    let phc = web::access::password::hash(&base::secret::Secret::new("another long word"));
    change(&site, move |txn| txn.user_password_set(user, &phc, false)).await;
    assert_eq!(opened(&site, &pass).await, NOTHING);
}

#[tokio::test]
async fn a_pass_ends_while_its_account_is_locked_out() {
    let (site, user) = site().await;
    let token = site.token(user, Role::Member).await;
    for proof in [basic("mira", WORD), basic("mira", &token)] {
        let pass = pass(&site, &proof).await;
        assert_eq!(opened(&site, &pass).await, ALL);
        change(&site, move |txn| txn.user_disabled_set(user, true)).await;
        assert_eq!(opened(&site, &pass).await, NOTHING);
        change(&site, move |txn| txn.user_disabled_set(user, false)).await;
    }
}

#[tokio::test]
async fn a_pass_allows_no_more_than_its_owners_role_of_now() {
    let (site, user) = site().await;
    let pass = pass(&site, &basic("mira", WORD)).await;
    change(&site, move |txn| txn.user_role_set(user, Role::Viewer)).await;
    assert_eq!(opened(&site, &pass).await, [404, 200, 401]);
    // A better role widens no pass that was given before.
    change(&site, move |txn| txn.user_role_set(user, Role::Admin)).await;
    let delete = "/v2/acme/relay/app/manifests/1";
    let refused = ask(&site, "DELETE", delete, &[("authorization", &pass)], "").await;
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn a_pass_of_a_bound_token_stays_within_its_project() {
    let (site, user) = site().await;
    let project = site.project("acme/relay").await;
    let token = site.bound_token(user, Role::Member, project).await;
    let pass = pass(&site, &basic("mira", &token)).await;
    assert_eq!(opened(&site, &pass).await, [404, 401, 202]);
}

#[tokio::test]
async fn a_pass_ends_with_its_access_key() {
    let (site, _) = site().await;
    let verbs = vec![Verb::Read, Verb::Write];
    let rule = Rule { bucket: "images".into(), prefix: "acme/relay/".into(), verbs };
    let owner = Owner { id: "acme/relay".into(), ..Owner::default() };
    let key = site.objects.key_create(owner, Scope::Rules(vec![rule]), None).await.unwrap();
    let pass = pass(&site, &basic(&key.id, key.secret.expose())).await;
    assert_eq!(opened(&site, &pass).await, [404, 401, 202]);
    assert!(site.objects.key_revoke(&key.id).await.unwrap());
    assert_eq!(opened(&site, &pass).await, NOTHING);
}
