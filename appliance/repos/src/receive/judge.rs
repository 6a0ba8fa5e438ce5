//! Whether each command of a push may pass, against the references as they stand.

use super::{PushPolicy, Standing, commands::Command, entry_for, report::Verdict};
use crate::{
    error::Error,
    objects::Objects,
    refs::{RefTable, name_problem},
    select::ancestry::builds_on,
};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashSet;

/// What the one who pushes may.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) policy: PushPolicy,
    /// What of that a reference takes.
    pub(super) standing: &'a dyn Fn(&str) -> Standing,
}

/// Judges `commands` in order; what passes is entered in `next`.
pub(super) fn judge(
    objects: &Objects,
    table: &RefTable,
    next: &mut RefTable,
    head: &str,
    rules: Rules<'_>,
    commands: &[Command],
) -> Result<Vec<(String, Verdict)>, Error> {
    let judge = Judge { objects, table, head, rules };
    let mut verdicts = Vec::with_capacity(commands.len());
    let mut named = HashSet::new();
    let again: Vec<bool> =
        commands.iter().map(|command| !named.insert(command.name.as_str())).collect();
    // Removals first, so that `a` may go and `a/b` come in one push.
    for (command, again) in commands.iter().zip(&again) {
        if command.new.is_none() && !again && judge.refusal(command, next)?.is_none() {
            next.remove(&command.name);
        }
    }
    for (command, again) in commands.iter().zip(&again) {
        let refusal = if *again {
            Some("it is named twice in one push".into())
        } else {
            judge.refusal(command, next)?
        };
        if let (None, Some(new)) = (&refusal, command.new) {
            next.set(command.name.clone(), entry_for(objects, new)?);
        }
        let verdict = refusal.map_or(Verdict::Done, Verdict::Refused);
        verdicts.push((command.name.clone(), verdict));
    }
    Ok(verdicts)
}

/// Refuses what had passed.
pub(super) fn refuse_passed(verdicts: &mut [(String, Verdict)], why: &str) {
    for (_, verdict) in verdicts.iter_mut().filter(|(_, verdict)| *verdict == Verdict::Done) {
        *verdict = Verdict::Refused(why.to_owned());
    }
}

struct Judge<'a> {
    objects: &'a Objects,
    table: &'a RefTable,
    head: &'a str,
    rules: Rules<'a>,
}

impl Judge<'_> {
    /// Why `command` may not pass; `None` when it may.
    fn refusal(&self, command: &Command, next: &RefTable) -> Result<Option<String>, Error> {
        if let Some(problem) = name_problem(&command.name) {
            return Ok(Some(format!("funny refname: {problem}")));
        }
        let kept = match (self.rules.standing)(&command.name) {
            Standing::Open => None,
            Standing::Kept(why) => Some(why),
            Standing::Closed(why) => return Ok(Some(why)),
        };
        let current = self.table.get(&command.name).map(|entry| entry.target);
        if current != command.old {
            return Ok(Some(match current {
                Some(_) => "stale info: it has moved meanwhile; fetch first".into(),
                None => "stale info: it is gone meanwhile; fetch first".into(),
            }));
        }
        match (command.old, command.new) {
            (_, None) => Ok(kept.or_else(|| self.removal_refusal(command))),
            (Some(old), Some(new)) if kept.is_some() && !self.adds(old, new)? => Ok(kept),
            (old, Some(new)) => self.move_refusal(&command.name, old, new, next),
        }
    }

    fn removal_refusal(&self, command: &Command) -> Option<String> {
        if command.old.is_none() {
            Some("there is nothing to remove".into())
        } else if command.name == self.head {
            Some("refusing to delete the default branch; make another one the default first".into())
        } else if !self.rules.policy.delete {
            Some("deletion is not allowed; ask an administrator of the project".into())
        } else {
            None
        }
    }

    fn move_refusal(
        &self,
        name: &str,
        old: Option<ObjectId>,
        new: ObjectId,
        next: &RefTable,
    ) -> Result<Option<String>, Error> {
        if let Some(other) = next.clash(name) {
            return Ok(Some(format!("it cannot stand beside {other}")));
        }
        let Some(kind) = self.objects.kind(&new)? else {
            return Ok(Some("missing necessary objects".into()));
        };
        if name.starts_with("refs/heads/") && kind != Kind::Commit {
            return Ok(Some(format!("a branch points at a commit, not at a {kind}")));
        }
        match old {
            Some(old) if !self.may_force(name) && !self.is_forward(old, new)? => Ok(Some(
                "non-fast-forward: force is not allowed; ask an administrator of the project"
                    .into(),
            )),
            _ => Ok(None),
        }
    }

    /// `new` is here and builds on `old`.
    fn adds(&self, old: ObjectId, new: ObjectId) -> Result<bool, Error> {
        Ok(self.objects.kind(&new)?.is_some() && self.is_forward(old, new)?)
    }

    fn may_force(&self, name: &str) -> bool {
        self.rules.policy.force && (self.rules.policy.force_default || name != self.head)
    }

    /// `new` builds on `old`. What is no commit has no forward.
    fn is_forward(&self, old: ObjectId, new: ObjectId) -> Result<bool, Error> {
        if old == new {
            return Ok(true);
        }
        let commit = Some(Kind::Commit);
        if self.objects.kind(&old)? != commit || self.objects.kind(&new)? != commit {
            return Ok(false);
        }
        builds_on(self.objects, new, old)
    }
}
