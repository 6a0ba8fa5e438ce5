//! Test results from JUnit XML, and files of results, read inside the job.
//!
//! Why inside: a parser of foreign text belongs where it can only harm the one who wrote it.
//! Limits: files beyond [`FILE_MAX`] and results beyond [`RESULTS_MAX`] are passed over, and told.

use super::{
    AgentError, cucumber,
    encoding::{self, Decoded},
    say, walk,
};
use base::protocol::TestResult;
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// The largest file that is read.
const FILE_MAX: u64 = 64 << 20;

/// Results kept of one step.
const RESULTS_MAX: usize = 100_000;

/// Characters kept of one message; the log has the rest.
const MESSAGE_MAX: usize = 4096;

/// Prints the results in `path` as JSON.
pub(super) fn print(path: &Path) -> Result<(), AgentError> {
    let mut results = Vec::new();
    let is_report = |file: &Path| file == path || has_end(file, "xml") || has_end(file, "json");
    for file in walk::below(path)?.into_iter().filter(|file| file.is_file() && is_report(file)) {
        let source = file.strip_prefix(path).ok().filter(|name| !name.as_os_str().is_empty());
        let source = clipped(source.unwrap_or(&file).to_string_lossy().into_owned());
        if let Err(error) = read_file(&file, &source, &mut results) {
            warn(&format!("Could not read test results from {}: {error}", file.display()));
        }
    }
    if results.is_empty() {
        warn(&format!(
            "No test results were found in {}: files of JUnit (.xml) and Cucumber (.json) are read",
            path.display()
        ));
    }
    if results.len() >= RESULTS_MAX {
        results.truncate(RESULTS_MAX);
        warn(&format!("Only the first {RESULTS_MAX} test results are kept"));
    }
    say(&serde_json::to_string(&results).map_err(|error| AgentError::Refused(error.to_string()))?)
}

fn has_end(file: &Path, end: &str) -> bool {
    file.extension().is_some_and(|found| found.eq_ignore_ascii_case(end))
}

fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn read_file(file: &Path, source: &str, results: &mut Vec<TestResult>) -> Result<(), String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > FILE_MAX {
        return Err(format!("it is larger than {}", base::units::Bytes(FILE_MAX)));
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let Decoded { text, unknown } = encoding::decoded(&bytes);
    if let Some(unknown) = unknown {
        warn(&format!(
            "{} is in the encoding `{unknown}`, which is not known here: it is read as UTF-8, and letters beyond ASCII are wrong; write reports in UTF-8",
            file.display()
        ));
    }
    if has_end(file, "json") {
        return cucumber::read(&text, source, results);
    }
    read(&text, source, results)
}

/// What is known while reading.
struct Reading<'a> {
    source: &'a str,
    results: &'a mut Vec<TestResult>,
    /// `file` of the suites around.
    suite_files: Vec<Option<String>>,
    case: Option<TestResult>,
    /// What the failure of the current case holds: mostly where it failed.
    text: Option<String>,
}

/// Adds the results that `text` tells.
fn read(text: &str, source: &str, results: &mut Vec<TestResult>) -> Result<(), String> {
    let mut reading = Reading { source, results, suite_files: Vec::new(), case: None, text: None };
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => reading.opens(&tag),
            Event::Empty(tag) => {
                reading.opens(&tag);
                reading.closes(tag.name().as_ref());
            }
            Event::End(tag) => reading.closes(tag.name().as_ref()),
            Event::Text(text) => reading.hears(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => reading.hears(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(name) => {
                let name: &str = name.as_ref();
                reading.hears(quick_xml::escape::resolve_predefined_entity(name).unwrap_or("?"));
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
        if reading.results.len() >= RESULTS_MAX {
            return Ok(());
        }
    }
}

impl Reading<'_> {
    fn opens(&mut self, tag: &BytesStart<'_>) {
        match tag.name().as_ref() {
            "testsuite" => self.suite_files.push(attribute(tag, "file").map(clipped)),
            "testcase" => self.case = Some(self.case_of(tag)),
            kind @ ("failure" | "error" | "skipped") => {
                let Some(case) = &mut self.case else { return };
                case.result = kind.to_owned();
                case.message = attribute(tag, "message").map(clipped).unwrap_or_default();
                self.text = Some(String::new());
            }
            _ => {}
        }
    }

    fn case_of(&self, tag: &BytesStart<'_>) -> TestResult {
        let text = |name: &str| attribute(tag, name).map(clipped);
        let suite_file = self.suite_files.iter().rev().flatten().next().cloned();
        TestResult {
            classname: text("classname").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            file: text("file").or(suite_file),
            result: "success".into(),
            message: String::new(),
            run_time_ms: milliseconds(&text("time").unwrap_or_default()),
            source: self.source.to_owned(),
        }
    }

    fn closes(&mut self, name: &str) {
        match name {
            "testsuite" => {
                self.suite_files.pop();
            }
            "testcase" => self.results.extend(self.case.take()),
            "failure" | "error" | "skipped" => {
                if let (Some(case), Some(text)) = (&mut self.case, self.text.take()) {
                    case.message = clipped(told(&case.message, text.trim()));
                }
            }
            _ => {}
        }
    }

    fn hears(&mut self, text: &str) {
        if let Some(heard) = self.text.as_mut().filter(|heard| heard.len() < MESSAGE_MAX) {
            heard.push_str(text);
            *heard = clipped(std::mem::take(heard));
        }
    }
}

/// The message and the text below it; many tools begin the text with the message.
fn told(message: &str, text: &str) -> String {
    match (message, text) {
        (message, "") => message.to_owned(),
        (message, text) if text.starts_with(message) => text.to_owned(),
        (message, text) => format!("{message}\n\n{text}"),
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

pub(super) fn clipped(text: String) -> String {
    match text.char_indices().nth(MESSAGE_MAX) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

/// Seconds with a fraction, some tools with thousands separated by commas.
fn milliseconds(time: &str) -> u64 {
    let seconds: f64 = time.replace(',', "").parse().unwrap_or(0.0);
    std::time::Duration::try_from_secs_f64(seconds)
        .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str, &str, u64)]) {
        let mut results = Vec::new();
        read(text, "r.xml", &mut results).unwrap();
        let found: Vec<_> = results
            .iter()
            .map(|test| {
                (test.name.as_str(), test.result.as_str(), test.message.as_str(), test.run_time_ms)
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn results_are_read_as_tools_write_them() {
        check(
            r#"<?xml version="1.0"?><testsuites><testsuite name="s" file="t.py">
            <testcase classname="c" name="a" time="0.25"/>
            <testcase name="b"><failure message="1 &lt; 2">trace</failure></testcase>
            <testcase name="c" time="1,000.5"><error><![CDATA[boom & more]]></error></testcase>
            <testcase name="d"><skipped/></testcase>
            <testcase name="e"><failure>a &amp; b</failure></testcase>
            <testcase name="f"><failure message="no: 1"> no: 1
              at f.py:3 </failure></testcase>
            </testsuite></testsuites>"#,
            &[
                ("a", "success", "", 250),
                ("b", "failure", "1 < 2\n\ntrace", 0),
                ("c", "error", "boom & more", 1_000_500),
                ("d", "skipped", "", 0),
                ("e", "failure", "a & b", 0),
                ("f", "failure", "no: 1\n              at f.py:3", 0),
            ],
        );
        check("<testcase name='alone'/>", &[("alone", "success", "", 0)]);
    }

    #[test]
    fn the_file_of_a_suite_is_that_of_its_cases() {
        let mut results = Vec::new();
        let text = "<testsuite file='t.py'><testcase name='a'/><testcase name='b' file='u.py'/></testsuite>";
        read(text, "r.xml", &mut results).unwrap();
        let files: Vec<_> = results.iter().map(|test| test.file.as_deref()).collect();
        assert_eq!(files, [Some("t.py"), Some("u.py")]);
    }

    #[test]
    fn files_are_told_by_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.XML", "<testcase name='a'/>"),
            ("b.json", r#"[{"name":"F","elements":[{"name":"b"}]}]"#),
            ("c.txt", "<testcase name='c'/>"),
        ] {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            let mut results = Vec::new();
            read_file(&file, name, &mut results).unwrap();
            assert_eq!(results.len(), 1, "{name}");
        }
        let report =
            |name: &str| has_end(Path::new(name), "xml") || has_end(Path::new(name), "json");
        assert_eq!(["a.XML", "b.json", "c.txt", "xml"].map(report), [true, true, false, false]);
    }

    #[test]
    fn reports_are_read_in_the_encoding_that_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.xml");
        let text = "<?xml version='1.0' encoding='UTF-16'?><testcase name='größer'/>";
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let narrow = b"<?xml version='1.0' encoding='ISO-8859-1'?><testcase name='gr\xf6\xdfer'/>";
        for bytes in [[b"\xfe\xff", wide.as_slice()].concat(), narrow.to_vec()] {
            fs::write(&file, bytes).unwrap();
            let mut results = Vec::new();
            read_file(&file, "r.xml", &mut results).unwrap();
            assert_eq!(results[0].name, "größer");
        }
    }

    #[test]
    fn broken_text_is_an_error_and_never_a_panic() {
        for text in
            ["<testsuite", "<a b=>", "]]>", "<!DOCTYPE x [<!ENTITY a 'b'>]><testcase name='&a;'/>"]
        {
            let _ = read(text, "r.xml", &mut Vec::new());
        }
    }
}
