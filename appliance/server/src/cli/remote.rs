//! Commands that talk to an appliance, and how they reach it.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// How to reach an appliance.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remote {
    /// `https://HOST:PORT` [default: the appliance of this machine, through its socket].
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
        /// Pipeline parameter.
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
pub(crate) enum ArtifactCommand {
    /// List a job's artifacts.
    List {
        /// ORG/NAME.
        project: String,
        /// Job number.
        number: u64,
        /// Of one parallel run alone.
        #[arg(long)]
        node: Option<u64>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Download a job's artifacts.
    Get {
        /// ORG/NAME.
        project: String,
        /// Job number.
        number: u64,
        /// Paths as listed; with a slash at the end, all below [default: all].
        paths: Vec<String>,
        /// Folder to write to; `-` writes one artifact to standard output.
        #[arg(long, short, default_value = ".")]
        output: PathBuf,
        /// Of one parallel run alone.
        #[arg(long)]
        node: Option<u64>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Bring images in from an OCI layout (folder or tar) or a `docker save` archive.
    Import {
        /// The archive or folder.
        path: PathBuf,
        /// Name for an image that carries none, such as cimg/base:2024.01.
        #[arg(long)]
        tag: Option<String>,
        /// For `appliance run` of this user, in the user's cache folder; needs no appliance.
        #[arg(long)]
        local: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List images.
    List {
        /// Those of `appliance run`.
        #[arg(long)]
        local: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Write an image to a tar that Docker, Podman and skopeo load: an OCI layout and a `docker save`
    /// archive at once.
    Export {
        /// As listed, or in short.
        reference: String,
        /// The file; `-` is standard output. A path that ends with `/` becomes an OCI layout folder.
        path: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give an image a further name; its signatures and attestations go along.
    Copy {
        /// As listed, or in short.
        from: String,
        /// The new name.
        to: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Forget an image's name.
    Remove {
        /// As listed.
        reference: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BucketCommand {
    /// List buckets with what they hold.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Make a bucket.
    Create {
        /// 3 to 63 of lower-case letters, digits, dots and hyphens.
        name: String,
        /// Whose keys may use it [default: you].
        #[arg(long)]
        owner: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete an empty bucket.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show what a bucket holds and may hold.
    Usage {
        /// Its name.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Bound a bucket; without bounds the quota is lifted.
    Quota {
        /// Its name.
        name: String,
        /// For example 500M or 20G.
        #[arg(long)]
        size: Option<String>,
        /// Number of objects.
        #[arg(long)]
        objects: Option<u64>,
        /// No bound any more.
        #[arg(long, conflicts_with_all = ["size", "objects"])]
        none: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show to which addresses a bucket's notices go, and how telling goes.
    Notices {
        /// Its name.
        name: String,
        /// Show the key that signs them: HMAC-SHA256 of the body, in `x-appliance-signature`.
        #[arg(long)]
        key: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List a bucket's objects.
    Objects {
        /// Its name.
        name: String,
        /// What keys begin with.
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Show what has been kept long enough, by class and by bucket; nothing is removed.
    Plan {
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove it now; without this it goes once a day.
    Run {
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key of the S3 service and the registry; its secret is shown once.
    Create {
        /// Who acts with it [default: you].
        #[arg(long)]
        owner: Option<String>,
        /// Only this bucket, or BUCKET/PREFIX of it; may be given again.
        #[arg(long, value_name = "BUCKET[/PREFIX]")]
        only: Vec<String>,
        /// Get and list alone.
        #[arg(long)]
        read_only: bool,
        /// Everything in every bucket.
        #[arg(long, conflicts_with_all = ["only", "read_only"])]
        site: bool,
        /// It stops to work after so many days.
        #[arg(long)]
        days: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List access keys.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Revoke an access key at once.
    Revoke {
        /// Its public half.
        id: String,
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
}
