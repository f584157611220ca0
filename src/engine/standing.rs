//! The newest goods of a market that can still be read, where those that its record names cannot.
//!
//! A chunk that is lost in every copy takes away one market's goods. It must not take the house:
//! the market goes on with the goods that its record named before, as far as the journal and the
//! backups still tell, and is known to be older until the whole feed comes again. Where nothing
//! can be read it has no goods, and its ranks are refused; all other markets go on.
//!
//! Cost: nothing unless goods are lost; then the kept journal and the backups are read once.

use std::collections::BTreeMap;
use std::fmt;

use crate::catalogue::Catalogue;
use crate::catalogue::market::Market;
use crate::domain::id::MarketId;
use crate::engine::error::EngineError;
use crate::engine::goods::{self, GoodsError};
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::key;
use crate::record::market::{GoodsV1, MarketV1};
use crate::store::Revision;
use crate::store::chunk::{ChunkHash, ChunkStore};
use crate::store::codec::Value;
use crate::store::commit::FollowError;

/// Earlier goods that are tried at most, newest first.
const TRIED_MAX: usize = 16;

/// How the goods that are served stand to those that the market's record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are the ones.
    Whole,
    /// A chunk is lost in every copy: earlier goods are served, until the whole feed comes again.
    Older,
    /// Nothing can be read: there are no goods, until the whole feed comes again.
    Lost,
}

impl Standing {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Older => "older",
            Self::Lost => "lost",
        }
    }

    /// Refuses what needs goods, where there are none.
    ///
    /// # Errors
    /// [`EngineError::GoodsDamaged`].
    pub(in crate::engine) fn serves(self, market: &MarketId) -> Result<(), EngineError> {
        match self {
            Self::Whole | Self::Older => Ok(()),
            Self::Lost => Err(EngineError::GoodsDamaged {
                market: market.clone(),
            }),
        }
    }

    /// Refuses what would build on goods that are not the newest.
    ///
    /// # Errors
    /// [`EngineError::GoodsDamaged`].
    pub(in crate::engine) fn is_newest(self, market: &MarketId) -> Result<(), EngineError> {
        match self {
            Self::Whole => Ok(()),
            Self::Older | Self::Lost => Err(EngineError::GoodsDamaged {
                market: market.clone(),
            }),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The newest goods of a market that can be read, and how they stand to the named ones. May read
/// the journal and the backups.
///
/// # Errors
/// [`GoodsError`] if not even a market without goods can be made of its record.
pub(in crate::engine) fn newest_readable(
    engine: &Engine,
    market: &Market,
    named: &GoodsV1,
) -> Result<(Catalogue, Standing), GoodsError> {
    let chunks = engine.chunk_store();
    let why = match goods::load(&*chunks, market, named) {
        Ok(catalogue) => return Ok((catalogue, Standing::Whole)),
        Err(why) => why,
    };
    engine.metrics().store_errors.inc();
    for earlier in candidates(engine, &market.id, named) {
        if let Ok(catalogue) = goods::load(&*chunks, market, &earlier) {
            let (generation, n_deltas) = (earlier.generation, earlier.deltas.len());
            tracing::error!(market = %market.id, error = %why, generation, n_deltas,
                "goods are lost, earlier ones are served: send the feed again");
            return Ok((catalogue, Standing::Older));
        }
    }
    tracing::error!(market = %market.id, error = %why,
        "goods are lost, and none before them can be read: send the feed again");
    Ok((
        goods::load(&*chunks, market, &without(named))?,
        Standing::Lost,
    ))
}

/// No goods, under the number and the attributes that stand: what comes next is written whole.
pub(in crate::engine) fn without(named: &GoodsV1) -> GoodsV1 {
    GoodsV1 {
        manifest: None,
        deltas: Vec::new(),
        ..named.clone()
    }
}

/// Goods that the market had before, newest first.
fn candidates(engine: &Engine, market: &MarketId, named: &GoodsV1) -> Vec<GoodsV1> {
    let mut found = BTreeMap::new();
    let object = key::market(market);
    let mut note = |value: &Value| {
        if let Ok(form) = MarketV1::open(value) {
            found.insert(value.revision(), form.goods);
        }
    };
    each_record(engine, &mut |own, value| {
        if *own == object {
            value.into_iter().for_each(&mut note);
        }
    });
    let backups = engine.stores().backups();
    for point in backups
        .verified(engine.config().identity())
        .unwrap_or_default()
    {
        let mut in_it = Vec::new();
        let read = backups.read(&point, &mut |own, value| {
            in_it.extend((own == object).then_some(value));
            Ok(())
        });
        if read.is_ok() {
            in_it.iter().for_each(&mut note);
        }
    }
    let mut tried = vec![named.clone()];
    let chunks = engine.chunk_store();
    for goods in std::iter::once(readable_part(&*chunks, named)).chain(found.into_values().rev()) {
        if goods.manifest.is_some() && !tried.contains(&goods) {
            tried.push(goods);
        }
    }
    tried.remove(0);
    tried.truncate(TRIED_MAX);
    tried
}

/// The same generation up to the first delta that cannot be read.
fn readable_part(chunks: &dyn ChunkStore, named: &GoodsV1) -> GoodsV1 {
    let mut part = named.clone();
    let is_lost = |hash: &[u8; 32]| chunks.get(&ChunkHash(*hash)).is_err();
    if let Some(n_readable) = named.deltas.iter().position(is_lost) {
        part.deltas.truncate(n_readable);
    }
    part
}

/// Every record that the journal of the configuration still holds, as far as it can be read.
fn each_record(engine: &Engine, each: &mut dyn FnMut(&crate::store::key::Key, Option<&Value>)) {
    let mut position = Revision::ZERO;
    loop {
        match engine.config().records_after(position) {
            Ok(records) => {
                let Some(last) = records.last() else { return };
                for record in &records {
                    for (key, value) in &record.writes {
                        each(key, value.as_ref());
                    }
                }
                position = last.revision;
            }
            Err(FollowError::Compacted { first }) if position.next() < first => {
                position = Revision(first.0 - 1);
            }
            Err(_) => return,
        }
    }
}
