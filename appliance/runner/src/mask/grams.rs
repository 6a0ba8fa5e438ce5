//! Finds long strings in output, however many there are, by a look at each eighth place.
//!
//! Why: a secret has some hundred forms and a job several secrets. The tables of an automaton for all
//! of these are megabytes, take longer to build than a short job runs, and pass output slowly.
//! How: what has twelve bytes covers, wherever it stands, five bytes (a gram) that begin at a multiple
//! of eight. The grams that can be the first such are known, for each form and each of the eight ways
//! in which it can stand; where output has one of them, the form is compared.
//! Invariant: each place of each form is told once, overlapping ones included.

use super::finder::Hit;
use std::num::NonZeroU32;

/// Bytes between two looks, and the bytes at which each looks.
const STRIDE: usize = 8;
const GRAM: usize = 5;

/// Bytes of the shortest form that is found wherever it stands.
pub(super) const SHORTEST: usize = STRIDE + GRAM - 1;

/// Bits for each gram: of looks at other output one in so many is followed by a comparison.
const BITS: usize = 32;

/// The grams of some forms, by hash.
pub(super) struct Grams {
    /// A bit for each hash; the bits of those that some gram has are set.
    seen: Vec<u64>,
    /// The first number in the chain of each hash; numbers count the eight grams of each form, from one.
    heads: Vec<Option<NonZeroU32>>,
    /// What follows each number in its chain.
    behind: Vec<Option<NonZeroU32>>,
}

impl Grams {
    /// Prepares the search for those of `forms` that are long enough; each use must name the same.
    pub(super) fn new(forms: &[Vec<u8>]) -> Self {
        let numbers = forms.len() * STRIDE;
        let size = numbers.next_power_of_two().max(64);
        let mut grams = Self {
            seen: vec![0; size * BITS / 64],
            heads: vec![None; size],
            behind: vec![None; numbers + 1],
        };
        for (form, first) in forms.iter().zip((1..).step_by(STRIDE)) {
            if form.len() >= SHORTEST {
                let all = form.windows(GRAM).take(STRIDE).zip(first..);
                all.for_each(|(gram, number)| grams.insert(padded(gram), number));
            }
        }
        grams
    }

    fn insert(&mut self, gram: [u8; STRIDE], number: u32) {
        let hash = hash(gram);
        let bit = upper(hash, self.seen.len() * 64);
        self.seen[bit / 64] |= 1 << (bit % 64);
        let chain = upper(hash, self.heads.len());
        let head = &mut self.heads[chain];
        self.behind[number as usize] = std::mem::replace(head, NonZeroU32::new(number));
    }

    /// All hits of long forms, in no particular order.
    pub(super) fn hits(&self, forms: &[Vec<u8>], bytes: &[u8]) -> Vec<Hit> {
        let (looks, rest) = bytes.as_chunks();
        let last = (rest.len() >= GRAM).then(|| padded(rest));
        let mut hits = Vec::new();
        let mut look_at = |index: usize, look| {
            let hash = hash(look);
            if self.is_seen(hash) {
                hits.extend(self.hits_around(forms, bytes, index * STRIDE, hash));
            }
        };
        looks.iter().enumerate().for_each(|(index, look)| look_at(index, *look));
        last.into_iter().for_each(|look| look_at(looks.len(), look));
        hits
    }

    /// Some form that is long enough may begin as `bytes` do, of which there are [`SHORTEST`].
    pub(super) fn may_begin_with(&self, bytes: &[u8]) -> bool {
        self.is_seen(hash(padded(&bytes[..GRAM])))
    }

    fn is_seen(&self, hash: u64) -> bool {
        let bit = upper(hash, self.seen.len() * 64);
        self.seen[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The forms whose first look is at this place.
    fn hits_around<'a>(
        &'a self,
        forms: &'a [Vec<u8>],
        bytes: &'a [u8],
        at: usize,
        hash: u64,
    ) -> impl Iterator<Item = Hit> + 'a {
        let first = self.heads[upper(hash, self.heads.len())];
        let chain = std::iter::successors(first, |number| self.behind[number.get() as usize]);
        chain.filter_map(move |number| {
            let gram = number.get() as usize - 1;
            let form = &forms[gram / STRIDE];
            let start = at.checked_sub(gram % STRIDE)?;
            bytes[start..].starts_with(form).then(|| (start, start + form.len()))
        })
    }
}

/// A gram with as many bytes behind it as a look has; those count for nothing.
fn padded(gram: &[u8]) -> [u8; STRIDE] {
    std::array::from_fn(|i| gram.get(i).copied().unwrap_or(0))
}

/// Of the gram at the beginning of a look; its upper bits depend on all of it.
fn hash(look: [u8; STRIDE]) -> u64 {
    (u64::from_le_bytes(look) << (8 * (STRIDE - GRAM))).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// One of `size`, a power of two.
fn upper(hash: u64, size: usize) -> usize {
    (hash >> (64 - size.trailing_zeros())) as usize
}
