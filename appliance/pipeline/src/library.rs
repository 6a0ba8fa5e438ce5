//! All elements that can be called, by the namespace they are looked up in.
//!
//! A namespace belongs to one source: the configuration, or one orb. A name is looked up in the
//! namespace of the text it was written in, which every node knows; `orb/name` goes one step on.
//! An element that is only such a name (`commands: {test: go/test}`) stands for the named one.

mod builder;

use crate::{
    diagnostic::{Code, Severity, nearest},
    parameter::Declarations,
    report::Report,
    request::Request,
    scope::Scope,
    syntax::{Map, Node, SourceId, Span},
};
use indexmap::IndexMap;
use std::{collections::HashMap, sync::Arc};

/// Elements that only name another, one after the other; more is a circle.
const ALIASES_MAX: usize = 10;

/// One job, command or executor as written.
#[derive(Debug)]
pub(crate) struct Element {
    pub node: Node,
    pub at: Span,
    pub declared: Declarations,
}

/// Elements of one source.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    pub jobs: IndexMap<Arc<str>, Element>,
    pub commands: IndexMap<Arc<str>, Element>,
    pub executors: IndexMap<Arc<str>, Element>,
    pub groups: IndexMap<Arc<str>, Node>,
    orbs: HashMap<Arc<str>, SourceId>,
}

/// The kinds of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Command,
    Executor,
}

impl Element {
    /// The element, as `name` or `orb/name`, that this one stands for.
    pub(crate) fn alias(&self) -> Option<&str> {
        self.node.as_text().filter(|name| !name.is_empty() && !name.contains('<'))
    }
}

/// All namespaces.
#[derive(Debug, Default)]
pub(crate) struct Library {
    spaces: HashMap<SourceId, Namespace>,
    /// Texts, the first ones, that are one: the files of a source folder.
    parts: u16,
    /// Lines `Orb 'a' resolved to 'b'` of the processed form.
    pub resolved: Vec<(String, String)>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Command => "command",
            Self::Executor => "executor",
        }
    }

    fn of(self, space: &Namespace) -> &IndexMap<Arc<str>, Element> {
        match self {
            Self::Job => &space.jobs,
            Self::Command => &space.commands,
            Self::Executor => &space.executors,
        }
    }
}

impl Library {
    /// Reads the elements of a configuration and of all orbs that it names.
    pub(crate) fn build(
        root: &Map,
        request: &Request,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Self {
        let mut builder =
            builder::Builder { library: Self::default(), request, loaded: HashMap::new() };
        builder.space(root, SourceId(0), Some(scope), 0, report);
        builder.library
    }

    /// The same of a root whose parts stand in the first `parts` texts.
    pub(crate) fn build_of_parts(
        root: &Map,
        parts: u16,
        request: &Request,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Self {
        Self { parts, ..Self::build(root, request, scope, report) }
    }

    /// The namespace of what is written in a text.
    fn space(&self, source: SourceId) -> Option<&Namespace> {
        let is_part = source.0 < self.parts;
        self.spaces.get(&if is_part { SourceId(0) } else { source })
    }

    pub(crate) fn main(&self) -> Option<&Namespace> {
        self.spaces.get(&SourceId(0))
    }

    /// The element of a name written in `source`, with a body unless it was written without one.
    pub(crate) fn find(&self, kind: Kind, name: &str, source: SourceId) -> Option<&Element> {
        self.follow(kind, name, source).ok()
    }

    /// Follows elements that only name another; the last name, and where it stands, when it means
    /// nothing. The place is absent for a name that no element gives.
    fn follow(
        &self,
        kind: Kind,
        name: &str,
        source: SourceId,
    ) -> Result<&Element, (String, Option<Span>)> {
        let (mut wanted, mut place) = (name, None);
        for _ in 0..ALIASES_MAX {
            let from = place.map_or(source, |at: Span| at.source);
            let Some(element) = self.direct(kind, wanted, from) else { break };
            match element.alias() {
                None => return Ok(element),
                Some(next) => (wanted, place) = (next, Some(element.node.at)),
            }
        }
        Err((wanted.to_owned(), place))
    }

    fn direct(&self, kind: Kind, name: &str, source: SourceId) -> Option<&Element> {
        let space = self.space(source)?;
        if let Some(element) = kind.of(space).get(name) {
            return Some(element);
        }
        let (orb, inner) = name.split_once('/')?;
        kind.of(self.space(*space.orbs.get(orb)?)?).get(inner)
    }

    /// Whether a name leads into an orb that could not be loaded; its absence is told already.
    pub(crate) fn is_lost(&self, kind: Kind, name: &str, source: SourceId) -> bool {
        let (name, source) = match self.follow(kind, name, source) {
            Ok(_) => return false,
            Err((last, place)) => (last, place.map_or(source, |at| at.source)),
        };
        let Some((orb, _)) = name.split_once('/') else { return false };
        let target = self.space(source).and_then(|space| space.orbs.get(orb));
        target.is_some_and(|target| !self.spaces.contains_key(target))
    }

    /// Every name of a kind that could be written in `source`.
    fn names(&self, kind: Kind, source: SourceId) -> Vec<String> {
        let Some(space) = self.space(source) else { return vec![] };
        let mut names: Vec<String> = kind.of(space).keys().map(ToString::to_string).collect();
        let mut orbs: Vec<_> = space.orbs.iter().collect();
        orbs.sort();
        for (orb, id) in orbs {
            if let Some(inner) = self.space(*id) {
                names.extend(kind.of(inner).keys().map(|name| format!("{orb}/{name}")));
            }
        }
        names
    }

    /// Notes that a name means nothing, with the nearest that does.
    pub(crate) fn unknown(
        &self,
        kind: Kind,
        name: &str,
        at: Span,
        also: &[&str],
        report: &mut Report,
    ) {
        self.unknown_as(Severity::Error, kind, name, at, also, report);
    }

    pub(crate) fn unknown_as(
        &self,
        severity: Severity,
        kind: Kind,
        name: &str,
        at: Span,
        also: &[&str],
        report: &mut Report,
    ) {
        if self.is_lost(kind, name, at.source) {
            return;
        }
        let (name, at) = match self.follow(kind, name, at.source) {
            Err((last, Some(place))) => (last, place),
            _ => (name.to_owned(), at),
        };
        let name = name.as_str();
        let message = format!("Cannot find a definition for {} named {name}", kind.name());
        if report.is_told(Code::UnknownName, &message, at) {
            report.add(severity, Code::UnknownName, at, message, None);
            return;
        }
        let names = self.names(kind, at.source);
        let known = names.iter().map(String::as_str).chain(also.iter().copied());
        let hint = match (nearest(name, known), name.split_once('/')) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some((orb, _)))
                if !self.space(at.source).is_some_and(|s| s.orbs.contains_key(orb)) =>
            {
                format!("`{orb}` is not declared under `orbs`")
            }
            (None, _) if names.is_empty() => format!("define it under `{}s`", kind.name()),
            (None, _) => {
                format!("define it under `{}s`; known: {}", kind.name(), shortened(&names))
            }
        };
        report.add(severity, Code::UnknownName, at, message, Some(hint));
    }
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
