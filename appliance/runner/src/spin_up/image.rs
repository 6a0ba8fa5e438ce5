//! Roots made of image layers from the local store.
//!
//! Invariants: a layer is fetched only when it is not unpacked yet; its content is checked against
//! the digest that the image's configuration names before any job sees it.
//! Source: OCI image specification; the rules of the original service for entry points.

use super::Prepared;
use crate::{
    control_plane::ControlPlane,
    environment::Environment,
    job::{Job, Program, StepError},
    supervisor::{chain, wire::RunId},
};
use base::{
    plan::DockerImage,
    protocol::{ImageSource, LayerSource},
    units::Bytes,
};
use sandbox::Root;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// The label with which an image insists on its entry point.
const PRESERVE: &str = "com.circleci.preserve-entrypoint";

/// What of an image's configuration matters here.
#[derive(Debug, Default, Deserialize)]
struct ImageConfig {
    #[serde(default)]
    config: Option<RunConfig>,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl<C: ControlPlane> Job<C> {
    /// The root of an image, its layers unpacked.
    pub(super) async fn unpack_image(&self, image: &DockerImage) -> Result<Prepared, StepError> {
        let source =
            self.persist_in_asking(|| self.control.image(self.outbox.held(), &image.image)).await?;
        let config = read(&source)
            .map_err(|why| StepError::Failed(format!("image {}: {why}", image.image)))?;
        let mut lowers = Vec::with_capacity(source.layers.len());
        for (layer, diff_id) in source.layers.iter().zip(&config.rootfs.diff_ids) {
            lowers.push(self.unpack_layer(layer, diff_id).await?);
        }
        let run = config.config.unwrap_or_default();
        Ok(Prepared {
            root: Root::Layers { lowers },
            account: image.user.clone().or_else(|| run.user.clone()).unwrap_or_default(),
            home: None,
            image: environment(&run).into_iter().chain(image.environment.clone()).collect(),
            entry: entry(image, &run),
            told: format!("docker, image {} ({})", image.image, source.digest),
            warning: None,
        })
    }

    async fn unpack_layer(&self, layer: &LayerSource, diff_id: &str) -> Result<PathBuf, StepError> {
        let broken = |error: sandbox::image::ImageError| StepError::Infrastructure(chain(&error));
        if let Some(path) =
            self.host.layers().and_then(|store| store.layer(diff_id)).map_err(broken)?
        {
            return Ok(path);
        }
        self.outbox.say(0, &format!("Unpacking layer {} ({})\n", layer.digest, Bytes(layer.size)));
        let archive = self.supervised.folder().exchange(0);
        self.persist_in_asking(|| self.control.get(&layer.from, &archive)).await?;
        let (host, diff_id, from) = (self.host.clone(), diff_id.to_owned(), archive.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(&from)
                .map_err(|error| StepError::Infrastructure(error.to_string()))?;
            let unpacked = host.layers().and_then(|store| store.unpack(&diff_id, file));
            unpacked.map(|(path, _)| path).map_err(|error| StepError::Infrastructure(chain(&error)))
        });
        let path = unpacking
            .await
            .map_err(|_| StepError::Infrastructure("unpacking a layer failed".into()))?;
        crate::steps::discard(&archive);
        path
    }

    /// Starts what the image insists on running beside the steps.
    pub(super) async fn start_entry(&self, entry: Vec<String>) -> Result<(), StepError> {
        let stands = self.stands()?;
        let env = self.step_environment(&stands);
        let cwd = stands.working_directory.clone();
        let args = [vec!["internal-entry".to_owned()], entry].concat();
        let program = Program::agent(args, env, cwd);
        Ok(self.start(RunId { step: 0, nth: 0 }, program, &stands).await?)
    }
}

/// The configuration, when it fits the layers.
fn read(source: &ImageSource) -> Result<ImageConfig, String> {
    let config: ImageConfig =
        serde_json::from_str(&source.config).map_err(|error| error.to_string())?;
    let (named, there) = (config.rootfs.diff_ids.len(), source.layers.len());
    if named != there {
        return Err(format!(
            "its configuration names {named} layers, its manifest {there}: import it again"
        ));
    }
    Ok(config)
}

fn environment(run: &RunConfig) -> Environment {
    let pairs = run.env.iter().flatten().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What runs beside the steps: only what the job asks for, or the image insists on.
fn entry(image: &DockerImage, run: &RunConfig) -> Option<Vec<String>> {
    let insists = run
        .labels
        .as_ref()
        .and_then(|labels| labels.get(PRESERVE))
        .is_some_and(|value| value == "true");
    if !insists && image.entrypoint.is_none() {
        return None;
    }
    let entrypoint =
        image.entrypoint.clone().or_else(|| run.entrypoint.clone()).unwrap_or_default();
    // As with every runtime, an entry point of one's own leaves the image's command behind.
    let image_command = || if image.entrypoint.is_some() { None } else { run.cmd.clone() };
    let command = image.command.clone().or_else(image_command).unwrap_or_default();
    Some([entrypoint, command].concat()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(entrypoint: Option<&[&str]>, command: Option<&[&str]>) -> DockerImage {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        serde_json::from_value(serde_json::json!({ "image": "x" }))
            .map(|image: DockerImage| DockerImage {
                entrypoint: entrypoint.map(words),
                command: command.map(words),
                ..image
            })
            .unwrap()
    }

    fn check(entrypoint: Option<&[&str]>, preserve: &str, expected: Option<&str>) {
        let json = serde_json::json!({
            "Entrypoint": ["/init"], "Cmd": ["serve"], "Labels": { PRESERVE: preserve },
        });
        let run: RunConfig = serde_json::from_value(json).unwrap();
        let found = entry(&image(entrypoint, None), &run).map(|words| words.join(" "));
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn an_image_runs_beside_the_steps_only_when_it_insists() {
        check(None, "false", None);
        check(None, "true", Some("/init serve"));
        check(Some(&["/mine"]), "true", Some("/mine"));
        check(Some(&["/mine"]), "false", Some("/mine"));
    }

    #[test]
    fn a_configuration_must_fit_its_layers() {
        let config =
            r#"{"config":{"User":"app","Env":["A=b=c","bad"]},"rootfs":{"diff_ids":["sha256:1"]}}"#;
        let mut source =
            ImageSource { digest: "d".into(), config: config.into(), layers: Vec::new() };
        assert!(read(&source).unwrap_err().contains("names 1 layers, its manifest 0"));
        source.config =
            r#"{"config":{"User":"app","Env":["A=b=c","bad"]},"rootfs":{"diff_ids":[]}}"#.into();
        let run = read(&source).unwrap().config.unwrap();
        assert_eq!(environment(&run), Environment::from([("A".into(), "b=c".into())]));
        source.config = r#"{"config":null,"rootfs":{"diff_ids":[]}}"#.into();
        assert!(read(&source).is_ok());
    }
}
