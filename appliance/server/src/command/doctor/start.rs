//! What a start would refuse or tell, found by the functions that a start asks, without changing anything.
//!
//! Why: whoever asks the doctor before a start, or after one that failed, wants to hear the same.
//! The way: each check gives what is well, or the start's own message, which names the remedy behind its
//! first colon.

use crate::{
    config::Config,
    data_dir::{self, DataDir},
    identity, object_place, oversights,
};
use base::time::Timestamp;
use hardware::doctor::{Finding, Severity};
use ingress::{Authority, Certificates, standing};
use std::path::Path;
use store::{Examined, OpenError, SiteKey};

const REFUSED: &str = "the appliance does not start";

/// Every finding; of what a running appliance has open only what can be seen from outside.
pub(super) fn findings(config: &Config, faults: &[String], now: Timestamp) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        faults.iter().map(|fault| told(Severity::Critical, "settings", fault, REFUSED)).collect();
    found.extend(oversights::all(config).into_iter().map(overlooked));
    if found.is_empty() {
        found.push(well("settings", "every setting can be used".into()));
    }
    match DataDir::look(&config.data_dir) {
        Err(error) => found.push(refused("data-directory", &error)),
        Ok(None) => {
            let made = |what: &str| format!("{what} is made at the first start");
            let folder = config.data_dir.display().to_string();
            found.push(well("data-directory", made(&folder)));
            found.push(well("database", made("it")));
            if config.own_certificate.is_none() {
                found.push(well("certificate", made("it")));
            }
        }
        Ok(Some(data)) => {
            found.extend(directory(&config.data_dir));
            found.push(judged("object-place", place(config, &data)));
            found.push(database(&data));
            found.extend(built_in(config, &data, now));
        }
    }
    found.extend(own(config, now));
    found
}

/// Its message tells what follows from it, and not what is meant.
fn overlooked(what: String) -> Finding {
    Finding {
        check: "settings",
        severity: Severity::Warning,
        what,
        why: "what was set does not do what was meant",
        remedy: "put the setting right (`appliance config show` tells where it comes from), or leave it if it is meant so".to_owned(),
        fix: None,
    }
}

fn directory(path: &Path) -> Vec<Finding> {
    const LOST: &str = "it is made anew at the next start, and what it held is gone";
    let lost = data_dir::lost_folders(path);
    match lost.is_empty() {
        true => vec![well("data-directory", format!("{} is ours alone", path.display()))],
        false => {
            lost.iter().map(|one| told(Severity::Critical, "data-directory", one, LOST)).collect()
        }
    }
}

fn place(config: &Config, data: &DataDir) -> anyhow::Result<String> {
    object_place::is_settled(config, data)?;
    object_place::config(config, data)?;
    Ok("bytes are where they were".to_owned())
}

fn database(data: &DataDir) -> Finding {
    match examined(data) {
        Ok(what) => what,
        Err(error) => match error.downcast_ref::<OpenError>() {
            // Whoever answers there is the appliance itself.
            Some(OpenError::InUse { pid, .. }) if answers(data) => {
                well("database", format!("the appliance runs (pid {pid}) and has it open"))
            }
            _ => refused("database", &error),
        },
    }
}

fn answers(data: &DataDir) -> bool {
    std::os::unix::net::UnixStream::connect(data.join("control.sock")).is_ok()
}

fn examined(data: &DataDir) -> anyhow::Result<Finding> {
    data.check_database()?;
    let key = data.known_key()?.map(SiteKey::new);
    let was_in_use = data.was_in_use();
    let config = store::Config { was_in_use, ..store::Config::new(data.join("state")) };
    let Examined { unclean, lost_commits } = store::examine(&config, key.as_ref())?;
    let what = match unclean {
        true => "the last stop was not clean; the database is whole",
        false => "the database was closed cleanly",
    };
    if lost_commits == 0 {
        return Ok(well("database", what.to_owned()));
    }
    let lost = format!(
        "the database's log is damaged, and at least the last {lost_commits} changes are lost: check the disk; to go back to a copy of the data directory, put it back before the next start"
    );
    Ok(told(Severity::Critical, "database", &lost, "a start goes on without these changes"))
}

/// The certificate of the operator's own.
fn own(config: &Config, now: Timestamp) -> Vec<Finding> {
    let Some((chain, key)) = &config.own_certificate else { return Vec::new() };
    match Certificates::load(chain, key) {
        Err(error) => vec![refused("certificate", &error.into())],
        Ok(loaded) => of_chain(&loaded, &identity::called(config), now),
    }
}

/// The built-in authority and what it issued; that is issued anew wherever a start finds it wanting.
fn built_in(config: &Config, data: &DataDir, now: Timestamp) -> Vec<Finding> {
    if config.own_certificate.is_some() {
        return Vec::new();
    }
    let folder = data.join("tls");
    let authority = match Authority::find(&folder) {
        Err(error) => return vec![refused("certificate", &error.into())],
        Ok(None) => {
            let what = "authority and certificate are made at the next start";
            return vec![well("certificate", what.to_owned())];
        }
        Ok(Some(authority)) => authority,
    };
    let (chain, key) = (folder.join("server.pem"), folder.join("server.key"));
    let mut found = match Certificates::load(&chain, &key) {
        Ok(loaded) => of_chain(&loaded, &[], now),
        Err(_) => vec![well("certificate", "it is issued anew at the next start".to_owned())],
    };
    let aged = authority.standing().and_then(|one| standing::authority_flaw(&one, now));
    found.extend(aged.iter().map(flawed));
    found
}

fn of_chain(loaded: &Certificates, called: &[String], now: Timestamp) -> Vec<Finding> {
    let chain = loaded.chain();
    let flaws = standing::flaws(&chain, called, now);
    if let (true, Some(leaf)) = (flaws.is_empty(), chain.first()) {
        let what = format!("the server certificate is valid until {}", leaf.ends);
        return vec![well("certificate", what)];
    }
    flaws.iter().map(flawed).collect()
}

fn flawed(flaw: &standing::Flaw) -> Finding {
    let (severity, why) = match flaw.is_grave() {
        true => (Severity::Critical, "clients refuse the connection"),
        false => (Severity::Warning, "clients refuse the connection then, or by these names"),
    };
    let (what, remedy) = (flaw.to_string(), flaw.remedy().to_owned());
    Finding { check: "certificate", severity, what, why, remedy, fix: None }
}

fn judged(check: &'static str, found: anyhow::Result<String>) -> Finding {
    match found {
        Ok(what) => well(check, what),
        Err(error) => refused(check, &error),
    }
}

pub(super) fn well(check: &'static str, what: String) -> Finding {
    Finding { check, severity: Severity::Ok, what, why: "", remedy: String::new(), fix: None }
}

fn refused(check: &'static str, error: &anyhow::Error) -> Finding {
    told(Severity::Critical, check, &format!("{error:#}"), REFUSED)
}

fn told(severity: Severity, check: &'static str, message: &str, why: &'static str) -> Finding {
    let (what, remedy) = parted(message);
    Finding { check, severity, what, why, remedy, fix: None }
}

/// What a message tells, and what it says is to be done: behind the first colon that stands neither
/// between back ticks nor in brackets.
fn parted(message: &str) -> (String, String) {
    const LOOK: &str = "put that right and start again; see the log of the service for more";
    let (mut quoted, mut depth) = (false, 0_u32);
    for (at, letter) in message.char_indices() {
        match letter {
            '`' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ':' if !quoted && depth == 0 && message[at..].starts_with(": ") => {
                let (what, remedy) = (&message[..at], &message[at + 2..]);
                if is_system_error(remedy) {
                    return (message.to_owned(), LOOK.to_owned());
                }
                return (what.to_owned(), remedy.to_owned());
            }
            _ => {}
        }
    }
    (message.to_owned(), LOOK.to_owned())
}

/// A cause is no remedy.
fn is_system_error(text: &str) -> bool {
    text.contains("(os error ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, what: &str, remedy: &str) {
        let (told, does) = parted(message);
        assert_eq!(told, what);
        assert!(does.starts_with(remedy), "{does}");
    }

    #[test]
    fn the_remedy_of_a_message_stands_behind_its_colon() {
        check("/d is in use by pid 7: stop it", "/d is in use by pid 7", "stop it");
        check(
            "`listen` is `a: b` (environment variable X: y): expected an address",
            "`listen` is `a: b` (environment variable X: y)",
            "expected an address",
        );
        check(
            "cannot open /x: Permission denied (os error 13)",
            "cannot open /x: Permission denied (os error 13)",
            "put that right",
        );
        check("no colon", "no colon", "put that right");
    }
}
