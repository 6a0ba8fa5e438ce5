//! `sudo` for jobs that are root already.
//!
//! Why: configurations written for images with an ordinary user say `sudo apt-get …`; in a job
//! that is root of its own small world there is often no such command.
//! Limits: it gains nothing. It can only give up rights, to the user named with `-u`.

use super::AgentError;
use std::{os::unix::process::CommandExt, process::Command};

/// Options with a value that mean nothing here.
const WITH_VALUE: [&str; 6] = ["-p", "-C", "-h", "-r", "-t", "-T"];

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    user: Option<String>,
    variables: Vec<(String, String)>,
    command: Vec<String>,
}

/// Becomes the command that `args` name.
pub(super) fn run(args: &[String]) -> Result<u8, AgentError> {
    let wish = read(args);
    let shell = || vec![std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into())];
    let only_asks = wish.command.is_empty()
        && args.iter().any(|arg| ["-v", "-k", "-K", "-l", "-V"].contains(&arg.as_str()));
    if only_asks {
        return Ok(0);
    }
    let words = if wish.command.is_empty() { shell() } else { wish.command };
    become_command(&words, wish.user.as_deref(), wish.variables)
}

#[expect(clippy::disallowed_methods, reason = "the runner's agent becomes the command")]
fn become_command(
    words: &[String],
    user: Option<&str>,
    variables: Vec<(String, String)>,
) -> Result<u8, AgentError> {
    let (program, args) =
        words.split_first().ok_or_else(|| AgentError::Refused("sudo needs a command".into()))?;
    let mut command = Command::new(program);
    command.args(args).envs(variables).env("SUDO_USER", "root");
    if let Some(name) = user.filter(|name| *name != "root" && *name != "#0") {
        let passwd = std::fs::read_to_string("/etc/passwd")
            .map_err(AgentError::failed("read /etc/passwd"))?;
        let (uid, gid, home) = person(&passwd, name)
            .ok_or_else(|| AgentError::Refused(format!("sudo: unknown user {name}")))?;
        command.uid(uid).gid(gid).env("HOME", home).env("USER", name).env("LOGNAME", name);
    }
    Err(AgentError::failed(format!("run `{program}`"))(command.exec()))
}

fn read(args: &[String]) -> Wish {
    let mut wish = Wish::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--" => {
                wish.command.extend(args.by_ref().cloned());
            }
            "-u" | "--user" | "-g" | "--group" => {
                let name = args.next().cloned();
                if arg == "-u" || arg == "--user" {
                    wish.user = name;
                }
            }
            option if WITH_VALUE.contains(&option) => {
                args.next();
            }
            option if option.starts_with("--user=") => wish.user = Some(option[7..].to_owned()),
            option if option.starts_with("-u") => wish.user = Some(option[2..].to_owned()),
            option if option.starts_with('-') => {}
            word => match word.split_once('=').filter(|(name, _)| is_name(name)) {
                Some((name, value)) => wish.variables.push((name.to_owned(), value.to_owned())),
                None => {
                    wish.command.push(word.to_owned());
                    wish.command.extend(args.by_ref().cloned());
                }
            },
        }
    }
    wish
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Ids and home of a user, from the text of a passwd file.
fn person<'a>(passwd: &'a str, name: &str) -> Option<(u32, u32, &'a str)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?, fields.get(5)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, user: Option<&str>, variables: usize, command: &str) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let wish = read(&args);
        let found = (wish.user.as_deref(), wish.variables.len(), wish.command.join(" "));
        assert_eq!(found, (user, variables, command.to_owned()), "{line}");
    }

    #[test]
    fn options_are_told_from_the_command() {
        check("apt-get install -y git", None, 0, "apt-get install -y git");
        check("-E -H make install", None, 0, "make install");
        check("-u postgres psql -c x", Some("postgres"), 0, "psql -c x");
        check("-n DEBIAN_FRONTEND=noninteractive apt-get update", None, 1, "apt-get update");
        check("-p prompt -- -odd", None, 0, "-odd");
        check("-v", None, 0, "");
    }

    #[test]
    fn a_user_is_found_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npg:x:70:71::/var/pg:/bin/sh\nbroken\n";
        assert_eq!(person(passwd, "pg"), Some((70, 71, "/var/pg")));
        assert_eq!(person(passwd, "broken"), None);
    }
}
