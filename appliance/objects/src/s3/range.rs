//! The header `Range`, one range of bytes, pure.

use std::ops::Range;

/// What the header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// No range, or a form that S3 ignores.
    Whole,
    Part(Range<u64>),
    /// It begins behind the end.
    Unsatisfiable,
}

/// Reads `bytes=a-b`, `bytes=a-`, `bytes=-n` for an object of `size`.
pub(crate) fn parse(text: Option<&str>, size: u64) -> Asked {
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'))
    else {
        return Asked::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(start), Ok(end)) if start > end => Asked::Whole,
        (Ok(start), _) if start >= size => Asked::Unsatisfiable,
        (Ok(start), Ok(end)) => Asked::Part(start..end.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.trim().is_empty() => Asked::Part(start..size),
        (Err(_), Ok(count)) if first.trim().is_empty() => {
            if count == 0 || size == 0 {
                Asked::Unsatisfiable
            } else {
                Asked::Part(size.saturating_sub(count)..size)
            }
        }
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, size: u64, expected: &Asked) {
        assert_eq!(&parse(Some(text), size), expected, "{text} of {size}");
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        check("bytes=0-0", 10, &Asked::Part(0..1));
        check("bytes=4-99", 10, &Asked::Part(4..10));
        check("bytes=4-", 10, &Asked::Part(4..10));
        check("bytes=-3", 10, &Asked::Part(7..10));
        check("bytes=-30", 10, &Asked::Part(0..10));
        check("bytes=10-", 10, &Asked::Unsatisfiable);
        check("bytes=-1", 0, &Asked::Unsatisfiable);
        check("bytes=5-4", 10, &Asked::Whole);
        check("lines=1-2", 10, &Asked::Whole);
        check("bytes=a-b", 10, &Asked::Whole);
        check("bytes=18446744073709551615-18446744073709551615", 10, &Asked::Unsatisfiable);
    }
}
