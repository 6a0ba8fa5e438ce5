//! The stages in order: text → tree → elements → expanded workflows → checked jobs.
//!
//! Each stage notes what is wrong and goes on as far as it makes sense; a configuration with any
//! error yields diagnostics alone.

mod given;

use crate::{
    assembly::{self, Assembly},
    compiled::{Compiled, CompiledWorkflow},
    definition,
    diagnostic::{Code, Diagnostic, nearest},
    expand::{Context, workflow::Workflow},
    filter::{self, Filters},
    library::Library,
    processed,
    report::Report,
    request::Request,
    scope::Scope,
    syntax::{Duplicate, Map, Node, SourceId, Span, Value, load},
};
use base::limits::CONFIG_MAX;
use std::{collections::HashMap, sync::Arc};

/// Where findings about the file as a whole point to.
const START: Span = Span { source: SourceId(0), line: 1, column: 1 };

/// What compiling gave: the configuration unless there was an error, and everything worth telling.
#[derive(Debug)]
pub struct Compilation {
    /// Absent when any diagnostic is an error.
    pub config: Option<Compiled>,
    /// Errors first, each kind in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// References to orbs that were not among the request's, filled in: what a shell may look for
    /// before it compiles again.
    pub absent: Vec<String>,
}

impl Compilation {
    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error())
    }

    /// The warnings alone.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| !diagnostic.is_error())
    }
}

/// Compiles a configuration.
#[must_use]
pub fn compile(text: &str, request: &Request) -> Compilation {
    let mut report = Report::default();
    let file = if request.file.is_empty() { ".circleci/config.yml" } else { &request.file };
    let source = report.sources.add(file, text.into());
    let config =
        load_root(text, source, &mut report).and_then(|root| stages(&root, request, &mut report));
    let parameters = std::mem::take(&mut report.bound);
    let absent = std::mem::take(&mut report.absent);
    let (diagnostics, sources) = report.finish();
    let config = config.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    let config = config.map(|config| Compiled { files: sources.names(), parameters, ..config });
    Compilation { config, diagnostics, absent }
}

pub(crate) fn load_root(text: &str, source: SourceId, report: &mut Report) -> Option<Arc<Map>> {
    let start = Span { source, line: 1, column: 1 };
    if text.len() > CONFIG_MAX {
        report.error(
            Code::Limit,
            start,
            format!("the configuration is larger than {} MB", CONFIG_MAX >> 20),
            "split it with dynamic configuration (`setup: true`)",
        );
        return None;
    }
    let loaded = match load::load(text, source) {
        Ok(loaded) => loaded,
        Err(error) => {
            report.error(Code::Syntax, error.at, error.message, error.hint);
            return None;
        }
    };
    for Duplicate { key, at, first } in loaded.duplicates {
        report.warn(
            Code::DuplicateKey,
            at,
            format!("the key `{key}` stands twice in this map; the last one counts"),
            format!("remove one of them; the first stands at line {first}"),
        );
    }
    match loaded.root.value {
        Value::Map(map) => Some(map),
        Value::Null => {
            report.error(
                Code::Syntax,
                start,
                "the configuration is empty",
                "start with `version: 2.1`",
            );
            None
        }
        _ => {
            let message = format!("expected type: Mapping, found: {}", loaded.root.schema_name());
            report.error(
                Code::WrongType,
                loaded.root.at,
                message,
                "a configuration is a map that starts with `version: 2.1`",
            );
            None
        }
    }
}

fn stages(root: &Map, request: &Request, report: &mut Report) -> Option<Compiled> {
    let is_2_1 = version(root, report)?;
    let declared = given::bind(root, request, is_2_1, report);
    let scope = Scope {
        pipeline: &request.values,
        declared: Some(&declared),
        parameters: None,
        matrix: None,
    };
    let library = Library::build(root, request, &scope, report);
    let setup_at = setup(root, is_2_1, request, report);
    let mut context = Context::new(&library, &request.values, &declared, is_2_1, report);
    let (workflows, version_place) = workflows(root, &mut context);
    let mut assembly = Assembly::new(context.report);
    let workflows: Vec<CompiledWorkflow> =
        workflows.into_iter().map(|w| assembly.workflow(w)).collect();
    let jobs = assembly.jobs;
    definition::check(root, &library, is_2_1, context.report);
    // Last, because a finding is told once, and here all are warnings.
    context.report.lenient = true;
    let uncalled = context.uncalled();
    assembly::check_uncalled(&uncalled, context.report);
    context.report.lenient = false;
    if let Some(at) = setup_at.filter(|_| workflows.len() > 1) {
        report.error(
            Code::Setup,
            at,
            format!("a setup configuration has exactly one workflow, found {}", workflows.len()),
            "keep one workflow; put the others into the configuration that continues it",
        );
    }
    let mut compiled = Compiled {
        setup: setup_at.is_some(),
        jobs,
        workflows,
        header: header(&library),
        version_place,
        processed: String::new(),
        files: vec![],
        parameters: HashMap::new(),
    };
    if report.errors() == 0 {
        compiled.processed = processed::text(&compiled);
    }
    if compiled.processed.len() > CONFIG_MAX {
        report.error(
            Code::Limit,
            START,
            format!("A compiled config YAML must be at most {}MB", CONFIG_MAX >> 20),
            "Your compiled config is too large to be processed: split it with dynamic configuration",
        );
    }
    Some(compiled)
}

/// True for 2.1, false for 2 and 2.0.
fn version(root: &Map, report: &mut Report) -> Option<bool> {
    let Some(node) = root.get("version") else {
        let hint = root.keys().find(|key| nearest(key, ["version"]).is_some()).map_or_else(
            || "start the file with `version: 2.1`".to_owned(),
            |near| format!("`{near}` should be `version`"),
        );
        report.error(Code::Version, START, "required key [version] not found", hint);
        return None;
    };
    match node.scalar_text().as_deref() {
        Some("2.1") => Some(true),
        Some("2" | "2.0") => Some(false),
        other => {
            let message = format!("version {} is not known", other.unwrap_or("of this type"));
            report.error(Code::Version, node.at, message, "write `version: 2.1`");
            None
        }
    }
}

/// Where the configuration says that it is a setup.
fn setup(root: &Map, is_2_1: bool, request: &Request, report: &mut Report) -> Option<Span> {
    let entry = root.entry("setup")?;
    match entry.value.value {
        Value::Bool(true) => {}
        Value::Bool(false) | Value::Null => return None,
        _ => {
            report.error(
                Code::WrongType,
                entry.value.at,
                format!("expected type: Boolean, found: {}", entry.value.schema_name()),
                "write `setup: true`",
            );
            return None;
        }
    }
    if !is_2_1 {
        report.error(
            Code::Setup,
            entry.key_at,
            "`setup` needs version 2.1",
            "write `version: 2.1`",
        );
    }
    if request.continuation {
        report.error(
            Code::Setup,
            entry.key_at,
            "a setup configuration cannot continue a setup pipeline",
            "remove `setup: true` from the continuation configuration",
        );
    }
    Some(entry.key_at)
}

/// All workflows whose conditions hold, and where `version` stood among them.
fn workflows(root: &Map, context: &mut Context<'_>) -> (Vec<Workflow>, Option<usize>) {
    let Some(node) = root.get("workflows").filter(|node| !node.is_null()) else {
        return (implicit(root, context), Some(0));
    };
    let Some(map) = node.as_map() else {
        let message = format!("expected type: Mapping, found: {}", node.schema_name());
        context.report.error(
            Code::WrongType,
            node.at,
            message,
            "write `workflows:` with one name per workflow",
        );
        return (vec![], None);
    };
    let mut found = vec![];
    let mut version_place = None;
    let mut seen = 0;
    for entry in &map.entries {
        if &*entry.key == "version" {
            version_place = Some(found.len());
            if !matches!(entry.value.scalar_text().as_deref(), Some("2" | "2.0" | "2.1")) {
                context.report.error(
                    Code::Version,
                    entry.value.at,
                    "workflows.version is not 2",
                    "write `version: 2`, or remove the line",
                );
            }
            continue;
        }
        seen += 1;
        found.extend(context.workflow(&entry.key, entry.key_at, &entry.value));
    }
    if seen == 0 {
        if version_place.is_some() {
            return (implicit(root, context), Some(0));
        }
        context.report.error(
            Code::MissingKey,
            node.at,
            "`workflows` names no workflow",
            "add one: `main: {jobs: [build]}`",
        );
    }
    (found, version_place)
}

/// Without workflows the job `build` is one.
fn implicit(root: &Map, context: &mut Context<'_>) -> Vec<Workflow> {
    let build = context.library.main().and_then(|main| main.jobs.get("build"));
    let Some(build) = build else {
        let near = |wanted| {
            let unknown = root.keys().filter(|key| !definition::TOP.contains(key));
            let found = unknown.into_iter().find(|key| nearest(key, [wanted]).is_some());
            found.map(|key| format!("`{key}` should be `{wanted}`"))
        };
        let misspelt: Vec<String> = ["jobs", "workflows"].into_iter().filter_map(near).collect();
        let hint = match misspelt.is_empty() {
            true => "add a job `build`, or `workflows:`".to_owned(),
            false => misspelt.join(", "),
        };
        context.report.error(
            Code::UnknownName,
            START,
            "Cannot find a job named `build` to run in the `jobs:` section of your configuration file. If you expected a workflow to run, check your config contains a top-level key called 'workflows:'",
            hint,
        );
        return vec![];
    };
    let at = build.at;
    let mut body = Map::default();
    body.set("jobs", Node::list(vec![Node::text("build", at)], at));
    let branches = build.node.as_map().and_then(|map| map.get("branches")).cloned();
    let mut workflow = context.workflow("workflow", at, &Node::map(body, at));
    // Without workflows a job filters its branches itself.
    if let Some(rule) = branches.as_ref().and_then(|node| filter::rule(node, context.report)) {
        for call in workflow.iter_mut().flat_map(|workflow| &mut workflow.calls) {
            call.filters = Filters::References { branches: Some(rule.clone()), tags: None };
        }
    }
    workflow.into_iter().collect()
}

fn header(library: &Library) -> Vec<String> {
    let resolved =
        library.resolved.iter().map(|(from, to)| format!("Orb '{from}' resolved to '{to}'"));
    let hidden = library.main().into_iter().flat_map(definition::hidden_built_ins).map(|name| {
        format!("WARNING: Command '{name}' in commands.{name} may override built-in CircleCI command '{name}'")
    });
    resolved.chain(hidden).collect()
}
