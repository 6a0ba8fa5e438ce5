//! XML of S3: small documents read into a tree with limits, and written by hand.
//!
//! Bounds: the body is read with a limit by the caller; depth and number of elements are bounded
//! here. Names are taken without their namespace prefix, as clients differ in it.

use quick_xml::{Reader, events::Event};

/// Deeper than any document of S3.
const DEPTH_MAX: usize = 16;

/// More than a deletion of a thousand keys needs.
const ELEMENTS_MAX: usize = 50_000;

/// An element with its text and children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// The attribute `type` (of `xsi:type`), the only one that S3 reads.
    pub(crate) kind: Option<String>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of that name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// Reads a document; `None` when it is not well-formed or too large.
pub(crate) fn parse(bytes: &[u8]) -> Option<Element> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                count += 1;
                if open.len() >= DEPTH_MAX || count > ELEMENTS_MAX {
                    return None;
                }
                open.push(element(&tag));
            }
            Event::Empty(tag) => {
                count += 1;
                if count > ELEMENTS_MAX {
                    return None;
                }
                let closed = element(&tag);
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return Some(closed),
                }
            }
            Event::End(_) => {
                let closed = close(open.pop()?);
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return Some(closed),
                }
            }
            Event::Text(part) => append(&mut open, &part),
            Event::CData(part) => append(&mut open, &part),
            Event::GeneralRef(part) => append(&mut open, &reference(&part)?),
            // Entities of a document type could grow without bound; S3 has none.
            Event::DocType(_) | Event::Eof => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// White space between children is no text.
fn close(mut element: Element) -> Element {
    if !element.children.is_empty() {
        element.text.clear();
    }
    element
}

fn element(tag: &quick_xml::events::BytesStart<'_>) -> Element {
    let name = tag.local_name().into_inner().to_owned();
    let kind = tag
        .attributes()
        .flatten()
        .find(|attribute| attribute.key.local_name().into_inner() == "type")
        .map(|attribute| attribute.value.into_owned());
    Element { name, kind, ..Element::default() }
}

fn reference(name: &str) -> Option<String> {
    let number = |text: &str, radix| u32::from_str_radix(text, radix).ok().and_then(char::from_u32);
    let found = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(hex) => number(hex, 16)?,
            None => number(name.strip_prefix('#')?, 10)?,
        },
    };
    Some(found.into())
}

/// A document being written.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// A whole document of S3's namespace.
    pub(crate) fn document(root: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into());
        xml.0.push('<');
        xml.0.push_str(root);
        xml.0.push_str(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        content(&mut xml);
        xml.close(root);
        xml.0
    }

    /// A document without a namespace, as errors are.
    pub(crate) fn bare(root: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into());
        xml.nest(root, content);
        xml.0
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.escape(text);
        self.close(name);
    }

    /// An element with a number or another plain value.
    pub(crate) fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    /// An element with text, when there is one.
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// An element with children.
    pub(crate) fn nest(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    /// A grantee, which alone has an attribute.
    pub(crate) fn grantee(&mut self, kind: &str, content: impl FnOnce(&mut Self)) {
        self.0.push_str(
            "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"",
        );
        self.0.push_str(kind);
        self.0.push_str("\">");
        content(self);
        self.close("Grantee");
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn escape(&mut self, mut text: &str) {
        while let Some(at) = text.bytes().position(is_escaped) {
            self.0.push_str(&text[..at]);
            match text.as_bytes()[at] {
                b'<' => self.0.push_str("&lt;"),
                b'>' => self.0.push_str("&gt;"),
                b'&' => self.0.push_str("&amp;"),
                b'"' => self.0.push_str("&quot;"),
                b'\r' => self.0.push_str("&#13;"),
                // Not allowed in XML 1.0 even as references; AWS writes references all the same.
                control => self.0.push_str(&format!("&#x{control:x};")),
            }
            text = &text[at + 1..];
        }
        self.0.push_str(text);
    }
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | b'"' | 0..=8 | 11..=31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_its_entities_and_without_its_namespaces() {
        let root =
            parse(b"<?xml version='1.0'?><a:D xmlns:a='x'><Key>a&amp;b&#x41;</Key>\n <E/></a:D>");
        let root = root.unwrap();
        assert_eq!(root.name, "D");
        assert_eq!(root.text_of("Key"), Some("a&bA"));
        assert_eq!(root.text_of("E"), Some(""));
    }

    #[test]
    fn what_is_not_a_document_is_refused() {
        let deep = "<a>".repeat(100);
        for bad in ["", "x", "<a>", "<a></b>", "<!DOCTYPE a><a/>", "<a>&lol;</a>", deep.as_str()] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn text_is_escaped() {
        let written = Xml::bare("E", |xml| xml.text("K", "<&>\u{1}ü\t\r\n"));
        assert!(written.ends_with("<E><K>&lt;&amp;&gt;&#x1;ü\t&#13;\n</K></E>"), "{written}");
    }
}
