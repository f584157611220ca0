//! The lazy plan: one stream of ranks a level, each sorted by place already, merged by key.
//!
//! A stream walks the market's blocks upward. It passes over a block that none of its slots
//! touches, or that a stronger slot holds whole, takes the words of its level and of the filter, and
//! hands out the ranks whose effective level is really its own, so that every rank comes out of
//! exactly one stream. Stronger levels are taken out by words, never rank by rank: broad promotions
//! by their own, the narrow ones of a level by theirs together where all of them apply.

use crate::promotion::slot::SlotMask;
use crate::ranking::build::MarketView;
use crate::ranking::filter::{By, Filter, Walk};
use crate::ranking::order::{Effect, Key};
use crate::ranking::words::{
    BLOCK_WORDS, Block, and_into, and_not_into, first_of, is_empty, or_into,
};

/// Words of a block, and their bits.
const WORDS: u32 = 64;
const BLOCK: u32 = 64 * WORDS;

/// What all streams of a page share.
#[derive(Clone, Copy)]
pub(super) struct Source<'f, 'a> {
    pub(super) view: &'f MarketView,
    pub(super) filter: &'f Filter<'a>,
    /// Applicable slots.
    pub(super) mask: SlotMask,
}

/// The words that a walk may touch are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// Words that cost as much as passing over a block, looking at a rank, and serving one.
const WORDS_PER_BLOCK: u64 = 4;
const WORDS_PER_RANK: u64 = 8;
const WORDS_PER_KEY: u64 = 64;

/// Ranks in order of their keys.
pub(super) struct Merge<'f, 'a> {
    source: Source<'f, 'a>,
    has_residue: bool,
    /// Words that may still be touched.
    words_left: u64,
    /// The key behind which the streams begin.
    last: Option<Key>,
    /// Streams and their next keys, by effect. Most pages end before all of them are asked.
    streams: [Option<Box<Stream<'f, 'a>>>; 5],
    heads: [Head; 5],
}

#[derive(Clone, Copy)]
enum Head {
    Unknown,
    Key(Key),
    End,
}

struct Stream<'f, 'a> {
    effect: Effect,
    /// Applicable slots of its level.
    slots: SlotMask,
    /// Applicable slots of stronger levels.
    over: SlotMask,
    walk: Walk<'f, 'a>,
    /// The block behind the one that `words` belongs to.
    block: usize,
    word: u32,
    words: Block,
    /// Ranks looked at, one by one.
    n_looked_at: u32,
}

impl<'f, 'a> Merge<'f, 'a> {
    /// Streams behind `last`, or from the beginning, that may touch so many words.
    pub(super) fn new(source: Source<'f, 'a>, last: Option<Key>, words_max: u64) -> Self {
        Self {
            source,
            has_residue: source.filter.has_residue(),
            words_left: words_max,
            last,
            streams: [const { None }; 5],
            heads: [Head::Unknown; 5],
        }
    }

    /// The next key; `None` when the result is exhausted.
    ///
    /// # Errors
    /// [`Spent`]: all keys up to the last one were told, and more cost too much this way.
    pub(super) fn next(&mut self) -> Result<Option<Key>, Spent> {
        let middle = [Effect::MEDIUM, Effect::LOW, Effect::NONE];
        for zone in [&[Effect::HIGH][..], &middle, &[Effect::DEMOTED]] {
            let mut best: Option<(Key, Effect)> = None;
            for effect in zone {
                if let Some(key) = self.head(*effect)?
                    && best.is_none_or(|(least, _)| key < least)
                {
                    best = Some((key, *effect));
                }
            }
            if let Some((key, effect)) = best {
                self.heads[usize::from(effect.0)] = Head::Unknown;
                self.words_left = self.words_left.saturating_sub(WORDS_PER_KEY);
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The next key of a stream.
    fn head(&mut self, effect: Effect) -> Result<Option<Key>, Spent> {
        let place = usize::from(effect.0);
        if let Head::Unknown = self.heads[place] {
            let stream = &mut self.streams[place];
            let stream = stream
                .get_or_insert_with(|| Box::new(Stream::new(&self.source, effect, self.last)));
            let next = stream.next(&self.source, self.has_residue, &mut self.words_left)?;
            self.heads[place] = next.map_or(Head::End, Head::Key);
        }
        match self.heads[place] {
            Head::Key(key) => Ok(Some(key)),
            Head::Unknown | Head::End => Ok(None),
        }
    }

    /// Ranks looked at one by one so far.
    pub(super) fn n_looked_at(&self) -> u32 {
        let streams = self.streams.iter().flatten();
        streams.map(|stream| stream.n_looked_at).sum()
    }
}

impl<'f, 'a> Stream<'f, 'a> {
    fn new(source: &Source<'f, 'a>, effect: Effect, last: Option<Key>) -> Self {
        let levels = &source.view.levels;
        let slots = levels.slots(effect) & source.mask;
        let mut stream = Self {
            effect,
            slots,
            over: levels.stronger(effect) & source.mask,
            walk: Walk::new(source.filter, By::Rank),
            block: 0,
            word: WORDS,
            words: [0; BLOCK_WORDS],
            n_looked_at: 0,
        };
        let is_without = effect != Effect::NONE && slots.is_empty();
        let first = match last {
            _ if is_without => None,
            None => Some(0),
            Some(last) => stream.first_behind(source, last),
        };
        match first {
            Some(0) => {}
            Some(rank) => stream.start_at(source, rank),
            None => stream.block = usize::MAX,
        }
        stream
    }

    /// First rank whose key in this stream lies behind `last`; `None` if none does.
    fn first_behind(&self, source: &Source<'_, '_>, last: Key) -> Option<u32> {
        let layout = &source.view.base.layout;
        let first = last.next().first_rank(self.effect, &layout.block_start);
        (first < layout.n_ranks()).then_some(first)
    }

    /// Places the stream so that `rank` is the first it may hand out.
    fn start_at(&mut self, source: &Source<'_, '_>, rank: u32) {
        self.block = (rank / BLOCK) as usize;
        if self.is_dull(source) || !self.fill(source) {
            self.words = [0; BLOCK_WORDS];
        }
        self.block += 1;
        self.word = rank % BLOCK / 64;
        self.words[self.word as usize] &= u64::MAX << (rank % 64);
    }

    /// The next rank of this stream's own level, as a key.
    fn next(
        &mut self,
        source: &Source<'_, '_>,
        has_residue: bool,
        words_left: &mut u64,
    ) -> Result<Option<Key>, Spent> {
        let layout = &source.view.base.layout;
        loop {
            while self.word < WORDS {
                let bits = self.words[self.word as usize];
                if bits == 0 {
                    self.word += 1;
                    continue;
                }
                self.words[self.word as usize] = bits & (bits - 1);
                let first = first_of(self.block - 1) + 64 * self.word;
                let rank = first + bits.trailing_zeros();
                self.n_looked_at += 1;
                if source.view.effect_at(rank, source.mask) == self.effect
                    && (!has_residue || source.filter.residue(layout.unit_of(rank)))
                {
                    return Ok(Some(Key::of(rank, self.effect, &layout.block_start)));
                }
                *words_left = words_left.saturating_sub(WORDS_PER_RANK);
            }
            let passed_from = self.block;
            while self.block < source.view.block_any.len() && self.is_dull(source) {
                self.block += 1;
            }
            if source.view.block_any.len() <= self.block {
                return Ok(None);
            }
            let passed = (self.block - passed_from) as u64 * WORDS_PER_BLOCK;
            *words_left = words_left.saturating_sub(passed + self.words_of_fill(source));
            if *words_left == 0 {
                return Err(Spent);
            }
            self.word = if self.fill(source) { 0 } else { WORDS };
            self.block += 1;
        }
    }

    /// Whether no rank of the current block can be of this level.
    fn is_dull(&self, source: &Source<'_, '_>) -> bool {
        let (any, all) = (
            source.view.block_any[self.block],
            source.view.block_all[self.block],
        );
        let untouched = self.effect != Effect::NONE && (any & self.slots).is_empty();
        untouched || !(all & self.over).is_empty()
    }

    /// How many words filling the current block touches, at most.
    fn words_of_fill(&self, source: &Source<'_, '_>) -> u64 {
        let slots = (self.slots | self.over) & source.view.levels.broad;
        let n_sets = 4 + (slots & source.view.block_any[self.block]).len();
        u64::from(n_sets * WORDS)
    }

    /// Words of the current block: the filter's, of these the level's, less what stronger broad
    /// promotions hold. Whether there are any.
    fn fill(&mut self, source: &Source<'_, '_>) -> bool {
        let (view, block) = (source.view, self.block);
        if !self.walk.block(block, &mut self.words) {
            return false;
        }
        let any = view.block_any[block];
        if self.effect != Effect::NONE {
            let slots = self.slots & any;
            let mut own = [0; BLOCK_WORDS];
            for words in broad(view, slots, block) {
                or_into(&mut own, words);
            }
            if !(slots & !view.levels.broad).is_empty() {
                let narrow = &view.narrow[usize::from(self.effect.0)];
                or_into(&mut own, narrow.words(block));
            }
            and_into(&mut self.words, &own);
            if is_empty(&self.words) {
                return false;
            }
        }
        for words in broad(view, self.over & any, block) {
            and_not_into(&mut self.words, words);
        }
        for level in 0..usize::from(self.effect.0).min(view.narrow.len()) {
            let touching = view.levels.masks[level] & any & !view.levels.broad;
            let all_apply = (touching & !source.mask).is_empty();
            if all_apply && let Some(words) = view.narrow[level].block(block) {
                and_not_into(&mut self.words, words);
            }
        }
        true
    }
}

/// A block's words of each broad one of some slots.
fn broad(view: &MarketView, slots: SlotMask, block: usize) -> impl Iterator<Item = &Block> {
    let broad = (slots & view.levels.broad).iter();
    broad.filter_map(move |slot| view.broad[usize::from(slot.0)].as_ref()?.block(block))
}
