//! The binary: command line, configuration, wiring, drain.
//!
//! The way: commands that must run before any thread exists (what supervises jobs, the tools inside
//! a job) are told by their name or first argument and never reach the parser; all others are
//! parsed, and get a runtime only if they need one.

use anyhow::Context;
use clap::CommandFactory;
use std::{path::Path, process::ExitCode};

mod calm;
mod cli;
mod client;
mod command;
mod config;
mod daily;
mod data_dir;
mod demo;
mod faces;
mod first_start;
mod git_upkeep;
mod governor;
mod identity;
mod job_network;
mod local_images;
mod local_run;
mod logging;
mod machine;
mod object_place;
mod orb_addresses;
mod output;
mod oversights;
mod patience;
mod runner_child;
mod serve;
mod settings;
mod site_names;

use cli::{Cli, Command};
use command::{Code, Missing, Usage};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(code) = runner::before_threads(&arguments) {
        return ExitCode::from(code);
    }
    match run(Cli::read(&arguments).command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&format!("error: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> Code {
    if let Some(failure) = error.downcast_ref::<client::Failure>() {
        return failure.exit_code();
    }
    match error {
        error if error.is::<Usage>() || error.is::<settings::Error>() => 2,
        error if error.is::<Missing>() => 3,
        _ => 1,
    }
}

fn run(command: Command) -> anyhow::Result<Code> {
    match command {
        Command::Serve(args) => serve::run(&command::config::load(&args)?),
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => local_run::run(args),
        Command::Runner(args) => runner_child::run(args),
        Command::Config(command) => command::config::run(command),
        Command::Doctor(args) => command::doctor::run(&args),
        Command::Hooks(command) => command::hooks::run(command),
        Command::Orb(command) => block_on(command::orb::run(command)),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::typed(), "appliance", &mut script);
            output::raw(&script);
            Ok(0)
        }
        Command::Man { folder } => {
            man(folder.as_deref())?;
            Ok(0)
        }
        Command::Launch => Err(Usage("`launch` is started by the runner".into()).into()),
        remote => block_on(remote_command(remote)),
    }
}

/// Man pages: the program's own to standard output, or those of all commands into a folder.
fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let command = Cli::command().disable_help_subcommand(true);
    let Some(folder) = folder else {
        let mut page = vec![];
        clap_mangen::Man::new(command).render(&mut page)?;
        output::raw(&page);
        return Ok(());
    };
    let failed = || format!("cannot write the pages into {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command, folder).with_context(failed)
}

async fn remote_command(command: Command) -> anyhow::Result<Code> {
    match command {
        Command::Pipeline(command) => command::pipeline::run(command).await,
        Command::Workflow(command) => command::workflow::run(command).await,
        Command::Job(command) => command::job::run(command).await,
        Command::Artifact(command) => command::artifact::run(command).await,
        Command::Registry(command) => command::registry::run(command).await,
        Command::Bucket(command) => command::bucket::run(command).await,
        Command::Retention(command) => command::retention::run(command).await,
        Command::Key(command) => command::key::run(command).await,
        Command::User(command) => command::user::run(command).await,
        Command::Token(command) => command::token::run(command).await,
        Command::Hardware { watch, remote } => command::hardware::run(watch, &remote).await,
        Command::Project(command) => command::project::project(command).await,
        Command::Context(command) => command::project::context(command).await,
        other => unreachable!("{other:?} needs no connection and was handled before"),
    }
}

/// A runtime for a command that talks to an appliance: one thread is enough.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
