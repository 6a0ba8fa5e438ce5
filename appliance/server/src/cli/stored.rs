//! Commands about what is stored: artifacts, images, buckets, their keys, and how long.

use super::Remote;
use clap::Subcommand;
use std::path::PathBuf;

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
    /// Bring images in from an OCI layout (folder or tar) or a `docker save` archive, with their
    /// signatures and attestations.
    Import {
        /// The archive, plain or packed by gzip or zstd, or the folder; `-` is standard input.
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
    /// archive at once, with the image's signatures and attestations.
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
    ///
    /// Without --only it opens the buckets of its owner, and nothing of the registry: there a key opens
    /// the repositories that `--only images/ORG/NAME` names, and those below them.
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
