//! What somebody set and what will not do what they meant, told at the start.
//!
//! Why: a misspelt variable is silently nothing, and a root file system that is not there fails the
//! first job instead of the installation. Neither keeps the appliance from starting: a disk may be
//! mounted late, and other programs may use the prefix.

use crate::{config::Config, settings};
use std::path::Path;

/// Variables of the command line, which are no settings.
const OTHERS: [&str; 4] = ["CA", "CONFIG", "HOST", "TOKEN"];

/// A message for each.
pub(crate) fn all(config: &Config) -> Vec<String> {
    // A name that is no text is none of ours.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let roots = [("machine_root", config.machine_root.as_path())].into_iter();
    let images = config.machine_images.values().map(|path| ("machine_images", path.as_path()));
    let absent = roots.chain(images).filter(|(_, path)| !path.is_dir());
    names.filter_map(|name| stranger(&name)).chain(absent.map(absence)).collect()
}

/// What to say of a variable that looks like a setting and is none.
fn stranger(name: &str) -> Option<String> {
    let key = name.strip_prefix("APPLIANCE_")?;
    if OTHERS.contains(&key) || settings::named(&key.to_lowercase()).is_some() {
        return None;
    }
    let near = settings::nearest(&key.to_lowercase())
        .map(|near| format!(", did you mean `APPLIANCE_{}`?", near.to_uppercase()));
    Some(format!(
        "environment variable {name} is no setting and is not heeded{}",
        near.unwrap_or_default()
    ))
}

fn absence((key, path): (&str, &Path)) -> String {
    format!(
        "`{key}` names {}, which is no folder: its jobs fail until a root file system is there",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, told: Option<&str>) {
        assert_eq!(stranger(name).as_deref(), told, "{name}");
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_with_the_nearest() {
        check("APPLIANCE_LISTEN", None);
        check("APPLIANCE_TOKEN", None);
        check("PATH", None);
        check(
            "APPLIANCE_LISEN",
            Some(
                "environment variable APPLIANCE_LISEN is no setting and is not heeded, did you mean `APPLIANCE_LISTEN`?",
            ),
        );
        check(
            "APPLIANCE_QQ",
            Some("environment variable APPLIANCE_QQ is no setting and is not heeded"),
        );
    }
}
