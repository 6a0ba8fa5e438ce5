//! `config pack` and `orb pack`: a folder of YAML files to one text.
//!
//! Rules, as those of the original command line: a folder is a map under its name; `x.yml` is the
//! key `x`; `@x.yml` joins its content into the folder's map; other files are left out. Keys are
//! sorted. In orbs, a scalar that is `<<include(path)>>` becomes that file's text, with `<<`
//! escaped so that nobody takes it for a parameter.

use crate::syntax::{Entry, Map, Node, SourceId, Span, Value, emit, load};
use std::{collections::BTreeMap, sync::Arc};

/// Files by relative path with `/`, for example `commands/build.yml`.
pub type Files = BTreeMap<String, String>;

/// Why a folder cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A file is not YAML, or not a map where one is needed.
    #[error("{path}:{line}:{column}: {reason}")]
    File {
        /// The file.
        path: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
        /// What is wrong.
        reason: String,
    },
    /// An include names a file that is not there.
    #[error(
        "{path}:{line}:{column}: the included file `{target}` does not exist below the orb's source folder"
    )]
    Include {
        /// The file with the include.
        path: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
        /// What it names.
        target: String,
    },
    /// A text holds an include and something else.
    #[error(
        "{path}:{line}:{column}: `<<include(…)>>` must be the whole value, once; move the rest into the included file"
    )]
    IncludeWithin {
        /// The file with the include.
        path: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
    },
}

/// Packs a configuration.
///
/// # Errors
/// [`PackError`] with the file and the place.
pub fn pack(files: &Files) -> Result<String, PackError> {
    Ok(emit::document(&tree(files, false)?))
}

/// Packs an orb's source folder, includes and all.
///
/// # Errors
/// [`PackError`] with the file and the place.
pub fn pack_orb(files: &Files) -> Result<String, PackError> {
    Ok(emit::document(&orb_tree(files)?))
}

/// The same as a tree, each node of which knows its file by the number that this has.
pub(crate) fn orb_tree(files: &Files) -> Result<Map, PackError> {
    tree(files, true)
}

fn tree(files: &Files, includes: bool) -> Result<Map, PackError> {
    let mut root = Folder::default();
    for (number, (path, text)) in (0..).zip(files) {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        let Some(stem) =
            name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")).filter(|_| !hidden)
        else {
            continue;
        };
        let loaded = load::load(text, SourceId(number))
            .map_err(|error| file_error(path, error.at, error.message))?;
        let node = if includes { include(&loaded.root, path, files)? } else { loaded.root };
        let folder = folders
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(&mut root, |folder, part| folder.folders.entry(part.to_owned()).or_default());
        match (stem.starts_with('@'), &node.value) {
            (true, Value::Map(map)) => folder.joined.extend(map.entries.iter().cloned()),
            (true, Value::Null) => {}
            (true, _) => {
                return Err(file_error(
                    path,
                    node.at,
                    "a file whose name starts with @ must hold a map".into(),
                ));
            }
            (false, _) => folder.values.push((stem.to_owned(), node)),
        }
    }
    Ok(root.map())
}

fn file_error(path: &str, at: Span, reason: String) -> PackError {
    PackError::File { path: path.into(), line: at.line, column: at.column, reason }
}

#[derive(Default)]
struct Folder {
    folders: BTreeMap<String, Folder>,
    values: Vec<(String, Node)>,
    joined: Vec<Entry>,
}

impl Folder {
    fn map(self) -> Map {
        let at = Span { source: SourceId(0), line: 1, column: 1 };
        let mut map = Map::default();
        for entry in self.joined {
            join(&mut map, &entry.key, entry.value);
        }
        for (name, node) in self.values {
            join(&mut map, &name, node);
        }
        for (name, folder) in self.folders {
            join(&mut map, &name, Node::map(folder.map(), at));
        }
        sorted(&map)
    }
}

/// Maps under one key are joined; anything else is replaced.
fn join(map: &mut Map, key: &str, value: Node) {
    match (map.get(key).and_then(Node::as_map), value.as_map()) {
        (Some(old), Some(new)) => {
            let mut both = old.clone();
            new.entries.iter().for_each(|entry| both.set(&entry.key, entry.value.clone()));
            map.set(key, Node::map(both, value.at));
        }
        _ => map.set(key, value),
    }
}

fn sorted(map: &Map) -> Map {
    let mut entries: Vec<Entry> = map
        .entries
        .iter()
        .map(|entry| Entry { value: sorted_node(&entry.value), ..entry.clone() })
        .collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Map { entries }
}

fn sorted_node(node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(map) => Value::Map(Arc::new(sorted(map))),
        Value::List(items) => Value::List(Arc::new(items.iter().map(sorted_node).collect())),
        other => other.clone(),
    };
    Node::new(value, node.at)
}

fn include(node: &Node, path: &str, files: &Files) -> Result<Node, PackError> {
    let value = match &node.value {
        Value::Map(map) => {
            let entries: Result<Vec<Entry>, PackError> = map
                .entries
                .iter()
                .map(|entry| {
                    Ok(Entry { value: include(&entry.value, path, files)?, ..entry.clone() })
                })
                .collect();
            Value::Map(Arc::new(Map { entries: entries? }))
        }
        Value::List(items) => Value::List(Arc::new(
            items.iter().map(|item| include(item, path, files)).collect::<Result<_, _>>()?,
        )),
        Value::Text(text) => match included(&text.text) {
            Included::None => node.value.clone(),
            Included::Within => {
                let (line, column) = (node.at.line, node.at.column);
                return Err(PackError::IncludeWithin { path: path.into(), line, column });
            }
            Included::Whole(target) => {
                let text = files.get(target.trim_start_matches("./")).ok_or_else(|| {
                    PackError::Include {
                        path: path.into(),
                        line: node.at.line,
                        column: node.at.column,
                        target: target.into(),
                    }
                })?;
                Node::text(&text.replace("<<", "\\<<"), node.at).value
            }
        },
        other => other.clone(),
    };
    Ok(Node::new(value, node.at))
}

enum Included<'a> {
    None,
    Whole(&'a str),
    Within,
}

fn included(text: &str) -> Included<'_> {
    let mut found = Included::None;
    for (start, _) in text.match_indices("<<") {
        let inner = text[start + 2..].trim_start();
        let Some((target, rest)) =
            inner.strip_prefix("include(").and_then(|rest| rest.split_once(')'))
        else {
            continue;
        };
        let Some(rest) = rest.trim_start().strip_prefix(">>") else { continue };
        let alone = text[..start].trim().is_empty()
            && rest.trim().is_empty()
            && matches!(found, Included::None);
        found = if alone { Included::Whole(target.trim()) } else { Included::Within };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn check(list: &[(&str, &str)], expected: Result<&str, &str>) {
        let found = pack_orb(&files(list)).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn folders_and_files_become_keys() {
        check(
            &[
                ("@orb.yml", "version: 2.1\ndescription: d"),
                ("commands/say.yml", "steps: [run: x]"),
                ("jobs/@all.yml", "b: {z: 1, a: 2}"),
                ("README.md", "no"),
                (".x/y.yml", "no: 1"),
            ],
            Ok(
                "commands:\n  say:\n    steps:\n    - run: x\ndescription: d\njobs:\n  b:\n    a: 2\n    z: 1\nversion: 2.1\n",
            ),
        );
    }

    #[test]
    fn includes_are_whole_values_of_files_that_exist() {
        check(
            &[("c.yml", "command: <<include(scripts/x.sh)>>"), ("scripts/x.sh", "cat <<EOF\n")],
            Ok("c:\n  command: |\n    cat \\<<EOF\n"),
        );
        check(
            &[("c.yml", "command: <<include(gone.sh)>>")],
            Err(
                "c.yml:1:10: the included file `gone.sh` does not exist below the orb's source folder",
            ),
        );
        check(
            &[("c.yml", "command: a <<include(x)>>")],
            Err(
                "c.yml:1:10: `<<include(…)>>` must be the whole value, once; move the rest into the included file",
            ),
        );
        check(
            &[("c.yml", "a: [")],
            Err(
                "c.yml:2:1: error parsing YAML: while parsing a node, did not find expected node content",
            ),
        );
    }
}
