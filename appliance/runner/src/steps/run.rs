//! `run`: a command in a new shell.
//!
//! Source: the log texts of the original service, which people search for.

use crate::{
    control_plane::ControlPlane,
    environment::{reach_agent, resolve},
    job::{Job, Program, StepEnd, StepError},
    spin_up::{DOOR, Stands, TIMINGS},
    supervisor::wire::{How, RunId},
};
use base::{plan::RunCommand, state::StepState};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    time::Duration,
};

/// The shells of the language, the second where there is no first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

impl<C: ControlPlane> Job<C> {
    /// Runs a command; `None` when it goes on in the background.
    pub(crate) async fn run_command(
        &self,
        step: u32,
        command: &RunCommand,
    ) -> Result<Option<StepEnd>, StepError> {
        let stands = self.stands()?;
        // A runner before us may have started it, and perhaps seen it fail.
        let mut run = match self.latest_run(step) {
            Some(run) => run,
            None => self.start_command(RunId { step, nth: 0 }, command, &stands).await?,
        };
        if command.background {
            return Ok(None);
        }
        loop {
            let end = self.ended(run).await?;
            if end.how == How::Idle {
                let span = go_duration(command.no_output_timeout);
                self.outbox.say(
                    step,
                    &format!(
                        "\nToo long with no output (exceeded {span}): context deadline exceeded\n"
                    ),
                );
            }
            let judged = self.judge(step, &end);
            let again = matches!(judged.state, StepState::Failed | StepState::TimedOut)
                && !matches!(end.how, How::Overtime | How::Lost)
                && !end.how.is_for_disk()
                && run.nth < u32::from(command.max_auto_reruns);
            if !again {
                return Ok(Some(judged));
            }
            self.tell_rerun(run, command);
            tokio::time::sleep(command.auto_rerun_delay).await;
            run = self.start_command(RunId { nth: run.nth + 1, ..run }, command, &stands).await?;
        }
    }

    fn tell_rerun(&self, run: RunId, command: &RunCommand) {
        let (nth, all) = (run.nth + 2, u32::from(command.max_auto_reruns) + 1);
        let mut text = format!("\nRunning the step again (try {nth} of {all})");
        if !command.auto_rerun_delay.is_zero() {
            let _ = write!(text, " in {}", go_duration(command.auto_rerun_delay));
        }
        self.outbox.say(run.step, &format!("{text}\n\n"));
    }

    async fn start_command(
        &self,
        run: RunId,
        command: &RunCommand,
        stands: &Stands,
    ) -> Result<RunId, StepError> {
        let script = self.write_script(run.step, &command.command)?;
        self.keep_timings(run.step).await?;
        let shell = command.shell.as_deref().or(self.assignment.spec.shell.as_deref());
        let (program, otherwise, mut args) = words(shell);
        args.push(script);
        let mut env = self.step_environment(stands);
        env.extend(command.environment.clone());
        reach_agent(&mut env);
        let base = &stands.working_directory;
        let cwd = command
            .working_directory
            .as_deref()
            .map_or_else(|| base.clone(), |dir| resolve(dir, &stands.user.home, base));
        let idle = Some(command.no_output_timeout);
        let program =
            Program { program, otherwise, args, env, cwd, stdin: None, stdout: None, idle };
        self.start(run, program, stands).await?;
        Ok(run)
    }

    /// Puts what tests took before where `circleci tests split` looks for it. A job that runs in
    /// one copy has nothing to split, and asks nobody.
    async fn keep_timings(&self, step: u32) -> Result<(), StepError> {
        let path = self.supervised.folder().door().join(TIMINGS);
        if self.assignment.node_total < 2 || path.exists() {
            return Ok(());
        }
        let draft = self.supervised.folder().exchange(step);
        let ask = || self.control.timings(self.outbox.held(), &draft);
        self.persist_in_asking(step, "the times of earlier tests", ask).await?;
        // The job may be anybody.
        let opened = fs::set_permissions(&draft, fs::Permissions::from_mode(0o644));
        opened.and_then(|()| fs::rename(&draft, &path)).map_err(|error| {
            StepError::Infrastructure(format!("could not keep {}: {error}", path.display()))
        })
    }

    /// Writes the script where the job can read it, and run it: a shell that is told `-c` takes the
    /// path for a command. Its path inside.
    fn write_script(&self, step: u32, text: &str) -> Result<String, StepError> {
        let name = format!("step-{step}");
        let path = self.supervised.folder().door().join(&name);
        let mut options = fs::OpenOptions::new();
        let write =
            options.create(true).write(true).truncate(true).mode(0o755).open(&path).and_then(
                |mut file| {
                    // The service's mask may close it to the job.
                    file.set_permissions(fs::Permissions::from_mode(0o755))?;
                    file.write_all(text.as_bytes())?;
                    if text.ends_with('\n') { Ok(()) } else { file.write_all(b"\n") }
                },
            );
        write.map_err(|error| {
            StepError::Infrastructure(format!("could not write {}: {error}", path.display()))
        })?;
        Ok(format!("{DOOR}/{name}"))
    }
}

/// Program, its substitute, and arguments of a shell; bash, or sh where there is none, by default.
fn words(shell: Option<&str>) -> (String, Option<String>, Vec<String>) {
    let mut words = shell.unwrap_or_default().split_whitespace().map(str::to_owned);
    match words.next() {
        Some(program) => (program, None, words.collect()),
        None => {
            let [first, second] = SHELLS.map(str::to_owned);
            (first, Some(second), vec!["-eo".into(), "pipefail".into()])
        }
    }
}

/// A span as the original service writes it: `10m0s`, `1h0m0s`, `1.5s`, `250ms`.
pub(crate) fn go_duration(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    if seconds == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let fraction = format!("{millis:03}");
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let _ = write!(text, "{}{dot}{fraction}s", seconds % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: u64, expected: &str) {
        assert_eq!(go_duration(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn spans_are_written_as_people_search_for_them() {
        check(600_000, "10m0s");
        check(3_600_000, "1h0m0s");
        check(90_000, "1m30s");
        check(30_000, "30s");
        check(1_500, "1.5s");
        check(250, "250ms");
        check(0, "0s");
    }
}
