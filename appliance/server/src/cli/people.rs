//! Commands about accounts and tokens.

use super::Remote;
use clap::{Subcommand, ValueEnum};

/// What an account or token may do; a later one may all that an earlier one may.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Push, trigger, cancel, approve, set variables.
    Member,
    /// Everything.
    Admin,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List accounts.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Make an account; its one-time password is shown once.
    Create {
        /// Letters, digits, `.`, `_` and `-`.
        login: String,
        /// Name for people.
        #[arg(long, default_value = "")]
        name: String,
        /// What it may do.
        #[arg(long, default_value = "member")]
        role: Role,
        /// Without a password: it only holds tokens.
        #[arg(long)]
        machine: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Change what an account may do.
    Role {
        /// The account.
        login: String,
        /// What it may do from now on.
        role: Role,
        #[command(flatten)]
        remote: Remote,
    },
    /// Lock an account out: its sessions and tokens stop to work.
    Disable {
        /// The account.
        login: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let an account in again.
    Enable {
        /// The account.
        login: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give an account a new one-time password, shown once; its sessions end.
    ResetPassword {
        /// The account.
        login: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its text is shown once.
    Create {
        /// Whose.
        login: String,
        /// What it is for, for people.
        label: String,
        /// At most this [default: as much as the account].
        #[arg(long)]
        role: Option<Role>,
        /// Only this project; may be given again.
        #[arg(long = "project", value_name = "ORG/NAME")]
        projects: Vec<String>,
        /// It stops to work after so many days.
        #[arg(long)]
        days: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List an account's tokens.
    List {
        /// Whose.
        login: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Revoke a token at once.
    Revoke {
        /// Whose.
        login: String,
        /// As listed.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}
