//! Whether all that a new policy says can mean something, pure: its actions, principals and conditions.
//!
//! Why: a misspelt action denies nothing, and nobody notices until somebody gets what was to be denied.
//! Asked only when a policy is set: one that is stored is decided by as it is, as dropping it whole
//! would drop its denials.
//! Source: "Actions, resources, and condition keys for Amazon S3" of the service authorization
//! reference, "IAM JSON policy elements: Principal" and "… condition operators".

use super::{matches, texts};
use crate::s3::{condition::operator_of, context};
use serde_json::{Map, Value};

/// What S3 knows, done here or not, without `s3:`; one a line.
const ACTIONS: &str = include_str!("actions.txt");

/// Says what of a statement can mean nothing, in S3's words.
pub(super) fn check(statement: &Map<String, Value>) -> Result<(), &'static str> {
    for (one, other) in
        [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")]
    {
        if statement.contains_key(one) && statement.contains_key(other) {
            return Err("A statement has an element and its negation");
        }
    }
    let actions = statement.get("Action").or_else(|| statement.get("NotAction"));
    if !all_texts(actions, is_action) {
        return Err("Policy has invalid action");
    }
    let principal = statement.get("Principal").or_else(|| statement.get("NotPrincipal"));
    if !principal.is_some_and(is_principal) {
        return Err("Invalid principal in policy");
    }
    match statement.get("Condition") {
        Some(condition) if !is_condition(condition) => Err("Invalid Condition type"),
        _ => Ok(()),
    }
}

/// One text or a list of them, none of which is unfit.
fn all_texts(value: Option<&Value>, fits: impl Fn(&str) -> bool) -> bool {
    let fits = |value: &Value| value.as_str().is_some_and(&fits);
    match value {
        Some(Value::Array(list)) => !list.is_empty() && list.iter().all(fits),
        Some(one) => fits(one),
        None => false,
    }
}

/// A pattern that fits something which S3 does; letters are compared as S3 compares them.
fn is_action(pattern: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    if pattern == "*" {
        return true;
    }
    let Some(name) = pattern.strip_prefix("s3:") else { return false };
    ACTIONS.lines().any(|known| matches(name, &known.to_ascii_lowercase()))
}

fn is_principal(value: &Value) -> bool {
    match value {
        Value::String(all) => all == "*",
        Value::Object(kinds) => {
            !kinds.is_empty() && kinds.iter().all(|(kind, names)| is_kind(kind, names))
        }
        _ => false,
    }
}

fn is_kind(kind: &str, names: &Value) -> bool {
    match kind {
        "AWS" => all_texts(Some(names), is_account),
        "CanonicalUser" => all_texts(Some(names), is_id),
        "Service" => all_texts(Some(names), |name| is_id(name) && name.contains('.')),
        "Federated" => all_texts(Some(names), |name| !name.is_empty()),
        _ => false,
    }
}

/// Everybody, an owner's id, or an ARN of one; roles and sessions are S3's, and nobody is one here.
fn is_account(name: &str) -> bool {
    let Some(arn) = name.strip_prefix("arn:") else { return name == "*" || is_id(name) };
    let parts: Vec<&str> = arn.splitn(5, ':').collect();
    let [_, service, "", account, user] = parts.as_slice() else { return false };
    let named = |kinds: &[&str]| {
        kinds.iter().any(|kind| user.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
    };
    // A user of no tenant has no account in its ARN.
    match *service {
        "iam" => (*user == "root" && !account.is_empty()) || named(&["user/", "role/"]),
        "sts" => named(&["assumed-role/", "federated-user/"]),
        _ => false,
    }
}

/// Owners are accounts of the site, or projects.
fn is_id(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/$@+=,".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

fn is_condition(value: &Value) -> bool {
    let Value::Object(operators) = value else { return false };
    operators.iter().all(|(operator, keys)| {
        let Value::Object(keys) = keys else { return false };
        is_operator(operator)
            && keys.iter().all(|(key, wanted)| context::is_known(key) && are_values(wanted))
    })
}

fn is_operator(operator: &str) -> bool {
    let plain = match operator.split_once(':') {
        Some(("ForAllValues" | "ForAnyValue", plain)) => plain,
        Some(_) => return false,
        None => operator,
    };
    operator_of(plain).is_some_and(|known| known != "Null" || known == plain)
}

/// A condition without values holds for everybody, or for nobody.
fn are_values(wanted: &Value) -> bool {
    let count = match wanted {
        Value::Array(list) => list.len(),
        _ => 1,
    };
    count > 0 && texts(Some(wanted)).len() == count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(element: &str, value: &str, fits: bool) {
        let text = r#"{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
        let mut statement: Map<String, Value> = serde_json::from_str(text).unwrap();
        statement.insert(element.into(), serde_json::from_str(value).unwrap());
        assert_eq!(check(&statement).is_ok(), fits, "{element}: {value}");
    }

    #[test]
    fn actions_are_those_that_s3_knows() {
        for good in [
            r#""*""#,
            r#""s3:*""#,
            r#""s3:Get*""#,
            r#""s3:getobject""#,
            r#"["s3:GetObject","s3:GetObjectTorrent"]"#,
            r#""s3:GetReplicationConfiguration""#,
        ] {
            check_one("Action", good, true);
        }
        for bad in [
            r#""s3:GetObjekt""#,
            r#""s3:Got*""#,
            r#""s3:""#,
            r#""ec2:*""#,
            r#"["s3:GetObject","s3:X"]"#,
            r#"["s3:GetObject",1]"#,
            "[]",
            "{}",
        ] {
            check_one("Action", bad, false);
        }
        check_one("NotAction", r#""s3:PutObject""#, false);
    }

    #[test]
    fn what_this_service_does_is_known_to_s3() {
        // Each action of the room stands in these as `"s3:Name"`.
        let sources = [
            include_str!("../access.rs"),
            include_str!("../bucket.rs"),
            include_str!("../setting.rs"),
            include_str!("../lock.rs"),
            include_str!("../meta.rs"),
            include_str!("../lifecycle.rs"),
            include_str!("../logging.rs"),
            include_str!("../cors.rs"),
            include_str!("../read.rs"),
            include_str!("../attributes.rs"),
        ];
        let named = sources.iter().flat_map(|text| text.split("\"s3:").skip(1));
        let named: Vec<&str> = named.filter_map(|rest| rest.split('"').next()).collect();
        assert!(named.len() > 20);
        for name in named {
            assert!(is_action(&format!("s3:{name}")), "{name}");
        }
    }

    #[test]
    fn principals_have_a_known_form() {
        for good in [
            r#"{"AWS":"*"}"#,
            r#"{"AWS":["ann","arn:aws:iam::t:user/ann","arn:aws:iam:::user/ann"]}"#,
            r#"{"AWS":"acme/app"}"#,
            r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
            r#"{"AWS":"arn:aws:iam::123456789012:role/Build"}"#,
            r#"{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}"#,
            r#"{"Service":"logging.s3.amazonaws.com"}"#,
        ] {
            check_one("Principal", good, true);
        }
        for bad in [
            r#""ann""#,
            r#"{"aws":"*"}"#,
            r#"{"AWS":"arn:aws:iam::t:usr/ann"}"#,
            r#"{"AWS":"arn:aws:iam::t:user/"}"#,
            r#"{"AWS":"arn:aws:s3:::b"}"#,
            r#"{"AWS":"a b"}"#,
            r#"{"AWS":[]}"#,
            r#"{"Service":"logging"}"#,
            "{}",
            "[]",
        ] {
            check_one("Principal", bad, false);
        }
    }

    #[test]
    fn conditions_have_known_operators_and_values() {
        for good in [
            r#"{"StringEquals":{"s3:prefix":"a"}}"#,
            r#"{"ForAllValues:StringLikeIfExists":{"s3:prefix":["a","b"]}}"#,
            r#"{"Bool":{"aws:SecureTransport":false}}"#,
            r#"{"Null":{"s3:prefix":"true"}}"#,
        ] {
            check_one("Condition", good, true);
        }
        for bad in [
            r#""StringEquals""#,
            r#"{"StringEqual":{"s3:prefix":"a"}}"#,
            r#"{"ForSome:StringEquals":{"s3:prefix":"a"}}"#,
            r#"{"NullIfExists":{"s3:prefix":"true"}}"#,
            r#"{"StringEquals":"a"}"#,
            r#"{"StringEquals":{"s3:prefix":[]}}"#,
            r#"{"StringEquals":{"s3:prefix":{"a":"b"}}}"#,
        ] {
            check_one("Condition", bad, false);
        }
    }
}
