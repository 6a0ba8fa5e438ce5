//! `appliance artifact`: list and download.

use super::{Code, Usage, field, items, slug};
use crate::{cli::ArtifactCommand, client::Client, output};
use anyhow::Context;
use http_body_util::BodyExt;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

pub(crate) async fn run(command: ArtifactCommand) -> anyhow::Result<Code> {
    match command {
        ArtifactCommand::List { project, number, remote } => {
            let all = list(&Client::new(&remote)?, &project, number).await?;
            if remote.json {
                output::json(&all.into());
            } else {
                let rows: Vec<_> =
                    all.iter().map(|a| vec![field(a, "node_index"), field(a, "path")]).collect();
                output::table(&["node", "path"], &rows);
            }
        }
        ArtifactCommand::Get { project, number, paths, output: folder, remote } => {
            let client = Client::new(&remote)?;
            let all = list(&client, &project, number).await?;
            for path in &paths {
                if !all.iter().any(|artifact| artifact["path"] == **path) {
                    return Err(Usage(format!("job {number} has no artifact `{path}`")).into());
                }
            }
            let wanted = |one: &&Value| paths.is_empty() || paths.contains(&field(one, "path"));
            for artifact in all.iter().filter(wanted) {
                let folder = if is_shared(&all, artifact) {
                    folder.join(field(artifact, "node_index"))
                } else {
                    folder.clone()
                };
                download(&client, artifact, &folder).await?;
            }
        }
    }
    Ok(0)
}

async fn list(client: &Client, project: &str, number: u64) -> anyhow::Result<Vec<Value>> {
    Ok(items(client, &format!("/api/v2/project/{}/{number}/artifacts", slug(project)?)).await?)
}

/// Do several nodes of the job have an artifact of that path? Then each node gets its own folder.
fn is_shared(all: &[Value], artifact: &Value) -> bool {
    let same = |other: &&Value| other["path"] == artifact["path"];
    all.iter().filter(same).count() > 1
}

/// Downloads under another name first, so that a file of the right name is whole.
async fn download(client: &Client, artifact: &Value, folder: &Path) -> anyhow::Result<()> {
    let name = field(artifact, "path");
    let target = folder.join(inside(&name)?);
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent)
            .await
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mut part = target.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let fetched = fetch(client, path_of(&field(artifact, "url")), &part).await;
    if let Err(error) = fetched {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(error.context(format!("cannot download {name}")));
    }
    let named = tokio::fs::rename(&part, &target).await;
    named.with_context(|| format!("cannot write {}", target.display()))?;
    output::line(&target.display().to_string());
    Ok(())
}

async fn fetch(client: &Client, address: &str, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", to.display());
    let mut body = client.stream(address).await?;
    let mut file = tokio::fs::File::create(to).await.with_context(failed)?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.context("the download broke off")?.into_data() {
            file.write_all(&data).await.with_context(failed)?;
        }
    }
    file.flush().await.with_context(failed)
}

/// A job chose the name: it must not lead out of the folder.
fn inside(name: &str) -> Result<PathBuf, Usage> {
    let path = PathBuf::from(name.trim_start_matches('/'));
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain {
        Ok(path)
    } else {
        Err(Usage(format!("artifact `{name}` would be written outside the folder")))
    }
}

/// The connection is chosen by the flags, whatever address the server believes to have.
fn path_of(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or(url, |at| &url[after + at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        assert_eq!(inside("/a/b.txt").unwrap(), PathBuf::from("a/b.txt"));
        assert!(inside("a/../../b").is_err());
    }

    #[test]
    fn the_path_of_an_address_is_asked_for() {
        assert_eq!(path_of("https://box:8443/a/b?c"), "/a/b?c");
        assert_eq!(path_of("/a"), "/a");
    }
}
