//! The invocation's own keys: name, requirements, contexts, filters, serial group.

use super::{Call, CallKind};
use crate::{
    assembly::CONTEXTS_MAX,
    diagnostic::Code,
    expand::{Context, requires},
    filter,
    syntax::{Map, Node, Span, Value},
};

/// Longest serial group, as on the original service.
const SERIAL_GROUP_MAX: usize = 512;

impl Context<'_> {
    /// A call without its job.
    pub(super) fn plain_call(
        &mut self,
        reference: &str,
        at: Span,
        body: &Map,
        kind: CallKind,
    ) -> Call {
        let name = body.get("name").filter(|node| !node.is_null());
        if let Some(node) =
            name.filter(|node| node.scalar_text().is_none_or(|text| text.trim().is_empty()))
        {
            let message = match node.scalar_text() {
                Some(_) => "a job's name is empty".to_owned(),
                None => format!("expected type: String, found: {}", node.schema_name()),
            };
            let hint = "give a text that is not empty, or leave `name` out";
            self.report.error(Code::Value, node.at, message, hint);
        }
        let name = name.and_then(Node::scalar_text).filter(|text| !text.trim().is_empty());
        let written = body.get("filters").filter(|node| !node.is_null()).cloned();
        let top = self.top();
        let filters =
            written.as_ref().map(|node| filter::read(node, &top, self.report)).unwrap_or_default();
        let (context, contexts) = self.contexts(body);
        Call {
            reference: reference.into(),
            at,
            is_named: name.is_some(),
            name: name.unwrap_or_else(|| reference.into()),
            alias: None,
            is_copy: false,
            kind,
            requires: requires::read(body.get("requires"), self.report),
            context,
            contexts,
            filters_written: written,
            filters,
            type_written: body.get("type").cloned(),
            serial_group: self.serial_group(body),
            group_lock: None,
            inside: None,
            job: None,
        }
    }

    fn contexts(&mut self, body: &Map) -> (Option<Node>, Vec<String>) {
        let Some(node) = body.get("context").filter(|node| !node.is_null()) else {
            return (None, vec![]);
        };
        let items = node.as_list().unwrap_or_else(|| std::slice::from_ref(node));
        let mut names: Vec<String> = vec![];
        for item in items {
            match &item.value {
                Value::List(_) | Value::Map(_) => {
                    let message = format!("expected type: String, found: {}", item.schema_name());
                    self.report.error(
                        Code::WrongType,
                        item.at,
                        message,
                        "`context` is a name or a list of names",
                    );
                }
                // An expression may leave out a context by giving an empty text.
                _ => match item.scalar_text() {
                    // More than there may be in all is told when they are counted.
                    Some(_) if names.len() > CONTEXTS_MAX => {}
                    Some(name) if name.is_empty() || names.contains(&name) => {}
                    Some(name) => names.push(name),
                    None => {}
                },
            }
        }
        (Some(node.clone()), names)
    }

    fn serial_group(&mut self, body: &Map) -> Option<String> {
        let node = body.get("serial-group").filter(|node| !node.is_null())?;
        let text = node.scalar_text().unwrap_or_default();
        let fits = !text.is_empty()
            && text.len() <= SERIAL_GROUP_MAX
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
        if !fits {
            self.report.error(
                Code::Value,
                node.at,
                format!(
                    "serial-group '{}' is not valid",
                    text.chars().take(60).collect::<String>()
                ),
                format!("use 1 to {SERIAL_GROUP_MAX} letters, digits, `.`, `_`, `/` and `-`"),
            );
        }
        fits.then_some(text)
    }
}
