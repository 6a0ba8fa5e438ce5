//! `appliance hooks`: which hooks there are, a trial of those of one event, and the events that
//! others cause.
//!
//! Why `fire` runs the hooks by itself: an updater may call it when the appliance is not up, and
//! wants to know how they ended.

use super::{Code, Usage};
use crate::{cli::HooksCommand, config::Config, output, serve::now};
use hardware::hooks::{Event, Happening, Hooks};
use serde_json::json;
use std::path::Path;

/// Exit code when a hook failed.
const FAILED: Code = 1;

pub(crate) fn run(command: HooksCommand) -> anyhow::Result<Code> {
    let (HooksCommand::List { settings, .. }
    | HooksCommand::Test { settings, .. }
    | HooksCommand::Fire { settings, .. }) = &command;
    let config = Config::build(&super::config::load(settings)?)?;
    let folder = config.machine.hooks;
    let hooks = Hooks::new(&folder, config.machine.hooks_user);
    match command {
        HooksCommand::List { json, .. } => {
            list(&hooks, &folder, json);
            Ok(0)
        }
        HooksCommand::Test { event, .. } => {
            Ok(run_all(&hooks, &folder, &Happening::example(known(&event)?, now())))
        }
        HooksCommand::Fire { event, place, words, .. } => {
            let event = caused_by_others(known(&event)?)?;
            let words = if words.is_empty() { event.as_str() } else { &words };
            Ok(run_all(&hooks, &folder, &Happening::plain(event, now(), &place, words)))
        }
    }
}

fn known(event: &str) -> Result<Event, Usage> {
    event.parse().map_err(|error: hardware::hooks::UnknownEvent| Usage(error.to_string()))
}

fn caused_by_others(event: Event) -> Result<Event, Usage> {
    match event {
        Event::UpdateInstalled | Event::UpdateFailed => Ok(event),
        own => Err(Usage(format!(
            "`{own}` is found by the appliance itself; only update-installed and update-failed are told by others. Try it with `appliance hooks test {own}`"
        ))),
    }
}

fn list(hooks: &Hooks, folder: &Path, as_json: bool) {
    let mut rows = Vec::new();
    for event in Event::ALL {
        for hook in hooks.of(event) {
            rows.push(match hook {
                Ok(hook) => [
                    event.to_string(),
                    hook.path.display().to_string(),
                    hook.user,
                    hook.allowed.as_secs().to_string(),
                    String::new(),
                ],
                Err(refusal) => [
                    event.to_string(),
                    String::new(),
                    String::new(),
                    String::new(),
                    refusal.to_string(),
                ],
            });
        }
    }
    for stray in hooks.strays() {
        output::note(&format!("{}: no event has that name, nothing in it runs", stray.display()));
    }
    if as_json {
        let items: Vec<_> = rows
            .iter()
            .map(|[event, path, user, seconds, problem]| {
                json!({"event": event, "path": path, "user": user, "seconds": seconds.parse::<u64>().ok(), "problem": problem})
            })
            .collect();
        let events: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        return output::json(&json!({"events": events, "hooks": items}));
    }
    if rows.is_empty() {
        let events: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        return output::line(&format!(
            "no hooks below {0}: an executable {0}/EVENT/NN-name runs at its event, {0}/any/NN-name at each; events are {1}",
            folder.display(),
            events.join(", ")
        ));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    output::table(&["event", "hook", "user", "seconds", "problem"], &rows);
}

fn run_all(hooks: &Hooks, folder: &Path, happening: &Happening) -> Code {
    let (mut count, mut failed) = (0_usize, false);
    for outcome in hooks.fire(happening) {
        count += 1;
        failed |= !outcome.is_ok();
        let said = outcome.output.trim_end();
        let took = outcome.took.as_millis();
        let path = outcome.path.display();
        output::line(format!("{path} {} ({took} ms)", outcome.verdict).trim_start());
        said.lines().for_each(|line| output::line(&format!("  {line}")));
    }
    if count == 0 {
        let (folder, event) = (folder.display(), happening.event);
        output::line(&format!("no hook for {event} in {folder}/{event} or {folder}/any"));
    }
    if failed { FAILED } else { 0 }
}
