//! Settings: what may be set, where a value came from, and what it must look like.
//!
//! Why: a wrong setting on a box in a cabinet is found by its message or not at all. One table
//! feeds the parser, the messages, `config show` and the commented `config/appliance.toml`.
//! The way: file < environment (`APPLIANCE_LISTEN`) < flag. Values stay text with their origin
//! until [`Settings::get`] reads them, so that an error can name the place.
//! On failure: the message names the setting, its origin, the value and what is expected.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// One thing that can be set.
pub(crate) struct Setting {
    /// Key in the file and, as `--key`, on the command line.
    pub(crate) key: &'static str,
    /// Value when nobody sets it.
    pub(crate) default: &'static str,
    /// What a value must look like.
    pub(crate) expected: &'static str,
    /// What it does, one sentence a line.
    pub(crate) about: &'static str,
}

/// Everything that can be set, in the order of the file.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        default: "/var/lib/appliance",
        expected: "an absolute path",
        about: "Where everything is kept. Made at the first start, closed to other users (0700).",
    },
    Setting {
        key: "listen",
        default: "0.0.0.0:8443",
        expected: "ADDRESS:PORT; port 0 takes a free one",
        about: "Dashboard, API, Git and registry, over TLS.",
    },
    Setting {
        key: "s3_listen",
        default: "0.0.0.0:9000",
        expected: "ADDRESS:PORT, or `off`",
        about: "The S3 service, over TLS.",
    },
    Setting {
        key: "plain_listen",
        default: "off",
        expected: "a loopback ADDRESS:PORT, or `off`",
        about: "The same faces without TLS, on loopback alone: for a proxy on the same machine.",
    },
    Setting {
        key: "names",
        default: "",
        expected: "host names and addresses, separated by blanks",
        about: "What clients call this machine, besides its host name and addresses.\nThe server certificate is issued for all of them.",
    },
    Setting {
        key: "base_url",
        default: "",
        expected: "https://HOST[:PORT], or empty",
        about: "Address in links and remote messages. Empty: the first name, or the host name, and the port in use.",
    },
    Setting {
        key: "tls_certificate",
        default: "",
        expected: "path of a PEM chain, or empty",
        about: "Your own certificate instead of one from the built-in authority.",
    },
    Setting {
        key: "tls_key",
        default: "",
        expected: "path of a PEM key (mode 0400), or empty",
        about: "The key of `tls_certificate`.",
    },
    Setting {
        key: "drain_seconds",
        default: "20",
        expected: "a whole number, 0 to 600",
        about: "How long a stop waits for requests in flight.",
    },
    Setting {
        key: "slots",
        default: "0",
        expected: "a whole number, 0 to 256",
        about: "Jobs that the local runner runs side by side. 0: one and a half for each core, at least 2.",
    },
    Setting {
        key: "thermal_limit",
        default: "80",
        expected: "a whole number of degrees Celsius, 40 to 110",
        about: "No processor, board or disk may become hotter. Jobs are slowed down, held back and at last paused before that.",
    },
    Setting {
        key: "cpu_target",
        default: "70",
        expected: "a whole number of percent, 10 to 100",
        about: "How busy the processor may be on average before fewer jobs run side by side. 100: no target.",
    },
    Setting {
        key: "watts_max",
        default: "0",
        expected: "a whole number of watts, 0 to 100000",
        about: "Most power that the machine may draw, where a meter tells. 0: no bound.",
    },
    Setting {
        key: "hardware_root",
        default: "/",
        expected: "an absolute path",
        about: "Where sensors are read: `/`, or a tree captured from another machine.",
    },
    Setting {
        key: "keep_days",
        default: "90",
        expected: "a whole number, 1 to 3650",
        about: "Days that pipelines are kept with their logs and artifacts. The ten newest of each project stay.",
    },
    Setting {
        key: "machine_root",
        default: "/",
        expected: "an absolute path",
        about: "Root file system of `machine` jobs, under an overlay. `/` is this machine's own.",
    },
    Setting {
        key: "git_pack_mib",
        default: "2048",
        expected: "a whole number, 1 to 1048576",
        about: "Mebibytes of one push.",
    },
    Setting {
        key: "git_pack_objects",
        default: "2000000",
        expected: "a whole number, 1 to 100000000",
        about: "Git objects in one push.",
    },
    Setting {
        key: "orb_addresses",
        default: "",
        expected: "prefixes such as https://git.example/orbs/, separated by blanks",
        about: "Configurations may name orbs by address below these prefixes.\nNothing is fetched: such an orb, too, comes with `appliance orb import FILE ADDRESS`.",
    },
    Setting {
        key: "log",
        default: "info",
        expected: "error, warn, info, debug, or filters such as web=debug",
        about: "How much is logged.",
    },
];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The file is not TOML.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// With line and column.
        message: String,
    },
    /// No such setting.
    #[error("{}: there is no setting `{key}`{}", file.display(), hint.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// As written.
        key: String,
        /// The nearest that exists.
        hint: Option<&'static str>,
    },
    /// The value cannot be read.
    #[error("`{key}` is `{value}` ({origin}): expected {expected}")]
    Value {
        /// The setting.
        key: &'static str,
        /// As written.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What would do.
        expected: &'static str,
    },
}

/// Every setting with its value and origin.
#[derive(Debug, Clone)]
pub(crate) struct Settings(BTreeMap<&'static str, (String, Origin)>);

impl Settings {
    /// Merges the sources, weakest first. `file` is a path and its text.
    pub(crate) fn merge(
        file: Option<(PathBuf, String)>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, Option<String>)],
    ) -> Result<Self, Error> {
        let defaults = SETTINGS.iter().map(|s| (s.key, (s.default.to_owned(), Origin::Default)));
        let mut values: BTreeMap<_, _> = defaults.collect();
        if let Some((path, text)) = file {
            read_file(&mut values, &path, &text)?;
        }
        for setting in SETTINGS {
            let variable = format!("APPLIANCE_{}", setting.key.to_uppercase());
            if let Some(value) = environment(&variable) {
                values.insert(setting.key, (value, Origin::Environment(variable)));
            }
        }
        for (key, value) in flags {
            if let Some(value) = value {
                values.insert(key, (value.clone(), Origin::Flag));
            }
        }
        Ok(Self(values))
    }

    /// A value, read as `T`.
    pub(crate) fn get<T: FromStr>(&self, key: &'static str) -> Result<T, Error> {
        self.text(key).parse().map_err(|_| self.refuse(key))
    }

    /// A value as text.
    pub(crate) fn text(&self, key: &'static str) -> &str {
        &self.0.get(key).expect("only keys of the table are asked for").0
    }

    /// The error for a value that is not what it should be.
    pub(crate) fn refuse(&self, key: &'static str) -> Error {
        let (value, origin) =
            self.0.get(key).expect("only keys of the table are asked for").clone();
        let setting = SETTINGS.iter().find(|s| s.key == key);
        Error::Value {
            key,
            value,
            origin,
            expected: setting.map_or("another value", |s| s.expected),
        }
    }

    /// Key, value, origin, in the order of the table.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &Origin)> {
        SETTINGS.iter().filter_map(|s| self.0.get(s.key).map(|(v, o)| (s.key, v.as_str(), o)))
    }
}

fn read_file(
    values: &mut BTreeMap<&'static str, (String, Origin)>,
    path: &Path,
    text: &str,
) -> Result<(), Error> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Syntax {
        file: path.to_owned(),
        message: error.to_string(),
    })?;
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
            return Err(Error::Unknown { file: path.to_owned(), hint: nearest(&key), key });
        };
        values.insert(setting.key, (plain(&value), Origin::File(path.to_owned())));
    }
    Ok(())
}

/// TOML lists are accepted where blanks separate words.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The setting that shares the longest beginning, if at least three letters agree.
fn nearest(key: &str) -> Option<&'static str> {
    let shared = |other: &str| key.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    SETTINGS
        .iter()
        .map(|s| s.key)
        .max_by_key(|other| shared(other))
        .filter(|other| shared(other) >= 3)
}

/// The commented file that is shipped as `config/appliance.toml`.
pub(crate) fn commented_file() -> String {
    let mut text = String::from(
        "# Configuration of the appliance. Every setting stands here with its default.\n\
         # Install as /etc/appliance/appliance.toml, mode 0400. Environment variables (APPLIANCE_LISTEN …)\n\
         # and flags (--listen …) override it; `appliance config show` tells where each value came from.\n",
    );
    for setting in SETTINGS {
        let about = setting.about.replace('\n', "\n# ");
        text += &format!(
            "\n# {about}\n# Expected: {}.\n#{} = \"{}\"\n",
            setting.expected, setting.key, setting.default
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str) -> Result<Settings, Error> {
        let environment = |name: &str| (name == "APPLIANCE_LOG").then(|| "debug".to_owned());
        Settings::merge(
            Some(("/etc/a.toml".into(), file.into())),
            environment,
            &[("slots", Some("7".into()))],
        )
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let settings = merged("log = 'warn'\nslots = 3\nlisten = '127.0.0.1:1'").unwrap();
        assert_eq!(settings.text("log"), "debug");
        assert_eq!(settings.get::<u32>("slots"), Ok(7));
        assert_eq!(settings.text("listen"), "127.0.0.1:1");
        let origins: Vec<_> = settings
            .all()
            .filter(|(key, ..)| *key == "slots")
            .map(|(.., o)| o.to_string())
            .collect();
        assert_eq!(origins, ["flag"]);
    }

    #[test]
    fn a_misspelt_setting_is_named_with_the_nearest() {
        let error = merged("lisen = 'x'").unwrap_err().to_string();
        assert_eq!(error, "/etc/a.toml: there is no setting `lisen`, did you mean `listen`?");
    }

    #[test]
    fn a_value_that_cannot_be_read_is_named_with_its_origin() {
        let settings = merged("drain_seconds = 'soon'").unwrap();
        let error = settings.get::<u32>("drain_seconds").unwrap_err().to_string();
        assert_eq!(
            error,
            "`drain_seconds` is `soon` (/etc/a.toml): expected a whole number, 0 to 600"
        );
    }

    #[test]
    fn the_shipped_file_is_the_table() {
        let shipped = include_str!("../../../config/appliance.toml");
        assert_eq!(shipped, commented_file());
    }
}
