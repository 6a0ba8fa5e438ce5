//! `tests split` and `tests run`: this node's share of a list.

use crate::{
    agent::{AgentError, say},
    spin_up::{DOOR, TIMINGS},
};
use pipeline::split::{self, TestTime, TimingsType};
use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Write},
    process::{Command, Stdio},
};

/// The longest list that is read.
const LIST_MAX: u64 = 64 << 20;

/// How names are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Size,
    Timings,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
struct Wish {
    by: By,
    index: usize,
    total: usize,
    timings_file: Option<String>,
    timings_type: TimingsType,
    time_default: Option<f64>,
    show_counts: bool,
    command: Option<String>,
    list: Option<String>,
}

pub(super) fn print(args: &[&str]) -> Result<u8, AgentError> {
    let wish = read(args, |name| std::env::var(name).ok())?;
    let share = share(&wish)?;
    say(&share.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    Ok(0)
}

pub(super) fn run(args: &[&str]) -> Result<u8, AgentError> {
    let wish = read(args, |name| std::env::var(name).ok())?;
    let Some(command) = wish.command.clone() else {
        return Err(AgentError::Refused(
            "`tests run` needs --command, for example --command=\"xargs pytest\"".into(),
        ));
    };
    let share = share(&wish)?;
    if share.is_empty() {
        tell("No tests for this node\n");
        return Ok(0);
    }
    feed(&command, &share)
}

/// Runs `command` with the names on its standard input.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner's agent runs the test command inside the job"
)]
fn feed(command: &str, names: &[String]) -> Result<u8, AgentError> {
    let failed = || AgentError::failed(format!("run `{command}`"));
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its list still has its own result.
        let _ = input.write_all((names.join("\n") + "\n").as_bytes());
    }
    let status = child.wait().map_err(failed())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn read(args: &[&str], variable: impl Fn(&str) -> Option<String>) -> Result<Wish, AgentError> {
    let number = |name: &str, otherwise| {
        variable(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let mut wish = Wish {
        by: By::Name,
        index: number("CIRCLE_NODE_INDEX", 0),
        total: number("CIRCLE_NODE_TOTAL", 1),
        timings_file: None,
        timings_type: TimingsType::Autodetect,
        time_default: None,
        show_counts: false,
        command: None,
        list: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(option) = arg.strip_prefix("--") else {
            wish.list = Some((*arg).to_owned());
            continue;
        };
        let (name, inline) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match name {
            "show-counts" => wish.show_counts = inline != Some("false"),
            "verbose" | "auto" => {}
            _ => {
                let value = inline.or_else(|| args.next().copied());
                set(&mut wish, name, value.unwrap_or_default())?;
            }
        }
    }
    if wish.total == 0 || wish.index >= wish.total {
        let Wish { index, total, .. } = wish;
        return Err(AgentError::Refused(format!("--index={index} is not below --total={total}")));
    }
    Ok(wish)
}

fn set(wish: &mut Wish, name: &str, value: &str) -> Result<(), AgentError> {
    let bad = || AgentError::Refused(format!("--{name}={value} cannot be understood"));
    match name {
        "split-by" => {
            wish.by = match value {
                "name" => By::Name,
                "filesize" => By::Size,
                "timings" => By::Timings,
                _ => return Err(bad()),
            }
        }
        "index" => wish.index = value.parse().map_err(|_| bad())?,
        "total" => wish.total = value.parse().map_err(|_| bad())?,
        "time-default" => wish.time_default = Some(seconds(value).ok_or_else(bad)?),
        "timings-type" => wish.timings_type = TimingsType::parse(value).ok_or_else(bad)?,
        "timings-file" => wish.timings_file = Some(value.to_owned()),
        "command" => wish.command = Some(value.to_owned()),
        _ => {
            return Err(AgentError::Refused(format!(
                "--{name}={value} is not an option of this command"
            )));
        }
    }
    Ok(())
}

/// Seconds in `10s`, `500ms`, `2m`.
fn seconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|count| count * factor)
}

fn share(wish: &Wish) -> Result<Vec<String>, AgentError> {
    let mut text = String::new();
    let read = match &wish.list {
        Some(path) => {
            fs::File::open(path).and_then(|file| file.take(LIST_MAX).read_to_string(&mut text))
        }
        None => io::stdin().take(LIST_MAX).read_to_string(&mut text),
    };
    read.map_err(AgentError::failed("read the list of tests"))?;
    let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let share = match weights(wish, &names) {
        Some(weights) => {
            split::by_weight(&names, &weights, wish.time_default, wish.index, wish.total)
        }
        None => split::by_name(&names, wish.index, wish.total),
    };
    if wish.show_counts {
        tell(&format!("Read {} tests; this node runs {}\n", names.len(), share.len()));
    }
    Ok(share)
}

/// What each name weighs; none when they are dealt out by name.
fn weights(wish: &Wish, names: &[String]) -> Option<HashMap<String, f64>> {
    match wish.by {
        By::Name => None,
        By::Size => {
            #[expect(clippy::cast_precision_loss, reason = "a weight need not be exact")]
            let size = |name: &String| fs::metadata(name).map_or(0.0, |file| file.len() as f64);
            Some(names.iter().map(|name| (name.clone(), size(name))).collect())
        }
        By::Timings => {
            let times = timings(wish).unwrap_or_default();
            let found = split::timings(names, &times, wish.timings_type);
            if found.is_none() {
                tell(&format!("{}\n", split::FALLBACK));
            }
            found
        }
    }
}

/// What earlier runs took, from a file, unless told otherwise that of the runner: a list of tests,
/// or a map from names to seconds.
fn timings(wish: &Wish) -> Option<Vec<TestTime>> {
    let own = || format!("{DOOR}/{TIMINGS}");
    let text = fs::read(wish.timings_file.clone().unwrap_or_else(own)).ok()?;
    if let Ok(times) = serde_json::from_slice::<Vec<TestTime>>(&text) {
        return Some(times);
    }
    let by_file: HashMap<String, f64> = serde_json::from_slice(&text).ok()?;
    let time =
        |(file, time)| TestTime { name: String::new(), classname: String::new(), file, time };
    Some(by_file.into_iter().map(time).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], expected: Option<(By, usize, usize)>) {
        let variable = |name: &str| (name == "CIRCLE_NODE_TOTAL").then(|| "4".to_owned());
        let found = read(args, variable).ok().map(|wish| (wish.by, wish.index, wish.total));
        assert_eq!(found, expected, "{args:?}");
    }

    #[test]
    fn options_are_read_in_both_forms() {
        check(&[], Some((By::Name, 0, 4)));
        check(&["--split-by=timings", "--index", "3"], Some((By::Timings, 3, 4)));
        check(&["--total=2", "--index=2"], None);
        check(&["--split-by=colour"], None);
        check(&["--unknown=1"], None);
    }

    #[test]
    fn spans_are_read_with_their_unit() {
        let found = ["10s", "500ms", "2m", "3"].map(|text| seconds(text).unwrap());
        assert_eq!(found, [10.0, 0.5, 120.0, 3.0]);
        assert_eq!(seconds("2 fortnights"), None);
    }
}
