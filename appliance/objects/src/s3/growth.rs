//! Above the high-water mark nothing is taken that makes the database longer.
//!
//! What brings bytes asks for their room where they come in; this is for what writes rows alone: copies,
//! begun uploads, buckets, tags.
//! What makes room goes on (deletes, aborts, rules that expire objects), and so does what ends access
//! (lists, policies, locks) and the end of an upload, whose parts hold the room already.

use super::{call::Call, error::S3Error};
use http::Method;

/// Refuses a request that only adds rows, when there is no room for rows.
pub(super) fn check(call: &Call) -> Result<(), S3Error> {
    if adds_rows(&call.method, !call.key.is_empty(), |name| call.has(name)) {
        call.objects.room_for_rows(0)?;
    }
    Ok(())
}

/// Settings of a bucket or an object that replace an earlier one or shut something off.
const TAKEN: [&str; 14] = [
    "acl",
    "cors",
    "encryption",
    "legal-hold",
    "lifecycle",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "requestPayment",
    "retention",
    "versioning",
];

fn adds_rows(method: &Method, on_object: bool, has: impl Fn(&str) -> bool) -> bool {
    match *method {
        Method::PUT => !TAKEN.into_iter().any(has),
        Method::POST => on_object && has("uploads"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, on_object: bool, name: &str, expected: bool) {
        let found = adds_rows(method, on_object, |asked| asked == name);
        assert_eq!(found, expected, "{method} {on_object} {name}");
    }

    #[test]
    fn what_adds_rows_asks_and_what_makes_room_does_not() {
        for name in ["", "tagging", "partNumber"] {
            check(&Method::PUT, true, name, true);
        }
        check(&Method::PUT, false, "", true);
        check(&Method::PUT, false, "tagging", true);
        check(&Method::POST, true, "uploads", true);
        for name in ["acl", "retention", "legal-hold"] {
            check(&Method::PUT, true, name, false);
        }
        for name in ["lifecycle", "policy", "publicAccessBlock"] {
            check(&Method::PUT, false, name, false);
        }
        check(&Method::POST, false, "delete", false);
        check(&Method::POST, true, "uploadId", false);
        check(&Method::DELETE, true, "", false);
        check(&Method::GET, true, "", false);
    }
}
