//! Tags of objects and buckets: header, XML and their limits.

use super::{
    error::{Code, S3Error},
    xml::{Element, Xml},
};
use crate::query::Query;
use std::collections::BTreeSet;

/// Tags of one object, as on S3.
pub(crate) const OBJECT_TAGS_MAX: usize = 10;

/// Tags of the header `x-amz-tagging`, a query string.
pub(crate) fn from_header(text: &str) -> Result<Vec<(String, String)>, S3Error> {
    let query = Query::parse(text);
    let mut tags: Vec<_> =
        query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    check(&tags, OBJECT_TAGS_MAX)?;
    tags.sort_unstable();
    Ok(tags)
}

/// Tags of a `Tagging` document.
pub(crate) fn from_xml(root: &Element, most: usize) -> Result<Vec<(String, String)>, S3Error> {
    let set = root.child("TagSet").filter(|_| root.name == "Tagging").ok_or(Code::MalformedXML)?;
    let tag = |tag: &Element| {
        let name = tag.text_of("Key").ok_or(Code::MalformedXML)?;
        Ok::<_, S3Error>((name.to_owned(), tag.text_of("Value").unwrap_or_default().to_owned()))
    };
    let tags: Vec<_> = set.all("Tag").map(tag).collect::<Result<_, _>>()?;
    check(&tags, most)?;
    Ok(tags)
}

fn check(tags: &[(String, String)], most: usize) -> Result<(), S3Error> {
    if tags.len() > most {
        return Err(Code::InvalidTag.says(format!("Object tags cannot be greater than {most}")));
    }
    let names: BTreeSet<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() != tags.len() {
        return Err(Code::InvalidTag.says("Cannot provide multiple Tags with the same key"));
    }
    for (name, value) in tags {
        if name.is_empty() || name.chars().count() > 128 {
            return Err(Code::InvalidTag.says("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(Code::InvalidTag.says("The TagValue you have provided is invalid"));
        }
    }
    Ok(())
}

/// A `Tagging` document.
pub(crate) fn to_xml(tags: &[(String, String)]) -> String {
    Xml::document("Tagging", |xml| {
        xml.nest("TagSet", |xml| {
            for (name, value) in tags {
                xml.nest("Tag", |xml| {
                    xml.text("Key", name);
                    xml.text("Value", value);
                });
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_header(text: &str, expected: Result<usize, Code>) {
        assert_eq!(
            from_header(text).map(|tags| tags.len()).map_err(|error| error.code),
            expected,
            "{text}"
        );
    }

    #[test]
    fn header_tags_are_read_within_their_limits() {
        check_header("a=1&b=%20", Ok(2));
        check_header("", Ok(0));
        check_header("a=1&a=2", Err(Code::InvalidTag));
        check_header(&format!("{}=1", "k".repeat(129)), Err(Code::InvalidTag));
        let many: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
        check_header(&many.join("&"), Err(Code::InvalidTag));
    }
}
