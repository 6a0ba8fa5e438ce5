//! The command line: one definition for parser, help, completions and man pages.
//!
//! Exit codes: as [`EXIT_CODES`] says.

mod language;
mod people;
mod remote;
mod stored;

pub(crate) use language::{ConfigCommand, ConfigFile, GraphFormat, OrbCommand, OrbPlace};
pub(crate) use people::{TokenCommand, UserCommand};
pub(crate) use remote::{
    ContextCommand, JobCommand, PipelineCommand, PipelinePlace, ProjectCommand, Remote,
    WorkflowCommand,
};
pub(crate) use stored::{
    ArtifactCommand, BucketCommand, KeyCommand, RegistryCommand, RetentionCommand,
};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, parser::ValueSource,
};
use std::{ffi::OsString, path::PathBuf};

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 failed, 2 usage, 3 not found, 4 not allowed, \
5 canceled, 7 appliance unreachable, 8 configuration invalid; `doctor` has its own.";

/// CI/CD for places with no internet.
#[derive(Debug, Parser)]
#[command(
    name = "appliance",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line; ends the process where that cannot be read, or asks for help.
    pub(crate) fn read(arguments: &[OsString]) -> Self {
        Self::try_read(arguments).unwrap_or_else(|error| error.exit())
    }

    /// The commands that people type, for completions, which would offer hidden ones, too.
    pub(crate) fn typed() -> clap::Command {
        let all = Self::command();
        let typed = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
        clap::Command::new("appliance").version(env!("CARGO_PKG_VERSION")).subcommands(typed)
    }

    /// A data directory that is named on the command line is meant, whatever appliance the
    /// environment names.
    fn try_read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let command = Self::command();
        let mut found = command.clone().try_get_matches_from(arguments)?;
        if names_data_dir(&found) {
            found = without_host_variable(command).try_get_matches_from(arguments)?;
        }
        Self::from_arg_matches(&found)
    }
}

fn names_data_dir(found: &ArgMatches) -> bool {
    // What a command does not take must not be asked for.
    let taken = found.try_contains_id("data_dir").unwrap_or(false);
    taken && found.value_source("data_dir") == Some(ValueSource::CommandLine)
        || found.subcommand().is_some_and(|(_, inner)| names_data_dir(inner))
}

fn without_host_variable(command: clap::Command) -> clap::Command {
    let unset = |arg: clap::Arg| if arg.get_id() == "host" { arg.env(None::<&str>) } else { arg };
    command.mut_args(unset).mut_subcommands(without_host_variable)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the appliance: control plane, stores, dashboard and local runner.
    Serve(ServeArgs),
    /// Start a throw-away appliance on loopback and run a sample pipeline through it.
    Demo(DemoArgs),
    /// Run a working copy's workflows right here, without a server.
    Run(RunArgs),
    /// Check this machine: what is wrong, why it matters, and the remedy.
    ///
    /// Exit codes: 0 nothing to do, 10 warnings, 20 something critical.
    Doctor(DoctorArgs),
    /// List and try the firmware hooks.
    #[command(subcommand)]
    Hooks(HooksCommand),
    /// Work with configuration files, and show this appliance's settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Import, list and check orbs.
    #[command(subcommand)]
    Orb(OrbCommand),
    /// Trigger, list and watch pipelines.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Approve, cancel and rerun workflows.
    #[command(subcommand)]
    Workflow(WorkflowCommand),
    /// Look at jobs and their logs.
    #[command(subcommand)]
    Job(JobCommand),
    /// List and download artifacts.
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// How warm, full and busy the machine is, and what that holds back.
    Hardware {
        /// Show it anew every two seconds until Ctrl-C.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Import, export, copy, list and remove images of the registry.
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Make, bound, list and delete buckets of the S3 service.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// What has been kept long enough: show it, or remove it now.
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Make, list and revoke access keys of the S3 service and the registry.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, list, change and lock out accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Make, list and revoke tokens, with which programs act for an account.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Manage a project's environment variables, and delete projects.
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Manage contexts and their variables.
    #[command(subcommand)]
    Context(ContextCommand),
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write those of all commands into a folder.
    Man {
        /// Where to write them.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// The local runner; started by `serve`.
    #[command(hide = true)]
    Runner(RunnerArgs),
    /// The process from which supervisors of jobs are born; started by the runner.
    #[command(hide = true)]
    Launch,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file [default: /etc/appliance/appliance.toml, if it is there].
    #[arg(long, env = "APPLIANCE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) settings: ServeArgs,
    /// Print the findings as data.
    #[arg(long)]
    pub(crate) json: bool,
    /// Make the changes that are safe, then check again.
    #[arg(long)]
    pub(crate) fix: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksCommand {
    /// Every event with its hooks, and why one is not run.
    List {
        #[command(flatten)]
        settings: ServeArgs,
        /// Print data.
        #[arg(long)]
        json: bool,
    },
    /// Run the hooks of an event with an example, and show what they said. Fans and relays really move.
    Test {
        /// Such as `thermal-warning`; `appliance hooks list` shows all.
        event: String,
        #[command(flatten)]
        settings: ServeArgs,
    },
    /// Tell the hooks of an event that something else caused: the updater of the system calls this.
    Fire {
        /// `update-installed` or `update-failed`; all others the appliance finds by itself.
        event: String,
        /// What was updated, such as a slot or a version.
        #[arg(long, default_value = "")]
        place: String,
        /// What happened, for people.
        #[arg(long, default_value = "")]
        words: String,
        #[command(flatten)]
        settings: ServeArgs,
    },
}

/// Flags that override the configuration file; each is a key of the file.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct Overrides {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Dashboard, API, Git and registry.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The S3 service, or `off`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) s3_listen: Option<String>,
    /// Without TLS, loopback alone, or `off`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) plain_listen: Option<String>,
    /// Host names and addresses of this machine.
    #[arg(long)]
    pub(crate) names: Option<String>,
    /// Jobs side by side.
    #[arg(long)]
    pub(crate) slots: Option<String>,
    /// How much is logged.
    #[arg(long)]
    pub(crate) log: Option<String>,
}

impl Overrides {
    pub(crate) fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("data_dir", self.data_dir.clone()),
            ("listen", self.listen.clone()),
            ("s3_listen", self.s3_listen.clone()),
            ("plain_listen", self.plain_listen.clone()),
            ("names", self.names.clone()),
            ("slots", self.slots.clone()),
            ("log", self.log.clone()),
        ]
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the data here instead of in a temporary folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the dashboard.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub(crate) listen: String,
    /// End when the pipeline has ended, with its exit code, instead of serving on.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Working copy.
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// Run these workflows alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Vec<String>,
    /// Run this job alone, without the jobs that it requires.
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// Pipeline parameter; a number or `true` that is meant as a text stands in quotes of its own:
    /// `-p 'version="12"'`.
    #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Environment variable for all jobs, masked in the output.
    #[arg(long = "env", short = 'e', value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<String>,
    /// Approve every approval; without this, what waits for one is not run.
    #[arg(long)]
    pub(crate) approve: bool,
    /// Data directory with the orbs [default: as `appliance orb`].
    #[arg(long, env = "APPLIANCE_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Jobs side by side.
    #[arg(long, default_value_t = 2)]
    pub(crate) slots: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {
    /// Socket of the control plane.
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// Folder of the jobs in hand.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Jobs side by side.
    #[arg(long)]
    pub(crate) slots: u32,
    /// How jobs run here, as JSON.
    #[arg(long)]
    pub(crate) jobs: String,
    /// The process that this one ends with.
    #[arg(long)]
    pub(crate) parent: i32,
    /// Control group to join before its own are made.
    #[arg(long)]
    pub(crate) group: Option<PathBuf>,
    /// How much is logged.
    #[arg(long, default_value = "info")]
    pub(crate) log: crate::logging::Filter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_offer_what_people_type() {
        let mut script = Vec::new();
        let bash = clap_complete::Shell::Bash;
        clap_complete::generate(bash, &mut Cli::typed(), "appliance", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("serve") && script.contains("completions"));
        assert!(!script.contains("launch") && !script.contains("runner"), "{script}");
    }
}
