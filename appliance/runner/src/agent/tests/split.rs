//! `tests split` and `tests run`: this node's share of a list.

use crate::agent::{AgentError, say};
use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Write},
    process::{Command, Stdio},
};

/// The longest list that is read.
const LIST_MAX: u64 = 64 << 20;

/// What a name weighs, in milliseconds, when no timing knows it.
const UNKNOWN: u64 = 1000;

/// How names are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Size,
    Timings,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    by: By,
    index: usize,
    total: usize,
    timings_file: Option<String>,
    time_default: u64,
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
        time_default: UNKNOWN,
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
        "time-default" => wish.time_default = milliseconds(value).ok_or_else(bad)?,
        "timings-file" => wish.timings_file = Some(value.to_owned()),
        "command" => wish.command = Some(value.to_owned()),
        "timings-type"
            if ["filename", "classname", "testname", "autodetect", "file"].contains(&value) => {}
        _ => {
            return Err(AgentError::Refused(format!(
                "--{name}={value} is not an option of this command"
            )));
        }
    }
    Ok(())
}

/// `10s`, `500ms`, `2m`.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 1.0,
        "s" | "" => 1000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    let span =
        std::time::Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * factor / 1000.0)
            .ok()?;
    u64::try_from(span.as_millis()).ok()
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
    let names: Vec<&str> = text.split_whitespace().collect();
    let known = if wish.by == By::Timings { timings(wish) } else { None };
    if wish.by == By::Timings && known.is_none() {
        tell("Error auto-detecting timing type, falling back to weighting by name.\n");
    }
    let weigh = |name: &str| match (wish.by, &known) {
        (By::Size, _) => fs::metadata(name).map_or(0, |file| file.len()),
        (By::Timings, Some(known)) => known.get(name).copied().unwrap_or(wish.time_default),
        _ => 1,
    };
    let share = if known.is_some() || wish.by == By::Size {
        by_weight(&names, weigh, wish.index, wish.total)
    } else {
        by_name(&names, wish.index, wish.total)
    };
    if wish.show_counts {
        tell(&format!("Read {} tests; this node runs {}\n", names.len(), share.len()));
    }
    Ok(share)
}

/// Milliseconds by name, from a file of `{"name": seconds}`.
fn timings(wish: &Wish) -> Option<HashMap<String, u64>> {
    let text = fs::read(wish.timings_file.as_ref()?).ok()?;
    let seconds: HashMap<String, f64> = serde_json::from_slice(&text).ok()?;
    let known = seconds
        .into_iter()
        .filter_map(|(name, time)| Some((name, milliseconds(&time.to_string())?)));
    let known: HashMap<_, _> = known.collect();
    (!known.is_empty()).then_some(known)
}

/// Every `total`-th of the sorted names.
fn by_name(names: &[&str], index: usize, total: usize) -> Vec<String> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().skip(index).step_by(total).map(str::to_owned).collect()
}

/// The heaviest name goes to the lightest share, and so on; within a share in the order of names.
fn by_weight(
    names: &[&str],
    weigh: impl Fn(&str) -> u64,
    index: usize,
    total: usize,
) -> Vec<String> {
    let mut heavy: Vec<(u64, &str)> = names.iter().map(|name| (weigh(name), *name)).collect();
    heavy.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut loads = vec![0_u64; total];
    let mut share = Vec::new();
    for (weight, name) in heavy {
        let lightest = (0..total).min_by_key(|node| loads[*node]).unwrap_or(0);
        loads[lightest] = loads[lightest].saturating_add(weight);
        if lightest == index {
            share.push(name.to_owned());
        }
    }
    share.sort_unstable();
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn the_heaviest_are_spread() {
        let weigh = |name: &str| if name == "slow" { 100 } else { 10 };
        let names = ["a", "b", "slow", "c"];
        assert_eq!(by_weight(&names, weigh, 0, 2), ["slow"]);
        assert_eq!(by_weight(&names, weigh, 1, 2), ["a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn shares_are_the_whole_list_and_do_not_overlap(
            names in prop::collection::btree_set("[a-z]{1,6}", 0..40),
            total in 1usize..8,
        ) {
            let list: Vec<&str> = names.iter().map(String::as_str).collect();
            let weigh = |name: &str| name.len() as u64;
            for by in [By::Name, By::Size] {
                let mut all: Vec<String> = (0..total)
                    .flat_map(|index| match by {
                        By::Name => by_name(&list, index, total),
                        _ => by_weight(&list, weigh, index, total),
                    })
                    .collect();
                all.sort();
                prop_assert_eq!(&all, &names.iter().cloned().collect::<Vec<_>>());
            }
        }
    }
}
