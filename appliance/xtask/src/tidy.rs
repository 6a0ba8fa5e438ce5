//! The rules of the house, each in its own file; a finding is one line that names place and remedy.

mod layers;
mod length;
mod modules;
mod words;

use anyhow::Context;
use std::{fs, path::Path};

/// Something to mend.
pub(crate) type Finding = String;

/// A text file of the tree, with its path from the root.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every finding of every rule.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let sources = read_tree(root)?;
    let mut findings = layers::check(root)?;
    findings.extend(modules::check(&sources));
    findings.extend(length::check(&sources, root)?);
    findings.extend(words::check(&sources));
    Ok(findings)
}

/// Folders that hold no source of ours.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];

fn read_tree(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() {
                sources.extend(read_text(root, &path));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// `None` for what is not text.
fn read_text(root: &Path, path: &Path) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Some(Source { path, text })
}
