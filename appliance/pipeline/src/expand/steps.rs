//! Steps: commands inlined, conditions decided, parameters of type steps spliced.
//!
//! Names are looked up where a step was written: a list of steps handed to an orb's job still
//! means the caller's commands. A custom command hides a built-in step of the same name, but for
//! its own body, where the name means the built-in one.

use super::Context;
use crate::{
    condition::{self, Place},
    diagnostic::Code,
    library::{Element, Kind},
    parameter,
    scope::Scope,
    syntax::{Entry, Map, Node, Span, Value},
    template,
};

/// Steps that need no definition.
pub(crate) const BUILT_IN: [&str; 12] = [
    "run",
    "checkout",
    "setup_remote_docker",
    "save_cache",
    "restore_cache",
    "persist_to_workspace",
    "attach_workspace",
    "store_artifacts",
    "store_test_results",
    "add_ssh_keys",
    "deploy",
    "install_signing_bundle",
];

/// Calls inside calls; deeper ones are a mistake, and every walk is recursive.
const DEPTH_MAX: usize = 50;

/// Lists inside lists, through commands and conditions: the stack of a server's thread is small.
const LISTS_MAX: usize = 150;

impl Context<'_> {
    /// Expands a list of steps onto `out`.
    pub(super) fn steps(&mut self, node: &Node, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        if self.depth >= LISTS_MAX {
            let message = format!("lists of steps nested more than {LISTS_MAX} deep");
            self.report.error(Code::Limit, node.at, message, "flatten the lists and conditions");
            return;
        }
        self.depth += 1;
        self.list(node, scope, out);
        self.depth -= 1;
    }

    /// The steps of a job, of a command or around a job: a list, or an expression that gives one.
    pub(super) fn listed(&mut self, node: &Node, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        let is_single = match &node.value {
            Value::Text(text) => !(self.templates && template::is_template(&text.text)),
            Value::Map(_) => true,
            _ => false,
        };
        if is_single {
            let message = format!("expected type: JSONArray, found: {}", node.schema_name());
            let hint = "start each step with `- `: `- run: make`";
            self.report.error(Code::WrongType, node.at, message, hint);
        }
        if !(is_single && node.as_text().is_some()) {
            self.steps(node, scope, out);
        }
    }

    /// A job and a command have a step; those of a list that is only filled in may all be left out.
    pub(super) fn has_steps(&mut self, node: &Node) {
        if node.as_list().is_some_and(<[Node]>::is_empty) {
            let message = "expected minimum item count: 1, found: 0";
            self.report.error(Code::WrongType, node.at, message, "add a step: `- run: make`");
        }
    }

    fn list(&mut self, node: &Node, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        match &node.value {
            Value::List(items) => {
                for item in items.iter() {
                    self.step(item, scope, out);
                }
            }
            Value::Text(text)
                if scope.is_some() && self.templates && template::is_template(&text.text) =>
            {
                let filled = self.fill(node, scope);
                if filled.is_null() {
                    return;
                }
                self.steps(&filled, None, out);
            }
            // `when` takes a single step, too.
            Value::Map(_) | Value::Text(_) => self.step(node, scope, out),
            _ => self.report.error(
                Code::WrongType,
                node.at,
                format!("expected type: JSONArray, found: {}", node.schema_name()),
                "`steps` is a list: `- run: make`",
            ),
        }
    }

    fn step(&mut self, node: &Node, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        if !self.spend(node.at) {
            return;
        }
        match &node.value {
            Value::Text(text)
                if scope.is_some() && self.templates && template::is_template(&text.text) =>
            {
                let filled = self.fill(node, scope);
                match filled.value {
                    Value::Null => {}
                    Value::List(_) => self.steps(&filled, None, out),
                    _ => self.step(&filled, None, out),
                }
            }
            Value::Text(text) => self.call(&text.text, node.at, &Node::null(node.at), scope, out),
            Value::Map(map) => self.mapped(node, map, scope, out),
            // A list inside a list of steps comes from an alias of a list: spliced.
            Value::List(_) => self.steps(node, scope, out),
            _ => self.report.error(
                Code::WrongType,
                node.at,
                format!("expected a step, found {}", node.type_name()),
                "a step is a name, or a name with its keys: `- run: make`",
            ),
        }
    }

    fn mapped(&mut self, node: &Node, map: &Map, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        let [entry] = map.entries.as_slice() else {
            let keys: Vec<&str> = map.keys().collect();
            let hint = match map.entries.first() {
                None => "write `- NAME`, or remove the `-`".into(),
                Some(first) if first.value.is_null() => {
                    format!(
                        "indent `{}` below `{}:` by two more spaces",
                        keys[1..].join("`, `"),
                        first.key
                    )
                }
                _ if run_apart(&keys) => {
                    "these are keys of `run`: write `- run:`, and `command:` and the others below it".into()
                }
                _ => "start each step with its own `- `".into(),
            };
            let message = match keys.as_slice() {
                [] => "a step is empty".to_owned(),
                several => format!(
                    "a step has exactly one name, found {}: {}",
                    several.len(),
                    several.join(", ")
                ),
            };
            self.report.error(Code::UnexpectedKey, node.at, message, hint);
            // The keys of a step that are indented too little are taken as meant.
            let is_step = |entry: &Entry| {
                BUILT_IN.contains(&&*entry.key)
                    || self.library.find(Kind::Command, &entry.key, entry.key_at.source).is_some()
            };
            if let Some((name, rest)) = map
                .entries
                .split_first()
                .filter(|(name, rest)| name.value.is_null() && !rest.iter().any(is_step))
            {
                let body = Node::map(Map { entries: rest.to_vec() }, name.value.at);
                self.call(&name.key, name.key_at, &body, scope, out);
            }
            return;
        };
        match &*entry.key {
            "when" | "unless" => self.conditional(entry, scope, out),
            "steps" if self.library.find(Kind::Command, "steps", entry.key_at.source).is_none() => {
                self.steps(&entry.value, scope, out);
            }
            name => self.call(name, entry.key_at, &entry.value, scope, out),
        }
    }

    fn conditional(&mut self, entry: &Entry, scope: Option<&Scope<'_>>, out: &mut Vec<Node>) {
        // What was filled in may have come to nothing, which is false.
        let part = |key: &str| {
            let found = entry.value.as_map().and_then(|map| map.get(key));
            found.filter(|node| !node.is_null() || scope.is_none())
        };
        if let Some(map) = entry.value.as_map() {
            self.report.only(map, &["condition", "steps"], Code::UnexpectedKey);
        }
        let (Some(condition), Some(steps)) = (part("condition"), part("steps")) else {
            let missing = if part("condition").is_none() { "condition" } else { "steps" };
            self.report.error(
                Code::MissingKey,
                entry.key_at,
                format!("required key [{missing}] not found"),
                format!("`{}` as a step takes `condition` and `steps`", entry.key),
            );
            return;
        };
        if let Some(items) = steps.as_list().filter(|_| scope.is_none()) {
            // Filled in by its writer: the condition is a value by now.
            let holds = condition_value(condition, self);
            if holds == (&*entry.key == "when") {
                items.iter().for_each(|item| self.step(item, None, out));
            }
            return;
        }
        let top = self.top();
        let holds = condition::holds(condition, Place::Step, scope.unwrap_or(&top), self.report);
        if holds == (&*entry.key == "when") {
            self.steps(steps, scope, out);
        }
    }

    /// One named step: a custom command, or a built-in one.
    fn call(
        &mut self,
        name: &str,
        at: Span,
        value: &Node,
        scope: Option<&Scope<'_>>,
        out: &mut Vec<Node>,
    ) {
        let library = self.library;
        let is_built_in = BUILT_IN.contains(&name);
        let own = library
            .find(Kind::Command, name, at.source)
            .filter(|own| !(is_built_in && scope.is_some() && self.bodies.contains(&own.at)));
        match own {
            Some(command) => self.command(name, command, at, value, scope, out),
            None if is_built_in => {
                let filled = self.fill(value, scope);
                self.step_calls.push(self.report.calls_since(self.job_depth));
                out.push(built_in(name, at, &filled));
            }
            None => {
                let mut known = BUILT_IN.to_vec();
                known.extend(["when", "unless"]);
                library.unknown(Kind::Command, name, at, &known, self.report);
            }
        }
    }

    fn command(
        &mut self,
        name: &str,
        command: &Element,
        at: Span,
        value: &Node,
        scope: Option<&Scope<'_>>,
        out: &mut Vec<Node>,
    ) {
        // Steps that were handed over may name the command that they are handed to.
        let around = scope.is_none().then(|| std::mem::take(&mut self.bodies));
        if self.bodies.contains(&command.at) || self.report.depth() > DEPTH_MAX {
            let message = format!("command '{name}' calls itself");
            self.report.error(
                Code::Recursion,
                at,
                message,
                "a command cannot call itself, directly or through others",
            );
        } else {
            let filled = self.fill(value, scope);
            self.report.push("command", name, at);
            self.bodies.push(command.at);
            self.body(name, command, at, &filled, out);
            self.bodies.pop();
            self.report.pop();
        }
        if let Some(around) = around {
            self.bodies = around;
        }
    }

    /// The steps of a command with the arguments of one call.
    fn body(&mut self, name: &str, command: &Element, at: Span, value: &Node, out: &mut Vec<Node>) {
        let Some(given) = self.given(value) else { return };
        let arguments = parameter::bind(&command.declared, &given, &[], at, self.report);
        let inner = self.inside(&arguments, command.node.at.source);
        match command.node.as_map().and_then(|map| map.get("steps")) {
            Some(steps) => {
                self.has_steps(steps);
                self.listed(steps, Some(&inner), out);
            }
            None => self.report.error(
                Code::MissingKey,
                command.at,
                "required key [steps] not found",
                format!("add `steps:` to command `{name}`"),
            ),
        }
    }

    /// Arguments of a call as name, place, value.
    fn given(&mut self, value: &Node) -> Option<Vec<(std::sync::Arc<str>, Span, Node)>> {
        match &value.value {
            Value::Null => Some(vec![]),
            Value::Map(map) => Some(
                map.entries.iter().map(|e| (e.key.clone(), e.key_at, e.value.clone())).collect(),
            ),
            _ => {
                let message = format!("expected type: Mapping, found: {}", value.schema_name());
                self.report.error(
                    Code::WrongType,
                    value.at,
                    message,
                    "give arguments as `name: value` lines below the call",
                );
                None
            }
        }
    }
}

/// Whether the keys of a `run` step stand beside it.
fn run_apart(keys: &[&str]) -> bool {
    const RUN: [&str; 7] =
        ["run", "name", "when", "environment", "shell", "working_directory", "no_output_timeout"];
    keys.contains(&"run") && keys.iter().all(|key| RUN.contains(key))
}

/// A condition inside steps that were handed over as an argument.
fn condition_value(condition: &Node, context: &mut Context<'_>) -> bool {
    match condition.value {
        Value::Map(_) => {
            let top = context.top();
            condition::holds(condition, Place::Step, &top, context.report)
        }
        _ => crate::expression::truthy(condition),
    }
}

/// A built-in step in its processed form.
fn built_in(name: &str, at: Span, value: &Node) -> Node {
    let value = match (&value.value, name) {
        (Value::Null, "run" | "deploy") => value.clone(),
        (Value::Null, _) => return Node::text(name, at),
        (Value::Map(_) | Value::List(_), _) => value.clone(),
        (_, "run" | "deploy") => {
            let mut map = Map::default();
            map.set("command", value.clone());
            Node::map(map, value.at)
        }
        _ => value.clone(),
    };
    let entries = vec![Entry { key: name.into(), key_at: at, value }];
    Node::map(Map { entries }, at)
}
