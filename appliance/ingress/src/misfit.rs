//! What a file holds that is no PEM of the expected kind, and how it becomes one.
//!
//! Why: authorities hand keys out in many forms; the parser knows only that there is nothing it can use.
//! Pure. Forms in DER are told by their first elements: PKCS #12 begins with the version 3 (RFC 7292), an
//! encrypted PKCS #8 key with a sequence (RFC 5958), any other key with a number.

use std::path::Path;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// A form, and the command that converts it, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// In words that complete "it holds …".
    pub holds: &'static str,
    /// In words that complete "do this: …".
    pub remedy: String,
}

/// Why a file is no PEM key that can be read without a pass phrase.
pub(crate) fn of_key(bytes: &[u8], path: &Path) -> Option<Misfit> {
    let path = path.display();
    let converted = |holds, command: String| {
        Some(Misfit {
            holds,
            remedy: format!("run `umask 077; {command}` and name the new file in `tls_key`"),
        })
    };
    if let Some(text) = pem(bytes) {
        let is_encrypted =
            text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
        return match () {
            () if is_encrypted => converted(
                "a private key under a pass phrase, which nobody can type at a start",
                format!("openssl pkey -in {path} -out {path}.plain"),
            ),
            () if text.contains("BEGIN OPENSSH PRIVATE KEY") => converted(
                "a private key in the form of OpenSSH",
                format!("cp {path} {path}.pem && ssh-keygen -p -N '' -m PEM -f {path}.pem"),
            ),
            () if !text.contains("PRIVATE KEY") => Some(Misfit {
                holds: "no private key, but something else in PEM",
                remedy: "see whether `tls_certificate` and `tls_key` are exchanged".to_owned(),
            }),
            () => None,
        };
    }
    match beginning(bytes)? {
        [INTEGER, 1, 3] => converted(
            "a PKCS #12 archive",
            format!("openssl pkcs12 -in {path} -nodes -nocerts -out {path}.pem"),
        ),
        [SEQUENCE, ..] => converted(
            "a private key in DER under a pass phrase, which nobody can type at a start",
            format!("openssl pkey -inform DER -in {path} -out {path}.pem"),
        ),
        _ => converted(
            "a private key in DER, not in PEM",
            format!("openssl pkey -inform DER -in {path} -out {path}.pem"),
        ),
    }
}

/// Why a file is no PEM chain of certificates.
pub(crate) fn of_chain(bytes: &[u8], path: &Path) -> Option<Misfit> {
    let path = path.display();
    let converted = |holds, command: String| {
        Some(Misfit {
            holds,
            remedy: format!("run `{command}` and name the new file in `tls_certificate`"),
        })
    };
    if let Some(text) = pem(bytes) {
        return match () {
            () if text.contains("BEGIN PKCS7") => converted(
                "certificates in PKCS #7",
                format!("openssl pkcs7 -in {path} -print_certs -out {path}.pem"),
            ),
            () if !text.contains("BEGIN CERTIFICATE") => Some(Misfit {
                holds: "no certificate, but something else in PEM",
                remedy: "see whether `tls_certificate` and `tls_key` are exchanged".to_owned(),
            }),
            () => None,
        };
    }
    match beginning(bytes)? {
        [INTEGER, 1, 3] => converted(
            "a PKCS #12 archive",
            format!("openssl pkcs12 -in {path} -nokeys -out {path}.pem"),
        ),
        [SEQUENCE, ..] => converted(
            "a certificate in DER, not in PEM",
            format!("openssl x509 -inform DER -in {path} -out {path}.pem"),
        ),
        _ => converted(
            "certificates in PKCS #7",
            format!("openssl pkcs7 -inform DER -in {path} -print_certs -out {path}.pem"),
        ),
    }
}

fn pem(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN "))
}

/// The first bytes within the outer sequence of DER.
fn beginning(bytes: &[u8]) -> Option<[u8; 3]> {
    let rest = bytes.strip_prefix(&[SEQUENCE])?;
    let (length, rest) = rest.split_first()?;
    let more = if *length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) };
    rest.get(more..more + 3)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(of: fn(&[u8], &Path) -> Option<Misfit>, bytes: &[u8], expected: Option<(&str, &str)>) {
        let found = of(bytes, Path::new("/k"));
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some((holds, remedy))) => {
                assert!(found.holds.contains(holds), "{found:?}");
                assert!(found.remedy.contains(remedy), "{found:?}");
            }
            _ => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn forms_of_keys_are_told_with_the_command_that_converts_them() {
        let pkey = "openssl pkey -in /k -out /k.plain";
        check(of_key, b"-----BEGIN PRIVATE KEY-----\n", None);
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n";
        check(of_key, encrypted, Some(("pass phrase", pkey)));
        let old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        check(of_key, old, Some(("pass phrase", pkey)));
        check(of_key, b"-----BEGIN CERTIFICATE-----\n", Some(("no private key", "exchanged")));
        let ssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\n";
        check(of_key, ssh, Some(("OpenSSH", "ssh-keygen -p")));
        let der = "openssl pkey -inform DER";
        check(of_key, &[0x30, 0x82, 4, 9, 2, 1, 0, 0x30], Some(("in DER, not in PEM", der)));
        check(of_key, &[0x30, 0x77, 2, 1, 1, 4], Some(("in DER, not in PEM", der)));
        check(of_key, &[0x30, 0x82, 4, 9, 0x30, 0x40, 6], Some(("pass phrase", der)));
        let pkcs12 = Some(("PKCS #12", "openssl pkcs12 -in /k -nodes -nocerts"));
        check(of_key, &[0x30, 0x82, 9, 9, 2, 1, 3, 0x30], pkcs12);
        check(of_key, b"hello", None);
        check(of_key, b"", None);
    }

    #[test]
    fn forms_of_chains_are_told_with_the_command_that_converts_them() {
        check(of_chain, b"-----BEGIN CERTIFICATE-----\n", None);
        check(of_chain, b"-----BEGIN PRIVATE KEY-----\n", Some(("no certificate", "exchanged")));
        check(of_chain, b"-----BEGIN PKCS7-----\n", Some(("PKCS #7", "-print_certs")));
        let der = Some(("in DER", "openssl x509 -inform DER -in /k -out /k.pem"));
        check(of_chain, &[0x30, 0x82, 4, 9, 0x30, 0x82, 3], der);
        check(of_chain, &[0x30, 0x82, 4, 9, 6, 9, 42], Some(("PKCS #7", "-inform DER")));
        check(of_chain, &[0x30, 0x82, 9, 9, 2, 1, 3, 0x30], Some(("PKCS #12", "-nokeys")));
    }
}
