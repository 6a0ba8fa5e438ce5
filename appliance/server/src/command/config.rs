//! `appliance config`: validate, process, show, defaults.

use super::{Code, Usage, parameters};
use crate::{
    cli::{ConfigCommand, ConfigFile, ServeArgs},
    output,
    settings::{self, Settings},
};
use anyhow::Context;
use pipeline::{Compilation, Request, Values};
use std::{io::Read, path::Path};

/// The settings file of a machine that has one.
const SYSTEM_FILE: &str = "/etc/appliance/appliance.toml";

pub(crate) fn run(command: ConfigCommand) -> anyhow::Result<Code> {
    match command {
        ConfigCommand::Validate(file) => {
            let done = compile(&file)?;
            tell(&done, &file)?;
            if done.config.is_none() {
                return Ok(8);
            }
            output::line(&format!("Config file at {} is valid.", file.path.display()));
        }
        ConfigCommand::Process(file) => {
            let done = compile(&file)?;
            tell(&done, &file)?;
            let Some(config) = &done.config else { return Ok(8) };
            output::raw(pipeline::process(config).as_bytes())?;
        }
        ConfigCommand::Show(args) => show(&args)?,
        ConfigCommand::Defaults => output::raw(settings::commented_file().as_bytes())?,
    }
    Ok(0)
}

fn compile(file: &ConfigFile) -> anyhow::Result<Compilation> {
    let text = read(&file.path)?;
    let request = Request {
        file: file.path.display().to_string(),
        values: Values::local(),
        parameters: parameters(&file.parameters)?,
        ..Request::default()
    };
    Ok(pipeline::compile(&text, &request))
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| {
        Usage(format!(
            "cannot read {}: {error}. Name the file, or run this in the repository's folder",
            path.display()
        ))
        .into()
    })
}

/// Diagnostics as text on standard error, or as data on standard output.
fn tell(done: &Compilation, file: &ConfigFile) -> anyhow::Result<()> {
    if file.json {
        output::json(&serde_json::to_value(&done.diagnostics)?);
        return Ok(());
    }
    for diagnostic in &done.diagnostics {
        output::note(&diagnostic.render());
    }
    Ok(())
}

fn show(args: &ServeArgs) -> anyhow::Result<()> {
    let settings = load(args)?;
    let rows: Vec<_> = settings
        .all()
        .map(|(key, value, origin)| vec![key.to_owned(), value.to_owned(), origin.to_string()])
        .collect();
    output::table(&["setting", "value", "from"], &rows);
    Ok(())
}

/// The settings that `serve` would run with. A file that others can read is refused, because
/// settings may name keys and networks.
pub(crate) fn load(args: &ServeArgs) -> anyhow::Result<Settings> {
    let named = args.config.clone();
    let path = named.clone().unwrap_or_else(|| SYSTEM_FILE.into());
    let file = if named.is_some() || path.exists() {
        let text = String::from_utf8(ingress::secure_file::read(&path)?)
            .with_context(|| format!("{} is not UTF-8 text", path.display()))?;
        Some((path, text))
    } else {
        None
    };
    Ok(Settings::merge(file, |name| std::env::var(name).ok(), &args.overrides.pairs())?)
}
