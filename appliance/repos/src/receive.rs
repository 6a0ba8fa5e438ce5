//! Takes a push: what Git calls receive-pack.
//!
//! Order of a push: read commands, read and check the pack in quarantine, lock the repository,
//! judge each command, ask the watcher, move the pack, move all references in one step, unlock,
//! tell the watcher, report. Whatever ends it before the references move leaves the repository as
//! it was.
//! Source: `gitprotocol-pack` of the Git documentation, "Pushing Data To a Server".

mod commands;
mod judge;
mod moved;
mod report;

use crate::{
    error::Error,
    failure::Failure,
    pack::receive::{Quarantine, drain},
    pktline,
    refs::{RefEntry, RefTable},
    repository::Repository,
    upload::{Version, advertise_v0_for_push},
};
use commands::{Capabilities, Command, Commands};
use report::{Report, Verdict};
use std::{
    future::Future,
    io::{Read, Write},
    pin::Pin,
};

/// What the one who pushes may do beyond adding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushPolicy {
    /// Existing references may be moved to commits that do not build on what they point at.
    pub force: bool,
    /// The default branch as well; counts only beside `force`.
    pub force_default: bool,
    /// References may be removed.
    pub delete: bool,
}

impl PushPolicy {
    /// Everything.
    pub const ALL: Self = Self { force: true, force_default: true, delete: true };
}

/// What one push may do with one reference; the words are for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// What its [`PushPolicy`] says.
    Open,
    /// Add to it, or make it; neither rewrite nor remove it.
    Kept(String),
    /// Nothing.
    Closed(String),
}

/// One reference that a push moves. Revisions are 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name, such as `refs/heads/main`.
    pub name: String,
    /// What it pointed at; `None` when it is new.
    pub old: Option<String>,
    /// What it will point at; `None` when it is removed.
    pub new: Option<String>,
}

/// A push as its watcher sees it: only what passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// At least one.
    pub updates: Vec<RefUpdate>,
    /// What the client gave with `--push-option`.
    pub options: Vec<String>,
}

/// What a [`PushWatcher`] promises to say.
pub type Watching<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Is told of a push at the two moments that count.
pub trait PushWatcher: Send + Sync + 'static {
    /// What this push may do with the reference of that full name.
    fn standing(&self, name: &str) -> Standing;

    /// The pack is checked and no reference has moved. What is noted here durably will be found
    /// after a cut at any later moment. An error refuses the push, with these words for the client.
    /// The repository is locked meanwhile: be brief, and do not push from here.
    fn before<'a>(&'a self, push: &'a Push) -> Watching<'a, Result<(), String>>;

    /// All references have moved, durably. The lines are shown to the one who pushed.
    fn after<'a>(&'a self, push: &'a Push) -> Watching<'a, Vec<String>>;
}

/// The first answer: the references, and what this side understands.
pub(crate) fn advertise(
    repository: &Repository,
    version: Version,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let (table, _) = repository.snapshot()?;
    write_advertisement(&table, version, to)
}

/// The same of a repository that the first push to it makes.
pub(crate) fn advertise_none(version: Version, to: &mut impl Write) -> Result<(), Failure> {
    write_advertisement(&RefTable::default(), version, to)
}

fn write_advertisement(
    table: &RefTable,
    version: Version,
    to: &mut impl Write,
) -> Result<(), Failure> {
    pktline::write(to, b"# service=git-receive-pack\n")?;
    pktline::flush(to)?;
    advertise_v0_for_push(table, version, commands::CAPABILITIES, to)
}

/// Runs async work of the watcher from the blocking thread of the push.
pub(crate) trait Wait {
    fn wait<T>(&self, work: Watching<'_, T>) -> T;
}

/// Answers one request. A refused push is no failure of the session: its report says why.
pub(crate) fn serve(
    repository: &Repository,
    policy: PushPolicy,
    watcher: &dyn PushWatcher,
    waiter: &impl Wait,
    mut from: &mut dyn Read,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let mut commands = Commands::default();
    let read = commands::read(&mut from, repository.limits().updates, &mut commands);
    if let Some(failure) = read.err().or_else(|| commands.refusal.take()) {
        return refuse(&commands, failure, from, to);
    }
    // Clients probe with an empty request before they send a large one.
    if commands.commands.is_empty() {
        return Ok(());
    }
    let capabilities = commands.capabilities;
    let (report, push) = take(repository, policy, watcher, waiter, commands, from);
    let lines = match &push {
        Some(push) => waiter.wait(watcher.after(push)),
        None => Vec::new(),
    };
    report.write(capabilities, &lines, to)?;
    report.failure.map_or(Ok(()), Err)
}

/// Says why nothing of the push was taken, in the form that the client reads.
fn refuse(
    commands: &Commands,
    failure: Failure,
    from: &mut dyn Read,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let Capabilities { report, side_band, .. } = commands.capabilities;
    if !report && !side_band {
        pktline::error(to, &failure.message())?;
        return Err(failure);
    }
    if let Failure::Refused(_) = failure {
        drain(from);
    }
    let report = Report::unpack_failed(&commands.commands, failure);
    report.write(commands.capabilities, &[], to)?;
    report.failure.map_or(Ok(()), Err)
}

/// Takes the push in. The push is returned when references have moved.
fn take(
    repository: &Repository,
    policy: PushPolicy,
    watcher: &dyn PushWatcher,
    waiter: &impl Wait,
    commands: Commands,
    from: &mut dyn Read,
) -> (Report, Option<Push>) {
    let received = receive(repository, &commands, from);
    let (quarantine, count) = match received {
        Ok(received) => received,
        Err(failure) => return (Report::unpack_failed(&commands.commands, failure), None),
    };
    tracing::debug!(repository = %repository.name(), objects = count, "a pack was received");
    let (all, options) = (commands.commands, commands.options);
    let atomic = commands.capabilities.atomic;
    let mut push = None;
    let ask = |updates: Vec<RefUpdate>| {
        let asked = push.insert(Push { updates, options });
        waiter.wait(watcher.before(asked))
    };
    let rules = judge::Rules { policy, standing: &|name| watcher.standing(name) };
    let result = apply(repository, rules, quarantine, &all, atomic, ask);
    match result {
        Ok((mut verdicts, doubt)) => {
            let moved = verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Done);
            let report = match doubt {
                None => Report::of(verdicts),
                Some(error) => {
                    judge::refuse_passed(&mut verdicts, moved::DOUBT);
                    Report::doubtful(verdicts, error.into())
                }
            };
            (report, push.filter(|_| moved))
        }
        Err(failure) => (Report::failed(&all, failure), None),
    }
}

fn receive(
    repository: &Repository,
    commands: &Commands,
    from: &mut dyn Read,
) -> Result<(Quarantine, u32), Failure> {
    let mut quarantine = Quarantine::new(repository)?;
    let has_pack = commands.commands.iter().any(|command| command.new.is_some());
    let count = if has_pack { quarantine.receive(repository, from)? } else { 0 };
    Ok((quarantine, count))
}

/// What became of each command, and what failed after the references had moved.
type Applied = (Vec<(String, Verdict)>, Option<Error>);

/// Judges the commands, asks, and makes what passed true.
fn apply(
    repository: &Repository,
    rules: judge::Rules<'_>,
    quarantine: Quarantine,
    commands: &[Command],
    atomic: bool,
    ask: impl FnOnce(Vec<RefUpdate>) -> Result<(), String>,
) -> Result<Applied, Failure> {
    let _guard = repository.lock()?;
    quarantine.check_anew(repository)?;
    let (table, head) = repository.snapshot()?;
    let objects = quarantine.objects(repository)?;
    let mut next = table.clone();
    let mut verdicts = judge::judge(&objects, &table, &mut next, &head, rules, commands)?;
    if atomic && verdicts.iter().any(|(_, verdict)| *verdict != Verdict::Done) {
        judge::refuse_passed(
            &mut verdicts,
            "atomic push failed, because another reference was refused",
        );
        return Ok((verdicts, None));
    }
    let updates = passed(commands, &verdicts);
    if updates.is_empty() {
        return Ok((verdicts, None));
    }
    if let Err(why) = ask(updates) {
        judge::refuse_passed(&mut verdicts, &why);
        return Ok((verdicts, None));
    }
    drop(objects);
    quarantine.accept(repository)?;
    let refs = repository.refs();
    let doubt = moved::doubt(refs.write(&next), &table, &next, || refs.read())?;
    if let Err(error) = follow_head(repository, &head, &next) {
        tracing::warn!(repository = %repository.name(), %error, "HEAD could not follow a push");
    }
    Ok((verdicts, doubt))
}

fn passed(commands: &[Command], verdicts: &[(String, Verdict)]) -> Vec<RefUpdate> {
    commands
        .iter()
        .zip(verdicts)
        .filter(|(_, (_, verdict))| *verdict == Verdict::Done)
        .map(|(command, _)| RefUpdate {
            name: command.name.clone(),
            old: command.old.map(|id| id.to_string()),
            new: command.new.map(|id| id.to_string()),
        })
        .collect()
}

/// Lets `HEAD` name the branch that stands for the repository now. A cut or a failure before this
/// changes nothing for readers, who compute the same.
fn follow_head(repository: &Repository, before: &str, table: &RefTable) -> Result<(), Error> {
    let now = crate::refs::effective_head(before, table);
    if repository.refs().head()? != now && table.get(&now).is_some() {
        repository.refs().set_head(&now)?;
    }
    Ok(())
}

/// The entry that `refs` keeps for a new target.
pub(crate) fn entry_for(
    objects: &crate::objects::Objects,
    target: gix_hash::ObjectId,
) -> Result<RefEntry, Error> {
    let peeled = objects.peel(&target, &mut Vec::new())?;
    Ok(RefEntry { target, peeled })
}
