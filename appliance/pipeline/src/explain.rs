//! Where each effective key, variable and step of a job came from.

use crate::{
    compiled::Compiled,
    syntax::{Node, Span, Value},
};
use serde::Serialize;
use std::fmt::Write as _;

/// One effective value and its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `docker[0].image`, `environment.CI`, `steps[3].run.command` …
    pub key: String,
    /// The value, cut to one line.
    pub value: String,
    /// The configuration's path, or the orb's reference.
    pub file: String,
    /// From 1; 0 when the trigger gave it.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The parameter that it is the value of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The commands through which its step came, from the outermost inwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// A job explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its name in the processed form.
    pub job: String,
    /// In the order of the processed form.
    pub origins: Vec<Origin>,
}

/// Explains a job of the processed form; `None` when there is none of that name.
#[must_use]
pub fn explain(compiled: &Compiled, job: &str) -> Option<Explanation> {
    let found = compiled.jobs.get(job)?;
    let mut origins = vec![];
    let entries = found.node.as_map().map(|map| &map.entries[..]).unwrap_or_default();
    for entry in entries {
        match entry.value.as_list().filter(|_| &*entry.key == "steps") {
            Some(steps) => {
                for (index, (step, calls)) in steps.iter().zip(&found.calls).enumerate() {
                    let from = origins.len();
                    walk(compiled, &format!("steps[{index}]"), step, step.at, &mut origins);
                    let commands: Vec<String> =
                        calls.iter().map(|(_, name, _)| name.to_string()).collect();
                    for origin in &mut origins[from..] {
                        origin.commands.clone_from(&commands);
                    }
                }
            }
            None => {
                let written = entry.value.at.line > 0;
                let at = if written { entry.value.at } else { entry.key_at };
                walk(compiled, &entry.key, &entry.value, at, &mut origins);
            }
        }
    }
    Some(Explanation { job: job.into(), origins })
}

fn walk(compiled: &Compiled, key: &str, node: &Node, at: Span, out: &mut Vec<Origin>) {
    match &node.value {
        Value::Map(map) if !map.entries.is_empty() => {
            for entry in &map.entries {
                let inner = format!("{key}.{}", entry.key);
                let at = if entry.value.at.line > 0 { entry.value.at } else { entry.key_at };
                walk(compiled, &inner, &entry.value, at, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                walk(compiled, &format!("{key}[{index}]"), item, item.at, out);
            }
        }
        _ => out.push(Origin {
            key: key.into(),
            value: one_line(&node.scalar_text().unwrap_or_default()),
            file: compiled.files.get(usize::from(at.source.0)).cloned().unwrap_or_default(),
            line: at.line,
            column: at.column,
            parameter: compiled.parameters.get(&at).map(ToString::to_string),
            commands: vec![],
        }),
    }
}

fn one_line(text: &str) -> String {
    const SHOWN: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    let cut: String = first.chars().take(SHOWN).collect();
    if cut.len() < text.trim_end().len() { format!("{cut}…") } else { cut }
}

impl Explanation {
    /// For a terminal: one line for each value, origins in a column.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("job {}\n", self.job);
        let place = |origin: &Origin| match origin.line {
            0 => "the trigger".to_owned(),
            line => format!("{}:{line}:{}", origin.file, origin.column),
        };
        let width = self.origins.iter().map(|origin| place(origin).len()).max().unwrap_or(0);
        for origin in &self.origins {
            let _ = write!(out, "  {:width$}  {} = {}", place(origin), origin.key, origin.value);
            let parameter = origin.parameter.iter().map(|name| format!("parameter {name}"));
            let commands = origin.commands.iter().map(|name| format!("command {name}"));
            let through: Vec<String> = parameter.chain(commands).collect();
            let _ = match through.is_empty() {
                true => writeln!(out),
                false => writeln!(out, "  ({})", through.join(", ")),
            };
        }
        out
    }
}
