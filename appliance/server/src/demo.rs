//! `appliance demo`: a throw-away appliance on loopback that runs a sample project for real.
//!
//! Everything is what a site would run: the same start, the same push over smart HTTP, the same
//! runner and sandbox. Only the data directory is temporary.

use crate::{
    cli::{DemoArgs, Remote},
    client::Client,
    command::{Code, watch::watch},
    config::Config,
    logging, output,
    serve::{self, House},
    settings::Settings,
};
use anyhow::Context;
use bytes::Bytes;
use ingress::Lanes;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The sample project, path by path.
const SAMPLE: [(&str, &[u8]); 5] = [
    (".circleci/config.yml", include_bytes!("../sample/.circleci/config.yml")),
    ("README.md", include_bytes!("../sample/README.md")),
    ("relay.conf", include_bytes!("../sample/relay.conf")),
    ("tools/check-table.sh", include_bytes!("../sample/tools/check-table.sh")),
    ("tools/make-table.sh", include_bytes!("../sample/tools/make-table.sh")),
];
const REPOSITORY: &str = "demo/relay";

pub(crate) fn run(args: DemoArgs) -> anyhow::Result<Code> {
    let folder = Folder::new(args.data_dir)?;
    let flags = [
        ("data_dir", Some(folder.0.display().to_string())),
        ("listen", Some(args.listen)),
        ("s3_listen", Some("127.0.0.1:0".into())),
        ("log", Some(std::env::var("APPLIANCE_LOG").unwrap_or_else(|_| "warn".into()))),
    ];
    let config = Config::build(&Settings::merge(None, |_| None, &flags)?)?;
    logging::start(&config.log)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let lanes = serve::lanes()?;
    runtime.block_on(demonstrate(config, &lanes, &folder.0, args.once))
}

async fn demonstrate(
    config: Config,
    lanes: &Lanes,
    folder: &Path,
    once: bool,
) -> anyhow::Result<Code> {
    let house = House::open(config, lanes).await?;
    let (base_url, password) = (house.base_url().to_owned(), house.first_password().cloned());
    output::line(&format!("The appliance serves at {base_url}"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(house.serve(async {
        // A dropped sender also means: stop.
        let _ = stopped.await;
    }));
    let result = run_sample(folder, &base_url).await;
    if let (Ok(_), false) = (&result, once) {
        tell_how_to_log_in(&base_url, folder, password.as_ref());
        serve::stop_signal()?.await;
    }
    drop(stop);
    serving.await.context("the appliance ended early")??;
    result
}

/// Pushes the sample and follows its pipeline.
async fn run_sample(folder: &Path, base_url: &str) -> anyhow::Result<Code> {
    let remote = Remote { host: None, ca: None, data_dir: folder.to_path_buf(), json: false };
    let client = Client::new(&remote)?;
    output::line(&format!("Pushing a sample project to {base_url}/git/{REPOSITORY}.git"));
    let answer = client
        .post_bytes(
            &format!("/git/{REPOSITORY}.git/git-receive-pack"),
            "application/x-git-receive-pack-request",
            Bytes::from(sample_push()?),
        )
        .await?;
    let told = String::from_utf8_lossy(&answer);
    anyhow::ensure!(told.contains("ok refs/heads/main"), "the push was refused: {told}");
    let page: Value = client.get(&format!("/api/v2/project/gh/{REPOSITORY}/pipeline")).await?;
    let pipeline = &page["items"][0];
    let newest = pipeline["id"].as_str().context("the push made no pipeline")?.to_owned();
    output::line(&format!(
        "Its pipeline: {base_url}/pipelines/gh/{REPOSITORY}/{}",
        pipeline["number"]
    ));
    let code = watch(&client, &newest, output::line).await?;
    output::line(if code == 0 {
        "The pipeline is green."
    } else {
        "The pipeline did not succeed."
    });
    Ok(code)
}

fn sample_push() -> anyhow::Result<Vec<u8>> {
    let files: BTreeMap<String, Vec<u8>> =
        SAMPLE.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
    let message = repos::Message {
        author: "Sample <sample@localhost>",
        seconds: serve::now().0 / 1_000_000,
        text: "Relay settings, a table made of them, and a check",
    };
    Ok(repos::first_push(&files, message, "main")?.request)
}

fn tell_how_to_log_in(base_url: &str, folder: &Path, password: Option<&base::secret::Secret>) {
    output::line(&format!(
        "Open {base_url} in a browser (it will ask about the certificate of the offline authority)."
    ));
    match password {
        // The one place where a person learns it.
        Some(password) => output::line(&format!(
            "Log in as `admin` with the one-time password {}",
            password.expose()
        )),
        None => output::line("Log in with the account that you made before."),
    }
    output::line(&format!("Data: {}. Stop with Ctrl-C.", folder.display()));
}

/// The data directory; a temporary one is removed at the end.
struct Folder(PathBuf, bool);

impl Folder {
    fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self(std::path::absolute(path)?, false));
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
        let name = format!("appliance-demo-{:016x}", u64::from_ne_bytes(random));
        Ok(Self(std::env::temp_dir().join(name), true))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.1 {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
