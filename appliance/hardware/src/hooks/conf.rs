//! What may be said beside a hook: as whom it runs, and for how long.
//!
//! Pure but for the list of users, which is handed in as text.

use std::time::Duration;

const DEFAULT_SECONDS: u64 = 10;
/// A hook that needs longer should hand its work to a service of its own.
const SECONDS_MAX: u64 = 300;

/// What `NN-name.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conf {
    pub(super) user: Option<String>,
    pub(super) allowed: Duration,
}

/// Reads lines of `key=value`; `#` begins a comment. The error names the line and what would do.
pub(super) fn parse(text: &str) -> Result<Conf, String> {
    let mut conf = Conf { user: None, allowed: Duration::from_secs(DEFAULT_SECONDS) };
    let lines = text.lines().map(str::trim).enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let bad = |what: String| format!("line {}: {what}", at + 1);
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("user", user)) if !user.is_empty() => conf.user = Some(user.to_owned()),
            Some(("seconds", text)) => {
                let seconds = text.parse().ok().filter(|s| (1..=SECONDS_MAX).contains(s));
                let seconds = seconds.ok_or_else(|| {
                    bad(format!("`{text}` is not a number of seconds from 1 to {SECONDS_MAX}"))
                })?;
                conf.allowed = Duration::from_secs(seconds);
            }
            _ => return Err(bad(format!("`{line}` is neither user=NAME nor seconds=N"))),
        }
    }
    Ok(conf)
}

/// User and group id of `name`, which may be a number, by the text of `/etc/passwd`.
pub(super) fn user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let by_name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        found.then_some((user, group))
    });
    by_name.or_else(|| name.parse().ok().map(|id: u32| (id, id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(Option<&str>, u64), &str>) {
        let got = parse(text).map(|conf| (conf.user, conf.allowed.as_secs()));
        let expected = expected
            .map(|(user, seconds)| (user.map(str::to_owned), seconds))
            .map_err(str::to_owned);
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_hook_may_have_another_user_and_more_time() {
        check("", Ok((None, 10)));
        check("# fan\nuser = root\nseconds=30\n", Ok((Some("root"), 30)));
        check("seconds=0", Err("line 1: `0` is not a number of seconds from 1 to 300"));
        check("\nroot", Err("line 2: `root` is neither user=NAME nor seconds=N"));
        check("user=", Err("line 1: `user=` is neither user=NAME nor seconds=N"));
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nbad\n";
        assert_eq!(user(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!(user(passwd, "1234"), Some((1234, 1234)));
        assert_eq!(user(passwd, "nobod"), None);
    }
}
