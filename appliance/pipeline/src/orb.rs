//! An orb's own source: whether it is valid, and which other orbs it or a configuration needs.

use crate::{
    compile::load_root,
    definition,
    diagnostic::Diagnostic,
    library::Library,
    orbs::Orbs,
    pack::{self, Files, PackError},
    report::Report,
    request::Request,
    scope::{Arguments, Scope},
    syntax::{Map, Node, SourceId, load},
};
use indexmap::IndexSet;

/// Checks an orb's packed source: elements, parameters, expressions, nested orbs.
#[must_use]
pub fn validate_orb(text: &str, file: &str, orbs: &Orbs) -> Vec<Diagnostic> {
    let mut report = Report::default();
    let source = report.sources.add(file, text.into());
    if let Some(root) = load_root(text, source, &mut report) {
        check_root(&root, 1, orbs, &mut report);
    }
    report.finish().0
}

/// The same of an orb's source folder: places are those of its files.
///
/// # Errors
/// When it cannot be packed.
pub fn validate_orb_files(
    files: &Files,
    folder: &str,
    orbs: &Orbs,
) -> Result<Vec<Diagnostic>, PackError> {
    let root = pack::orb_tree(files)?;
    let mut report = Report::default();
    for (path, text) in files {
        report.sources.add(&format!("{folder}/{path}"), text.as_str().into());
    }
    let parts = u16::try_from(files.len()).unwrap_or(u16::MAX);
    check_root(&root, parts, orbs, &mut report);
    let mut found = report.finish().0;
    found.sort_by(|a, b| (a.severity, &a.file, a.line).cmp(&(b.severity, &b.file, b.line)));
    Ok(found)
}

fn check_root(root: &Map, parts: u16, orbs: &Orbs, report: &mut Report) {
    let request = Request { orbs: orbs.clone(), ..Request::default() };
    let none = Arguments::new();
    let scope =
        Scope { pipeline: &request.values, declared: Some(&none), parameters: None, matrix: None };
    let library = Library::build_of_parts(root, parts, &request, &scope, report);
    definition::check_orb(root, &library, report);
}

/// References (`ns/name@1`, addresses) that stand in the `orbs:` of a text, inline orbs included,
/// for a shell that loads only what is needed. References with expressions come as written.
#[must_use]
pub fn orb_references(text: &str) -> Vec<String> {
    let mut found = IndexSet::new();
    if let Ok(loaded) = load::load(text, SourceId(0)) {
        collect(&loaded.root, &mut found);
    }
    found.into_iter().collect()
}

fn collect(root: &Node, found: &mut IndexSet<String>) {
    let orbs = root.as_map().and_then(|map| map.get("orbs")).and_then(Node::as_map);
    for entry in orbs.into_iter().flat_map(|orbs| &orbs.entries) {
        match entry.value.as_text() {
            Some(reference) => drop(found.insert(reference.to_owned())),
            None => collect(&entry.value, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_in_nested_inline_orbs() {
        let text = "orbs:\n  a: x/a@1\n  b:\n    orbs: {c: x/c@2, d: x/a@1}\n";
        assert_eq!(orb_references(text), ["x/a@1", "x/c@2"]);
    }

    fn check(text: &str, expected: &[&str]) {
        let found = validate_orb(text, "orb.yml", &Orbs::default());
        let codes: Vec<&str> =
            found.iter().filter(|d| d.is_error()).map(|d| d.code.as_str()).collect();
        assert_eq!(codes, expected, "{text}\n{found:#?}");
    }

    #[test]
    fn what_is_wrong_in_a_source_folder_is_told_with_file_line_and_column() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let files = Files::from([
            file("@orb.yml", "version: 2.1\norbs: {x: a/gone@1}\n"),
            file("commands/say.yml", "description: hi\nsteps:\n  - run: echo\n  - nothing\n"),
            file("jobs/j.yml", "steps: [checkout, say]\nexecutor: gone\n"),
        ]);
        let found = validate_orb_files(&files, "src", &Orbs::default()).unwrap();
        let places: Vec<String> = found.iter().map(Diagnostic::place).collect();
        assert_eq!(
            places,
            ["src/@orb.yml:2:11", "src/commands/say.yml:4:5", "src/jobs/j.yml:2:11"]
        );
        let lines: Vec<&str> = found.iter().map(|one| one.source_line.as_str()).collect();
        assert!(lines.contains(&"  - nothing"), "{lines:?}");
    }

    #[test]
    fn an_orb_is_checked_without_being_called() {
        check(
            "version: 2.1\ncommands: {c: {parameters: {p: {type: string}}, steps: [run: 'echo << parameters.p >>']}}",
            &[],
        );
        check(
            "version: 2.1\ncommands: {c: {steps: [run: 'echo << parameters.p >>']}}",
            &["unknown-reference"],
        );
        // Published orbs have both: an include that nobody replaced, and a list that binds nobody.
        check(
            "version: 2.1\ncommands: {c: {parameters: {p: {type: string, enum: [a], default: b}}, steps: [run: '<<include(scripts/c.sh>>']}}",
            &[],
        );
        check("version: 2.1\ncommands: {c: {steps: [run: 'cat <<EOF']}}", &["expression"]);
        check("version: 2.1\ncommands: {c: {steps: [nothing]}}", &["unknown-name"]);
        check("version: 2.1\ncommands: {c: {stepz: []}}", &["missing-key", "unexpected-key"]);
        check("version: 2.1\njobs: {j: {executor: e, steps: [checkout]}}", &["unknown-name"]);
    }
}
