//! Reading namespaces: the configuration's, inline orbs', and those of orbs in the local store.

use super::{Element, Library, Namespace, shortened};
use crate::{
    definition::ORB,
    diagnostic::{Code, nearest},
    orbs::{OrbReference, is_address, split_reference},
    parameter::{Owner, declare},
    report::Report,
    request::Request,
    scope::Scope,
    syntax::{Map, Node, SourceId, Span, Value, load},
    template,
};
use indexmap::IndexMap;
use std::{collections::HashMap, sync::Arc};

/// Orbs inside orbs, as on the original service.
const ORB_DEPTH_MAX: usize = 5;

/// Orbs of one compilation; the original allows 50 addresses, and names are bounded with them.
const ORBS_MAX: usize = 200;

pub(super) struct Builder<'a> {
    pub library: Library,
    pub request: &'a Request,
    /// References and addresses that are loaded already, or failed to.
    pub loaded: HashMap<String, SourceId>,
}

impl Builder<'_> {
    /// Reads one namespace and all orbs that it names.
    pub(super) fn space(
        &mut self,
        root: &Map,
        source: SourceId,
        scope: Option<&Scope<'_>>,
        depth: usize,
        report: &mut Report,
    ) {
        let defaults = scope.copied().unwrap_or(Scope {
            pipeline: &self.request.values,
            declared: None,
            parameters: None,
            matrix: None,
        });
        let mut elements = |key, owner| elements(root.get(key), owner, &defaults, report);
        let mut space = Namespace {
            jobs: elements("jobs", Owner::Job),
            commands: elements("commands", Owner::Command),
            executors: elements("executors", Owner::Executor),
            ..Namespace::default()
        };
        if let Some(groups) = root.get("job-groups").and_then(Node::as_map) {
            space.groups =
                groups.entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect();
        }
        if let Some(orbs) = root.get("orbs").filter(|orbs| !orbs.is_null()) {
            space.orbs = self.orbs(orbs, scope, depth, report);
        }
        self.library.spaces.insert(source, space);
    }

    fn orbs(
        &mut self,
        node: &Node,
        scope: Option<&Scope<'_>>,
        depth: usize,
        report: &mut Report,
    ) -> HashMap<Arc<str>, SourceId> {
        let Some(map) = node.as_map() else {
            report.error(
                Code::WrongType,
                node.at,
                format!("expected type: Mapping, found: {}", node.schema_name()),
                "write `orbs:` with one `name: namespace/orb@version` per line",
            );
            return HashMap::new();
        };
        let mut found = HashMap::new();
        for entry in &map.entries {
            if depth >= ORB_DEPTH_MAX {
                report.error(
                    Code::Limit,
                    entry.key_at,
                    format!("orbs nested more than {ORB_DEPTH_MAX} deep"),
                    "refer to the inner orb from the outermost that needs it",
                );
                break;
            }
            if self.loaded.len() >= ORBS_MAX {
                report.error(
                    Code::Limit,
                    entry.key_at,
                    format!("more than {ORBS_MAX} orbs"),
                    "remove those that are not used",
                );
                break;
            }
            let id = self.orb(&entry.key, &entry.value, scope, depth, report);
            found.insert(entry.key.clone(), id);
        }
        found
    }

    /// One entry of `orbs:`; the id of a namespace that stays absent when it cannot be loaded.
    fn orb(
        &mut self,
        name: &str,
        node: &Node,
        scope: Option<&Scope<'_>>,
        depth: usize,
        report: &mut Report,
    ) -> SourceId {
        match &node.value {
            Value::Map(_) => {
                let file = report.sources.name(node.at.source).to_owned();
                let text = report.sources.text(node.at.source);
                let id = report.sources.add(&file, text);
                self.loaded.insert(format!("inline {} {}", id.0, name), id);
                let moved = node.moved_to(id);
                if let Some(map) = moved.as_map() {
                    report.only(map, &ORB, Code::UnexpectedKey);
                    self.space(map, id, None, depth + 1, report);
                }
                id
            }
            Value::Text(text) => {
                let filled = match scope {
                    Some(scope) if template::is_template(&text.text) => {
                        template::fill(node, scope, report)
                    }
                    _ => node.clone(),
                };
                let reference = filled.scalar_text().unwrap_or_default();
                self.referenced(&reference, node.at, depth, report)
            }
            _ => {
                report.error(
                    Code::Orb,
                    node.at,
                    format!("orb '{name}' is neither a reference nor an inline orb"),
                    "write `namespace/orb@version`, an https address, or a map with jobs, commands and executors",
                );
                report.sources.add(name, "".into())
            }
        }
    }

    fn referenced(
        &mut self,
        reference: &str,
        at: Span,
        depth: usize,
        report: &mut Report,
    ) -> SourceId {
        if !is_address(reference) && split_reference(reference).is_none() {
            report.error(
                Code::Orb,
                at,
                format!("'{reference}' is not a reference to an orb"),
                "write `namespace/orb@1.2.3` (or `@1`, `@1.2`, `@volatile`, `@dev:label`)",
            );
            return report.sources.add(reference, "".into());
        }
        let Some(found) = self.request.orbs.find(reference) else {
            return self.absent(reference, at, report);
        };
        if let Some(remark) = self.request.orbs.remarked(reference) {
            report.warn(
                Code::Orb,
                at,
                format!("the copy that is kept of {reference} is used: the address {remark}"),
                "a copy that was fetched is fetched again by a later compilation; one that was imported stays",
            );
        }
        if depth == 0 {
            self.library.resolved.push((reference.into(), found.resolved.clone()));
        }
        if let Some(id) = self.loaded.get(&found.resolved) {
            return *id;
        }
        let id = report.sources.add(&found.resolved, found.text.clone());
        self.loaded.insert(found.resolved.clone(), id);
        match load::load(&found.text, id) {
            Ok(loaded) => match loaded.root.as_map() {
                Some(map) => self.space(map, id, None, depth + 1, report),
                None => report.error(
                    Code::Orb,
                    at,
                    format!("the source of orb {} is not a map", found.resolved),
                    "import a packed orb: `appliance orb validate FILE` tells what is wrong with it",
                ),
            },
            Err(error) => report.error(Code::Syntax, error.at, error.message, error.hint),
        }
        id
    }

    /// Notes an orb that is not there; the id of a namespace that stays empty.
    fn absent(&mut self, reference: &str, at: Span, report: &mut Report) -> SourceId {
        let id = self.loaded.get(reference).copied();
        let id = id.unwrap_or_else(|| report.sources.add(reference, "".into()));
        self.loaded.insert(reference.into(), id);
        report.absent.push(reference.to_owned());
        let hint = match (self.request.orbs.remarked(reference), is_address(reference)) {
            (Some(remark), _) => format!(
                "the address {remark}; bring the file: `appliance orb import FILE {reference}`"
            ),
            (None, true) => format!(
                "it is fetched when the operator allows its prefix with the setting `orb_addresses`; or bring the file: `appliance orb import FILE {reference}`"
            ),
            (None, false) => self.import_hint(reference),
        };
        let message = format!(
            "Cannot find {reference} in the orb registry. Check that the namespace, orb name and version are correct."
        );
        report.error(Code::Orb, at, message, hint);
        id
    }

    fn import_hint(&self, reference: &str) -> String {
        let name = reference.split('@').next().unwrap_or_default();
        let versions: Vec<String> =
            self.request.orbs.versions(name).into_iter().map(ToString::to_string).collect();
        let known = match (versions.is_empty(), nearest(name, self.request.orbs.names())) {
            (false, _) => format!("the local store holds {name} in {}; ", shortened(&versions)),
            (true, Some(near)) => format!("did you mean `{near}`? "),
            (true, None) => String::new(),
        };
        // A partial version cannot be imported, so the example is whole.
        let example = match reference.parse::<OrbReference>() {
            Ok(whole) => whole.to_string(),
            Err(_) => format!("{name}@VERSION"),
        };
        format!("{known}import it into the local store: `appliance orb import FILE {example}`")
    }
}

/// Reads one map of elements. An element that is null is kept: it is an error only when used.
fn elements(
    node: Option<&Node>,
    owner: Owner,
    scope: &Scope<'_>,
    report: &mut Report,
) -> IndexMap<Arc<str>, Element> {
    let mut found = IndexMap::new();
    let Some(node) = node.filter(|node| !node.is_null()) else { return found };
    let Some(map) = node.as_map() else {
        report.error(
            Code::WrongType,
            node.at,
            format!("expected type: Mapping, found: {}", node.schema_name()),
            "write one `name:` per line, with its keys indented below",
        );
        return found;
    };
    for entry in &map.entries {
        let parameters = entry.value.as_map().and_then(|map| map.get("parameters"));
        let declared = declare(parameters, owner, Some(scope), report);
        found.insert(
            entry.key.clone(),
            Element { node: entry.value.clone(), at: entry.key_at, declared },
        );
    }
    found
}
