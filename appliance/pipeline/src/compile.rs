//! The stages in order: text → tree → elements → expanded workflows → checked jobs.
//!
//! Each stage notes what is wrong and goes on as far as it makes sense; a configuration with any
//! error yields diagnostics alone.

use crate::{
    check,
    compiled::{Compiled, CompiledJob, CompiledWorkflow},
    definition,
    diagnostic::{Code, Diagnostic, nearest},
    expand::{
        Context,
        workflow::{CallKind, Workflow},
    },
    library::Library,
    parameter::{self, Owner},
    processed,
    report::Report,
    request::{Request, parameter_node},
    scope::{Arguments, NOWHERE, Scope},
    syntax::{Map, Node, SourceId, Span, Value, load},
};
use base::{limits::CONFIG_MAX, trigger::ParameterValue};
use indexmap::IndexMap;
use std::sync::Arc;

/// Pipeline parameters of one trigger, and the lengths of their names and values, as on API v2.
const PARAMETERS_MAX: usize = 100;
const PARAMETER_NAME_MAX: usize = 128;
const PARAMETER_VALUE_MAX: usize = 512;

/// Where findings about the file as a whole point to.
const START: Span = Span { source: SourceId(0), line: 1, column: 1 };

/// What compiling gave: the configuration unless there was an error, and everything worth telling.
#[derive(Debug)]
pub struct Compilation {
    /// Absent when any diagnostic is an error.
    pub config: Option<Compiled>,
    /// Errors first, each kind in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
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
    let (diagnostics, sources) = report.finish();
    let config = config.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    let config = config.map(|config| Compiled { files: sources.names(), ..config });
    Compilation { config, diagnostics }
}

pub(crate) fn load_root(text: &str, source: SourceId, report: &mut Report) -> Option<Arc<Map>> {
    let start = Span { source, line: 1, column: 1 };
    if text.len() > CONFIG_MAX {
        report.error(
            Code::Limit,
            start,
            format!("the configuration is larger than {} MB", CONFIG_MAX >> 20),
        );
        return None;
    }
    let loaded = match load::load(text, source) {
        Ok(loaded) => loaded,
        Err(error) => {
            match error.hint {
                Some(hint) => report.error_with(Code::Syntax, error.at, error.message, hint),
                None => report.error(Code::Syntax, error.at, error.message),
            }
            return None;
        }
    };
    for (key, at) in loaded.duplicates {
        report.warn(
            Code::DuplicateKey,
            at,
            format!("the key `{key}` stands twice in this map; the last one counts"),
            "remove one of them",
        );
    }
    match loaded.root.value {
        Value::Map(map) => Some(map),
        Value::Null => {
            report.error_with(
                Code::Syntax,
                start,
                "the configuration is empty",
                "start with `version: 2.1`",
            );
            None
        }
        _ => {
            let message = format!("expected type: Mapping, found: {}", loaded.root.schema_name());
            report.error_with(
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
    let declared = declared_parameters(root, request, is_2_1, report);
    let scope = Scope {
        pipeline: &request.values,
        declared: Some(&declared),
        parameters: None,
        matrix: None,
    };
    let library = Library::build(root, request, &scope, report);
    let setup = setup(root, is_2_1, request, report);
    let mut context = Context::new(&library, &request.values, &declared, is_2_1, report);
    let (workflows, version_place) = workflows(root, &mut context);
    let mut assembly = Assembly { jobs: IndexMap::new(), report: context.report };
    let workflows: Vec<CompiledWorkflow> =
        workflows.into_iter().map(|w| assembly.workflow(w)).collect();
    let jobs = assembly.jobs;
    definition::check(root, &library, is_2_1, report);
    if setup && workflows.len() > 1 {
        report.error_with(
            Code::Setup,
            START,
            format!("a setup configuration has exactly one workflow, found {}", workflows.len()),
            "keep one workflow; put the others into the configuration that continues it",
        );
    }
    let compiled =
        Compiled { setup, jobs, workflows, header: header(&library), version_place, files: vec![] };
    if report.errors() == 0 && processed::text(&compiled).len() > CONFIG_MAX {
        report.error_with(Code::Limit, START, format!("A compiled config YAML must be at most {}MB", CONFIG_MAX >> 20), "Your compiled config is too large to be processed: split it with dynamic configuration");
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
        report.error_with(Code::Version, START, "required key [version] not found", hint);
        return None;
    };
    match node.scalar_text().as_deref() {
        Some("2.1") => Some(true),
        Some("2" | "2.0") => Some(false),
        other => {
            let message = format!("version {} is not known", other.unwrap_or("of this type"));
            report.error_with(Code::Version, node.at, message, "write `version: 2.1`");
            None
        }
    }
}

/// Pipeline parameters with the values of this trigger.
fn declared_parameters(
    root: &Map,
    request: &Request,
    is_2_1: bool,
    report: &mut Report,
) -> Arguments {
    let node = root.get("parameters").filter(|_| is_2_1);
    let declared = parameter::declare(node, Owner::Pipeline, report);
    check_given(&request.parameters, report);
    let given: Vec<_> = request
        .parameters
        .iter()
        .map(|(name, value)| (Arc::from(name.as_str()), NOWHERE, parameter_node(value)))
        .collect();
    parameter::bind(&declared, &given, NOWHERE, report)
}

fn check_given(given: &IndexMap<String, ParameterValue>, report: &mut Report) {
    let limit = |what: String| (Code::PipelineParameter, NOWHERE, what);
    if given.len() > PARAMETERS_MAX {
        let (code, at, text) = limit(format!(
            "{} pipeline parameters given, at most {PARAMETERS_MAX} are allowed",
            given.len()
        ));
        report.error(code, at, text);
    }
    for (name, value) in given {
        let shown: String = name.chars().take(40).collect();
        if name.chars().count() > PARAMETER_NAME_MAX {
            let (code, at, text) = limit(format!(
                "pipeline parameter {shown}…: the name is longer than {PARAMETER_NAME_MAX} characters"
            ));
            report.error(code, at, text);
        }
        if matches!(value, ParameterValue::String(text) if text.chars().count() > PARAMETER_VALUE_MAX)
        {
            let (code, at, text) = limit(format!(
                "pipeline parameter {shown}: the value is longer than {PARAMETER_VALUE_MAX} characters"
            ));
            report.error(code, at, text);
        }
    }
}

fn setup(root: &Map, is_2_1: bool, request: &Request, report: &mut Report) -> bool {
    let Some(entry) = root.entry("setup") else { return false };
    let setup = match entry.value.value {
        Value::Bool(on) => on,
        Value::Null => false,
        _ => {
            report.error_with(
                Code::WrongType,
                entry.value.at,
                format!("expected type: Boolean, found: {}", entry.value.schema_name()),
                "write `setup: true`",
            );
            return false;
        }
    };
    if setup && !is_2_1 {
        report.error_with(
            Code::Setup,
            entry.key_at,
            "`setup` needs version 2.1",
            "write `version: 2.1`",
        );
    }
    if setup && request.continuation {
        report.error_with(
            Code::Setup,
            entry.key_at,
            "a setup configuration cannot continue a setup pipeline",
            "remove `setup: true` from the continuation configuration",
        );
    }
    setup
}

/// All workflows whose conditions hold, and where `version` stood among them.
fn workflows(root: &Map, context: &mut Context<'_>) -> (Vec<Workflow>, Option<usize>) {
    let Some(node) = root.get("workflows").filter(|node| !node.is_null()) else {
        return (implicit(context), Some(0));
    };
    let Some(map) = node.as_map() else {
        let message = format!("expected type: Mapping, found: {}", node.schema_name());
        context.report.error_with(
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
                context.report.error_with(
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
            return (implicit(context), Some(0));
        }
        context.report.error_with(
            Code::MissingKey,
            node.at,
            "`workflows` names no workflow",
            "add one: `main: {jobs: [build]}`",
        );
    }
    (found, version_place)
}

/// Without workflows the job `build` is one.
fn implicit(context: &mut Context<'_>) -> Vec<Workflow> {
    let build = context.library.main().and_then(|main| main.jobs.get("build"));
    let Some(build) = build else {
        context.report.error_with(
            Code::UnknownName,
            START,
            "Cannot find a job named `build` to run in the `jobs:` section of your configuration file. If you expected a workflow to run, check your config contains a top-level key called 'workflows:'",
            "add a job `build`, or `workflows:`",
        );
        return vec![];
    };
    let at = build.at;
    let mut body = Map::default();
    body.set("jobs", Node::list(vec![Node::text("build", at)], at));
    context.workflow("workflow", at, &Node::map(body, at)).into_iter().collect()
}

fn header(library: &Library) -> Vec<String> {
    let resolved =
        library.resolved.iter().map(|(from, to)| format!("Orb '{from}' resolved to '{to}'"));
    let hidden = library.main().into_iter().flat_map(definition::hidden_built_ins).map(|name| {
        format!("WARNING: Command '{name}' in commands.{name} may override built-in CircleCI command '{name}'")
    });
    resolved.chain(hidden).collect()
}

/// Puts the jobs of all workflows into one map, as the processed form has them.
struct Assembly<'a> {
    jobs: IndexMap<String, CompiledJob>,
    report: &'a mut Report,
}

impl Assembly<'_> {
    fn workflow(&mut self, mut workflow: Workflow) -> CompiledWorkflow {
        let (name, at) = (workflow.name.clone(), workflow.at);
        self.report.push("workflow", &name, at);
        let mut keys = vec![];
        for call in &mut workflow.calls {
            let key = match (call.kind, call.job.take()) {
                (CallKind::Build, Some(node)) => {
                    self.job(&call.name, &call.reference, call.at, &node)
                }
                _ => None,
            };
            keys.push(key);
        }
        self.report.pop();
        CompiledWorkflow { workflow, keys }
    }

    /// The key of a job; another job that has the name already takes a number.
    fn job(&mut self, name: &str, reference: &str, at: Span, node: &Node) -> Option<String> {
        let mut key = name.to_owned();
        let mut number = 0;
        while let Some(known) = self.jobs.get(&key) {
            if known.node.same(node) {
                return Some(key);
            }
            number += 1;
            key = format!("{name}-{number}");
        }
        self.report.push("job", reference, at);
        let spec = check::job::read(node, self.report);
        self.report.pop();
        let spec = Arc::new(spec?);
        self.jobs.insert(key.clone(), CompiledJob { node: node.clone(), spec, at });
        Some(key)
    }
}
