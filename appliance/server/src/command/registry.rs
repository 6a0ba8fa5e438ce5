//! `appliance registry`: bring images in, list them, name them, take them out, forget them.

use super::{Code, encoded, field, items, pour, tell};
use crate::{
    cli::{RegistryCommand, Remote},
    client::Client,
    local_images::LocalImages,
    output,
};
use anyhow::Context;
use objects::oci::{Checked, Tagged};
use serde_json::{Value, json};
use std::{
    io::{PipeReader, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

const PATH: &str = "/api/appliance/v1/image";

pub(crate) async fn run(command: RegistryCommand) -> anyhow::Result<Code> {
    match command {
        RegistryCommand::Import { path, tag, local: true, remote } => {
            let (path, _pipe) = source(path)?;
            let images = LocalImages::of_user()?.import(&path, tag.as_deref()).await?;
            show(images.iter().map(tagged).collect(), &remote);
            output::note("imported for `appliance run` of this user");
        }
        RegistryCommand::List { local: true, remote } => {
            let images = LocalImages::of_user()?.list().await?;
            show(images.iter().map(tagged).collect(), &remote);
        }
        RegistryCommand::Import { path, tag, remote, .. } => {
            let (path, _pipe) = source(path)?;
            let body = json!({ "path": std::path::absolute(path)?, "name": tag });
            let client = Client::new(&remote)?;
            let made = client.post(PATH, &body).await?;
            show(made["items"].as_array().cloned().unwrap_or_default(), &remote);
            output::note(&format!("imported into the registry of {}", client.address()));
        }
        RegistryCommand::List { remote, .. } => {
            show(items(&Client::new(&remote)?, PATH).await?, &remote)
        }
        RegistryCommand::Export { reference, path, remote } => {
            export(&Client::new(&remote)?, &reference, &path).await?;
        }
        RegistryCommand::Copy { from, to, remote } => {
            let body = json!({ "from": from, "to": to });
            let made = Client::new(&remote)?.post(&format!("{PATH}/copy"), &body).await?;
            show(made["items"].as_array().cloned().unwrap_or_default(), &remote);
        }
        RegistryCommand::Remove { reference, remote } => {
            let body = json!({ "reference": reference });
            tell(&Client::new(&remote)?.post(&format!("{PATH}/remove"), &body).await?, remote.json);
        }
    }
    Ok(0)
}

/// The archive's path. What comes by standard input has the path of a pipe of this process, from which
/// the service reads while this process waits for the answer, as long as the pipe is kept. Standard
/// input's own path would not do: a socket (`ssh`) cannot be opened by it, and a file begins anew.
fn source(path: PathBuf) -> anyhow::Result<(PathBuf, Option<PipeReader>)> {
    if path != Path::new("-") {
        return Ok((path, None));
    }
    let (reader, mut writer) = std::io::pipe().context("cannot make a pipe")?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), reader.as_raw_fd());
    std::thread::spawn(move || {
        if let Err(error) = std::io::copy(&mut std::io::stdin().lock(), &mut writer) {
            output::note(&format!("standard input cannot be read: {error}"));
        }
    });
    Ok((path.into(), Some(reader)))
}

/// Streams the archive into a file, a folder or standard output.
async fn export(client: &Client, reference: &str, path: &Path) -> anyhow::Result<()> {
    let path_of = format!("{PATH}/export?reference={}", encoded(reference));
    let mut body = client.stream(&path_of).await?;
    if path == Path::new("-") {
        return checked(&mut body, reference, output::Out).await.map(drop);
    }
    let folder = path.to_string_lossy().ends_with('/');
    let archive = if folder {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        path.join(".export.tar")
    } else {
        path.to_owned()
    };
    let failed = || format!("cannot write {}", archive.display());
    let file = std::fs::File::create(&archive).with_context(failed)?;
    let file = match checked(&mut body, reference, file).await {
        Ok(file) => file,
        Err(error) => {
            // A part of an image would pass for the whole of it.
            drop(std::fs::remove_file(&archive));
            return Err(error.context(failed()));
        }
    };
    file.sync_all().with_context(failed)?;
    if folder {
        let unpack = || {
            tar::Archive::new(std::fs::File::open(&archive)?).unpack(path)?;
            std::fs::remove_file(&archive)
        };
        unpack().with_context(failed)?;
    }
    output::line(&path.display().to_string());
    Ok(())
}

/// Writes an archive as it comes, and fails when it is not the image.
async fn checked<W: Write>(
    body: &mut hyper::body::Incoming,
    reference: &str,
    to: W,
) -> anyhow::Result<W> {
    let mut to = Checked::new(reference, to);
    match pour(body, &mut to).await {
        Ok(()) => Ok(to.finish()?),
        Err(error) if error.is::<std::io::Error>() => Err(error),
        Err(error) => Err(error.context(to.broke_off())),
    }
}

fn tagged(image: &Tagged) -> Value {
    json!({ "reference": image.reference, "digest": image.digest })
}

fn show(images: Vec<Value>, remote: &Remote) {
    if remote.json {
        return output::json(&images.into());
    }
    let rows: Vec<_> = images
        .iter()
        .map(|image| vec![field(image, "reference"), field(image, "digest")])
        .collect();
    output::table(&["image", "digest"], &rows);
}
