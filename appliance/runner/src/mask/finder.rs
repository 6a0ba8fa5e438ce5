//! Finds the forms of secrets in a piece of output.
//!
//! Why several ways: almost all forms are long, and [`Grams`] finds these. A short one would stand in
//! output where no look falls. In a small piece each is searched for in turn; a large one is first
//! passed through vectorised sieves, 64 forms each, which most output passes at the speed of memory;
//! only what one holds back meets the automaton. Sieves and automaton are built when first needed.
//! Invariants: all ways tell the same hits, overlapping ones included.

use super::grams::{self, Grams};
use aho_corasick::{AhoCorasick, packed};
use memchr::memmem;
use std::sync::OnceLock;

/// Up to this many bytes of output, and this many short forms, one search for each is cheaper.
const SMALL_PIECE: usize = 4 << 10;
const FEW_FORMS: usize = 200;

/// Forms in one sieve, which takes no more, and sieves that are still quicker than the automaton.
const SIEVE_FORMS: usize = 64;
const SIEVES_MAX: usize = 12;

/// Ready to find some forms.
pub(super) struct Finder {
    grams: Grams,
    short: Short,
}

/// Begin and end of a form in the bytes.
pub(super) type Hit = (usize, usize);

impl Finder {
    /// Prepares the search for `forms`; each use must name the same.
    pub(super) fn new(forms: &[Vec<u8>]) -> Self {
        let short = forms.iter().filter(|form| form.len() < grams::SHORTEST);
        Self { grams: Grams::new(forms), short: Short::new(short.cloned().collect()) }
    }

    /// False where no form goes on behind these bytes: almost always.
    pub(super) fn may_continue(&self, tail: &[u8]) -> bool {
        tail.len() < grams::SHORTEST || self.grams.may_begin_with(tail)
    }

    /// All hits, in no particular order.
    pub(super) fn hits(&self, forms: &[Vec<u8>], bytes: &[u8]) -> Vec<Hit> {
        let mut hits = self.grams.hits(forms, bytes);
        hits.extend(self.short.hits(bytes));
        hits
    }
}

/// Ready to find forms in which no look of [`Grams`] may fall.
struct Short {
    forms: Vec<Vec<u8>>,
    one_by_one: Option<Vec<memmem::Finder<'static>>>,
    /// None where there are too many forms.
    sieves: OnceLock<Vec<packed::Searcher>>,
    automaton: OnceLock<AhoCorasick>,
}

impl Short {
    fn new(forms: Vec<Vec<u8>>) -> Self {
        let each = || forms.iter().map(|form| memmem::Finder::new(form).into_owned()).collect();
        let one_by_one = (forms.len() <= FEW_FORMS).then(each);
        Self { one_by_one, forms, sieves: OnceLock::new(), automaton: OnceLock::new() }
    }

    fn hits(&self, bytes: &[u8]) -> Vec<Hit> {
        match &self.one_by_one {
            _ if self.forms.is_empty() => Vec::new(),
            Some(finders) if bytes.len() <= SMALL_PIECE => {
                finders.iter().flat_map(|finder| hits_of(finder, bytes)).collect()
            }
            _ if self.is_clean(bytes) => Vec::new(),
            _ => self.hits_of_automaton(bytes),
        }
    }

    /// No form begins anywhere; false where there is no sieve for so many forms.
    fn is_clean(&self, bytes: &[u8]) -> bool {
        let sieves = self.sieves.get_or_init(|| sieves_of(&self.forms));
        !sieves.is_empty() && sieves.iter().all(|sieve| sieve.find(bytes).is_none())
    }

    fn hits_of_automaton(&self, bytes: &[u8]) -> Vec<Hit> {
        // Building fails only beyond 2^31 states; a job's variables are bounded far below.
        let build = || AhoCorasick::new(&self.forms).expect("a job's variables fit an automaton");
        let automaton = self.automaton.get_or_init(build);
        automaton.find_overlapping_iter(bytes).map(|hit| (hit.start(), hit.end())).collect()
    }
}

fn sieves_of(forms: &[Vec<u8>]) -> Vec<packed::Searcher> {
    let parts = forms.chunks(SIEVE_FORMS);
    let parts = (parts.len() <= SIEVES_MAX).then_some(parts).into_iter().flatten();
    let sieves: Option<Vec<_>> = parts.map(packed::Searcher::new).collect();
    sieves.unwrap_or_default()
}

/// Every place of one form, also where it overlaps itself.
fn hits_of<'a>(
    finder: &'a memmem::Finder<'static>,
    bytes: &'a [u8],
) -> impl Iterator<Item = Hit> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + finder.find(bytes.get(from..)?)?;
        from = start + 1;
        Some((start, start + finder.needle().len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut hits: Vec<Hit>) -> Vec<Hit> {
        hits.sort_unstable();
        hits
    }

    fn every_place(forms: &[Vec<u8>], bytes: &[u8]) -> Vec<Hit> {
        let of = |form: &Vec<u8>| {
            let starts = (0..bytes.len()).filter(|start| bytes[*start..].starts_with(form));
            starts.map(|start| (start, start + form.len())).collect::<Vec<_>>()
        };
        sorted(forms.iter().flat_map(of).collect())
    }

    proptest! {
        #[test]
        fn every_place_of_every_form_is_told_once(
            forms in prop::collection::btree_set("[ab]{4,20}", 0..300),
            text in "[abc]{0,80}",
        ) {
            let forms: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
            let bytes = text.as_bytes();
            let hits = Finder::new(&forms).hits(&forms, bytes);
            prop_assert_eq!(sorted(hits), every_place(&forms, bytes));
        }

        #[test]
        fn all_ways_to_short_forms_tell_the_same(
            forms in prop::collection::btree_set("[ab]{4,8}", 1..300),
            text in "[abc]{0,80}",
        ) {
            let short = Short::new(forms.into_iter().map(String::into_bytes).collect());
            let bytes = text.as_bytes();
            let each = sorted(short.hits(bytes));
            prop_assert_eq!(&each, &sorted(short.hits_of_automaton(bytes)));
            // A processor without vectors has no sieves.
            let sieved = !sieves_of(&short.forms).is_empty();
            prop_assert_eq!(short.is_clean(bytes), sieved && each.is_empty());
        }
    }

    #[test]
    fn a_secret_in_a_large_piece_is_found() {
        let forms = [b"hunter2".to_vec(), b"aHVudGVyMiBhbmQgbW9yZQ==".to_vec()];
        let mut bytes = vec![b'x'; 3 * SMALL_PIECE];
        let finder = Finder::new(&forms);
        assert!(finder.hits(&forms, &bytes).is_empty());
        for form in forms.iter() {
            let (at, end) = (2 * SMALL_PIECE, 2 * SMALL_PIECE + form.len());
            bytes[at..end].copy_from_slice(form);
            assert_eq!(finder.hits(&forms, &bytes), [(at, end)]);
        }
    }
}
