//! `appliance doctor`: the host's findings, for people and for programs.

use super::Code;
use crate::{cli::DoctorArgs, config::Config, output};
use hardware::{
    Root,
    doctor::{Facts, Finding, Place, Severity, apply, check},
};
use serde_json::json;
use std::time::SystemTime;

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Code> {
    let config = Config::build(&super::config::load(&args.settings)?)?;
    let root = Root::new(&config.hardware_root);
    let place = place(&config);
    let mut findings = check(&Facts::read(&root, &place));
    if args.fix && mend(&root, &findings) > 0 {
        findings = check(&Facts::read(&root, &place));
    }
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    if args.json {
        output::json(&json!({"severity": worst, "findings": findings}));
    } else {
        findings.iter().for_each(show);
    }
    Ok(worst.exit_code())
}

fn place(config: &Config) -> Place {
    let data = &config.data_dir;
    let mut secrets =
        vec![data.join("site.key"), data.join("tls/ca.key"), data.join("tls/server.key")];
    secrets.extend(config.own_certificate.iter().map(|(_, key)| key.clone()));
    let listen = [Some(config.listen), config.s3_listen, config.plain_listen];
    Place {
        data_dir: data.clone(),
        listen: listen.into_iter().flatten().filter(|address| address.port() != 0).collect(),
        names: config
            .names
            .iter()
            .filter(|name| name.parse::<std::net::IpAddr>().is_err())
            .cloned()
            .collect(),
        secrets,
        certificate_ends: certificate_ends(config),
    }
}

/// End of the certificate that is served.
fn certificate_ends(config: &Config) -> Option<SystemTime> {
    let own = config.own_certificate.as_ref().map(|(chain, _)| chain.clone());
    let path = own.unwrap_or_else(|| config.data_dir.join("tls/server.pem"));
    crate::validity::end(&path)
}

/// Makes every safe change; how many were made.
fn mend(root: &Root, findings: &[Finding]) -> usize {
    let fixes = findings.iter().filter_map(|finding| Some((finding, finding.fix.as_ref()?)));
    let made = fixes.filter(|(finding, fix)| match apply(root, fix) {
        Ok(()) => {
            output::note(&format!("fixed {}: {}", finding.check, finding.what));
            true
        }
        Err(error) => {
            output::note(&format!(
                "could not fix {}: {error}; run: {}",
                finding.check, finding.remedy
            ));
            false
        }
    });
    made.count()
}

fn show(finding: &Finding) {
    let mark = match finding.severity {
        Severity::Ok => "ok      ",
        Severity::Advice => "advice  ",
        Severity::Warning => "WARNING ",
        Severity::Critical => "CRITICAL",
    };
    output::line(&format!("{mark} {:<16} {}", finding.check, finding.what));
    if finding.severity > Severity::Ok {
        output::line(&format!("{:26}why: {}", "", finding.why));
        output::line(&format!("{:26}do:  {}", "", finding.remedy));
    }
}
