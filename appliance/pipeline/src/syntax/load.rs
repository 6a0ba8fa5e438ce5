//! From YAML text to a tree.
//!
//! Failure: the first syntax error ends reading, because what follows it would be guesswork.
//! Limits: depth and expanded size are checked while reading, so that aliases of aliases
//! (an "alias bomb") are refused before anybody walks them.

use super::{
    merge::{self, Duplicate},
    node::{Node, SourceId, Span, Text, Value},
    repair, scalar,
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as YamlSpan, Tag};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Nesting that is read; every walk over a tree is recursive and relies on it.
const DEPTH_MAX: usize = 100;

/// Nodes of a text with its aliases written out. The largest real configurations have some
/// 30,000; a bomb has billions.
const NODES_MAX: u64 = 1_000_000;

/// What mostly lies behind the parser's words.
const SYNTAX_HINTS: [(&str, &str); 11] = [
    ("tab", "YAML is indented with spaces; replace the tab"),
    (
        "mapping values are not allowed",
        "quote a text that holds `: ` as a whole (`run: 'echo \"a: b\"'`) or write it below `|`; a key must be indented like its neighbours",
    ),
    (
        "simple key",
        "end the key with `: `, and indent it like its neighbours; the lines of a text below `|` stand further in than its key",
    ),
    ("escape", "in double quotes a `\\` starts an escape: write `\\\\`, or use single quotes"),
    ("unexpected character", "a text cannot start with `@`, `%` or a backtick: quote it"),
    ("expected key", "indent this line like the other keys of its map"),
    (
        "expected '-'",
        "a list holds only lines with `- ` at one indentation; indent this line further, or less",
    ),
    ("quoted scalar", "a quote is opened here and not closed; double it inside a text: `'it''s'`"),
    ("anchor", "define it before its use: `&name` at the first place, `*name` at the others"),
    ("flow", "a `[` or `{` is opened and not closed, or a comma is missing"),
    (
        "expected node content",
        "quote a text that starts with a special character such as `*`, `&`, `%` or `@`",
    ),
];

/// Why a text could not be read, and where.
#[derive(Debug)]
pub(crate) struct LoadError {
    pub message: String,
    pub at: Span,
    pub hint: &'static str,
}

/// A text read: its root and the keys that were written twice.
pub(crate) struct Loaded {
    pub root: Node,
    pub duplicates: Vec<Duplicate>,
}

/// Quoted texts whose continuation lines are indented too little; each is repaired once.
const REPAIRS_MAX: usize = 50;

/// Reads one YAML document.
pub(crate) fn load(text: &str, source: SourceId) -> Result<Loaded, LoadError> {
    let mut text = Cow::from(text.strip_prefix('\u{feff}').unwrap_or(text));
    for _ in 0..REPAIRS_MAX {
        match load_strictly(&text, source) {
            Err(error) if error.message.contains("indentation in quoted scalar") => {
                text = Cow::from(repair::indented(&text, error.at).ok_or(error)?);
            }
            other => return other,
        }
    }
    load_strictly(&text, source)
}

fn load_strictly(text: &str, source: SourceId) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new(source);
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| loader.syntax_error(&error))?;
        if loader.event(event, span)? {
            break;
        }
    }
    let start = Span { source, line: 1, column: 1 };
    Ok(Loaded {
        root: loader.root.unwrap_or_else(|| Node::null(start)),
        duplicates: loader.duplicates,
    })
}

/// How large and deep a node is with its aliases written out.
#[derive(Debug, Clone, Copy)]
struct Extent {
    size: u64,
    depth: usize,
}

impl Extent {
    const LEAF: Self = Self { size: 1, depth: 1 };

    fn around(&mut self, inner: Self) {
        self.size = self.size.saturating_add(inner.size);
        self.depth = self.depth.max(inner.depth + 1);
    }
}

/// An open list or map.
enum Frame {
    List {
        items: Vec<Node>,
        at: Span,
        anchor: usize,
        extent: Extent,
    },
    Map {
        pairs: Vec<(Arc<str>, bool, Span, Node)>,
        key: Option<Key>,
        at: Span,
        anchor: usize,
        extent: Extent,
    },
}

struct Key {
    text: Arc<str>,
    is_merge: bool,
    at: Span,
}

struct Loader {
    source: SourceId,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, Extent)>,
    root: Option<Node>,
    duplicates: Vec<Duplicate>,
    total: u64,
}

impl Loader {
    fn new(source: SourceId) -> Self {
        Self {
            source,
            stack: vec![],
            anchors: HashMap::new(),
            root: None,
            duplicates: vec![],
            total: 0,
        }
    }

    fn span(&self, at: YamlSpan) -> Span {
        Span {
            source: self.source,
            line: u32::try_from(at.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(at.start.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn syntax_error(&self, error: &ScanError) -> LoadError {
        let at = YamlSpan::empty(*error.marker());
        let info = error.info();
        let hint = SYNTAX_HINTS
            .iter()
            .find(|(words, _)| info.contains(words))
            .map_or("check the indentation and the quotes of this line and the one above", |h| h.1);
        LoadError { message: format!("error parsing YAML: {info}"), at: self.span(at), hint }
    }

    /// Takes one event; true when the document is over.
    fn event(&mut self, event: Event<'_>, span: YamlSpan) -> Result<bool, LoadError> {
        let at = self.span(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = matches!(style, ScalarStyle::Plain) && text == "<<" && tag.is_none();
                if self.wants_key() {
                    self.set_key(Key { text: text.as_ref().into(), is_merge, at });
                    self.remember(anchor, &Node::text(&text, at), Extent::LEAF);
                } else {
                    let node = scalar_node(&text, style, tag.as_deref(), at);
                    self.remember(anchor, &node, Extent::LEAF);
                    self.add(node, Extent::LEAF)?;
                }
            }
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::SequenceStart(anchor, _) => {
                self.open(Frame::List { items: vec![], at, anchor, extent: Extent::LEAF }, at)?;
            }
            Event::MappingStart(anchor, _) => {
                let frame =
                    Frame::Map { pairs: vec![], key: None, at, anchor, extent: Extent::LEAF };
                self.open(frame, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(LoadError {
                    message: "error parsing YAML: expected a single document, found another".into(),
                    at,
                    hint: "remove the second `---`: one file is one configuration",
                });
            }
            Event::StreamEnd => return Ok(true),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(false)
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: None, .. }))
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
            *key = Some(new);
        }
    }

    fn remember(&mut self, anchor: usize, node: &Node, extent: Extent) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), extent));
        }
    }

    fn alias(&mut self, anchor: usize, at: Span) -> Result<(), LoadError> {
        let Some((node, extent)) = self.anchors.get(&anchor).cloned() else {
            return Err(LoadError {
                message: "error parsing YAML: an alias stands inside the node that it names".into(),
                at,
                hint: "an anchor (&name) can be used (*name) only after its node has ended",
            });
        };
        if !self.wants_key() {
            return self.add(node, extent);
        }
        let text = node.scalar_text().ok_or_else(|| complex_key(at))?;
        self.set_key(Key { text: text.into(), is_merge: false, at });
        Ok(())
    }

    fn open(&mut self, frame: Frame, at: Span) -> Result<(), LoadError> {
        if self.wants_key() {
            return Err(complex_key(at));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), LoadError> {
        let (node, anchor, extent) = match self.stack.pop() {
            Some(Frame::List { items, at, anchor, extent }) => {
                (Node::list(items, at), anchor, extent)
            }
            Some(Frame::Map { pairs, at, anchor, extent, .. }) => {
                let (map, duplicates) = merge::build(pairs).map_err(|at| LoadError {
                    message: "error parsing YAML: `<<` can merge only maps".into(),
                    at,
                    hint: "use `<<: *anchor` where the anchor names a map, or a list of maps",
                })?;
                self.duplicates.extend(duplicates);
                (Node::map(map, at), anchor, extent)
            }
            None => return Ok(()),
        };
        self.remember(anchor, &node, extent);
        self.add(node, extent)
    }

    fn add(&mut self, node: Node, added: Extent) -> Result<(), LoadError> {
        self.total = self.total.saturating_add(1);
        let at = node.at;
        if self.stack.len() + added.depth > DEPTH_MAX + 1 {
            return Err(too_deep(at));
        }
        let size = match self.stack.last_mut() {
            None => {
                self.root = Some(node);
                added.size
            }
            Some(Frame::List { items, extent, .. }) => {
                items.push(node);
                extent.around(added);
                extent.size
            }
            Some(Frame::Map { pairs, key, extent, .. }) => {
                if let Some(key) = key.take() {
                    pairs.push((key.text, key.is_merge, key.at, node));
                }
                extent.around(added);
                extent.size
            }
        };
        if size > NODES_MAX || self.total > NODES_MAX {
            return Err(LoadError {
                message: format!("more than {NODES_MAX} values with all aliases written out"),
                at,
                hint: "aliases of aliases multiply; use commands and parameters instead",
            });
        }
        Ok(())
    }
}

fn too_deep(at: Span) -> LoadError {
    LoadError {
        message: format!("nested more than {DEPTH_MAX} levels deep"),
        at,
        hint: "split the structure into commands or parameters",
    }
}

fn complex_key(at: Span) -> LoadError {
    LoadError {
        message: "error parsing YAML: a list or map cannot be a key".into(),
        at,
        hint: "quote a text that starts with `{` or `[`, for example \"{{ .Branch }}\"",
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Span) -> Node {
    let is_string = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let value = match style {
        ScalarStyle::Plain if !is_string => scalar::resolve(text),
        _ => Value::Text(Text { text: Cow::from(text).as_ref().into(), plain: false }),
    };
    Node::new(value, at)
}
