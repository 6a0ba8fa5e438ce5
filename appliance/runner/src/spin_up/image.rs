//! Roots made of image layers from the local store.
//!
//! Invariants: a layer is fetched only when it is not unpacked yet; its content is checked against
//! the digest that the image's configuration names before any job sees it.
//! Source: OCI image specification; the rules of the original service for entry points.

use super::{Beside, Prepared};
use crate::{
    agent::substitute,
    control_plane::ControlPlane,
    environment::{Environment, PATH},
    job::{Job, Program, Service, StepEnd, StepError},
    supervisor::{chain, wire::RunId},
};
use base::{
    plan::DockerImage,
    protocol::{ImageSource, LayerSource, Variable},
    units::Bytes,
};
use sandbox::{Root, image::ImageError};
use serde::Deserialize;
use std::{cell::RefCell, collections::BTreeMap, io, path::PathBuf};

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
    working_dir: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl<C: ControlPlane> Job<C> {
    /// The root of the image whose steps run, its layers unpacked.
    pub(super) async fn unpack_image(&self, image: &DockerImage) -> Result<Prepared, StepError> {
        let (root, digest, run) = self.unpack(image).await?;
        Ok(Prepared {
            root,
            account: account(image, &run),
            home: None,
            image: environment(&run).into_iter().chain(image.environment.clone()).collect(),
            entry: entry(image, &run),
            told: format!("docker, image {} ({digest})", image.image),
            warning: None,
            beside: Beside::default(),
        })
    }

    /// Adds an image that runs beside the steps; how the log tells it.
    pub(super) async fn unpack_service(
        &self,
        image: &DockerImage,
        beside: &mut Beside,
    ) -> Result<String, StepError> {
        let (root, digest, run) = self.unpack(image).await?;
        let service = service(image, &run).map_err(StepError::Failed)?;
        beside.roots.push((root, account(image, &run)));
        beside.names.extend(image.name.clone());
        beside.services.push(service);
        Ok(format!("image {} ({digest})", image.image))
    }

    async fn unpack(&self, image: &DockerImage) -> Result<(Root, String, RunConfig), StepError> {
        let (name, unset) = filled(&image.image, &self.assignment.secrets);
        let ask = || self.control.image(self.outbox.held(), &name);
        let source = self.persist_in_asking(0, &format!("the image {name}"), ask).await.map_err(
            |error| match error {
                StepError::Failed(why) => {
                    StepError::Failed(why + &told_unset(&image.image, &unset))
                }
                other => other,
            },
        )?;
        let config = read(&source)
            .map_err(|why| StepError::Failed(format!("image {}: {why}", image.image)))?;
        let mut lowers = Vec::with_capacity(source.layers.len());
        for (layer, diff_id) in source.layers.iter().zip(&config.rootfs.diff_ids) {
            lowers.push(self.unpack_layer(layer, diff_id).await?);
        }
        Ok((Root::Layers { lowers }, source.digest, config.config.unwrap_or_default()))
    }

    async fn unpack_layer(&self, layer: &LayerSource, diff_id: &str) -> Result<PathBuf, StepError> {
        if let Some(path) = self
            .host
            .layers()
            .and_then(|store| store.layer(diff_id))
            .map_err(|error| unusable(&error))?
        {
            return Ok(path);
        }
        self.outbox.say(0, &format!("Unpacking layer {} ({})\n", layer.digest, Bytes(layer.size)));
        let archive = self.supervised.folder().exchange(0);
        let what = format!("the layer {}", layer.digest);
        self.persist_in_asking(0, &what, || self.control.get(&layer.from, &archive)).await?;
        let (host, diff_id, from) = (self.host.clone(), diff_id.to_owned(), archive.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(&from)
                .map_err(|error| StepError::Infrastructure(error.to_string()))?;
            let unpacked = host.layers().and_then(|store| store.unpack(&diff_id, file));
            unpacked.map(|(path, _)| path).map_err(|error| unusable(&error))
        });
        let path = unpacking
            .await
            .map_err(|_| StepError::Infrastructure("unpacking a layer failed".into()))?;
        crate::steps::discard(&archive);
        path
    }

    /// Starts what the image insists on running beside the steps; it goes on in the background.
    pub(crate) async fn start_entry(&self, step: u32) -> Result<Option<StepEnd>, StepError> {
        // A runner before us may have started it.
        if self.latest_run(step).is_none() {
            let stands = self.stands()?;
            let env = self.step_environment(&stands);
            let cwd = stands.working_directory.clone();
            let entry = stands.entry.clone().unwrap_or_default();
            let args = [vec!["internal-entry".to_owned()], entry].concat();
            let program = Program::agent(args, env, cwd);
            self.start(RunId { step, nth: 0 }, program, &stands).await?;
        }
        Ok(None)
    }
}

/// An archive that cannot be read, or is not what it should be, is so in every attempt; all else may be
/// this machine's trouble.
fn unusable(error: &ImageError) -> StepError {
    use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, Other, UnexpectedEof};
    let is_of_image = match error {
        ImageError::Store { .. } => false,
        ImageError::Digest(_) | ImageError::Mismatch { .. } => true,
        ImageError::Entry { source, .. } | ImageError::Archive { source, .. } => {
            let kind = source.kind();
            matches!(kind, FileTooLarge | InvalidData | InvalidInput | Other | UnexpectedEof)
        }
    };
    let told = chain(error);
    if is_of_image { StepError::Failed(told) } else { StepError::Infrastructure(told) }
}

/// An image's name with the values of its variables, and the variables that have none: the one
/// place where the language puts variables into a value.
fn filled(written: &str, secrets: &[Variable]) -> (String, Vec<String>) {
    let unset = RefCell::new(Vec::new());
    let variable = |name: &str| {
        let found = secrets.iter().rev().find(|one| one.name == name);
        if found.is_none() {
            unset.borrow_mut().push(name.to_owned());
        }
        found.map(|one| one.value.expose().to_owned())
    };
    let name = substitute(written, variable);
    (name, unset.into_inner())
}

/// What follows a complaint about an image whose name is made of these variables.
fn told_unset(written: &str, unset: &[String]) -> String {
    if unset.is_empty() {
        return String::new();
    }
    let names = unset.join("`, `");
    format!(
        ". The configuration says `image: {written}`, and `{names}` has no value here: set it in the project or a context"
    )
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
    Some(program(image, run)).filter(|words| !words.is_empty())
}

/// What a container runs: the configuration's word, or else the image's.
fn program(image: &DockerImage, run: &RunConfig) -> Vec<String> {
    let entrypoint =
        image.entrypoint.clone().or_else(|| run.entrypoint.clone()).unwrap_or_default();
    // As with every runtime, an entry point of one's own leaves the image's command behind.
    let image_command = || if image.entrypoint.is_some() { None } else { run.cmd.clone() };
    let command = image.command.clone().or_else(image_command).unwrap_or_default();
    [entrypoint, command].concat()
}

fn account(image: &DockerImage, run: &RunConfig) -> String {
    image.user.clone().or_else(|| run.user.clone()).unwrap_or_default()
}

/// How an image runs beside the steps; who runs it is known once its files can be read.
fn service(image: &DockerImage, run: &RunConfig) -> Result<Service, String> {
    let program = program(image, run);
    if program.is_empty() {
        return Err(format!(
            "the service container {} has nothing to run: its image names no program. Set `entrypoint:` or `command:` of it in `docker:`",
            image.image
        ));
    }
    let mut env = Environment::from([("PATH".to_owned(), PATH.to_owned())]);
    env.extend(environment(run));
    env.extend(image.environment.clone());
    let folder = run.working_dir.clone().filter(|folder| folder.starts_with('/'));
    Ok(Service {
        user: sandbox::User::default(),
        program,
        environment: env,
        working_directory: folder.unwrap_or_else(|| "/".into()),
    })
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
    fn a_variable_without_value_in_an_image_is_named() {
        let secret = |name: &str, value: &str| Variable {
            name: name.into(),
            value: base::secret::Secret::new(value),
        };
        let (name, unset) = filled("a/$B:$TAG", &[secret("B", "old"), secret("B", "b")]);
        assert_eq!((name.as_str(), unset.join(" ").as_str()), ("a/b:", "TAG"));
        assert!(told_unset("a/$B:$TAG", &unset).contains("`TAG` has no value"));
        assert_eq!(told_unset("a", &[]), "");
    }

    #[test]
    fn an_image_that_is_broken_is_not_tried_anew_and_a_full_disk_is() {
        let check = |kind: io::ErrorKind, fails: bool| {
            let (layer, entry) = ("sha256:1".to_owned(), "a".to_owned());
            let error = unusable(&ImageError::Entry { layer, entry, source: kind.into() });
            assert_eq!(matches!(error, StepError::Failed(_)), fails, "{kind}");
        };
        check(io::ErrorKind::InvalidData, true);
        check(io::ErrorKind::UnexpectedEof, true);
        check(io::ErrorKind::StorageFull, false);
        check(io::ErrorKind::PermissionDenied, false);
    }

    #[test]
    fn an_image_runs_beside_the_steps_only_when_it_insists() {
        check(None, "false", None);
        check(None, "true", Some("/init serve"));
        check(Some(&["/mine"]), "true", Some("/mine"));
        check(Some(&["/mine"]), "false", Some("/mine"));
    }

    #[test]
    fn a_service_runs_what_its_entry_or_its_image_says() {
        let check = |entrypoint, command, expected: &str| {
            let json = serde_json::json!({
                "Entrypoint": ["/init"], "Cmd": ["serve"], "WorkingDir": "/srv", "Env": ["A=1"],
            });
            let run: RunConfig = serde_json::from_value(json).unwrap();
            let found = service(&image(entrypoint, command), &run).unwrap();
            assert_eq!(found.program.join(" "), expected);
            assert_eq!(
                (found.working_directory.as_str(), found.environment["A"].as_str()),
                ("/srv", "1")
            );
        };
        check(None, None, "/init serve");
        check(None, Some(&["migrate"][..]), "/init migrate");
        check(Some(&["/mine"][..]), None, "/mine");
        check(Some(&["/mine"][..]), Some(&["x"][..]), "/mine x");
        let nothing = service(&image(None, None), &RunConfig::default()).unwrap_err();
        assert!(nothing.contains("`command:`"), "{nothing}");
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
