//! Which room may depend on which, and which heavy package belongs to one room alone.
//!
//! Invariant: arrows point from later rows to earlier ones. A new arrow is a decision: it is made
//! here, in `appliance/ARCHITECTURE.md`, and in the manifest.

use super::Finding;
use anyhow::Context;
use std::{fs, path::Path};

/// A room and the rooms that it may name.
const ROOMS: [(&str, &[&str]); 15] = [
    ("base", &[]),
    ("pipeline", &["base"]),
    ("control", &["base"]),
    ("store", &["base"]),
    ("objects", &["base", "store"]),
    ("orbs", &["base", "pipeline"]),
    ("repos", &["base"]),
    ("hardware", &["base"]),
    ("sandbox", &["base"]),
    ("runner", &["base", "pipeline", "control", "sandbox"]),
    ("engine", &["base", "pipeline", "control", "store", "objects", "orbs"]),
    ("ingress", &["base"]),
    ("web", &["base", "pipeline", "store", "objects", "orbs", "repos", "engine"]),
    (
        "server",
        &[
            "base", "pipeline", "store", "objects", "orbs", "repos", "hardware", "runner",
            "engine", "ingress", "web",
        ],
    ),
    ("xtask", &[]),
];

/// Packages behind a door: only these rooms may open it.
const DOORS: [(&str, &[&str]); 8] = [
    ("rusqlite", &["store"]),
    ("sled", &["store"]),
    ("object_store", &["objects"]),
    ("s3s", &["objects"]),
    ("gix", &["repos"]),
    ("seccompiler", &["sandbox"]),
    ("rcgen", &["ingress"]),
    ("axum", &["web", "objects", "server"]),
];

pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (room, may) in ROOMS {
        let path = root.join("appliance").join(room).join("Cargo.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: toml::Table =
            text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
        findings.extend(check_room(room, may, &manifest));
    }
    Ok(findings)
}

fn check_room(room: &str, may: &[&str], manifest: &toml::Table) -> Vec<Finding> {
    let empty = toml::Table::new();
    let needs = manifest.get("dependencies").and_then(toml::Value::as_table).unwrap_or(&empty);
    let wrong_room = needs
        .keys()
        .filter(|name| {
            ROOMS.iter().any(|(other, _)| other == name) && !may.contains(&name.as_str())
        })
        .map(|name| format!("appliance/{room}/Cargo.toml: `{room}` may not depend on `{name}`"));
    let wrong_door = needs.keys().filter_map(|name| {
        let (_, owners) = DOORS.iter().find(|(package, _)| package == name)?;
        (!owners.contains(&room)).then(|| {
            format!("appliance/{room}/Cargo.toml: `{name}` belongs to {} alone", owners.join(", "))
        })
    });
    let lints = manifest.get("lints").is_none();
    let no_lints =
        lints.then(|| format!("appliance/{room}/Cargo.toml: no [lints]: take the workspace's"));
    wrong_room.chain(wrong_door).chain(no_lints).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(room: &str, may: &[&str], dependencies: &str, findings: usize) {
        let manifest =
            format!("[lints]\nworkspace = true\n[dependencies]\n{dependencies}").parse().unwrap();
        assert_eq!(check_room(room, may, &manifest).len(), findings, "{room}: {dependencies}");
    }

    #[test]
    fn arrows_point_inward_and_doors_stay_shut() {
        check("control", &["base"], "base = '1'", 0);
        check("control", &["base"], "store = '1'", 1);
        check("web", &["store"], "rusqlite = '1'", 1);
        check("store", &[], "rusqlite = '1'\nsled = '1'", 0);
    }

    #[test]
    fn a_later_room_is_never_named_by_an_earlier_one() {
        for (at, (room, may)) in ROOMS.iter().enumerate() {
            for named in *may {
                assert!(
                    ROOMS[..at].iter().any(|(earlier, _)| earlier == named),
                    "{room} names {named}"
                );
            }
        }
    }
}
