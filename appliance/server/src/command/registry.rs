//! `appliance registry`: bring images in, list them, forget them.

use super::{Code, field, items};
use crate::{
    cli::{RegistryCommand, Remote},
    client::Client,
    output,
};
use serde_json::{Value, json};

const PATH: &str = "/api/appliance/v1/image";

pub(crate) async fn run(command: RegistryCommand) -> anyhow::Result<Code> {
    match command {
        RegistryCommand::Import { path, tag, remote } => {
            let body = json!({ "path": std::path::absolute(path)?, "name": tag });
            let made = Client::new(&remote)?.post(PATH, &body).await?;
            show(made["items"].as_array().cloned().unwrap_or_default(), &remote);
        }
        RegistryCommand::List { remote } => {
            show(items(&Client::new(&remote)?, PATH).await?, &remote)
        }
        RegistryCommand::Remove { reference, remote } => {
            let body = json!({ "reference": reference });
            let answer = Client::new(&remote)?.post(&format!("{PATH}/remove"), &body).await?;
            output::line(&field(&answer, "message"));
        }
    }
    Ok(0)
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
