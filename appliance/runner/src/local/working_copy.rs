//! What a working copy tells about itself.
//!
//! Limits: jobs see forty zeros in place of a revision that is not known, as for a copy that is no
//! repository.

use super::{
    LocalError,
    git_dir::{GitDir, Head},
    names::project_of,
};
use base::{ids::RepoName, trigger::Vcs};
use std::{
    fs,
    path::{Path, PathBuf},
};

const CONFIG: &str = ".circleci/config.yml";

/// Stands for a revision that is not known.
const NO_REVISION: &str = "0000000000000000000000000000000000000000";

pub(super) struct Copy {
    pub(super) config: String,
    pub(super) vcs: Vcs,
    pub(super) repo: RepoName,
    pub(super) actor: String,
    /// Names what is kept of it.
    pub(super) project: String,
    /// For people, when no branch is checked out.
    pub(super) note: Option<String>,
}

pub(super) fn read(directory: &Path) -> Result<Copy, LocalError> {
    let failed =
        |attempt, path: PathBuf| move |source| LocalError::WorkingCopy { attempt, path, source };
    let directory = fs::canonicalize(directory).map_err(failed("open", directory.to_owned()))?;
    let path = directory.join(CONFIG);
    let config = fs::read_to_string(&path).map_err(failed("read", path))?;
    let git = GitDir::of(&directory);
    let head = git.head();
    let note = note(&head);
    let default_branch = head.branch.clone().or_else(|| git.default_branch());
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let repo =
        format!("local/{name}").parse().or_else(|_| "local/copy".parse()).expect("a valid name");
    let vcs = Vcs {
        repository_url: format!("file://{}", directory.display()),
        revision: head.revision.unwrap_or_else(|| NO_REVISION.into()),
        default_branch: default_branch.unwrap_or_else(|| "main".into()),
        branch: head.branch,
        tag: head.tag,
        base_revision: None,
        subject: String::new(),
        body: String::new(),
        author: String::new(),
    };
    let actor = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "local".into());
    Ok(Copy { config, vcs, repo, actor, project: project_of(&directory), note })
}

/// What is said of a commit that was checked out by itself.
fn note(head: &Head) -> Option<String> {
    let (None, Some(revision)) = (&head.branch, &head.revision) else { return None };
    let short = &revision[..revision.len().min(8)];
    Some(match &head.tag {
        Some(tag) => format!("No branch is checked out: this runs as the tag {tag} ({short})"),
        None => format!(
            "No branch is checked out, and no tag stands for {short}: this runs without either"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_by_itself_is_told() {
        let head = |branch: Option<&str>, tag: Option<&str>| Head {
            branch: branch.map(str::to_owned),
            tag: tag.map(str::to_owned),
            revision: Some("0123456789".into()),
        };
        assert_eq!(note(&head(Some("main"), None)), None);
        assert!(note(&head(None, Some("v1"))).unwrap().contains("the tag v1 (01234567)"));
        assert!(note(&head(None, None)).unwrap().contains("no tag stands for 01234567"));
    }
}
