//! Cache keys, evaluated where the files are.
//!
//! Source: checksums are SHA-256 in standard base64 with `/` as `_`, as on the original service.

use super::{AgentError, KeyValues, say};
use base64::{Engine, engine::general_purpose::STANDARD};
use pipeline::cache_key::{Context, Part, Template};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// One read of a file.
const PIECE: usize = 128 << 10;

struct Inside<'a>(&'a KeyValues);

pub(super) fn print(templates: &[String], values: &KeyValues) -> Result<(), AgentError> {
    let inside = Inside(values);
    let mut keys = Vec::new();
    for text in templates {
        let template =
            Template::parse(text).map_err(|error| AgentError::Refused(error.to_string()))?;
        keys.push(template.evaluate(&inside)?);
    }
    say(&serde_json::Value::from(keys).to_string())
}

impl Context for Inside<'_> {
    type Error = AgentError;

    fn value(&self, part: &Part) -> Result<String, AgentError> {
        Ok(match part {
            Part::Literal(text) => text.clone(),
            Part::Branch => self.0.branch.clone(),
            Part::BuildNum => self.0.build_num.to_string(),
            Part::Revision => self.0.revision.clone(),
            // One key checks everything out here, so it names nothing that changes.
            Part::CheckoutKey => "appliance".into(),
            // A variable that is not set is empty, as in a shell.
            Part::Environment(name) => std::env::var(name).unwrap_or_default(),
            Part::Checksum(file) => checksum(file)?,
            Part::Epoch => self.0.epoch.to_string(),
            Part::Arch => arch(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        })
    }
}

fn checksum(file: &str) -> Result<String, AgentError> {
    let home = std::env::var("HOME").unwrap_or_default();
    let path =
        file.strip_prefix("~/").map_or_else(|| file.to_owned(), |rest| format!("{home}/{rest}"));
    let digest = digest(Path::new(&path))
        .map_err(AgentError::at("take the checksum of", Path::new(&path)))?;
    Ok(STANDARD.encode(digest).replace('/', "_"))
}

fn digest(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().to_vec()),
            count => hasher.update(&piece[..count]),
        }
    }
}

/// `arch1-linux-amd64-6_85`: a cache of compiled code does not fit every processor.
fn arch(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo
            .lines()
            .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split(':').nth(1).map(|value| value.trim().to_owned())
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let family =
        field("cpu family").or_else(|| field("CPU implementer")).unwrap_or_else(|| "0".into());
    let model = field("model").or_else(|| field("CPU part")).unwrap_or_else(|| "0".into());
    format!("arch1-linux-{machine}-{family}_{model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_looks_as_on_the_original_service() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        // `printf 'hello\n' | openssl dgst -sha256 -binary | base64 | tr / _`
        assert_eq!(
            checksum(file.path().to_str().unwrap()).unwrap(),
            "WJG1tSLV3whtD_CxEPvZ0hu0_HFjrzTQgoai6Eb2vgM="
        );
    }

    #[test]
    fn the_processor_is_part_of_arch() {
        let cpuinfo = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: X\n";
        assert!(arch(cpuinfo).ends_with("-6_85"), "{}", arch(cpuinfo));
        assert!(arch("").ends_with("-0_0"));
    }
}
