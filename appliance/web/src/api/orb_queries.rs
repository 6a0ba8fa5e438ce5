//! Questions about orbs in the query language of the official command line (`orb list`, `orb info`,
//! `orb source` and what it asks before others), answered from the store.
//!
//! Not a GraphQL engine: the fields at the root are found, each is answered whole, and the client
//! reads of it what it asked for. Every orb here was brought by the operator, so all count as
//! certified and public; versions are the released ones, and an orb that has none is `Not published`
//! to its reader. A date is that of the import; statistics are not kept.
//! Source: the queries and decoders of the published command line, version 0.1.

use base::time::Timestamp;
use orbs::{Error, Listed, Registry};
use pipeline::{FoundOrb, OrbVersion};
use serde_json::{Value, json};

/// Orbs of one page, as the command line asks for.
const PAGE: usize = 20;

/// The fields that are answered here.
pub(super) const FIELDS: [&str; 5] =
    ["orb", "orbVersion", "orbs", "registryNamespace", "orbCategories"];

/// Names of the fields at the root of a query, in its order.
pub(super) fn root_fields(query: &str) -> Vec<&str> {
    let (mut braces, mut parens, mut found) = (0_usize, 0_usize, vec![]);
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if is_name(c) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let after = rest[end..].trim_start();
            // An alias stands before its field.
            if braces == 1 && parens == 0 && !after.starts_with(':') {
                found.push(&rest[..end]);
            }
            rest = &rest[end..];
            continue;
        }
        match c {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            '(' => parens += 1,
            ')' => parens = parens.saturating_sub(1),
            _ => {}
        }
        rest = &rest[c.len_utf8()..];
    }
    found
}

/// The value of a field's argument: a variable, or a text in the query.
pub(super) fn argument<'a>(
    query: &'a str,
    variables: &'a Value,
    field: &str,
    name: &str,
) -> Option<&'a str> {
    let (_, after) = query
        .match_indices(field)
        .map(|(at, _)| query.split_at(at + field.len()))
        .find(|(_, after)| after.trim_start().starts_with('('))?;
    let list = after.split_once('(')?.1.split(')').next()?;
    let value = list.split(',').find_map(|pair| {
        let (key, value) = pair.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })?;
    match value.strip_prefix('$') {
        Some(variable) => variables.get(variable).and_then(Value::as_str),
        None => Some(value.trim_matches('"')),
    }
}

/// Answers one field of [`FIELDS`].
pub(super) fn answer(
    registry: &Registry,
    field: &str,
    query: &str,
    variables: &Value,
) -> Result<Value, Error> {
    let text = |field, name| argument(query, variables, field, name).unwrap_or_default();
    match field {
        "orbVersion" => version(registry, text(field, "orbVersionRef"), count(query)),
        "orb" => Ok(orb(registry, &listed(registry, text(field, "name"))?, count(query))),
        "registryNamespace" => {
            let found = listed(registry, &format!("{}/", text(field, "name")))?;
            let hidden = text("orbs", "view") == "PRIVATE_ONLY";
            namespace(registry, text(field, "name"), &found, hidden, query, text("orbs", "after"))
        }
        "orbs" => page(registry, &listed(registry, "")?, query, text(field, "after")),
        _ => Ok(json!({ "totalCount": 0, "edges": [], "pageInfo": { "hasNextPage": false } })),
    }
}

/// The orbs of the store whose name is, or begins with, this; addresses have no name there.
fn listed(registry: &Registry, name: &str) -> Result<Vec<Listed>, Error> {
    let wanted = |orb: &Listed| match name.is_empty() || name.ends_with('/') {
        true => orb.name.starts_with(name),
        false => orb.name == name,
    };
    let all = registry.list()?;
    Ok(all.into_iter().filter(|orb| !orb.versions.is_empty() && wanted(orb)).collect())
}

fn orb(registry: &Registry, found: &[Listed], most: usize) -> Value {
    found.first().map_or(Value::Null, |orb| shape(registry, orb, most))
}

/// What every query reads of an orb, with at most so many versions.
fn shape(registry: &Registry, orb: &Listed, most: usize) -> Value {
    json!({
        "id": orb.name,
        "name": orb.name,
        "namespace": { "name": orb.name.split('/').next() },
        "isPrivate": false,
        "createdAt": first_at(registry, orb),
        "categories": [],
        "statistics": {
            "last30DaysBuildCount": 0,
            "last30DaysProjectCount": 0,
            "last30DaysOrganizationCount": 0,
        },
        "versions": versions(registry, orb, most),
    })
}

/// How many versions of each orb a query asks for.
fn count(query: &str) -> usize {
    let count = argument(query, &Value::Null, "versions", "count");
    count.and_then(|count| count.parse().ok()).unwrap_or(usize::MAX)
}

/// Released versions, the newest first, as their readers expect.
fn versions(registry: &Registry, orb: &Listed, most: usize) -> Vec<Value> {
    let shape = |known: &OrbVersion| json!({ "version": known.to_string(), "createdAt": registry.kept_at(&orb.name, known) });
    released(orb).take(most).map(shape).collect()
}

pub(super) fn released(orb: &Listed) -> impl Iterator<Item = &OrbVersion> {
    orb.versions.iter().rev().filter(|known| matches!(known, OrbVersion::Release(..)))
}

/// When the first version came that is still kept.
pub(super) fn first_at(registry: &Registry, orb: &Listed) -> Option<Timestamp> {
    orb.versions.iter().filter_map(|known| registry.kept_at(&orb.name, known)).min()
}

fn namespace(
    registry: &Registry,
    name: &str,
    found: &[Listed],
    hidden: bool,
    query: &str,
    after: &str,
) -> Result<Value, Error> {
    if found.is_empty() {
        return Ok(Value::Null);
    }
    let shown: &[Listed] = if hidden { &[] } else { found };
    Ok(json!({ "id": name, "name": name, "orbs": page(registry, shown, query, after)? }))
}

/// One page of orbs; a cursor is the name of the last orb before it.
fn page(registry: &Registry, orbs: &[Listed], query: &str, after: &str) -> Result<Value, Error> {
    let later: Vec<&Listed> = orbs.iter().filter(|orb| orb.name.as_str() > after).collect();
    let mut edges = vec![];
    for orb in later.iter().take(PAGE) {
        edges.push(json!({ "cursor": orb.name, "node": node(registry, orb, query)? }));
    }
    Ok(json!({
        "totalCount": orbs.len(),
        "edges": edges,
        "pageInfo": { "hasNextPage": later.len() > PAGE },
    }))
}

/// An orb of a page. With sources it has its newest version alone, as every such query asks.
fn node(registry: &Registry, orb: &Listed, query: &str) -> Result<Value, Error> {
    let mut shape = shape(registry, orb, count(query));
    if query.contains("source") {
        let newest = released(orb).next().map(|known| format!("{}@{known}", orb.name));
        let one = |reference: &String| sourced(registry, reference);
        shape["versions"] = newest.iter().map(one).collect::<Result<_, _>>()?;
    }
    Ok(shape)
}

/// A version with its source; the reference names one exactly.
fn sourced(registry: &Registry, reference: &str) -> Result<Value, Error> {
    let FoundOrb { resolved, text } = registry.source(reference)?;
    let (name, version) = resolved.split_once('@').unwrap_or((&resolved, ""));
    let at = OrbVersion::parse(version).and_then(|version| registry.kept_at(name, &version));
    Ok(json!({ "id": resolved, "version": version, "createdAt": at, "source": &*text }))
}

fn version(registry: &Registry, reference: &str, most: usize) -> Result<Value, Error> {
    let mut found = match sourced(registry, reference) {
        Err(Error::Missing { .. }) => return Ok(Value::Null),
        found => found?,
    };
    let name = reference.split('@').next().unwrap_or_default();
    let known = Listed { name: name.to_owned(), versions: registry.versions(name)? };
    found["orb"] = shape(registry, &known, most);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[&str]) {
        assert_eq!(root_fields(query), expected, "{query}");
    }

    #[test]
    fn fields_at_the_root_are_found() {
        check("{ me { id } }", &["me"]);
        check(
            "query ListOrbs ($after: String!) {\n  orbs(first: 20, after: $after) { edges { node { name } } }\n}",
            &["orbs"],
        );
        check(
            "query ($name: String!) { orb(name: $name) { id } registryNamespace(name: $name) { orbs { id } } }",
            &["orb", "registryNamespace"],
        );
        check("query { mine: orb(name: \"a/b\") { id } }", &["orb"]);
        check("", &[]);
        check("}{(", &[]);
    }

    #[test]
    fn an_arguments_value_is_found() {
        let variables = json!({ "ns": "acme" });
        let query = "query($ns: String) { registryNamespace(name: $ns) { orbs(first: 20, view: \"X\") { id } } }";
        assert_eq!(argument(query, &variables, "registryNamespace", "name"), Some("acme"));
        assert_eq!(argument(query, &variables, "orbs", "view"), Some("X"));
        assert_eq!(argument(query, &variables, "orbs", "after"), None);
    }
}
