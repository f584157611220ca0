//! The values of a column as folded words in one buffer, made for substring search.

use std::sync::Arc;

use memchr::memmem::Finder;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::catalogue::column::{Slot, ValueId, ordinal};
use crate::domain::value::Value;

/// Most values of a segment.
const SEGMENT: usize = 65_536;

/// Small segments, one a delta, after which all values are folded anew.
const SMALL_MAX: usize = 32;

/// Adds the folded words of `text`, each behind a blank.
///
/// Compatibility forms are unified, marks and case go, and everything that is neither letter nor
/// digit parts words: "Gåsdunjacka, 2-pack" is " gasdunjacka 2 pack".
pub(super) fn fold(text: &str, to: &mut String) {
    let mut in_word = false;
    let mut add = |letter: char| {
        if !letter.is_alphanumeric() {
            in_word = false;
            return;
        }
        if !in_word {
            to.push(' ');
            in_word = true;
        }
        match letter {
            'ß' => to.push_str("ss"),
            'ς' => to.push('σ'),
            other => to.push(other),
        }
    };
    if text.is_ascii() {
        let lower = text.bytes().map(|byte| byte.to_ascii_lowercase());
        lower.map(char::from).for_each(add);
    } else {
        let letters = text.nfkd().filter(|letter| !is_combining_mark(*letter));
        letters.flat_map(char::to_lowercase).for_each(&mut add);
    }
}

/// Which values a token was found in, ascending.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Hits {
    /// As a whole word.
    pub(super) whole: Vec<ValueId>,
    /// As the beginning of a word, whole ones included.
    pub(super) prefix: Vec<ValueId>,
}

/// The folded values of one column.
///
/// About a byte a letter and 4 bytes a value. Deltas append what is new and rename the rest.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
struct Segment {
    text: Arc<SegmentText>,
    ids: Ids,
}

/// Words of some values: each value as ` word word\n`.
#[derive(Debug)]
struct SegmentText {
    buffer: String,
    /// Where each value begins, and the end of the last.
    starts: Vec<u32>,
}

/// Ids of the values of a segment.
#[derive(Clone, Debug)]
enum Ids {
    /// Consecutive from this one.
    From(u32),
    /// One each; [`ValueId::NONE`] if the value is gone.
    Each(Arc<Vec<ValueId>>),
}

impl Ids {
    fn at(&self, place: usize) -> ValueId {
        match self {
            Self::From(first) => ValueId(first + ordinal(place)),
            Self::Each(ids) => ids[place],
        }
    }
}

impl Folded {
    /// Folds the values of a column.
    pub(super) fn new(values: &[Value]) -> Self {
        let chunks: Vec<(usize, &[Value])> = values.chunks(SEGMENT).enumerate().collect();
        let segment = |(place, values): &(usize, &[Value])| Segment {
            text: Arc::new(SegmentText::new(values.iter())),
            ids: Ids::From(ordinal(place * SEGMENT)),
        };
        Self {
            segments: chunks.par_iter().map(segment).collect(),
        }
    }

    /// After a column's values were renumbered: `new_ids` by old id, all new `values`, and which
    /// of them are `added`.
    pub(super) fn patched(&self, values: &[Value], new_ids: &[ValueId], added: &[ValueId]) -> Self {
        let n_full = values.len() / SEGMENT + 1;
        if n_full + SMALL_MAX < self.segments.len() {
            return Self::new(values);
        }
        let renamed = self.segments.iter().map(|segment| {
            let ids = (0..segment.text.len()).map(|place| match segment.ids.at(place) {
                ValueId::NONE => ValueId::NONE,
                old => new_ids[old.0 as usize],
            });
            Segment {
                text: Arc::clone(&segment.text),
                ids: Ids::Each(Arc::new(ids.collect())),
            }
        });
        let mut segments: Vec<Segment> = renamed.collect();
        if !added.is_empty() {
            let fresh = added.iter().map(|id| &values[id.0 as usize]);
            segments.push(Segment {
                text: Arc::new(SegmentText::new(fresh)),
                ids: Ids::Each(Arc::new(added.to_vec())),
            });
        }
        Self { segments }
    }

    /// Values that hold a word that is `token` or begins with it; `token` is folded.
    pub(super) fn find(&self, token: &str) -> Hits {
        let needle = format!(" {token}");
        let finder = Finder::new(&needle);
        let found = |segment: &Segment| segment.find(&finder);
        let per_segment: Vec<Hits> = self.segments.par_iter().map(found).collect();
        merged(per_segment)
    }

    /// Values whose words are exactly `folded`, as [`fold`] writes them.
    pub(super) fn equal(&self, folded: &str) -> Vec<ValueId> {
        let needle = format!("{folded}\n");
        let finder = Finder::new(&needle);
        let mut ids = Vec::new();
        for segment in &self.segments {
            for at in finder.find_iter(segment.text.buffer.as_bytes()) {
                if let Ok(place) = segment.text.starts.binary_search(&ordinal(at)) {
                    ids.push(segment.ids.at(place));
                }
            }
        }
        ids.retain(|id| *id != ValueId::NONE);
        ids.sort_unstable();
        ids
    }
}

fn merged(mut per_segment: Vec<Hits>) -> Hits {
    if per_segment.len() == 1 {
        return per_segment.remove(0);
    }
    let mut all = Hits::default();
    for hits in per_segment {
        all.whole.extend(hits.whole);
        all.prefix.extend(hits.prefix);
    }
    all.whole.sort_unstable();
    all.prefix.sort_unstable();
    all
}

impl SegmentText {
    fn new<'v>(values: impl Iterator<Item = &'v Value>) -> Self {
        let (mut buffer, mut starts) = (String::new(), vec![0]);
        for value in values {
            match value {
                Value::Text(text) => fold(text, &mut buffer),
                other => fold(&other.to_string(), &mut buffer),
            }
            buffer.push('\n');
            starts.push(ordinal(buffer.len()));
        }
        Self { buffer, starts }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The value that holds byte `at`, known not to lie before value `from`: doubles its step,
    /// since the next hit is usually near.
    fn holder(&self, at: u32, from: usize) -> usize {
        let mut step = 1;
        while from + step < self.starts.len() && self.starts[from + step] <= at {
            step *= 2;
        }
        let end = self.starts.len().min(from + step + 1);
        from + self.starts[from..end].partition_point(|start| *start <= at) - 1
    }
}

impl Segment {
    fn find(&self, finder: &Finder<'_>) -> Hits {
        let buffer = self.text.buffer.as_bytes();
        let mut hits = Hits::default();
        let (mut from, mut value) = (0, 0);
        let mut last_prefix = None;
        while let Some(found) = finder.find(&buffer[from..]) {
            let at = from + found;
            value = self.text.holder(ordinal(at), value);
            let id = self.ids.at(value);
            let end = at + finder.needle().len();
            let is_whole = matches!(buffer[end], b' ' | b'\n');
            if id != ValueId::NONE {
                if last_prefix != Some(value) {
                    hits.prefix.push(id);
                }
                if is_whole {
                    hits.whole.push(id);
                }
            }
            last_prefix = Some(value);
            let is_done = is_whole || id == ValueId::NONE;
            from = if is_done {
                self.text.starts[value + 1] as usize
            } else {
                end
            };
        }
        hits
    }
}
