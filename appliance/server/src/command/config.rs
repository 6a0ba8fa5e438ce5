//! `appliance config`: the configuration language on the command line, and this appliance's settings.

use super::{Code, Missing, Usage, parameters};
use crate::{
    cli::{ConfigCommand, ConfigFile, GraphFormat, ServeArgs},
    config::Config,
    output, oversights,
    settings::{self, Settings},
};
use anyhow::Context;
use base::trigger::ParameterValue;
use indexmap::IndexMap;
use pipeline::{Compilation, Compiled, Orbs, PlanValues, Request, Values};
use serde_json::json;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Exit code for a configuration with errors.
const INVALID: Code = 8;

/// The settings file of a machine that has one.
const SYSTEM_FILE: &str = "/etc/appliance/appliance.toml";

pub(crate) fn run(command: ConfigCommand) -> anyhow::Result<Code> {
    match command {
        ConfigCommand::Validate(file) => validate(&file),
        ConfigCommand::Process(file) => process(&file),
        ConfigCommand::Pack { folder } => pack(&folder),
        ConfigCommand::Schema => {
            output::json(&pipeline::json_schema());
            Ok(0)
        }
        ConfigCommand::Explain { job, file } => explain(&job, &file),
        ConfigCommand::Graph { file, format, workflow, branch, tag } => {
            let branch = branch.or_else(|| tag.is_none().then(|| "main".to_owned()));
            let values = PlanValues { branch, tag, scheduled: None };
            graph(&file, format, workflow.as_deref(), &values)
        }
        ConfigCommand::Show(args) => show(&args),
        ConfigCommand::Defaults => {
            output::raw(settings::commented_file().as_bytes());
            Ok(0)
        }
    }
}

fn path(file: &ConfigFile) -> &Path {
    file.named.as_deref().unwrap_or(&file.path)
}

fn compile(file: &ConfigFile) -> anyhow::Result<Compilation> {
    let text = read(path(file))?;
    let mut given = map(file.pipeline_parameters.as_deref())?;
    given.extend(parameters(&file.parameters)?);
    let request = Request {
        file: path(file).display().to_string(),
        values: Values::local(),
        parameters: given,
        ..Request::default()
    };
    let (_, done) = with_orbs(&text, &request, file.data_dir.as_deref())?;
    Ok(done)
}

/// Compiles with the orbs that the text needs, and tells which those are.
pub(crate) fn with_orbs(
    text: &str,
    request: &Request,
    data: Option<&Path>,
) -> anyhow::Result<(Orbs, Compilation)> {
    let compile = |orbs: &Orbs| {
        let request = Request { orbs: orbs.clone(), ..request.clone() };
        (orbs.clone(), pipeline::compile(text, &request))
    };
    let store = super::orb::local(data)?;
    let found =
        store.compile_with(text, compile, |(_, done): &(Orbs, Compilation)| done.absent.clone())?;
    if !found.1.absent.is_empty() {
        output::note(&looked_for(data));
    }
    Ok(found)
}

/// Where orbs that are not there were looked for: an import goes to a running appliance, if one is
/// named.
fn looked_for(data: Option<&Path>) -> String {
    let folder = super::orb::folder(data);
    let data = folder.parent().unwrap_or(&folder).display();
    format!(
        "orbs are looked for in {}: `appliance orb import --data-dir {data} …` brings them there",
        folder.display()
    )
}

/// Pipeline parameters as the original command line takes them: a map, or a file with one.
fn map(given: Option<&str>) -> anyhow::Result<IndexMap<String, ParameterValue>> {
    let Some(given) = given else { return Ok(IndexMap::new()) };
    let text = if Path::new(given).is_file() { read(Path::new(given))? } else { given.to_owned() };
    let wrong = || Usage(format!("--pipeline-parameters: `{given}` is neither a map nor a file"));
    Ok(pipeline::parameter_map(&text).ok_or_else(wrong)?)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = if path == Path::new("-") {
        let mut bytes = vec![];
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        bytes
    } else {
        std::fs::read(path).map_err(|error| {
            Usage(format!(
                "cannot read {}: {error}. Name the file, or run this in the repository's folder",
                path.display()
            ))
        })?
    };
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let what = format!("{}:{line} is not UTF-8 text: save the file as UTF-8", path.display());
        Usage(what).into()
    })
}

fn validate(file: &ConfigFile) -> anyhow::Result<Code> {
    let done = compile(file)?;
    let valid = done.config.is_some();
    if file.json {
        output::json(&json!({ "valid": valid, "diagnostics": done.diagnostics }));
    } else {
        output::diagnostics(&done.diagnostics);
        if valid {
            output::line(&format!("Config file at {} is valid.", path(file).display()));
        }
    }
    Ok(if valid { 0 } else { INVALID })
}

fn process(file: &ConfigFile) -> anyhow::Result<Code> {
    let done = compile(file)?;
    let text = done.config.as_ref().map(pipeline::process);
    if file.json {
        let valid = text.is_some();
        output::json(&json!({ "valid": valid, "output": text, "diagnostics": done.diagnostics }));
    } else {
        output::diagnostics(&done.diagnostics);
        output::raw(text.as_deref().unwrap_or_default().as_bytes());
    }
    Ok(if text.is_some() { 0 } else { INVALID })
}

fn pack(folder: &Path) -> anyhow::Result<Code> {
    let files = orbs::files(folder).map_err(|error| Usage(error.to_string()))?;
    let packed = pipeline::pack::pack(&files)
        .map_err(|error| Usage(format!("{}/{error}", folder.display())))?;
    output::raw(packed.as_bytes());
    Ok(0)
}

/// The configuration, or its errors and their exit code.
fn valid(file: &ConfigFile) -> anyhow::Result<Result<Compiled, Code>> {
    let done = compile(file)?;
    Ok(done.config.ok_or_else(|| {
        output::diagnostics(&done.diagnostics);
        INVALID
    }))
}

fn explain(job: &str, file: &ConfigFile) -> anyhow::Result<Code> {
    let config = match valid(file)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let found = pipeline::explain(&config, job).ok_or_else(|| {
        let names: Vec<&str> = config.job_names().collect();
        Missing(format!("no job is named `{job}`: there are {}", names.join(", ")))
    })?;
    if file.json {
        output::json(&serde_json::to_value(&found)?);
    } else {
        output::raw(found.render().as_bytes());
    }
    Ok(0)
}

fn graph(
    file: &ConfigFile,
    format: GraphFormat,
    only: Option<&str>,
    values: &PlanValues,
) -> anyhow::Result<Code> {
    let config = match valid(file)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let mut plan = pipeline::plan(&config, values);
    plan.workflows.retain(|workflow| only.is_none_or(|name| workflow.name == name));
    if plan.workflows.is_empty() {
        let what = only.map_or("no workflow".into(), |name| format!("no workflow `{name}`"));
        return Err(Missing(format!("{what} runs for this branch or tag")).into());
    }
    if file.json {
        output::json(&serde_json::to_value(&plan)?);
        return Ok(0);
    }
    let draw = match format {
        GraphFormat::Text => pipeline::graph::text,
        GraphFormat::Dot => pipeline::graph::dot,
        GraphFormat::Svg => pipeline::graph::svg,
    };
    if format == GraphFormat::Svg && plan.workflows.len() > 1 {
        let names: Vec<&str> = plan.workflows.iter().map(|w| w.name.as_str()).collect();
        return Err(Usage(format!(
            "a picture shows one workflow: choose with --workflow from {}",
            names.join(", ")
        ))
        .into());
    }
    for workflow in &plan.workflows {
        output::raw(draw(workflow).as_bytes());
    }
    Ok(0)
}

/// Exit code for settings with which `serve` does not start, or that nobody heeds.
const UNUSABLE: Code = 2;

fn show(args: &ServeArgs) -> anyhow::Result<Code> {
    let (settings, unknown) = gather(args, source(args)?);
    // Without its file there is nothing to show.
    let syntax = |error: &settings::Error| matches!(error, settings::Error::Syntax { .. });
    if let Some(error) = unknown.iter().find(|error| syntax(error)) {
        return Err(error.clone().into());
    }
    let (_, faults) = Config::with_faults(&settings);
    let row = |(key, value, origin): (&'static str, &str, &settings::Origin)| {
        vec![key.to_owned(), value.to_owned(), origin.to_string(), remark(key, &faults)]
    };
    output::table(
        &["setting", "value", "from", "remark"],
        &settings.all().map(row).collect::<Vec<_>>(),
    );
    let refused = faults.iter().chain(&unknown).map(|fault| {
        format!("error: {fault}. Nothing is used instead: `appliance serve` does not start")
    });
    let unheeded = oversights::strangers().into_iter();
    let unheeded = unheeded.map(|stranger| format!("error: {stranger}; the default is used"));
    let told: Vec<String> = refused.chain(unheeded).collect();
    told.iter().for_each(|line| output::error(line));
    Ok(if told.is_empty() { 0 } else { UNUSABLE })
}

/// What to say beside a value.
fn remark(key: &str, faults: &[settings::Error]) -> String {
    let expected = faults.iter().find_map(|fault| match fault {
        settings::Error::Value { key: of, expected, .. } if *of == key => Some(expected),
        _ => None,
    });
    expected.map_or_else(String::new, |expected| format!("cannot be used: expected {expected}"))
}

/// The settings of a machine that is an appliance, for commands that work without one: a file that
/// only its operator reads is left out.
pub(crate) fn of_this_machine() -> anyhow::Result<Settings> {
    let path =
        std::env::var_os("APPLIANCE_CONFIG").map_or_else(|| SYSTEM_FILE.into(), PathBuf::from);
    let file = match std::fs::File::open(&path) {
        Ok(_) => Some(settings_file(path)?),
        Err(_) => None,
    };
    Ok(Settings::merge(file, |name| std::env::var(name).ok(), &[])?)
}

fn settings_file(path: PathBuf) -> anyhow::Result<(PathBuf, String)> {
    let text = String::from_utf8(ingress::secure_file::read(&path)?)
        .with_context(|| format!("{} is not UTF-8 text", path.display()))?;
    Ok((path, text))
}

/// The settings that `serve` would run with. A file that others can read is refused, because
/// settings may name keys and networks.
pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Settings> {
    let (settings, wrong) = gather(args, source(args)?);
    wrong.into_iter().next().map_or(Ok(settings), |error| Err(error.into()))
}

/// The same as far as they can be used, and why the rest cannot.
pub(crate) fn load_usable(args: &ServeArgs) -> (Settings, Vec<String>) {
    let (file, unreadable) = match source(args) {
        Ok(file) => (file, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let (settings, wrong) = gather(args, file);
    let wrong = wrong.iter().map(ToString::to_string);
    (settings, unreadable.into_iter().chain(wrong).collect())
}

fn source(args: &ServeArgs) -> anyhow::Result<Option<(PathBuf, String)>> {
    let named = args.config.clone();
    let path = named.clone().unwrap_or_else(|| SYSTEM_FILE.into());
    if named.is_some() || path.exists() { settings_file(path).map(Some) } else { Ok(None) }
}

fn gather(args: &ServeArgs, file: Option<(PathBuf, String)>) -> (Settings, Vec<settings::Error>) {
    Settings::gather(file, |name| std::env::var(name).ok(), &args.overrides.pairs())
}
