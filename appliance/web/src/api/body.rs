//! What a request brings, as clients of API v2 send it.
//!
//! Why: clients leave the body out where nothing is asked for, send `null` for what they do not
//! set, and some forget the header that names JSON.
//! Invariants: no body is an empty object; a body is an object; a member that is `null` counts as
//! absent; what makes no sense is 400 with a message that speaks of JSON, whatever it is.

use crate::{State, error::Failure};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A JSON body.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<State> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        let bytes = Bytes::from_request(request, state).await?;
        read(&bytes).map(Self).map_err(Failure::Invalid)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    let mut value: Value = serde_json::from_slice(text)
        .map_err(|error| format!("the body of the request is not JSON: {error}"))?;
    let Value::Object(members) = &mut value else {
        return Err("the body of the request is not an object: send {…}".into());
    };
    members.retain(|_, member| !member.is_null());
    serde_json::from_value(value)
        .map_err(|error| format!("the body of the request: {}", plain(&error.to_string())))
}

/// The reader's message without the names that our types have.
fn plain(message: &str) -> String {
    let known = ["tuple struct ", "internally tagged enum ", "struct "];
    let found = known.iter().find_map(|kind| {
        let (told, rest) = message.split_once(&format!("expected {kind}"))?;
        let rest = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        Some(format!("{told}expected an object{rest}"))
    });
    found.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
    #[serde(default)]
    struct Wanted {
        name: String,
        days: Vec<u8>,
        deep: Option<String>,
        deeper: Deeper,
    }

    #[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
    struct Deeper {}

    fn check(body: &str, expected: Result<(&str, &[u8]), &str>) {
        let found = read::<Wanted>(body.as_bytes());
        match expected {
            Ok((name, days)) => {
                let wanted =
                    Wanted { name: name.into(), days: days.into(), deep: None, deeper: Deeper {} };
                assert_eq!(found, Ok(wanted), "{body}");
            }
            Err(why) => assert!(found.as_ref().is_err_and(|told| told.contains(why)), "{found:?}"),
        }
    }

    #[test]
    fn bodies_are_read_as_clients_send_them() {
        check("", Ok(("", &[])));
        check(" \n", Ok(("", &[])));
        check("{}", Ok(("", &[])));
        check(r#"{"name":null,"days":null,"deep":null}"#, Ok(("", &[])));
        check(r#"{"name":"a","days":[1],"unknown":{}}"#, Ok(("a", &[1])));
        check(r#"{"name":5}"#, Err("invalid type: integer `5`, expected a string"));
        check("{", Err("is not JSON"));
        check("null", Err("the body of the request"));
        for list in ["[[]]", "[]", r#"["a"]"#, "5"] {
            check(list, Err("is not an object"));
        }
        check(r#"{"days":{}}"#, Err("expected a sequence"));
        check(r#"{"deeper":"x"}"#, Err("expected an object"));
    }
}
