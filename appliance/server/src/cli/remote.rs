//! Commands that talk to an appliance, and how they reach it.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// How to reach an appliance.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remote {
    /// `https://HOST:PORT`; a token of it comes from the variable APPLIANCE_TOKEN [default: the
    /// appliance of this machine, through its socket].
    #[arg(long, env = "APPLIANCE_HOST", global = true)]
    pub(crate) host: Option<String>,
    /// Certificate of the appliance's authority, PEM.
    #[arg(long, env = "APPLIANCE_CA", global = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Data directory of the appliance of this machine.
    #[arg(long, env = "APPLIANCE_DATA_DIR", default_value = "/var/lib/appliance", global = true)]
    pub(crate) data_dir: PathBuf,
    /// Print data instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Start a pipeline.
    Trigger {
        /// ORG/NAME.
        project: String,
        /// Branch [default: the project's default branch].
        #[arg(long)]
        branch: Option<String>,
        /// Tag instead of a branch.
        #[arg(long, conflicts_with = "branch")]
        tag: Option<String>,
        /// Pipeline parameter; a number or `true` that is meant as a text stands in quotes of its own:
        /// `-p 'version="12"'`.
        #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// Follow it to its end and exit with its result.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the newest pipelines.
    List {
        /// ORG/NAME.
        project: String,
        /// Of this branch alone.
        #[arg(long)]
        branch: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a pipeline's workflows and jobs, with their ids and numbers.
    Show {
        #[command(flatten)]
        pipeline: PipelinePlace,
        #[command(flatten)]
        remote: Remote,
    },
    /// Follow a pipeline to its end and exit with its result.
    Watch {
        #[command(flatten)]
        pipeline: PipelinePlace,
        #[command(flatten)]
        remote: Remote,
    },
}

/// One pipeline: by its id, or by its project and number.
#[derive(Debug, Args)]
pub(crate) struct PipelinePlace {
    /// Pipeline id, or ORG/NAME when a number follows.
    pub(crate) pipeline: String,
    /// Pipeline number in that project.
    pub(crate) number: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowCommand {
    /// List a workflow's jobs.
    Jobs {
        /// Workflow id.
        workflow: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Approve a job that is on hold.
    Approve {
        /// Workflow id.
        workflow: String,
        /// Name of the approval job [default: the only one on hold].
        job: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop a workflow.
    Cancel {
        /// Workflow id.
        workflow: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Run a workflow again.
    Rerun {
        /// Workflow id.
        workflow: String,
        /// Only what failed and what follows it.
        #[arg(long)]
        from_failed: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Show a job.
    Show {
        /// ORG/NAME.
        project: String,
        /// Job number.
        number: u64,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print a job's log.
    Log {
        /// ORG/NAME.
        project: String,
        /// Job number.
        number: u64,
        /// Go on until the job ends.
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop a job.
    Cancel {
        /// ORG/NAME.
        project: String,
        /// Job number.
        number: u64,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Set an environment variable; the value is read from standard input.
    SetEnv {
        /// ORG/NAME.
        project: String,
        /// Name of the variable.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove an environment variable.
    UnsetEnv {
        /// ORG/NAME.
        project: String,
        /// Name of the variable.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a project with its Git repository and everything that its jobs left.
    ///
    /// Asks for its name to be typed. Refused while workflows of it have not ended.
    Delete {
        /// ORG/NAME.
        project: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List environment variables: of a value only the last characters, if it is long.
    Env {
        /// ORG/NAME.
        project: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Make a context.
    Create {
        /// Its organisation.
        org: String,
        /// Its name.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List contexts.
    List {
        /// Its organisation.
        org: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Set a variable; the value is read from standard input.
    SetEnv {
        /// Its organisation.
        org: String,
        /// Its context.
        context: String,
        /// Name of the variable.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove a variable.
    UnsetEnv {
        /// Its organisation.
        org: String,
        /// Its context.
        context: String,
        /// Name of the variable.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the variables of a context, without their values.
    Env {
        /// Its organisation.
        org: String,
        /// Its name.
        context: String,
        #[command(flatten)]
        remote: Remote,
    },
}
