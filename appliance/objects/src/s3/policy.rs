//! Bucket policies: parsed with limits, and decided, pure.
//!
//! An explicit denial wins, then an explicit permission; silence decides nothing.
//! Source: "Policies and permissions in Amazon S3", "IAM JSON policy elements".

mod wording;

use super::condition::{holds, operator_of};
use serde_json::{Map, Value};

/// As on S3.
pub(crate) const POLICY_MAX: usize = 20 << 10;

/// What a policy says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Deny,
    Allow,
    Silent,
}

/// A request as policies see it.
pub(crate) struct Asked<'a> {
    /// Empty for nobody.
    pub(crate) owner: &'a str,
    /// A part of the house that asks on its own, instead of an owner.
    pub(crate) service: Option<&'a str>,
    pub(crate) action: &'a str,
    /// `bucket` or `bucket/key`.
    pub(crate) resource: &'a str,
    /// The values of a condition key; `None` when the request has none.
    pub(crate) value: &'a dyn Fn(&str) -> Option<Vec<String>>,
}

/// A policy document.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    statements: Vec<Map<String, Value>>,
}

const RESOURCE: &str = "arn:aws:s3:::";

impl Policy {
    /// Reads a document that is to be set: nothing of it may be a word that S3 does not know.
    pub(crate) fn parse_new(text: &str) -> Result<Self, &'static str> {
        let policy = Self::parse(text)?;
        policy.statements.iter().try_for_each(wording::check)?;
        Ok(policy)
    }

    /// Reads a document as it is stored; the error tells what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let Ok(Value::Object(mut root)) = serde_json::from_str(text) else {
            return Err("Policies must be valid JSON and the first byte must be '{'");
        };
        let statements = match root.remove("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err("Missing required field Statement"),
        };
        let object = |value| match value {
            Value::Object(map) => Ok(map),
            _ => Err("A statement must be an object"),
        };
        let statements: Vec<_> = statements.into_iter().map(object).collect::<Result<_, _>>()?;
        statements.iter().try_for_each(check)?;
        Ok(Self { statements })
    }

    /// All its resources are the bucket or in it.
    pub(crate) fn is_about(&self, bucket: &str) -> bool {
        let inside = |resource: &str| {
            let name = resource.strip_prefix(RESOURCE).unwrap_or(resource);
            let name = name.split_once('/').map_or(name, |(name, _)| name);
            matches(name, bucket)
        };
        self.statements.iter().all(|statement| {
            let resources =
                texts(statement.get("Resource").or_else(|| statement.get("NotResource")));
            resources.iter().all(|resource| inside(resource))
        })
    }

    /// What it says of a request.
    pub(crate) fn decide(&self, asked: &Asked<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            if !applies(statement, asked) {
                continue;
            }
            if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
                return Verdict::Deny;
            }
            verdict = Verdict::Allow;
        }
        verdict
    }

    /// It gives something to everybody without a condition that narrows it.
    pub(crate) fn is_public(&self) -> bool {
        const NARROW: [&str; 7] = [
            "aws:sourceip",
            "aws:sourcearn",
            "aws:sourcevpc",
            "aws:sourcevpce",
            "aws:sourceaccount",
            "aws:userid",
            "aws:principalorgid",
        ];
        self.statements.iter().any(|statement| {
            let allows = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
            let everyone = statement.contains_key("NotPrincipal")
                || principals(statement.get("Principal")).iter().any(|one| one == "*");
            let narrow = conditions(statement)
                .any(|(_, key, _)| NARROW.contains(&key.to_ascii_lowercase().as_str()));
            allows && everyone && !narrow
        })
    }
}

fn check(statement: &Map<String, Value>) -> Result<(), &'static str> {
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err("Invalid effect");
    }
    if !statement.contains_key("Principal") && !statement.contains_key("NotPrincipal") {
        return Err("Missing required field Principal");
    }
    let allows = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
    if allows && statement.contains_key("NotPrincipal") {
        return Err("Allow with NotPrincipal is not allowed.");
    }
    let actions = texts(statement.get("Action").or_else(|| statement.get("NotAction")));
    if actions.is_empty() || !actions.iter().all(|one| *one == "*" || one.starts_with("s3:")) {
        return Err("Policy has invalid action");
    }
    let resources = texts(statement.get("Resource").or_else(|| statement.get("NotResource")));
    if resources.is_empty() || !resources.iter().all(|one| *one == "*" || one.starts_with(RESOURCE))
    {
        return Err("Policy has invalid resource");
    }
    let known = conditions(statement).all(|(operator, _, _)| operator_of(operator).is_some());
    if known { Ok(()) } else { Err("Invalid Condition type") }
}

/// A text or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
        Some(one) => text(one).into_iter().collect(),
        None => Vec::new(),
    }
}

fn principals(value: Option<&Value>) -> Vec<String> {
    principals_of(value, &["AWS", "CanonicalUser"])
}

fn principals_of(value: Option<&Value>, wanted: &[&str]) -> Vec<String> {
    match value {
        Some(Value::Object(kinds)) => kinds
            .iter()
            .filter(|(kind, _)| wanted.contains(&kind.as_str()))
            .flat_map(|(_, names)| texts(Some(names)))
            .collect(),
        other => texts(other),
    }
}

fn conditions(statement: &Map<String, Value>) -> impl Iterator<Item = (&str, &str, Vec<String>)> {
    let operators = statement.get("Condition").and_then(Value::as_object).into_iter().flatten();
    operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, wanted)| (operator.as_str(), key.as_str(), texts(Some(wanted))))
    })
}

fn applies(statement: &Map<String, Value>, asked: &Asked<'_>) -> bool {
    let is_named = |value: &Value| match asked.service {
        Some(service) => names_service(statement, value, service),
        None => principals(Some(value)).iter().any(|name| is_principal(name, asked.owner)),
    };
    let principal = match (statement.get("NotPrincipal"), statement.get("Principal")) {
        (Some(value), _) => !is_named(value),
        (None, value) => value.is_some_and(is_named),
    };
    let action = |patterns: &[String]| {
        let asked = asked.action.to_ascii_lowercase();
        patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &asked))
    };
    let resource = |patterns: &[String]| {
        let whole = format!("{RESOURCE}{}", asked.resource);
        patterns.iter().any(|pattern| matches(pattern, &whole))
    };
    principal
        && either(statement, "Action", "NotAction", action)
        && either(statement, "Resource", "NotResource", resource)
        && conditions(statement).all(|(operator, key, wanted)| holds(operator, key, &wanted, asked))
}

/// A service gets only what is given to it by name; a denial to everybody is also one to it.
fn names_service(statement: &Map<String, Value>, value: &Value, service: &str) -> bool {
    let denies = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
    let kinds: &[&str] = if denies { &["Service", "AWS"] } else { &["Service"] };
    match value {
        Value::String(name) => denies && name == "*",
        value => principals_of(Some(value), kinds)
            .iter()
            .any(|name| name == service || (denies && name == "*")),
    }
}

fn either(
    statement: &Map<String, Value>,
    plain: &str,
    not: &str,
    found: impl Fn(&[String]) -> bool,
) -> bool {
    match statement.get(not) {
        Some(value) => !found(&texts(Some(value))),
        None => found(&texts(statement.get(plain))),
    }
}

/// `*`, an owner's id, or an ARN of it: `arn:aws:iam::<tenant>:user/<id>`, `arn:aws:iam::<id>:root`.
fn is_principal(name: &str, owner: &str) -> bool {
    if name == "*" {
        return true;
    }
    if owner.is_empty() {
        return false;
    }
    let arn = name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
    match arn {
        Some((_, user)) if user.starts_with("user/") => {
            let id = &user["user/".len()..];
            // A tenant's user is written without its tenant.
            id == owner || owner.split_once('$').is_some_and(|(_, plain)| plain == id)
        }
        Some((account, "root")) => account == owner,
        _ => name == owner,
    }
}

/// A pattern with `*` and `?`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(effect: &str, condition: &str, owner: &str, resource: &str, expected: Verdict) {
        let text = format!(
            r#"{{"Statement":[{{"Effect":"{effect}","Principal":{{"AWS":"arn:aws:iam::t:user/ann"}},
            "Action":"s3:Get*","Resource":"arn:aws:s3:::b/*","Condition":{condition}}}]}}"#
        );
        let value = |key: &str| (key == "s3:x").then(|| vec!["yes".to_owned()]);
        let action = "s3:GetObject";
        let asked = Asked { owner, service: None, action, resource, value: &value };
        assert_eq!(Policy::parse(&text).unwrap().decide(&asked), expected, "{text}");
    }

    #[test]
    fn statements_apply_by_principal_action_resource_and_condition() {
        check("Allow", "{}", "ann", "b/k", Verdict::Allow);
        check("Deny", "{}", "ann", "b/k", Verdict::Deny);
        check("Allow", "{}", "bob", "b/k", Verdict::Silent);
        check("Allow", "{}", "", "b/k", Verdict::Silent);
        check("Allow", "{}", "ann", "c/k", Verdict::Silent);
        check("Allow", r#"{"StringEquals":{"s3:x":"yes"}}"#, "ann", "b/k", Verdict::Allow);
        check("Allow", r#"{"StringNotEquals":{"s3:x":"yes"}}"#, "ann", "b/k", Verdict::Silent);
        check("Allow", r#"{"StringEquals":{"s3:y":"yes"}}"#, "ann", "b/k", Verdict::Silent);
        check("Allow", r#"{"StringEqualsIfExists":{"s3:y":"yes"}}"#, "ann", "b/k", Verdict::Allow);
        check("Allow", r#"{"Null":{"s3:y":"true"}}"#, "ann", "b/k", Verdict::Allow);
    }

    #[test]
    fn patterns_match_with_stars_and_question_marks() {
        assert!(matches("a*c?e", "abbbcde"));
        assert!(matches("*", ""));
        assert!(!matches("a*b", "ac"));
    }

    #[test]
    fn broken_documents_are_refused() {
        for bad in
            ["", "[]", "{}", r#"{"Statement":[{}]}"#, r#"{"Statement":[{"Effect":"Allow"}]}"#]
        {
            assert!(Policy::parse(bad).is_err(), "{bad}");
        }
    }
}
