//! Orbs by address: fetched below an allowed prefix alone, once in five minutes, over real TLS.

use crate::{
    git::account,
    harness::{Appliance, BINARY},
    workspace::WorkingCopy,
};
use ingress::{Authority, Certificates, Names};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const PROJECT: &str = "acme/relay";

const ORB: &str = "version: 2.1\ncommands: {greet: {steps: [run: echo hello from afar]}}\n";

/// What one request may take; a client that says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A web server with an authority of its own, which counts connections.
struct Site {
    folder: tempfile::TempDir,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = base::time::Timestamp(i64::try_from(since.as_micros()).unwrap());
        let authority = Authority::open(folder.path(), "afar").unwrap();
        let names = Names { dns: vec!["afar".into()], addresses: vec![Ipv4Addr::LOCALHOST.into()] };
        let (chain, key) = authority.server(&names, now).unwrap();
        let tls = Certificates::load(&chain, &key).unwrap().server_config().unwrap();
        // HTTP/1.1 is all that is spoken below.
        let mut tls = rustls::ServerConfig::clone(&tls);
        tls.alpn_protocols.clear();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stopped) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end) = (Arc::clone(&connections), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                answer(stream.unwrap(), Arc::new(tls.clone()));
            }
        });
        Self { folder, address, connections, stopped }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.address)
    }

    fn roots(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn asked(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Takes the site off the net: its port refuses from now on.
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        crate::harness::wait_for("the site to be gone", || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }
}

/// One request of one connection; a client that does not trust the certificate goes away.
fn answer(stream: TcpStream, tls: Arc<rustls::ServerConfig>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connection = rustls::ServerConnection::new(tls).unwrap();
    let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
    let (mut line, mut first) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    let reply = match first.split(' ').nth(1) {
        Some("/orbs/say.yml") => format!("200 OK\r\ncontent-length: {}\r\n\r\n{ORB}", ORB.len()),
        Some("/orbs/out.yml") => {
            "302 Found\r\nlocation: /other/say.yml\r\ncontent-length: 0\r\n\r\n".into()
        }
        _ => "404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
    };
    let mut stream = reader.into_inner();
    let text = format!("HTTP/1.1 {}", reply.replacen("\r\n", "\r\nconnection: close\r\n", 1));
    if stream.write_all(text.as_bytes()).is_ok() {
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.sock.shutdown(Shutdown::Write);
    }
}

fn config(address: &str) -> String {
    format!(
        "version: 2.1\norbs: {{say: '{address}'}}\njobs: {{build: {{machine: true, steps: [say/greet]}}}}\n"
    )
}

/// What the compile endpoint says of a configuration.
fn compiled(appliance: &Appliance, text: &str) -> Value {
    let body = json!({ "config_yaml": text }).to_string();
    appliance.api("POST", "/api/v2/compile-config-with-defaults", Some(&body))
}

/// Makes every copy of the store look older than five minutes.
fn age(appliance: &Appliance) {
    for entry in fs::read_dir(appliance.data().join("orbs/addresses")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "fetched") {
            let text = fs::read_to_string(&path).unwrap();
            let digest = text.split_once(' ').unwrap().1.to_owned();
            fs::write(&path, format!("1700000000000000 {digest}")).unwrap();
        }
    }
}

#[test]
fn an_orb_is_fetched_below_an_allowed_prefix_and_kept() {
    let site = Site::start();
    let (prefix, roots) = (site.url("orbs/"), site.roots());
    let settings = [("APPLIANCE_ORB_ADDRESSES", &*prefix), ("APPLIANCE_OUTWARD_ROOTS", &*roots)];
    let mut appliance = Appliance::start_with([0, 0], &settings);
    let good = config(&site.url("orbs/say.yml"));

    // What is not below the prefix is never asked for, by whatever way.
    for outside in ["say.yml", "orbsx/say.yml", "orbs/../say.yml", "orbs/%2e%2e/say.yml"] {
        let answer = compiled(&appliance, &config(&site.url(outside)));
        assert_eq!((&answer["valid"], site.asked()), (&json!(false), 0), "{outside}: {answer}");
    }
    let answer = compiled(&appliance, &config(&site.url("orbs/out.yml")));
    let told = answer["errors"][0]["message"].as_str().unwrap();
    assert!(told.contains("leads to /other/say.yml") && site.asked() == 1, "{answer}");

    // A pushed configuration has it fetched, once.
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", &good, "Configure");
    copy.push();
    assert_eq!(appliance.newest_pipeline(PROJECT)["state"], "created", "{}", appliance.log());
    let answer = compiled(&appliance, &good);
    assert!(answer["output-yaml"].as_str().unwrap().contains("hello from afar"), "{answer}");
    assert_eq!(site.asked(), 2);
    // A job that runs on when the service stops is not left behind by mistake.
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    appliance.wait_for_workflows(&pipeline);

    // It is asked for again when it is old; when nobody answers, the copy serves, also after a start.
    age(&appliance);
    assert_eq!((&compiled(&appliance, &good)["valid"], site.asked()), (&json!(true), 3));
    site.stop();
    age(&appliance);
    assert_eq!(compiled(&appliance, &good)["valid"], true, "{}", appliance.log());
    assert!(appliance.log().contains("an orb could not be fetched"), "{}", appliance.log());
    appliance.stop();
    appliance.start_again();
    assert_eq!(compiled(&appliance, &good)["valid"], true, "{}", appliance.log());
}

/// `appliance config validate` with these settings: exit code and what it told.
fn validate(folder: &std::path::Path, settings: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(["config", "validate"])
        .current_dir(folder)
        .env("APPLIANCE_DATA_DIR", folder)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn the_command_line_fetches_as_the_settings_allow() {
    let site = Site::start();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".circleci")).unwrap();
    let text = config(&site.url("orbs/say.yml"));
    fs::write(folder.path().join(".circleci/config.yml"), text).unwrap();
    let (prefix, roots) = (site.url("orbs/"), site.roots());
    let allowed = ("APPLIANCE_ORB_ADDRESSES", &*prefix);

    let (code, told) = validate(folder.path(), &[]);
    assert!(code == 8 && told.contains("orb_addresses") && site.asked() == 0, "{told}");
    // The machine's authorities do not know the site's.
    let (code, told) = validate(folder.path(), &[allowed]);
    assert!(code == 8 && told.contains("does not answer"), "{told}");
    let (code, told) = validate(folder.path(), &[allowed, ("APPLIANCE_OUTWARD_ROOTS", &roots)]);
    assert_eq!(code, 0, "{told}");
    let asked = site.asked();
    // It is kept: the next one asks nobody, and neither does one whose copy is all that there is.
    let (code, told) = validate(folder.path(), &[allowed, ("APPLIANCE_OUTWARD_ROOTS", &roots)]);
    assert_eq!((code, site.asked()), (0, asked), "{told}");
    let (code, told) = validate(folder.path(), &[]);
    assert_eq!((code, site.asked()), (0, asked), "{told}");
}
