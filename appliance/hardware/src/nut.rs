//! A UPS behind Network UPS Tools, asked over TCP.
//!
//! Form: lines of text; `LIST UPS` names the devices, `GET VAR name variable` answers
//! `VAR name variable "value"` or `ERR WORD`. Source: NUT developer guide, "Network protocol
//! information"; port 3493 is registered for it.
//! Invariants: nothing is sent but questions, so no login is needed and nothing can be switched;
//! an answer longer than [`LINE_MAX`] or later than [`ANSWER_WITHIN`] ends the conversation.
//! On failure: [`Error`]; the next poll connects anew.

use base::{
    reading::{Quality, Supply},
    units::{Share, Span},
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv6Addr, TcpStream, ToSocketAddrs},
    str::FromStr,
    time::Duration,
};

const PORT: u16 = 3493;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Values are a few dozen letters; the protocol's own buffer is smaller than this.
const LINE_MAX: u64 = 4096;
/// More devices than one daemon of a site has.
const UPS_MAX: usize = 16;

/// Where the daemon listens, and which of its devices feeds this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The device; `None` is all of them.
    pub name: Option<String>,
    /// Host and port.
    pub host: String,
}

impl FromStr for Address {
    type Err = String;

    /// `[UPS@]HOST[:PORT]`, as NUT's own clients write it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, host) = match text.split_once('@') {
            Some((name, host)) => (Some(name), host),
            None => (None, text),
        };
        let plain = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let bad = || format!("`{text}` is not [UPS@]HOST[:PORT]");
        let (bare, port) = parts(host).ok_or_else(bad)?;
        if name.is_some_and(|name| !plain(name)) || !(bare.starts_with('[') || plain(bare)) {
            return Err(bad());
        }
        let host = format!("{bare}:{}", port.unwrap_or(PORT));
        Ok(Self { name: name.map(str::to_owned), host })
    }
}

/// The host as it stands, and the port if one does: an address of IPv6 stands in brackets.
fn parts(text: &str) -> Option<(&str, Option<u16>)> {
    let host_end = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, _) = rest.split_once(']')?;
            inside.parse::<Ipv6Addr>().ok()?;
            inside.len() + 2
        }
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    match rest {
        "" => Some((host, None)),
        _ => Some((host, Some(rest.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?))),
    }
}

/// Why a UPS could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error(
        "the UPS daemon at {host} cannot be reached: {source}; check that upsd listens there (LISTEN in upsd.conf)"
    )]
    Connection {
        /// Host and port.
        host: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("the UPS daemon at {host} answered `{answer}` to `{question}`")]
    Refused {
        /// Host and port.
        host: String,
        /// What was asked.
        question: String,
        /// What it said.
        answer: String,
    },
}

/// What one UPS told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) charge: Option<Share>,
    pub(crate) runtime: Option<Span>,
}

impl Answer {
    /// What its status words mean. A device whose driver lost it is stale, not on mains.
    pub(crate) fn supply(&self) -> Result<Supply, Quality> {
        let has = |word: &str| self.status.split_whitespace().any(|found| found == word);
        if has("LB") || has("FSD") {
            return Ok(Supply::BatteryLow);
        }
        match (has("OB"), has("OL")) {
            (true, _) => Ok(Supply::Battery),
            (false, true) => Ok(Supply::Mains),
            (false, false) => Err(Quality::Stale),
        }
    }
}

/// The conversation.
pub(crate) struct Client {
    address: Address,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) const fn new(address: Address) -> Self {
        Self { address, connection: None }
    }

    /// Asks every UPS once. Blocks for some seconds at most.
    pub(crate) fn poll(&mut self) -> Result<Vec<Answer>, Error> {
        let answers = self.ask_all();
        if answers.is_err() {
            self.connection = None;
        }
        answers
    }

    fn ask_all(&mut self) -> Result<Vec<Answer>, Error> {
        let names = match &self.address.name {
            Some(name) => vec![name.clone()],
            None => self.list()?,
        };
        names.into_iter().map(|name| self.ask_one(name)).collect()
    }

    fn ask_one(&mut self, name: String) -> Result<Answer, Error> {
        let status = match self.variable(&name, "ups.status") {
            // The daemon runs and its driver does not: the device is there and silent.
            Err(Error::Refused { answer, .. }) if is_silent(&answer) => String::new(),
            other => other?.unwrap_or_default(),
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<f64>().ok());
        let charge = number(self.optional(&name, "battery.charge")?);
        let runtime = number(self.optional(&name, "battery.runtime")?);
        Ok(Answer {
            status,
            charge: charge.filter(|share| (0.0..=100.0).contains(share)).map(Share),
            runtime: runtime.and_then(|s| Duration::try_from_secs_f64(s).ok()).map(Span),
            name,
        })
    }

    /// A variable that not every device has.
    fn optional(&mut self, ups: &str, variable: &str) -> Result<Option<String>, Error> {
        match self.variable(ups, variable) {
            Err(Error::Refused { .. }) => Ok(None),
            other => other,
        }
    }

    fn variable(&mut self, ups: &str, variable: &str) -> Result<Option<String>, Error> {
        let line = self.question(&format!("GET VAR {ups} {variable}"))?;
        Ok(quoted(&line))
    }

    fn list(&mut self) -> Result<Vec<String>, Error> {
        self.question("LIST UPS")?;
        let mut names = Vec::new();
        loop {
            let line = self.line().map_err(|source| self.broken(source))?;
            if line.starts_with("END ") {
                return Ok(names);
            }
            let name = line.strip_prefix("UPS ").and_then(|rest| rest.split(' ').next());
            names.extend(name.filter(|_| names.len() < UPS_MAX).map(str::to_owned));
        }
    }

    fn question(&mut self, question: &str) -> Result<String, Error> {
        let answer = self.exchange(question).map_err(|source| self.broken(source))?;
        if answer.starts_with("ERR ") {
            let (host, question) = (self.address.host.clone(), question.to_owned());
            return Err(Error::Refused { host, question, answer });
        }
        Ok(answer)
    }

    fn exchange(&mut self, question: &str) -> io::Result<String> {
        if self.connection.is_none() {
            self.connection = Some(BufReader::new(connect(&self.address.host)?));
        }
        let reader = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        reader.get_mut().write_all(format!("{question}\n").as_bytes())?;
        self.line()
    }

    fn line(&mut self) -> io::Result<String> {
        let reader = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut line = String::new();
        reader.by_ref().take(LINE_MAX).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Connection { host: self.address.host.clone(), source }
    }
}

fn is_silent(answer: &str) -> bool {
    ["ERR DATA-STALE", "ERR DRIVER-NOT-CONNECTED"].iter().any(|silent| answer.starts_with(silent))
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWER_WITHIN) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WITHIN))?;
                stream.set_write_timeout(Some(ANSWER_WITHIN))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The text between the quotes of a line; `\"` and `\\` stand for themselves.
fn quoted(line: &str) -> Option<String> {
    let mut letters = line.split_once('"')?.1.chars();
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str, expected: Result<Supply, Quality>) {
        let answer =
            Answer { name: "ups".into(), status: status.into(), charge: None, runtime: None };
        assert_eq!(answer.supply(), expected, "{status}");
    }

    #[test]
    fn status_words_are_understood() {
        check("OL", Ok(Supply::Mains));
        check("OL CHRG", Ok(Supply::Mains));
        check("OB DISCHRG", Ok(Supply::Battery));
        check("OB LB DISCHRG", Ok(Supply::BatteryLow));
        check("OL FSD", Ok(Supply::BatteryLow));
        check("BOOST", Err(Quality::Stale));
        check("", Err(Quality::Stale));
    }

    #[test]
    fn addresses_are_read_as_the_clients_of_nut_write_them() {
        let host = |text: &str| text.parse::<Address>().map(|address| address.host);
        assert_eq!(host("127.0.0.1"), Ok("127.0.0.1:3493".into()));
        assert_eq!(host("rack@[::1]:4000"), Ok("[::1]:4000".into()));
        assert_eq!("rack@10.0.0.1".parse::<Address>().unwrap().name.as_deref(), Some("rack"));
        assert_eq!(host("rack@[::1]"), Ok("[::1]:3493".into()));
        assert_eq!(host("ups.site:4000"), Ok("ups.site:4000".into()));
        for bad in [
            "ra ck@host",
            "",
            "ups@host:99999",
            "host:0",
            "host:",
            "host:x",
            "::1",
            "[::1",
            "[x]",
            "[::1]4000",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_unquoted() {
        assert_eq!(quoted(r#"VAR u ups.status "OL \"x\" \\""#).as_deref(), Some(r#"OL "x" \"#));
        assert_eq!(quoted("VAR u ups.status \"cut"), None);
    }
}
