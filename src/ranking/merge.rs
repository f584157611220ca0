//! The lazy plan: one stream of ranks a level, each sorted by place already, merged by key.
//!
//! A stream walks the market's blocks upward. It skips a block that none of its slots touches,
//! takes the words of its level and of the filter, and hands out the ranks whose effective level is
//! really its own, so that every rank comes out of exactly one stream. Broad promotions of stronger
//! levels are taken out by words, never rank by rank.

use crate::domain::boost::BoostLevel;
use crate::promotion::slot::SlotMask;
use crate::ranking::build::{MarketView, precedence};
use crate::ranking::filter::Filter;
use crate::ranking::order::{Key, ZONE_DEMOTED, ZONE_HIGH, ZONE_MIDDLE};
use crate::ranking::words::{
    BLOCK_RANKS, BLOCK_WORDS, Block, Words, and_into, and_not_into, is_empty, n_blocks, or_into,
};

/// A run of equal sort values: only its ranks, or only those without any value.
#[derive(Clone, Copy)]
pub(super) enum Run<'a> {
    /// Ranks in these words.
    Inside(&'a Words),
    /// Ranks outside these words.
    Outside(&'a Words),
}

/// What all streams of a page share.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) view: &'a MarketView,
    pub(super) filter: &'a Filter<'a>,
    pub(super) mask: SlotMask,
    pub(super) run: Option<Run<'a>>,
}

/// Ranks in order of their keys.
pub(super) struct Merge<'a> {
    source: Source<'a>,
    high: Stream,
    middle: [Stream; 3],
    demoted: Stream,
}

struct Stream {
    level: Option<BoostLevel>,
    /// Applicable slots of its level.
    slots: SlotMask,
    block: usize,
    word: usize,
    words: Block,
    head: Head,
}

enum Head {
    Unknown,
    Rank(u32),
    End,
}

impl<'a> Merge<'a> {
    /// Streams behind `last`, or from the beginning.
    pub(super) fn new(source: Source<'a>, last: Option<Key>) -> Self {
        let stream = |level| Stream::new(&source, level, last);
        Self {
            source,
            high: stream(Some(BoostLevel::High)),
            middle: [
                stream(Some(BoostLevel::Medium)),
                stream(Some(BoostLevel::Low)),
                stream(None),
            ],
            demoted: stream(Some(BoostLevel::Demoted)),
        }
    }

    /// The next key; `None` when the result is exhausted.
    pub(super) fn next(&mut self) -> Option<Key> {
        if let Some(key) = self.high.take(&self.source) {
            return Some(key);
        }
        let mut best: Option<(Key, usize)> = None;
        for (place, stream) in self.middle.iter_mut().enumerate() {
            if let Some(key) = stream.peek(&self.source)
                && best.is_none_or(|(least, _)| key < least)
            {
                best = Some((key, place));
            }
        }
        match best {
            Some((_, place)) => self.middle[place].take(&self.source),
            None => self.demoted.take(&self.source),
        }
    }
}

impl Stream {
    fn new(source: &Source<'_>, level: Option<BoostLevel>, last: Option<Key>) -> Self {
        let slots = level.map_or(SlotMask::EMPTY, |level| {
            source.view.level_masks[precedence(level)] & source.mask
        });
        let mut stream = Self {
            level,
            slots,
            block: 0,
            word: BLOCK_WORDS,
            words: [0; BLOCK_WORDS],
            head: Head::Unknown,
        };
        if level.is_some() && slots.is_empty() {
            stream.head = Head::End;
            return stream;
        }
        match last.map_or(Some(0), |last| stream.first_behind(source, last)) {
            Some(rank) => stream.start_at(source, rank),
            None => stream.head = Head::End,
        }
        stream
    }

    /// First rank whose key in this stream lies behind `last`; `None` if none does.
    fn first_behind(&self, source: &Source<'_>, last: Key) -> Option<u32> {
        let zone = match self.level {
            Some(BoostLevel::High) => ZONE_HIGH,
            Some(BoostLevel::Demoted) => ZONE_DEMOTED,
            _ => ZONE_MIDDLE,
        };
        if zone != last.zone {
            return (last.zone < zone).then_some(0);
        }
        let block_start = &source.view.base().block_start;
        let is_served = |rank: u32| Key::of(rank, self.level, block_start) <= last;
        let (mut low, mut high) = (0, source.view.base().n_ranks());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_served(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// Places the stream so that `rank` is the first it may hand out.
    fn start_at(&mut self, source: &Source<'_>, rank: u32) {
        let (block, inside) = (rank as usize / BLOCK_RANKS, rank as usize % BLOCK_RANKS);
        self.block = block;
        if inside == 0 || n_blocks(source.view.base().n()) <= block {
            return;
        }
        self.fill(source);
        self.block += 1;
        self.word = inside / 64;
        self.words[..self.word].fill(0);
        self.words[self.word] &= u64::MAX << (inside % 64);
    }

    fn peek(&mut self, source: &Source<'_>) -> Option<Key> {
        if matches!(self.head, Head::Unknown) {
            self.head = self.advance(source).map_or(Head::End, Head::Rank);
        }
        match self.head {
            Head::Rank(rank) => Some(Key::of(rank, self.level, &source.view.base().block_start)),
            Head::Unknown | Head::End => None,
        }
    }

    fn take(&mut self, source: &Source<'_>) -> Option<Key> {
        let key = self.peek(source)?;
        self.head = Head::Unknown;
        Some(key)
    }

    /// The next rank of this stream's own level.
    fn advance(&mut self, source: &Source<'_>) -> Option<u32> {
        loop {
            while self.word < BLOCK_WORDS {
                let bits = self.words[self.word];
                if bits == 0 {
                    self.word += 1;
                    continue;
                }
                self.words[self.word] = bits & (bits - 1);
                let inside = self.word * 64 + bits.trailing_zeros() as usize;
                let rank = u32::try_from((self.block - 1) * BLOCK_RANKS + inside)
                    .expect("a market has less than 2^32 variants");
                if source.view.level_at(rank, source.mask) == self.level {
                    return Some(rank);
                }
            }
            self.skip(source)?;
            self.fill(source);
            self.block += 1;
            self.word = 0;
        }
    }

    /// Goes to the next block that may hold a rank of this level.
    fn skip(&mut self, source: &Source<'_>) -> Option<()> {
        let blocks = &source.view.block_masks;
        if self.level.is_some() {
            while self.block < blocks.len() && (blocks[self.block] & self.slots).is_empty() {
                self.block += 1;
            }
        }
        (self.block < blocks.len()).then_some(())
    }

    /// Words of the current block: the level's, less what stronger broad promotions hold, and the
    /// filter's.
    fn fill(&mut self, source: &Source<'_>) {
        let (view, block) = (source.view, self.block);
        self.words = source.filter.block(block, None);
        match source.run {
            Some(Run::Inside(words)) => and_into(&mut self.words, words.block(block)),
            Some(Run::Outside(words)) => and_not_into(&mut self.words, words.block(block)),
            None => {}
        }
        let weaker_than = self.level.map_or(4, precedence);
        if let Some(level) = self.level {
            let mut own = [0; BLOCK_WORDS];
            for slot in (self.slots & view.broad_slots).iter() {
                if let Some(words) = &view.broad[usize::from(slot.0)] {
                    or_into(&mut own, words.block(block));
                }
            }
            if !(self.slots & !view.broad_slots).is_empty() {
                or_into(&mut own, view.narrow[precedence(level)].block(block));
            }
            and_into(&mut self.words, &own);
        }
        if is_empty(&self.words) {
            return;
        }
        for level_mask in &view.level_masks[..weaker_than] {
            for slot in (*level_mask & source.mask & view.broad_slots).iter() {
                if let Some(words) = &view.broad[usize::from(slot.0)] {
                    and_not_into(&mut self.words, words.block(block));
                }
            }
        }
    }
}
