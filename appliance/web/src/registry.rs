//! The OCI registry at `/v2/`: who calls is found out here, what is done with images in `objects`.
//!
//! Why an own permit: clients of a registry prove themselves in ways that no other face knows: with
//! a short-lived pass from `/v2/token`, or with an access key of the S3 face as login and password.
//! Rules: a viewer pulls, a member pushes, an administrator removes. A token that is bound to
//! projects opens the repositories `<org>/<name>` of these projects and what lies below them. An
//! access key opens the repositories that its rules name in the bucket `images`, and what lies below
//! them. A pass opens what was granted, as long as whoever got it may do the same: each request asks ([`proof`]).
//! What was removed stands in the audit log.
//! On failure: the specification's JSON, with the challenge that clients answer by themselves.

mod proof;

use crate::{
    State,
    access::{self, Caller, Peer, Permit, Role, Routes, Transport, User, host, identify},
    error::Failure,
};
use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use base::time::Timestamp;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Method, StatusCode, header, request::Parts};
use objects::{
    Objects, Scope, Verb,
    registry::{Action, Caller as Holder},
};
pub(crate) use proof::names as projects_named;
use proof::{Proof, Reach};
use std::{convert::Infallible, sync::Arc};
use store::{Txn, access::NewAudit};

/// Starts every access key of the S3 face that the appliance makes.
const ACCESS_KEY: &str = "AK";

pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v2", answer)
        .get("/v2/", answer)
        .get("/v2/{*path}", answer)
        .post("/v2/{*path}", answer)
        .put("/v2/{*path}", answer)
        .patch("/v2/{*path}", answer)
        .delete("/v2/{*path}", answer)
        .body_unbounded()
}

/// Whoever asks a registry: somebody, nobody, or somebody whose proof is worth nothing.
pub(crate) struct Visitor(Result<Option<Holder>, Failure>);

impl Permit for Visitor {
    const NAME: &'static str = "registry";
}

impl FromRequestParts<State> for Visitor {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        Ok(Self(holder(parts, state).await))
    }
}

/// Where passes are given out, as this client reaches it.
fn realm(request: &Request, state: &State) -> String {
    let host = host(request.uri(), request.headers());
    let scheme = match state.transport() {
        Transport::Secure => "https",
        Transport::Plain => "http",
    };
    match host {
        Some(host) => format!("{scheme}://{host}/v2/token"),
        None => format!("{}/v2/token", state.config.base_url),
    }
}

async fn answer(Visitor(holder): Visitor, state: State, request: Request) -> Response {
    let realm = realm(&request, &state);
    let holder = match holder {
        Ok(holder) => holder,
        Err(failure) => return refuse(&failure, &realm),
    };
    let holder = holder.map(|holder| match Removal::of(&request, &holder) {
        Some(removal) => {
            let now = state.now();
            holder.noting(move |txn| removal.record(txn, now))
        }
        None => holder,
    });
    state.objects.registry(request, holder, &realm).await
}

/// A request to remove something, by whom and from where.
struct Removal {
    proof: Proof,
    address: Option<String>,
    what: String,
}

impl Removal {
    fn of(request: &Request, holder: &Holder) -> Option<Self> {
        let what = request.uri().path().strip_prefix("/v2/")?;
        if request.method() != Method::DELETE || what.contains("/uploads/") {
            return None;
        }
        let proof = holder.proof().and_then(Proof::read)?;
        let address = match request.extensions().get::<Peer>() {
            Some(Peer::Network(address)) => Some(address.to_string()),
            _ => None,
        };
        Some(Self { proof, address, what: what.to_owned() })
    }

    /// Notes it in the transaction that removes.
    fn record(&self, txn: &Txn<'_>, now: Timestamp) -> Result<(), store::Error> {
        let actor = self.proof.name(txn, now)?.unwrap_or_else(|| "somebody".into());
        let (address, subject) = (self.address.clone(), self.what.clone());
        let action = "image.remove".to_owned();
        txn.audit_append(now, &NewAudit { actor, address, action, subject, detail: None })
    }
}

fn refuse(failure: &Failure, realm: &str) -> Response {
    if let Failure::Inside(cause) = failure {
        tracing::error!(
            error = &**cause as &dyn std::error::Error,
            "a registry request failed inside"
        );
    }
    let status = match failure {
        Failure::Anonymous | Failure::Unproven => StatusCode::UNAUTHORIZED,
        other => other.status(),
    };
    Objects::registry_refuse(status, &failure.to_string(), realm)
}

async fn holder(parts: &Parts, state: &State) -> Result<Option<Holder>, Failure> {
    let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, rest)) = shown.and_then(|text| text.split_once(' ')) {
        if scheme.eq_ignore_ascii_case("bearer") && rest.contains('.') {
            return by_pass(rest.trim(), state).await.map(Some);
        }
        if scheme.eq_ignore_ascii_case("basic")
            && let Some((id, secret)) = access_key(rest.trim())
        {
            return by_access_key(&id, &secret, state).await.map(Some);
        }
    }
    match identify(parts, state).await? {
        Caller::Nobody => Ok(None),
        Caller::Runner => Err(Failure::Forbidden("this is not for the runner".into())),
        Caller::Job(_) => Err(Failure::Forbidden(access::JOB.into())),
        Caller::User(user) => by_user(user, state).await.map(Some),
    }
}

/// Login and password, when the login is that of an access key.
fn access_key(encoded: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    id.starts_with(ACCESS_KEY).then(|| (id.to_owned(), secret.to_owned()))
}

async fn by_access_key(id: &str, secret: &str, state: &State) -> Result<Holder, Failure> {
    let found = state.objects.key_login(id, secret).await.map_err(Failure::inside)?;
    let scope = found.ok_or(Failure::Unproven)?.scope;
    Ok(within_scope(scope.into()).proved_by(Proof::Key(id.to_owned()).text()).known_as(id))
}

fn within_scope(scope: Arc<Scope>) -> Holder {
    Holder::new(move |repository, action| opens(&scope, repository, action))
}

/// Does an access key of this scope do that to the repository?
fn opens(scope: &Scope, repository: &str, action: Action) -> bool {
    let verb = match action {
        Action::Pull => Verb::Read,
        Action::Push => Verb::Write,
        Action::Delete => Verb::Delete,
    };
    match scope {
        // An owner's key opens nothing in the house's buckets.
        Scope::Owner | Scope::Protected | Scope::Unprotected => false,
        Scope::Site => true,
        Scope::Rules(rules) => rules.iter().any(|rule| {
            let named = rule.prefix.trim_end_matches('/');
            rule.bucket == "images"
                && rule.verbs.contains(&verb)
                && (named.is_empty() || is_below(repository, named))
        }),
    }
}

async fn by_user(user: User, state: &State) -> Result<Holder, Failure> {
    if user.password_is_one_time {
        return Err(Failure::PasswordIsOneTime);
    }
    let login = user.login.clone();
    let found = state.store.read(move |reader| {
        let reach =
            Reach { role: user.role, names: proof::names(user.projects.as_deref(), reader)? };
        Ok::<_, store::Error>((reach, Proof::of(&user, reader)?))
    });
    let (reach, proof) = found.await?;
    Ok(within_reach(reach).proved_by(proof.text()).known_as(login))
}

fn within_reach(reach: Reach) -> Holder {
    Holder::new(move |repository, action| {
        let needed = match action {
            Action::Pull => Role::Viewer,
            Action::Push => Role::Member,
            Action::Delete => Role::Admin,
        };
        let names = reach.names.as_ref();
        let within = names.is_none_or(|names| names.iter().any(|name| is_below(repository, name)));
        reach.role >= needed && within
    })
}

/// The holder of a pass, bounded by what its owner may now.
async fn by_pass(pass: &str, state: &State) -> Result<Holder, Failure> {
    let pass = state.objects.registry_pass(pass, state.now()).ok_or(Failure::Unproven)?;
    let proof = pass.proof().and_then(Proof::read).ok_or(Failure::Unproven)?;
    let owner = if let Proof::Key(id) = &proof {
        state.objects.key_scope(id).await.map_err(Failure::inside)?.map(within_scope)
    } else {
        let now = state.now();
        state.store.look(|reader| proof.reach(reader, now))?.map(within_reach)
    };
    Ok(pass.within(owner.ok_or(Failure::Unproven)?))
}

/// Is an image, by its full name, of a repository of these projects?
pub(crate) fn is_image_of(reference: &str, projects: &[String]) -> bool {
    let Some((name, _)) = reference.rsplit_once(':') else { return false };
    let repository = name.strip_prefix("docker.io/").unwrap_or(name);
    projects.iter().any(|project| is_below(repository, project))
}

/// A repository is that of the project, or lies below it.
fn is_below(repository: &str, project: &str) -> bool {
    let rest = repository.strip_prefix(project);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::Rule;

    #[test]
    fn a_project_has_the_repositories_below_its_name() {
        for (repository, expected) in
            [("acme/app", true), ("acme/app/x", true), ("acme/application", false), ("acme", false)]
        {
            assert_eq!(is_below(repository, "acme/app"), expected, "{repository}");
        }
    }

    #[test]
    fn an_access_key_opens_the_repositories_that_its_rules_name() {
        let rule = |prefix: &str| Rule {
            bucket: "images".into(),
            prefix: prefix.into(),
            verbs: vec![Verb::Read, Verb::Write],
        };
        for (prefix, repository, expected) in [
            ("acme", "acme/app", true),
            ("acme/", "acme/app", true),
            ("acme/app", "acme/app", true),
            ("acme", "acme2/app", false),
            ("acme/app", "acme/application", false),
            ("", "acme/app", true),
        ] {
            let scope = Scope::Rules(vec![rule(prefix)]);
            assert_eq!(opens(&scope, repository, Action::Push), expected, "{prefix} {repository}");
            assert!(!opens(&scope, repository, Action::Delete), "a verb that no rule names");
        }
    }

    #[test]
    fn an_image_is_of_the_project_whose_name_it_begins_with() {
        let projects = ["acme/pa".to_owned()];
        for (reference, expected) in [
            ("docker.io/acme/pa:v1", true),
            ("docker.io/acme/pa/tools:v1", true),
            ("docker.io/acme/pb:v1", false),
            ("docker.io/library/alpine:3.20", false),
            ("ghcr.io/acme/pa:v1", false),
        ] {
            assert_eq!(is_image_of(reference, &projects), expected, "{reference}");
        }
    }

    #[test]
    fn only_an_access_keys_login_is_one() {
        let pair = |text: &str| access_key(&BASE64_STANDARD.encode(text));
        assert_eq!(pair("AK12:se:cret"), Some(("AK12".into(), "se:cret".into())));
        assert_eq!(pair("mira:AK"), None);
        assert_eq!(access_key("!!"), None);
    }
}
