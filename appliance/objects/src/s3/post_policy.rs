//! The policy of a browser upload, pure: what a signed form may hold.
//!
//! A form is checked field by field: each condition must hold, and each field must be named by a
//! condition, so that the holder of a form cannot add to it.
//! Source: "Creating a POST policy" of the S3 API reference.

use super::error::{Code, S3Error};
use base::time::Timestamp;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Conditions of one policy; more than any form has fields.
const CONDITIONS_MAX: usize = 100;

/// Fields that need no condition: the proof itself, and the file.
const FREE: [&str; 5] = ["x-amz-signature", "policy", "file", "bucket", "submit"];

/// Name (in lower case) and value of each field before the file.
pub(crate) type Fields = [(String, String)];

/// The value of a field.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Equal(String, String),
    Prefix(String, String),
    Length(u64, u64),
}

/// A policy, read.
#[derive(Debug, Clone)]
pub(crate) struct PostPolicy {
    expires: Timestamp,
    conditions: Vec<Condition>,
}

fn malformed(why: &str) -> S3Error {
    Code::InvalidPolicyDocument.says(format!("Invalid Policy: {why}"))
}

fn denied(why: &str) -> S3Error {
    Code::AccessDenied.says(format!("Invalid according to Policy: {why}"))
}

fn condition(value: &Value) -> Result<Vec<Condition>, S3Error> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(malformed("Invalid Simple-Condition: value must be a string.")),
    };
    match value {
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(name, value)| Ok(Condition::Equal(name.to_ascii_lowercase(), text(value)?)))
            .collect(),
        Value::Array(list) => {
            let [operator, first, second] = list.as_slice() else {
                return Err(malformed("a condition has an operator and two arguments."));
            };
            let operator = text(operator)?.to_ascii_lowercase();
            if operator == "content-length-range" {
                let number = |value: &Value| {
                    text(value)?.parse().map_err(|_| malformed("a length is not a number."))
                };
                return Ok(vec![Condition::Length(number(first)?, number(second)?)]);
            }
            let first = text(first)?.to_ascii_lowercase();
            let name =
                first.strip_prefix('$').ok_or_else(|| malformed("a field begins with `$`."))?;
            let (name, value) = (name.to_owned(), text(second)?);
            match operator.as_str() {
                "eq" => Ok(vec![Condition::Equal(name, value)]),
                "starts-with" => Ok(vec![Condition::Prefix(name, value)]),
                _ => Err(malformed("Unknown operator.")),
            }
        }
        _ => Err(malformed("Invalid condition.")),
    }
}

impl PostPolicy {
    /// Reads a policy's JSON.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, S3Error> {
        let Ok(Value::Object(root)) = serde_json::from_slice(text) else {
            return Err(malformed("Invalid JSON."));
        };
        let expires = root.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| malformed("Policy missing expiration."))?;
        let expires: Timestamp =
            expires.parse().map_err(|_| malformed("Invalid 'expiration' value."))?;
        let Some(Value::Array(list)) = root.get("conditions") else {
            return Err(malformed("Policy missing conditions."));
        };
        if list.len() > CONDITIONS_MAX {
            return Err(malformed("too many conditions."));
        }
        let conditions: Vec<Vec<_>> = list.iter().map(condition).collect::<Result<_, _>>()?;
        Ok(Self { expires, conditions: conditions.concat() })
    }

    /// Holds against a form; gives the sizes that the file may have.
    pub(crate) fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: Timestamp,
    ) -> Result<RangeInclusive<u64>, S3Error> {
        if self.expires <= now {
            return Err(denied("Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            name => field(fields, name),
        };
        let mut sizes = 0..=u64::MAX;
        for one in &self.conditions {
            let holds = match one {
                Condition::Equal(name, wanted) => value(name) == Some(wanted.as_str()),
                Condition::Prefix(name, wanted) => {
                    value(name).is_some_and(|found| starts_with(name, found, wanted))
                }
                Condition::Length(least, most) => {
                    sizes = (*sizes.start()).max(*least)..=(*sizes.end()).min(*most);
                    true
                }
            };
            if !holds {
                return Err(denied(&format!("Policy Condition failed: {one:?}")));
            }
        }
        let named = |field: &str| {
            self.conditions.iter().any(|one| match one {
                Condition::Equal(name, _) | Condition::Prefix(name, _) => name == field,
                Condition::Length(..) => false,
            })
        };
        let free = |name: &str| FREE.contains(&name) || name.starts_with("x-ignore-");
        let extra = fields.iter().find(|(name, _)| !free(name) && !named(name));
        match extra {
            Some((name, _)) => Err(denied(&format!("Extra input fields: {name}"))),
            None => Ok(sizes),
        }
    }
}

/// `Content-Type` may list several types, each of which must begin so.
fn starts_with(name: &str, found: &str, wanted: &str) -> bool {
    if name == "content-type" {
        return found.split(',').all(|one| one.trim_start().starts_with(wanted));
    }
    found.starts_with(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-11-23T00:00:00Z";

    fn check(policy: &str, fields: &[(&str, &str)], expected: Result<(u64, u64), Code>) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let found = PostPolicy::parse(policy.as_bytes())
            .and_then(|policy| policy.check(&fields, "b", NOW.parse().unwrap()))
            .map(|sizes| (*sizes.start(), *sizes.end()))
            .map_err(|error| error.code);
        assert_eq!(found, expected, "{policy}");
    }

    fn with(conditions: &str) -> String {
        format!(r#"{{"expiration":"2026-12-01T00:00:00Z","conditions":{conditions}}}"#)
    }

    #[test]
    fn every_condition_must_hold_and_every_field_be_named() {
        let key = [("key", "user/a")];
        let prefix = r#"["starts-with","$Key","user/"]"#;
        check(&with(&format!(r#"[{{"BUCKET":"b"}},{prefix}]"#)), &key, Ok((0, u64::MAX)));
        check(&with(&format!(r#"[{{"bucket":"c"}},{prefix}]"#)), &key, Err(Code::AccessDenied));
        check(&with(r#"[["eq","$key","user/b"]]"#), &key, Err(Code::AccessDenied));
        check(&with("[]"), &key, Err(Code::AccessDenied));
        check(&with(r#"[["content-length-range",1,"9"]]"#), &[("x-ignore-a", "")], Ok((1, 9)));
        let types = r#"[["starts-with","$content-type","image/"]]"#;
        check(&with(types), &[("content-type", "image/png, text/html")], Err(Code::AccessDenied));
        check(&with("[]").replace("2026-12", "2026-10"), &[], Err(Code::AccessDenied));
    }

    #[test]
    fn broken_policies_are_refused() {
        let bad = Err(Code::InvalidPolicyDocument);
        for conditions in [
            "[{}]",
            "[1]",
            r#"[["content-length-range",1]]"#,
            r#"[["content-length-range","x",2]]"#,
            r#"[["eq","key","x"]]"#,
            r#"[["matches","$key","x"]]"#,
        ] {
            check(&with(conditions), &[], bad);
        }
        check("", &[], bad);
        check(r#"{"conditions":[]}"#, &[], bad);
        check(r#"{"expiration":"tomorrow","conditions":[]}"#, &[], bad);
        check(&with("[]").replace("conditions", "CONDITIONS"), &[], bad);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\":,$a-z0-9-]{0,80}") {
            drop(PostPolicy::parse(text.as_bytes()));
        }
    }
}
