//! Values bound to declared parameters.

use super::{Declaration, Declarations, Type, argument_hint};
use crate::{
    diagnostic::{Code, nearest},
    report::Report,
    scope::Arguments,
    syntax::{Node, Span},
    template::BROKEN,
};
use std::{collections::HashMap, sync::Arc};

/// Nesting of one argument: commands that wrap their steps for other commands could otherwise
/// grow it with every call, and every walk over it is recursive.
const DEPTH_MAX: usize = 100;

/// Binds arguments to declarations. Extra, missing and mistyped ones are noted; what is missing
/// or wrong is bound nevertheless, so that one mistake is told once. `also`
/// are the call's own keys, one of which may be meant by an extra argument.
pub(crate) fn bind(
    declared: &Declarations,
    given: &[(Arc<str>, Span, Node)],
    also: &[&str],
    call: Span,
    report: &mut Report,
) -> Arguments {
    let unexpected: Vec<_> =
        given.iter().filter(|(name, ..)| !declared.contains_key(name)).collect();
    for (name, at, _) in &unexpected {
        let message = format!("Unexpected argument(s): {name}");
        let hint = || unexpected_hint(name, declared, also);
        report.error_with(Code::UnexpectedArgument, *at, message, hint);
    }
    let by_name: HashMap<&str, &Node> =
        given.iter().map(|(name, _, value)| (&**name, value)).collect();
    let mut bound = Arguments::with_capacity(declared.len());
    let mut missing = vec![];
    for (name, declaration) in declared {
        let value = by_name.get(&**name).copied();
        let value = match value.filter(|value| !value.is_null()) {
            Some(value) => accept(name, declaration, value, report),
            None => match &declaration.default {
                Some(default) => default.clone(),
                None => {
                    missing.push(&**name);
                    stand_in(&declaration.kind, call)
                }
            },
        };
        if value.at.line > 0 {
            report.bound.entry(value.at).or_insert_with(|| name.clone());
        }
        bound.insert(name.clone(), value);
    }
    if !missing.is_empty() {
        let message = format!("Missing required argument(s): {}", missing.join(", "));
        report.error(
            Code::MissingArgument,
            call,
            message,
            format!("give `{}`, or declare a default", missing.join("`, `")),
        );
    }
    bound
}

/// What may be meant by an argument that no parameter takes.
fn unexpected_hint(name: &str, declared: &Declarations, also: &[&str]) -> String {
    let known = declared.keys().map(|key| &**key).chain(also.iter().copied());
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if declared.is_empty() => "it takes no parameters".into(),
        None => {
            let names: Vec<&str> = declared.keys().map(|key| &**key).collect();
            format!("declared parameters: {}", names.join(", "))
        }
    }
}

/// Takes the place of a missing argument, so that nothing else is told because of it.
fn stand_in(kind: &Type, at: Span) -> Node {
    match kind {
        Type::String | Type::Enum(_) => Node::text(BROKEN, at),
        _ => Node::null(at),
    }
}

fn accept(name: &str, declaration: &Declaration, value: &Node, report: &mut Report) -> Node {
    if value.is_deeper_than(DEPTH_MAX) {
        let message = format!("argument {name} is nested more than {DEPTH_MAX} levels deep");
        report.error(
            Code::Limit,
            value.at,
            message,
            "arguments that hold arguments grow; flatten them",
        );
        return Node::null(value.at);
    }
    declaration.kind.accept(value).unwrap_or_else(|reason| {
        let shown = value.scalar_text().unwrap_or_else(|| "…".into());
        report.error(
            Code::ArgumentType,
            value.at,
            format!(
                "Type error for argument {name}: {reason}, actual value: \"{shown}\" (type {})",
                value.type_name()
            ),
            argument_hint(&declaration.kind, value),
        );
        value.clone()
    })
}
