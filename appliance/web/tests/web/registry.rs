//! A registry's passes, and what becomes of them when their owner's rights end.

use crate::{
    doors::{BASE, WORD, ask, text},
    site::{Site, now},
};
use base::{
    ids::{TokenId, UserId},
    time::Timestamp,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use objects::{NewKey, Owner, Rule, Scope, Verb};
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
    let (id, secret) = token(&site, user, Role::Member, None).await;
    let pass = pass(&site, &basic("mira", &secret)).await;
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
    let key = site
        .objects
        .key_create(owner, Scope::Rules(vec![rule]), None, |_, _| Ok(()))
        .await
        .unwrap();
    let pass = pass(&site, &basic(&key.id, key.secret.expose())).await;
    assert_eq!(opened(&site, &pass).await, [404, 401, 202]);
    assert!(site.objects.key_revoke(&key.id, objects::alone).await.unwrap());
    assert_eq!(opened(&site, &pass).await, NOTHING);
}

#[tokio::test]
async fn an_access_key_and_its_pass_are_worth_what_its_account_is() {
    let (site, user) = site().await;
    let verbs = vec![Verb::Read, Verb::Write];
    let rule = Rule { bucket: "images".into(), prefix: "acme/relay/".into(), verbs };
    let owner = Owner { id: "mira".into(), ..Owner::default() };
    let key = site
        .objects
        .key_create(owner, Scope::Rules(vec![rule]), None, |_, _| Ok(()))
        .await
        .unwrap();
    let proof = basic(&key.id, key.secret.expose());
    let pass = pass(&site, &proof).await;
    let before = (opened(&site, &proof).await, opened(&site, &pass).await);
    assert_eq!(before, (ALL, [404, 401, 202]));
    change(&site, move |txn| txn.user_disabled_set(user, true)).await;
    assert_eq!((opened(&site, &proof).await, opened(&site, &pass).await), (NOTHING, NOTHING));
    change(&site, move |txn| txn.user_disabled_set(user, false)).await;
    assert_eq!((opened(&site, &proof).await, opened(&site, &pass).await), before);
}

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Method, path and what it needs at least; `{d}` is a digest.
const OPERATIONS: [(&str, &str, Action); 16] = [
    ("GET", "/v2/", Action::Know),
    ("GET", "/v2/_catalog", Action::All),
    ("GET", "/v2/acme/relay/app/tags/list", Action::Pull),
    ("GET", "/v2/acme/relay/app/referrers/{d}", Action::Pull),
    ("GET", "/v2/acme/relay/app/manifests/1", Action::Pull),
    ("HEAD", "/v2/acme/relay/app/manifests/1", Action::Pull),
    ("PUT", "/v2/acme/relay/app/manifests/1", Action::Push),
    ("DELETE", "/v2/acme/relay/app/manifests/1", Action::Delete),
    ("GET", "/v2/acme/relay/app/blobs/{d}", Action::Pull),
    ("HEAD", "/v2/acme/relay/app/blobs/{d}", Action::Pull),
    ("DELETE", "/v2/acme/relay/app/blobs/{d}", Action::Delete),
    ("POST", "/v2/acme/relay/app/blobs/uploads/", Action::Push),
    ("GET", "/v2/acme/relay/app/blobs/uploads/x", Action::Push),
    ("PATCH", "/v2/acme/relay/app/blobs/uploads/x", Action::Push),
    ("PUT", "/v2/acme/relay/app/blobs/uploads/x?digest={d}", Action::Push),
    ("DELETE", "/v2/acme/relay/app/blobs/uploads/x", Action::Push),
];

/// What is done, each with what comes before it but the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// To be somebody.
    Know,
    /// The names of all repositories.
    All,
    Pull,
    Push,
    Delete,
}

/// A caller: its name, its proof, and the most that it may; `None` when it is nobody.
type Caller = (&'static str, String, Option<Action>);

async fn token(
    site: &Site,
    user: UserId,
    role: Role,
    until: Option<Timestamp>,
) -> (TokenId, String) {
    let (secret, hash) = token::new_token().unwrap();
    let scope = store::access::Scope { role, projects: None };
    let new = NewToken { hash, user, label: "test".into(), scope, expires_at: until };
    let id = site.store.write(move |txn| txn.token_create(&new, now())).await.unwrap();
    (id, secret.expose().to_owned())
}

async fn key(site: &Site, prefix: &str, verbs: Vec<Verb>, until: Option<Timestamp>) -> NewKey {
    let rule = Rule { bucket: "images".into(), prefix: prefix.into(), verbs };
    let owner = Owner { id: "robot".into(), ..Owner::default() };
    site.objects.key_create(owner, Scope::Rules(vec![rule]), until, |_, _| Ok(())).await.unwrap()
}

async fn callers(site: &Site) -> Vec<Caller> {
    let user = site.account("ann", Role::Admin, WORD, false).await;
    let locked = site.account("bob", Role::Admin, WORD, false).await;
    let fresh = site.account("eve", Role::Admin, WORD, true).await;
    let (own, other) = (site.project("acme/relay").await, site.project("other/app").await);
    let by = |(_, token): (TokenId, String)| basic("x", &token);
    let past = Some(Timestamp(1));
    let (revoked, gone) = token(site, user, Role::Admin, None).await;
    change(site, move |txn| txn.token_revoke(user, revoked, now())).await;
    let of_locked = by(token(site, locked, Role::Admin, None).await);
    change(site, move |txn| txn.user_disabled_set(locked, true)).await;
    let all = || vec![Verb::Read, Verb::Write, Verb::Delete];
    let pair = |key: &NewKey| basic(&key.id, key.secret.expose());
    let ended = key(site, "acme/", all(), None).await;
    site.objects.key_revoke(&ended.id, objects::alone).await.unwrap();
    let bound = async |project| basic("x", &site.bound_token(user, Role::Member, project).await);
    let keyed = async |prefix, verbs, until| pair(&key(site, prefix, verbs, until).await);
    vec![
        ("nobody", String::new(), None),
        ("unknown token", basic("x", "apl_unknown"), None),
        ("wrong password", basic("ann", "wrong"), None),
        ("expired token", by(token(site, user, Role::Admin, past).await), None),
        ("revoked token", basic("x", &gone), None),
        ("locked account", of_locked, None),
        ("one-time password", by(token(site, fresh, Role::Admin, None).await), None),
        ("wrong key", basic(&ended.id, "wrong"), None),
        ("revoked key", pair(&ended), None),
        ("expired key", keyed("acme/", all(), past).await, None),
        ("other's token", bound(other).await, Some(Action::Know)),
        ("other's key", keyed("other/", all(), None).await, Some(Action::Know)),
        ("read-only key", keyed("acme/relay/", vec![Verb::Read], None).await, Some(Action::Pull)),
        ("viewer", by(token(site, user, Role::Viewer, None).await), Some(Action::Pull)),
        ("bound member", bound(own).await, Some(Action::Push)),
        ("member", by(token(site, user, Role::Member, None).await), Some(Action::Push)),
        ("key", keyed("acme/relay/", all(), None).await, Some(Action::Delete)),
        ("admin", by(token(site, user, Role::Admin, None).await), Some(Action::Delete)),
    ]
}

/// A proof, and the pass that is got with it for all that can be asked for.
async fn ways(site: &Site, proof: &str) -> Vec<String> {
    let path =
        "/v2/token?scope=repository:acme/relay/app:pull,push,delete&scope=registry:catalog:*";
    let answer = ask(site, "GET", path, &[("authorization", proof)], "").await;
    let mut ways = vec![proof.to_owned()];
    if answer.status() == 200 {
        let told: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        ways.push(format!("Bearer {}", told["token"].as_str().unwrap()));
    }
    ways
}

#[tokio::test]
async fn what_is_removed_stands_in_the_audit_log_with_its_remover() {
    let (site, _) = site().await;
    let all = vec![Verb::Read, Verb::Write, Verb::Delete];
    let key = key(&site, "acme/", all, None).await;
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let typed = ("content-type", "application/vnd.oci.image.index.v1+json");
    let keyed = basic(&key.id, key.secret.expose());
    for (proof, remover) in [(basic("root", WORD), "root"), (keyed, key.id.as_str())] {
        for way in ways(&site, &proof).await {
            let path = "/v2/acme/relay/app/manifests/1";
            let shown = ("authorization", way.as_str());
            assert_eq!(ask(&site, "PUT", path, &[shown, typed], index).await.status(), 201);
            assert_eq!(ask(&site, "DELETE", path, &[shown], "").await.status(), 202);
            // What is not there any more was removed by nobody.
            assert_eq!(ask(&site, "DELETE", path, &[shown], "").await.status(), 404);
            let deeds = site.store.read(|reader| reader.audit_list(None, 2)).await.unwrap();
            let told = |place: usize| {
                deeds.get(place).map(|one| (one.deed.action.as_str(), one.deed.actor.as_str()))
            };
            assert_eq!(told(0), Some(("image.remove", remover)));
            assert_eq!(deeds[0].deed.subject, "acme/relay/app/manifests/1");
        }
    }
}

/// Every operation by every caller, with their own proof and with a pass.
#[tokio::test]
async fn every_operation_admits_whom_it_should_and_nobody_else() {
    let site = Site::open(BASE).await;
    for (name, proof, most) in callers(&site).await {
        let ways = ways(&site, &proof).await;
        assert_eq!(ways.len(), if most.is_some() { 2 } else { 1 }, "{name}");
        for (number, way) in ways.iter().enumerate() {
            for (method, path, needed) in OPERATIONS {
                let path = path.replace("{d}", DIGEST);
                let headers = [("authorization", way.as_str())];
                let headers = if way.is_empty() { &headers[..0] } else { &headers };
                let status = ask(&site, method, &path, headers, "").await.status().as_u16();
                let place = format!("{name} by way {number}: {method} {path}: {status}");
                // Whoever is bound sees in a list what they may pull; with a pass they list nothing.
                let admitted = match needed {
                    Action::All => most.is_some() && (number == 0 || !is_bound(name)),
                    needed => most.is_some_and(|most| most >= needed),
                };
                // Who guesses passwords is slowed down.
                assert_eq!(admitted, !matches!(status, 401 | 403 | 429), "{place}");
            }
        }
    }
}

fn is_bound(caller: &str) -> bool {
    caller.contains("key") || caller.contains("bound") || caller.contains("other")
}
