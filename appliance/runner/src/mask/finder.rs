//! Finds the forms of secrets in a piece of output.
//!
//! Why three ways: the tables of an automaton for a few long secrets take megabytes and
//! milliseconds to build, more than a short job prints or runs. So a small piece is searched for
//! each form in turn; a large one is first passed through vectorised sieves, 64 forms each, which
//! most output passes at the speed of memory; only what one holds back meets the automaton. Sieves and
//! automaton are built when first needed.
//! Invariants: all ways tell the same hits, overlapping ones included.

use aho_corasick::{AhoCorasick, packed};
use memchr::memmem;
use std::sync::OnceLock;

/// Up to this many bytes of output, and this many forms, one search for each form is cheaper.
const SMALL_PIECE: usize = 4 << 10;
const FEW_FORMS: usize = 200;

/// Forms in one sieve, which takes no more, and sieves that are still quicker than the automaton.
const SIEVE_FORMS: usize = 64;
const SIEVES_MAX: usize = 12;

/// Ready to find some forms.
pub(super) struct Finder {
    one_by_one: Option<Vec<memmem::Finder<'static>>>,
    /// None where there are too many forms.
    sieves: OnceLock<Vec<packed::Searcher>>,
    automaton: OnceLock<AhoCorasick>,
}

/// Begin and end of a form in the bytes.
pub(super) type Hit = (usize, usize);

impl Finder {
    /// Prepares the search for `forms`; each use must name the same.
    pub(super) fn new(forms: &[Vec<u8>]) -> Self {
        let each = || forms.iter().map(|form| memmem::Finder::new(form).into_owned()).collect();
        Self {
            one_by_one: (forms.len() <= FEW_FORMS).then(each),
            sieves: OnceLock::new(),
            automaton: OnceLock::new(),
        }
    }

    /// All hits, in no particular order.
    pub(super) fn hits(&self, forms: &[Vec<u8>], bytes: &[u8]) -> Vec<Hit> {
        match &self.one_by_one {
            Some(finders) if bytes.len() <= SMALL_PIECE => {
                finders.iter().flat_map(|finder| hits_of(finder, bytes)).collect()
            }
            _ if self.is_clean(forms, bytes) => Vec::new(),
            _ => self.hits_of_automaton(forms, bytes),
        }
    }

    /// No form begins anywhere; false where there is no sieve for so many forms.
    fn is_clean(&self, forms: &[Vec<u8>], bytes: &[u8]) -> bool {
        let sieves = self.sieves.get_or_init(|| sieves_of(forms));
        !sieves.is_empty() && sieves.iter().all(|sieve| sieve.find(bytes).is_none())
    }

    fn hits_of_automaton(&self, forms: &[Vec<u8>], bytes: &[u8]) -> Vec<Hit> {
        // Building fails only beyond 2^31 states; a job's variables are bounded far below.
        let build = || AhoCorasick::new(forms).expect("the variables of one job fit an automaton");
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

    proptest! {
        #[test]
        fn all_ways_tell_the_same(
            forms in prop::collection::btree_set("[ab]{4,8}", 1..300),
            text in "[abc]{0,80}",
        ) {
            let forms: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
            let finder = Finder::new(&forms);
            let bytes = text.as_bytes();
            let each = sorted(finder.hits(&forms, bytes));
            prop_assert_eq!(&each, &sorted(finder.hits_of_automaton(&forms, bytes)));
            // A processor without vectors has none.
            let sieved = !sieves_of(&forms).is_empty();
            prop_assert_eq!(finder.is_clean(&forms, bytes), sieved && each.is_empty());
        }
    }

    #[test]
    fn a_secret_in_a_large_piece_is_found() {
        let forms = [b"hunter2".to_vec(), b"aHVudGVyMg==".to_vec()];
        let mut bytes = vec![b'x'; 3 * SMALL_PIECE];
        let finder = Finder::new(&forms);
        assert!(finder.hits(&forms, &bytes).is_empty());
        let at = 2 * SMALL_PIECE;
        bytes[at..at + 7].copy_from_slice(b"hunter2");
        assert_eq!(finder.hits(&forms, &bytes), [(at, at + 7)]);
    }
}
