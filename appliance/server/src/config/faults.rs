//! All values that cannot be used, for commands that tell what is wrong; a start is told the first.

use super::Config;
use crate::settings::{Error, SETTINGS, Settings};

/// Settings of which one without the other is refused.
const PAIR: [&str; 2] = ["tls_certificate", "tls_key"];

impl Config {
    /// Every value that cannot be used, and the configuration with defaults in their places.
    pub(crate) fn with_faults(settings: &Settings) -> (Self, Vec<Error>) {
        let (mut left, mut faults) = (settings.clone(), Vec::new());
        for _ in SETTINGS {
            let error = match Self::build(&left) {
                Ok(config) => return (config, faults),
                Err(error) => error,
            };
            if let Error::Value { key, .. } = &error {
                let pair = PAIR.iter().filter(|_| PAIR.contains(key));
                pair.chain([key]).for_each(|key| left.forget(key));
            }
            faults.push(error);
        }
        SETTINGS.iter().for_each(|setting| left.forget(setting.key));
        (Self::build(&left).expect("the defaults can be used"), faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn all_that_cannot_be_used_is_told_at_once() {
        let set = |(key, value): (&'static str, &str)| (key, Some(value.to_owned()));
        let given = [
            ("listen", "8443"),
            ("slots", "many"),
            ("tls_certificate", "/c"),
            ("data_dir", "/elsewhere"),
            ("keep_days", "0"),
        ];
        let settings = Settings::merge(None, |_| None, &given.map(set)).unwrap();
        let (config, faults) = Config::with_faults(&settings);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for key in ["`listen`", "`slots`", "`tls_key`", "`keep_days`"] {
            assert!(told.iter().any(|one| one.starts_with(key)), "{key}: {told:?}");
        }
        assert_eq!(config.data_dir, PathBuf::from("/elsewhere"));
    }
}
