//! `appliance artifact`: list and download.

use super::{Code, Missing, Usage, field, items, pour, slug};
use crate::{cli::ArtifactCommand, client::Client, output};
use anyhow::Context;
use base::units::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

pub(crate) async fn run(command: ArtifactCommand) -> anyhow::Result<Code> {
    match command {
        ArtifactCommand::List { project, number, node, remote } => {
            let all = list(&Client::new(&remote)?, &project, number, node).await?;
            if remote.json { output::json(&all.into()) } else { show(&all) }
        }
        ArtifactCommand::Get { project, number, paths, output, node, remote } => {
            let client = Client::new(&remote)?;
            let all = list(&client, &project, number, node).await?;
            let chosen = choose(&all, &paths, number)?;
            if output == Path::new("-") {
                return print(&client, &chosen).await.map(|()| 0);
            }
            let mut code = 0;
            for artifact in chosen {
                let name = field(artifact, "path");
                let Some(file) = inside(&name) else {
                    output::error(&format!(
                        "artifact `{name}` is passed over: it would be written outside the folder"
                    ));
                    code = 1;
                    continue;
                };
                let folder = if is_shared(&all, artifact) {
                    output.join(field(artifact, "node_index"))
                } else {
                    output.clone()
                };
                download(&client, artifact, &folder.join(file)).await?;
            }
            return Ok(code);
        }
    }
    Ok(0)
}

async fn list(
    client: &Client,
    project: &str,
    number: u64,
    node: Option<u64>,
) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v2/project/{}/{number}/artifacts", slug(project)?);
    let mut all = items(client, &path).await?;
    all.retain(|artifact| node.is_none_or(|node| artifact["node_index"] == node));
    Ok(all)
}

fn show(all: &[Value]) {
    let row = |one: &Value| {
        let size = one["size"].as_u64().map_or_else(String::new, |bytes| Bytes(bytes).to_string());
        vec![field(one, "node_index"), size, field(one, "path")]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["node", "size", "path"], &rows);
}

/// The artifacts that are meant: all, or those of the paths and below the folders.
fn choose<'a>(all: &'a [Value], paths: &[String], number: u64) -> Result<Vec<&'a Value>, Missing> {
    let is = |artifact: &Value, path: &str| {
        let name = artifact["path"].as_str().unwrap_or_default();
        name == path || path.ends_with('/') && name.starts_with(path)
    };
    if let Some(lost) = paths.iter().find(|path| !all.iter().any(|one| is(one, path))) {
        return Err(Missing(format!("job {number} has no artifact `{lost}`")));
    }
    let chosen = |one: &&Value| paths.is_empty() || paths.iter().any(|path| is(one, path));
    Ok(all.iter().filter(chosen).collect())
}

/// Writes the one artifact to standard output.
async fn print(client: &Client, chosen: &[&Value]) -> anyhow::Result<()> {
    let [artifact] = chosen else {
        let told = format!(
            "{} artifacts would run into one another: name one, with --node if several runs have it",
            chosen.len()
        );
        return Err(Usage(told).into());
    };
    let mut body = client.stream(path_of(&field(artifact, "url"))).await?;
    pour(&mut body, &mut output::Out).await
}

/// Do several nodes of the job have an artifact of that path? Then each node gets its own folder.
fn is_shared(all: &[Value], artifact: &Value) -> bool {
    let same = |other: &&Value| other["path"] == artifact["path"];
    all.iter().filter(same).count() > 1
}

/// Downloads under another name first, so that a file of the right name is whole.
async fn download(client: &Client, artifact: &Value, target: &Path) -> anyhow::Result<()> {
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent)
            .await
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let fetched = fetch(client, path_of(&field(artifact, "url")), &part).await;
    if let Err(error) = fetched {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(error.context(format!("cannot download {}", field(artifact, "path"))));
    }
    let named = tokio::fs::rename(&part, target).await;
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
fn inside(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(name.trim_start_matches('/'));
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then_some(path)
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
        assert!(inside("a/../../b").is_none());
    }

    #[test]
    fn paths_and_folders_choose_and_what_is_not_there_is_told() {
        let all: Vec<Value> =
            ["a/b", "a/c/d", "ab"].iter().map(|path| serde_json::json!({ "path": path })).collect();
        let check = |paths: &[&str], expected: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            let chosen = choose(&all, &paths, 1).unwrap();
            let found: Vec<&str> = chosen.iter().map(|one| one["path"].as_str().unwrap()).collect();
            assert_eq!(found, expected, "{paths:?}");
        };
        check(&[], &["a/b", "a/c/d", "ab"]);
        check(&["a/"], &["a/b", "a/c/d"]);
        check(&["ab", "a/b"], &["a/b", "ab"]);
        assert!(choose(&all, &["a".into()], 1).is_err());
        assert!(choose(&all, &["b/".into()], 1).is_err());
    }

    #[test]
    fn the_path_of_an_address_is_asked_for() {
        assert_eq!(path_of("https://box:8443/a/b?c"), "/a/b?c");
        assert_eq!(path_of("/a"), "/a");
    }
}
