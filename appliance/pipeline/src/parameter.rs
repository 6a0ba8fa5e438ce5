//! Parameters: declarations, and values bound to them.
//!
//! Source: the original's parameter types and message texts. An argument that is null counts as
//! not given.

mod bind;

use crate::{
    diagnostic::{Code, nearest},
    expand::CALL_KEYS,
    report::Report,
    scope::Scope,
    syntax::{Map, Node, Span, Value, scalar},
    template::{self, BROKEN},
};
use indexmap::IndexMap;
use std::sync::Arc;

pub(crate) use bind::bind;

/// A declared type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    String,
    Boolean,
    Integer,
    Enum(Vec<String>),
    Executor,
    Steps,
    EnvVarName,
    /// Declared with a type that does not exist, which is told; takes everything.
    Unknown,
}

/// One declared parameter.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub kind: Type,
    pub default: Option<Node>,
}

/// Declared parameters in written order.
pub(crate) type Declarations = IndexMap<Arc<str>, Declaration>;

/// Who declares: not every element may have every type and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Pipeline,
    Job,
    Command,
    Executor,
}

impl Type {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Enum(_) => "enum",
            Self::Executor => "executor",
            Self::Steps => "steps",
            Self::EnvVarName => "env_var_name",
            Self::Unknown => "unknown",
        }
    }

    /// The value as this type, or the reason why not.
    pub(crate) fn accept(&self, value: &Node) -> Result<Node, String> {
        if value.as_text() == Some(BROKEN) {
            return Ok(value.clone());
        }
        let fitting = match (self, &value.value) {
            (Self::String, Value::Text(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Integer, Value::Int(_))
            | (Self::Executor, Value::Text(_) | Value::Map(_)) => Some(value.clone()),
            (Self::Steps, Value::List(_)) | (Self::Unknown, _) => Some(value.clone()),
            (Self::Boolean, Value::Text(text)) => {
                scalar::short_boolean(text).map(|on| Node::new(Value::Bool(on), value.at))
            }
            (Self::Enum(members), _) => return member(members, value),
            (Self::EnvVarName, Value::Text(text)) => {
                if !is_variable_name(&text.text) {
                    return Err(format!("\"{}\" is not a POSIX name", text.text));
                }
                Some(value.clone())
            }
            _ => None,
        };
        fitting.ok_or_else(|| format!("expected type: {}", self.name()))
    }
}

fn member(members: &[String], value: &Node) -> Result<Node, String> {
    let text = value.scalar_text().filter(|_| !value.is_null());
    match text {
        Some(text) if members.contains(&text) => Ok(Node::text(&text, value.at)),
        _ => Err(format!("expected one of: {}", members.join(", "))),
    }
}

/// `^[A-Za-z_][A-Za-z0-9_]*$`
pub(crate) fn is_variable_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads a `parameters:` map of an element. Defaults are filled in with what `scope` holds; without
/// one they stay as written.
pub(crate) fn declare(
    node: Option<&Node>,
    owner: Owner,
    scope: Option<&Scope<'_>>,
    report: &mut Report,
) -> Declarations {
    let mut declared = Declarations::new();
    let Some(node) = node.filter(|node| !node.is_null()) else { return declared };
    let Some(map) = node.as_map() else {
        report.error(
            Code::WrongType,
            node.at,
            format!("expected type: Mapping, found: {}", node.schema_name()),
            "`parameters` maps each name to its `type` and `default`",
        );
        return declared;
    };
    for entry in &map.entries {
        check_name(&entry.key, entry.key_at, owner, report);
        if let Some(declaration) = declaration(&entry.key, &entry.value, owner, scope, report) {
            declared.insert(entry.key.clone(), declaration);
        }
    }
    declared
}

fn check_name(name: &str, at: Span, owner: Owner, report: &mut Report) {
    let capitals = owner == Owner::Pipeline;
    let letter = |c: char| c.is_ascii_lowercase() || (capitals && c.is_ascii_uppercase());
    // The original documents lower case for elements; capitals inside a name are seen in the wild.
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let starts = |c: char| letter(c) || c.is_ascii_uppercase();
    if !name.starts_with(starts) || !name.chars().all(part) {
        report.error(
            Code::Name,
            at,
            format!("parameter name '{name}' is not valid"),
            "names start with a letter and hold letters, digits, `_` and `-`",
        );
    }
    if owner == Owner::Job && CALL_KEYS.contains(&name) {
        report.error(
            Code::Name,
            at,
            format!("parameter name '{name}' is reserved"),
            format!("a workflow uses the key `{name}` itself; choose another name"),
        );
    }
}

fn declaration(
    name: &str,
    node: &Node,
    owner: Owner,
    scope: Option<&Scope<'_>>,
    report: &mut Report,
) -> Option<Declaration> {
    const KEYS: [&str; 4] = ["type", "default", "description", "enum"];
    let Some(map) = node.as_map() else {
        report.error(
            Code::WrongType,
            node.at,
            format!("expected type: Mapping, found: {}", node.schema_name()),
            format!("declare it as `{name}: {{type: string, default: \"…\"}}`"),
        );
        return None;
    };
    report.only(map, &KEYS, Code::UnexpectedKey);
    let kind = read_type(name, map, node.at, owner, report);
    let mut default = default_value(name, &kind, map, scope, report);
    described(map, report);
    if owner == Owner::Pipeline && map.get("default").is_none_or(Node::is_null) {
        report.error(
            Code::Parameter,
            node.at,
            format!("Parameter error: pipeline parameter '{name}' has no default"),
            "a pipeline started by a push gives no parameters, so each needs a `default`",
        );
        // Told once: a missing argument would only repeat it.
        default = Some(Node::null(node.at));
    }
    Some(Declaration { kind, default })
}

/// A description is a text.
pub(crate) fn described(map: &Map, report: &mut Report) {
    let description = map.get("description").filter(|node| node.scalar_text().is_none());
    if let Some(node) = description {
        report.error(
            Code::WrongType,
            node.at,
            format!("expected type: String, found: {}", node.schema_name()),
            "quote a text that holds `: ` or starts with `{` or `[`",
        );
    }
}

fn default_value(
    name: &str,
    kind: &Type,
    map: &Map,
    scope: Option<&Scope<'_>>,
    report: &mut Report,
) -> Option<Node> {
    let written = map.get("default").filter(|value| !value.is_null())?;
    let filled =
        scope.map_or_else(|| written.clone(), |scope| template::fill(written, scope, report));
    if filled.is_null() {
        // A value that this trigger does not have is none of any type.
        return Some(filled);
    }
    let written = &filled;
    if matches!(kind, Type::Enum(members) if members.is_empty()) {
        // That the list is missing is told already.
        return Some(written.clone());
    }
    match kind.accept(written) {
        Ok(value) => Some(value),
        Err(_) => {
            let shown = written.scalar_text().unwrap_or_else(|| "…".into());
            let members = match kind {
                Type::Enum(members) => format!(" ({})", members.join(", ")),
                _ => String::new(),
            };
            report.error(
                Code::Parameter,
                written.at,
                format!(
                    "Parameter error: default value of parameter '{name}' is '{shown}' (type {}): expected type {}{members}",
                    written.type_name(),
                    kind.name()
                ),
                default_hint(kind, written),
            );
            // Used nevertheless, so that no second error follows from the first.
            Some(written.clone())
        }
    }
}

/// Words that are booleans without quotes.
const BOOLEANS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];

/// How a value becomes one of the type, where that is known.
fn value_hint(kind: &Type, written: &Node) -> Option<String> {
    let hint = match (kind, &written.value) {
        (Type::String, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => {
            "quote it to make it a string"
        }
        (Type::Integer, Value::Text(text)) if text.text.parse::<i64>().is_ok() => {
            "write it without quotes"
        }
        (Type::Boolean, Value::Text(text))
            if BOOLEANS.contains(&text.text.to_lowercase().as_str()) =>
        {
            "write it without quotes"
        }
        (Type::Enum(members), _) => return Some(format!("use one of: {}", members.join(", "))),
        _ => return None,
    };
    Some(hint.into())
}

fn default_hint(kind: &Type, written: &Node) -> String {
    value_hint(kind, written).unwrap_or_else(|| "change the default or the type".into())
}

/// What to write in place of an argument that does not fit.
fn argument_hint(kind: &Type, written: &Node) -> String {
    let expected = match kind {
        Type::String => "give a text",
        Type::Boolean => "give `true` or `false`",
        Type::Integer => "give a whole number",
        Type::Steps => "give a list of steps: `[run: make]`",
        Type::Executor => "give an executor's name, or `{name: NAME, …}`",
        Type::EnvVarName => "give the name of a variable: letters, digits and `_`",
        Type::Enum(_) | Type::Unknown => "change the value or the type",
    };
    value_hint(kind, written).unwrap_or_else(|| expected.into())
}

fn read_type(name: &str, map: &Map, at: Span, owner: Owner, report: &mut Report) -> Type {
    const NAMES: [&str; 7] =
        ["string", "boolean", "integer", "enum", "executor", "steps", "env_var_name"];
    let Some(node) = map.get("type") else {
        report.error(
            Code::MissingKey,
            at,
            "required key [type] not found",
            format!("add `type: string` to parameter `{name}`"),
        );
        return Type::Unknown;
    };
    let kind = match node.as_text() {
        Some("string") => Type::String,
        Some("boolean") => Type::Boolean,
        Some("integer") => Type::Integer,
        Some("enum") => Type::Enum(members(map, at, report)),
        Some("executor") if matches!(owner, Owner::Job | Owner::Command | Owner::Executor) => {
            Type::Executor
        }
        Some("steps") if matches!(owner, Owner::Job | Owner::Command) => Type::Steps,
        Some("env_var_name") if owner != Owner::Pipeline => Type::EnvVarName,
        other => {
            let found = other.unwrap_or(node.type_name());
            let hint = nearest(found, NAMES).filter(|near| *near != found).map_or_else(
                || {
                    if owner == Owner::Pipeline {
                        "pipeline parameters are string, boolean, integer or enum".into()
                    } else {
                        format!("known types: {}", NAMES.join(", "))
                    }
                },
                |near| format!("did you mean `{near}`?"),
            );
            report.error(
                Code::Parameter,
                node.at,
                format!("Parameter error: '{found}' is not a type of parameter '{name}'"),
                hint,
            );
            return Type::Unknown;
        }
    };
    if let (Some(extra), false) = (map.entry("enum"), matches!(kind, Type::Enum(_))) {
        // The original lets it pass, and published orbs have it.
        report.warn(
            Code::Parameter,
            extra.key_at,
            format!("parameter '{name}' takes any value: its `enum` list has no effect"),
            "write `type: enum`",
        );
    }
    kind
}

fn members(map: &Map, at: Span, report: &mut Report) -> Vec<String> {
    let list = map.get("enum").and_then(Node::as_list).unwrap_or_default();
    let members: Vec<String> = list.iter().filter_map(Node::scalar_text).collect();
    if members.is_empty() {
        report.error(
            Code::Parameter,
            at,
            "Parameter error: type enum needs a list `enum` of its values",
            "add `enum: [a, b]`",
        );
    }
    members
}
