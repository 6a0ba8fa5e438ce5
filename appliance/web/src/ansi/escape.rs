//! Bytes to characters and control sequences, one byte at a time.
//!
//! Source: ECMA-48 for the shapes; XTerm for OSC ended by BEL.
//! Invariants: holds at most [`HELD_MAX`] bytes; bytes that are not UTF-8 become U+FFFD.

/// A longer control sequence is not one that we know; what follows is dropped until its end.
const HELD_MAX: usize = 2048;

/// What a byte completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Escape {
    /// A character, perhaps a control character such as `\r`.
    Print(char),
    /// `ESC [ parameters end`.
    Csi { parameters: Vec<u16>, end: char },
    /// OSC 8: text from here on leads to this http address, or nowhere.
    Link(Option<String>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Text,
    Escape,
    /// `ESC (` and the like: one more byte.
    Charset,
    Csi,
    /// OSC, DCS, APC, PM: until BEL or `ESC \`.
    Text8,
    Text8Escape,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Parser {
    at: At,
    held: Vec<u8>,
    /// The held text began with `ESC ]`.
    osc: bool,
}

impl Parser {
    pub(super) fn step(&mut self, byte: u8) -> Option<Escape> {
        match self.at {
            At::Text => self.text(byte),
            At::Escape => self.escape(byte),
            At::Charset => self.end(),
            At::Csi => self.csi(byte),
            At::Text8 => self.string(byte),
            At::Text8Escape if byte == b'\\' => self.string_end(),
            At::Text8Escape => {
                self.end();
                self.escape(byte)
            }
        }
    }

    fn end(&mut self) -> Option<Escape> {
        self.held.clear();
        self.at = At::Text;
        None
    }

    fn text(&mut self, byte: u8) -> Option<Escape> {
        if byte == 0x1b {
            self.held.clear();
            self.at = At::Escape;
            return None;
        }
        if byte < 0x80 {
            self.held.clear();
            return Some(Escape::Print(char::from(byte)));
        }
        self.held.push(byte);
        match std::str::from_utf8(&self.held) {
            Ok(text) => {
                let c = text.chars().next();
                self.held.clear();
                c.map(Escape::Print)
            }
            Err(error) if error.error_len().is_none() => None,
            Err(_) => self.broken(byte),
        }
    }

    /// The held bytes are no character; the last of them may begin one.
    fn broken(&mut self, byte: u8) -> Option<Escape> {
        let begins = self.held.len() > 1 && byte >= 0xc2;
        self.held.clear();
        if begins {
            self.held.push(byte);
        }
        Some(Escape::Print(char::REPLACEMENT_CHARACTER))
    }

    fn escape(&mut self, byte: u8) -> Option<Escape> {
        self.held.clear();
        self.osc = byte == b']';
        self.at = match byte {
            b'[' => At::Csi,
            b']' | b'P' | b'X' | b'^' | b'_' => At::Text8,
            b'(' | b')' | b'*' | b'+' | b'#' | b'%' => At::Charset,
            0x1b => At::Escape,
            _ => At::Text,
        };
        None
    }

    fn csi(&mut self, byte: u8) -> Option<Escape> {
        match byte {
            0x20..=0x3f => {
                if self.held.len() < HELD_MAX {
                    self.held.push(byte);
                }
                None
            }
            0x40..=0x7e => {
                let parameters = parameters(&self.held);
                self.end();
                Some(Escape::Csi { parameters: parameters?, end: char::from(byte) })
            }
            0x1b => self.restart(),
            // A control character within a sequence means that it was cut: show what follows.
            _ => {
                self.end();
                self.text(byte)
            }
        }
    }

    fn restart(&mut self) -> Option<Escape> {
        self.held.clear();
        self.at = At::Escape;
        None
    }

    fn string(&mut self, byte: u8) -> Option<Escape> {
        match byte {
            0x07 => self.string_end(),
            0x1b => {
                self.at = At::Text8Escape;
                None
            }
            // No link or title has a line end: this one was never closed.
            b'\n' => {
                self.end();
                Some(Escape::Print('\n'))
            }
            _ => {
                if self.held.len() < HELD_MAX {
                    self.held.push(byte);
                }
                None
            }
        }
    }

    fn string_end(&mut self) -> Option<Escape> {
        let link = if self.osc { link(&self.held) } else { None };
        self.end();
        link
    }
}

/// Numbers between `;` or `:`; an empty one is 0. `None` for private sequences (`?25l`).
fn parameters(held: &[u8]) -> Option<Vec<u16>> {
    let text = std::str::from_utf8(held).ok()?;
    if text.starts_with(['<', '=', '>', '?']) {
        return None;
    }
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse().ok() };
    // `38:2::r:g:b` names a colour space that nobody sets.
    let text = text.replace(":2::", ":2:");
    text.split([';', ':']).map(number).collect()
}

/// `8;parameters;address`.
fn link(held: &[u8]) -> Option<Escape> {
    let text = String::from_utf8_lossy(held);
    let (_, address) = text.strip_prefix("8;")?.split_once(';')?;
    let web = address.starts_with("https://") || address.starts_with("http://");
    Some(Escape::Link((web && held.len() < HELD_MAX).then(|| address.to_owned())))
}
