//! The address of an appliance as people write it: `https://HOST[:PORT]`.

use http::Uri;

/// What `--host` must look like.
pub(super) const EXPECTED: &str = "expected https://HOST[:PORT]";

/// Without a port in the address.
const PORT: u16 = 443;

/// Where to connect, and who is expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// As in the header `Host`.
    pub(super) authority: String,
    /// A name, or an IP address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    pub(super) fn of(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?.as_str();
        let (host, port) = (uri.host()?, authority.strip_prefix(uri.host()?)?);
        let port = match port.strip_prefix(':') {
            Some(number) => number.parse().ok()?,
            None => PORT,
        };
        let plain = uri.scheme_str() == Some("https") && uri.path() == "/" && uri.query().is_none();
        (plain && !host.is_empty()).then(|| Self {
            authority: authority.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = Address::of(text);
        let found = found.as_ref().map(|address| (address.host.as_str(), address.port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        check("https://box", Some(("box", 443)));
        check("https://box:8443/", Some(("box", 8443)));
        check("https://10.0.0.7:8443", Some(("10.0.0.7", 8443)));
        check("https://[fd00::7]", Some(("fd00::7", 443)));
        check("https://[fd00::7]:8443", Some(("fd00::7", 8443)));
        for wrong in [
            "",
            "box:8443",
            "http://box:8443",
            "https://",
            "https://box:",
            "https://box:70000",
            "https://mira@box",
            "https://box/projects",
        ] {
            check(wrong, None);
        }
    }
}
