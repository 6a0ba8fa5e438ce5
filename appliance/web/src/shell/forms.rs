//! Refusals in the form of a face that has its own: version 3, GraphQL, policies.
//!
//! Source: the decoders of the published command lines. Version 1 reads `error.title` and
//! `error.detail` of `/api/v3`; version 0.1 reads of GraphQL nothing but what comes with 200, takes
//! a message with "must log in" for a missing token, and of policies reads `error` as a text.
//! Invariants: pure; `message` stays where it is for everybody else.

use crate::error::Told;
use http::StatusCode;
use serde_json::{Value, json};

/// Faces where clients read 404 as "no such project", "no such policy" and the like: what is not
/// offered there is 501.
pub(super) fn takes_404_for_none(path: &str) -> bool {
    is_version_3(path) || is_policy(path)
}

fn is_version_3(path: &str) -> bool {
    path.starts_with("/api/v3/")
}

fn is_policy(path: &str) -> bool {
    path.starts_with("/api/v2/owner/")
}

/// Status and body in the form of this path's face; `None` when it has none of its own.
pub(super) fn form(path: &str, told: &Told, id: &str) -> Option<(StatusCode, Value)> {
    let message = &told.message;
    if is_version_3(path) {
        let error = json!({ "id": id, "title": title(told.status), "detail": message });
        return Some((told.status, json!({ "error": error, "message": message })));
    }
    if path == "/graphql-unstable" && told.status.is_client_error() {
        let message = match told.status {
            StatusCode::UNAUTHORIZED if !message.contains("must log in") => {
                format!("You must log in first: {message}")
            }
            _ => message.clone(),
        };
        let body = json!({ "data": null, "errors": [{ "message": message }] });
        return Some((StatusCode::OK, body));
    }
    is_policy(path).then(|| (told.status, json!({ "message": message, "error": message })))
}

/// `Not found` and the like.
fn title(status: StatusCode) -> String {
    if status == StatusCode::NOT_IMPLEMENTED {
        return "Not offered".into();
    }
    let reason = status.canonical_reason().unwrap_or("Refused").to_lowercase();
    reason[..1].to_uppercase() + &reason[1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, status: u16, message: &str, expected: Option<&(u16, Value)>) {
        let status = StatusCode::from_u16(status).unwrap();
        let told = Told { status, message: message.into(), remedy: None };
        let found = form(path, &told, "r1").map(|(status, body)| (status.as_u16(), body));
        assert_eq!(found.as_ref(), expected, "{path}");
    }

    #[test]
    fn each_face_has_its_form() {
        let three = json!({ "error": { "id": "r1", "title": "Not offered", "detail": "x" }, "message": "x" });
        check("/api/v3/deploys", 501, "x", Some(&(501, three)));
        let three =
            json!({ "error": { "id": "r1", "title": "Not found", "detail": "x" }, "message": "x" });
        check("/api/v3/jobs/1", 404, "x", Some(&(404, three)));
        let errors = |text: &str| json!({ "data": null, "errors": [{ "message": text }] });
        let graphql = "/graphql-unstable";
        check(
            graphql,
            401,
            "You must log in first.",
            Some(&(200, errors("You must log in first."))),
        );
        check(graphql, 401, "no", Some(&(200, errors("You must log in first: no"))));
        check(graphql, 403, "no", Some(&(200, errors("no"))));
        check(graphql, 500, "no", None);
        let policy = json!({ "message": "x", "error": "x" });
        check("/api/v2/owner/1/context/config", 404, "x", Some(&(404, policy)));
        check("/api/v2/me", 401, "x", None);
    }
}
