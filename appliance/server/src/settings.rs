//! Settings: what may be set, where a value came from, and what it must look like.
//!
//! Why: a wrong setting on a box in a cabinet is found by its message or not at all. One table
//! feeds the parser, the messages, `config show` and the commented `config/appliance.toml`.
//! The way: file < environment (`APPLIANCE_LISTEN`) < flag. Values stay text with their origin
//! until [`Settings::get`] reads them, so that an error can name the place.
//! On failure: the message names the setting, its origin, the value and what is expected.

mod table;

pub(crate) use table::SETTINGS;

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
        let (merged, wrong) = Self::gather(file, environment, flags);
        wrong.into_iter().next().map_or(Ok(merged), Err)
    }

    /// The same, leaving out what is no setting; and what that is.
    pub(crate) fn gather(
        file: Option<(PathBuf, String)>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, Option<String>)],
    ) -> (Self, Vec<Error>) {
        let defaults = SETTINGS.iter().map(|s| (s.key, (s.default.to_owned(), Origin::Default)));
        let mut values: BTreeMap<_, _> = defaults.collect();
        let wrong = file.map(|(path, text)| read_file(&mut values, &path, &text));
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
        (Self(values), wrong.unwrap_or_default())
    }

    /// Gives a setting its default again.
    pub(crate) fn forget(&mut self, key: &str) {
        if let Some(setting) = named(key) {
            self.0.insert(setting.key, (setting.default.to_owned(), Origin::Default));
        }
    }

    /// A value, read as `T`.
    pub(crate) fn get<T: FromStr>(&self, key: &'static str) -> Result<T, Error> {
        self.text(key).parse().map_err(|_| self.refuse(key))
    }

    /// A value as text.
    pub(crate) fn text(&self, key: &'static str) -> &str {
        &self.0.get(key).expect("only keys of the table are asked for").0
    }

    /// Whether somebody set it.
    pub(crate) fn is_set(&self, key: &'static str) -> bool {
        self.0.get(key).is_some_and(|(_, origin)| *origin != Origin::Default)
    }

    /// The error for a value that is not what it should be.
    pub(crate) fn refuse(&self, key: &'static str) -> Error {
        let (value, origin) =
            self.0.get(key).expect("only keys of the table are asked for").clone();
        let setting = named(key);
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
) -> Vec<Error> {
    let file = path.to_owned();
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            return vec![Error::Syntax { file, message: error.to_string() }];
        }
    };
    let mut wrong = Vec::new();
    for (key, value) in table {
        match named(&key) {
            Some(setting) => {
                values.insert(setting.key, (plain(&value), Origin::File(file.clone())));
            }
            None => {
                wrong.push(Error::Unknown { file: file.clone(), hint: nearest(&key), key });
            }
        }
    }
    wrong
}

/// TOML lists are accepted where blanks separate words, tables where words are `name=value`.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        toml::Value::Table(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// The setting of that name.
pub(crate) fn named(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The setting that shares the longest beginning, if at least three letters agree.
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
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
            "\n# {about}\n# Expected: {}.\n#{} = {}\n",
            setting.expected,
            setting.key,
            written(setting.default)
        );
    }
    text
}

/// A value as TOML writes it: whole numbers bare.
fn written(value: &str) -> String {
    if value.parse::<i64>().is_ok() { value.to_owned() } else { format!("\"{value}\"") }
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
    fn a_table_is_pairs() {
        let settings = merged("[machine_images]\n'a:b' = '/x'\nc = '/y'").unwrap();
        assert_eq!(settings.text("machine_images"), "a:b=/x c=/y");
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
