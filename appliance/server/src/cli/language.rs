//! Commands of the configuration language: `config` and `orb`. None needs a running appliance.

use super::ServeArgs;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration and show every error with its place.
    Validate(ConfigFile),
    /// Print the configuration as it will run, free of orbs, commands and parameters.
    Process(ConfigFile),
    /// Join a folder of YAML files into one configuration.
    Pack {
        /// The folder; `@x.yml` joins into its folder's map, `x.yml` becomes the key `x`.
        folder: PathBuf,
    },
    /// Print the JSON schema of the configuration, for editors.
    Schema,
    /// Show where each key, variable and step of a job came from.
    Explain {
        /// Name as in the processed configuration.
        job: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Draw the workflows.
    Graph {
        #[command(flatten)]
        file: ConfigFile,
        /// How.
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
        /// Only this workflow.
        #[arg(long, value_name = "NAME")]
        workflow: Option<String>,
        /// As for this branch [default: main].
        #[arg(long)]
        branch: Option<String>,
        /// As for this tag.
        #[arg(long, conflicts_with = "branch")]
        tag: Option<String>,
    },
    /// Show this appliance's settings and where each came from.
    Show(ServeArgs),
    /// Print the commented settings file with all defaults.
    Defaults,
}

/// What a picture of a workflow is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// One line for each job, indented.
    Text,
    /// For Graphviz.
    Dot,
    /// For browsers.
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The file; `-` is standard input.
    #[arg(default_value = ".circleci/config.yml")]
    pub(crate) path: PathBuf,
    /// The file, as the original command line takes it, too.
    #[arg(long = "config", short = 'c', value_name = "FILE", conflicts_with = "path")]
    pub(crate) named: Option<PathBuf>,
    /// Pipeline parameter; a number or `true` that is meant as a text stands in quotes of its own:
    /// `-p 'version="12"'`.
    #[arg(long = "parameter", short = 'p', value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Pipeline parameters as a JSON or YAML map, or a file that holds one.
    #[arg(long, value_name = "MAP|FILE")]
    pub(crate) pipeline_parameters: Option<String>,
    /// Accepted for scripts of the original command line; every orb of the store can be used.
    #[arg(long, value_name = "SLUG")]
    pub(crate) org_slug: Option<String>,
    /// As `--org-slug`.
    #[arg(long, value_name = "ID")]
    pub(crate) org_id: Option<String>,
    /// Data directory with the orbs [default: as `appliance orb`].
    #[arg(long, env = "APPLIANCE_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print data instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrbCommand {
    /// Bring orbs in: a packed file, a source folder, or a bundle.
    Import {
        /// The file or folder.
        path: PathBuf,
        /// NAMESPACE/ORB@1.2.3, NAMESPACE/ORB@dev:LABEL or an https address; a bundle brings its own.
        name: Option<String>,
        #[command(flatten)]
        place: OrbPlace,
    },
    /// Write orbs of the store as a bundle, to carry them to another appliance.
    Export {
        /// The bundle to write; `-` is standard output.
        path: PathBuf,
        /// References [default: every version of every orb].
        references: Vec<String>,
        #[command(flatten)]
        place: OrbPlace,
    },
    /// List the orbs of the store.
    List {
        #[command(flatten)]
        place: OrbPlace,
    },
    /// Print an orb's source.
    Source {
        /// NAMESPACE/ORB[@VERSION]; a partial version is the newest that fits.
        reference: String,
        #[command(flatten)]
        place: OrbPlace,
    },
    /// Join an orb's source folder into one file.
    Pack {
        /// The folder with `@orb.yml`.
        folder: PathBuf,
    },
    /// Check an orb's packed file or source folder.
    Validate {
        /// The file or folder; `-` is standard input.
        path: PathBuf,
        #[command(flatten)]
        place: OrbPlace,
    },
}

/// Which orb store: that of a running appliance, or a data directory itself.
#[derive(Debug, Args)]
pub(crate) struct OrbPlace {
    /// `https://HOST:PORT` of an appliance.
    #[arg(long, env = "APPLIANCE_HOST")]
    pub(crate) host: Option<String>,
    /// Certificate of the appliance's authority, PEM.
    #[arg(long, env = "APPLIANCE_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Data directory [default: /var/lib/appliance if you may enter it, else your own].
    #[arg(long, env = "APPLIANCE_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print data instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}
