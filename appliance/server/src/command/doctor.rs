//! `appliance doctor`: findings of the host and of what a start would refuse, for people and for programs.

mod rot;
mod start;

use super::Code;
use crate::{
    cli::DoctorArgs,
    client::Client,
    config::{Config, ObjectsConfig},
    output,
};
use base::units::Bytes;
use engine::govern::Moment;
use hardware::{
    Root,
    doctor::{Facts, Finding, Fix, HeatBefore, Place, Severity, apply, check, worst_first},
};
use serde::Deserialize;
use serde_json::json;
use std::{path::Path, time::Duration};

/// Hours of the past that are looked at.
const HOURS: u64 = 168;

/// A control plane that does not answer within this is not waited for.
const ANSWER: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Code> {
    let (settings, mut faults) = super::config::load_usable(&args.settings);
    let (config, wrong) = Config::with_faults(&settings);
    faults.extend(wrong.iter().map(ToString::to_string));
    let root = Root::new(&config.hardware_root);
    let place = place(&config);
    let look = || {
        let facts = Facts::read(&root, &place);
        let mark = facts.space.and_then(|(_, free)| mark(&config.objects, free));
        let mut findings = check(&facts);
        findings.extend(mark);
        findings.extend(start::findings(&config, &faults, crate::serve::now()));
        findings.extend(rot::findings(&config));
        worst_first(&mut findings);
        findings
    };
    let mut findings = look();
    if args.fix && mend(&root, &findings) > 0 {
        findings = look();
    }
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    if args.json {
        output::json(&json!({"severity": worst, "findings": findings}));
    } else {
        findings.iter().for_each(show);
    }
    Ok(worst.exit_code())
}

/// Writes are refused at the mark, when the disk may have much room left for others.
fn mark(objects: &ObjectsConfig, free: Bytes) -> Option<Finding> {
    let kept = objects.keep_free;
    let (check, fix) = ("objects-room", None);
    if objects.remote.is_some() {
        return None;
    }
    Some(if free >= kept {
        let what = format!("objects may take {} more", Bytes(free.0 - kept.0));
        Finding { check, severity: Severity::Ok, what, why: "", remedy: String::new(), fix }
    } else {
        let what = format!("{free} are free, less than the {kept} of `objects_keep_free_mib`");
        let why = "artifacts, caches, images and other uploads are refused until more is free";
        let remedy =
            "delete objects or images, lower a retention, or give the data directory a larger disk";
        Finding { check, severity: Severity::Critical, what, why, remedy: remedy.into(), fix }
    })
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
        heat_before: heat_before(data),
        smartctl: crate::machine::ask_disks(&config.hardware_root),
        clock: crate::machine::ask_clock(&config.hardware_root),
    }
}

/// What the appliance remembers, if it runs.
fn heat_before(data_dir: &Path) -> Option<HeatBefore> {
    #[derive(Deserialize)]
    struct History {
        items: Vec<Moment>,
    }
    let client = Client::local(data_dir);
    let path = format!("/api/appliance/v1/hardware/history?hours={HOURS}");
    let asked = async {
        let asked = tokio::time::timeout(ANSWER, client.get::<History>(&path)).await;
        anyhow::Ok(asked??)
    };
    sum_up(&crate::block_on(asked).ok()?.items)
}

fn sum_up(moments: &[Moment]) -> Option<HeatBefore> {
    let (first, last) = (moments.first()?.at, moments.last()?.at);
    // A past of seconds tells nothing.
    let minutes = Some(last.since(first).as_secs() / 60).filter(|minutes| *minutes > 0)?;
    let hottest = moments.iter().filter_map(|one| one.celsius).reduce(f64::max)?;
    // A moment stands for the time until the next, be it seconds or minutes.
    let span = |pair: &[Moment]| pair[1].at.since(pair[0].at).as_secs_f64();
    let bad = moments.windows(2).filter(|pair| pair[0].held || pair[0].paused).map(span);
    let whole = last.since(first).as_secs_f64();
    Some(HeatBefore {
        hottest,
        minutes,
        // A sum of nothing is a negative zero, which reads badly.
        held: 100.0 * bad.sum::<f64>() / whole.max(1.0) + 0.0,
    })
}

/// Makes every safe change; how many were made.
fn mend(root: &Root, findings: &[Finding]) -> usize {
    let fixes = findings.iter().filter_map(|finding| Some((finding, finding.fix.as_ref()?)));
    let made = fixes.filter(|(finding, fix)| match apply(root, fix) {
        Ok(()) => {
            let lasts = match fix {
                Fix::Mode { .. } => String::new(),
                Fix::Sysctl { .. } => {
                    format!("; until the machine starts again. For good: {}", finding.remedy)
                }
            };
            output::note(&format!("fixed {}: {}{lasts}", finding.check, finding.what));
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
    output::line(&format!("{mark} {:<19} {}", finding.check, finding.what));
    if finding.severity > Severity::Ok {
        output::line(&format!("{:29}why: {}", "", finding.why));
        output::line(&format!("{:29}do:  {}", "", finding.remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::Timestamp;

    #[test]
    fn the_mark_of_objects_is_told_before_the_disk_is_full() {
        let here = ObjectsConfig {
            remote: None,
            options: None,
            peer: None,
            peer_options: None,
            keep_free: Bytes::gib(4),
            webhook_allow: Vec::new(),
            outward_roots: "/".into(),
        };
        let severity = |free| mark(&here, free).map(|finding| finding.severity);
        assert_eq!(severity(Bytes::gib(4)), Some(Severity::Ok));
        assert_eq!(severity(Bytes::gib(3)), Some(Severity::Critical));
        let told = mark(&here, Bytes::gib(3)).unwrap();
        assert!(told.what.contains("objects_keep_free_mib"), "{}", told.what);
        let remote = ObjectsConfig { remote: Some("s3://x".into()), ..here };
        assert_eq!(mark(&remote, Bytes::gib(3)), None);
    }

    #[test]
    fn the_past_is_summed_by_time_and_not_by_moments() {
        let moment = |second: i64, celsius: Option<f64>, paused| Moment {
            at: Timestamp(second * 1_000_000),
            celsius,
            slots: 2,
            running: 0,
            waiting: 0,
            cpu: None,
            memory: None,
            quota: 100.0,
            rx: 0,
            tx: 0,
            held: false,
            paused,
        };
        let past = [
            moment(0, Some(50.0), true),
            moment(3600, Some(86.5), false),
            moment(3610, None, false),
            moment(14_400, Some(60.0), true),
        ];
        let told = sum_up(&past);
        assert_eq!(told, Some(HeatBefore { hottest: 86.5, minutes: 240, held: 25.0 }));
        let calm = sum_up(&[moment(0, Some(50.0), false), moment(60, None, false)]);
        assert_eq!(calm.map(|one| format!("{:.0}", one.held)), Some("0".to_owned()));
        assert_eq!(sum_up(&[moment(0, Some(50.0), false), moment(59, None, false)]), None);
        assert_eq!(sum_up(&[]), None);
        assert_eq!(sum_up(&[moment(0, None, false)]), None, "no sensor, no history");
    }
}
