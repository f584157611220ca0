//! Feeds: read, checked, guarded against harm, stored as one generation, visible as a whole.
//!
//! An import runs on a blocking thread: it reads the whole feed, lets `catalogue` make the next
//! value of it, writes that value's chunks, and then makes one commit that points the market to
//! them. Killed anywhere before that commit, nothing has happened.
//!
//! Its result is kept in the `trade` space. A full import that the harm guard holds back keeps what
//! it read for a day, so that forcing it needs no second upload.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{ImportId, MarketId};
use crate::engine::background;
use crate::engine::commit::{Intent, StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::feed_check::Feed;
use crate::engine::markets::market_state;
use crate::engine::results::{ImportResult, ImportState};
use crate::engine::start::{Engine, Importing};
use crate::feed;
use crate::feed::bytes::Encoding;
use crate::feed::mapping::Mapping;
use crate::feed::result::Refused;
use crate::feed::{Format, Kind, Reading, Repeats};
use crate::ranking::base::RankBase;
use crate::record::market::GoodsV1;

/// What a feed does to the goods that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Replaces everything of the kinds of record it contains.
    Full,
    /// Changes what it names.
    Delta,
    /// Checks everything, as whichever of the two its rows ask for, and changes nothing.
    Validate,
}

impl Mode {
    /// Every mode with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Full, "full"),
        (Self::Delta, "delta"),
        (Self::Validate, "validate"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(mode, _)| *mode)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A feed that is to be imported, and how.
#[derive(Clone, Debug)]
pub struct ImportOrder {
    /// The market fed.
    pub market: MarketId,
    /// What the rows are about.
    pub kind: Kind,
    /// What they do.
    pub mode: Mode,
    /// How they are written.
    pub format: Format,
    /// The encoding, if it is not the mapping's.
    pub encoding: Option<Encoding>,
    /// Name of a stored mapping.
    pub mapping: Option<String>,
    /// Rows that may be wrong before nothing is imported.
    pub errors_max: u64,
    /// Whether to import although it does harm.
    pub force: bool,
}

/// How an edge turns a result into the answer that is kept for repeated requests.
pub type RenderImport = fn(&ImportResult) -> StoredAnswer;

/// How far a running import is.
#[derive(Debug)]
pub struct Progress {
    /// The import.
    pub id: ImportId,
    /// What it is about.
    pub order: ImportOrder,
    rows: AtomicU64,
    checking: AtomicBool,
}

impl Progress {
    /// An import that has read nothing yet.
    pub(in crate::engine) fn new(id: ImportId, order: ImportOrder) -> Self {
        Self {
            id,
            order,
            rows: AtomicU64::new(0),
            checking: AtomicBool::new(false),
        }
    }

    /// What is known so far.
    pub(in crate::engine) fn result(&self) -> ImportResult {
        let state = if self.checking.load(Ordering::Relaxed) {
            ImportState::Checking
        } else {
            ImportState::Receiving
        };
        ImportResult {
            rows: self.rows.load(Ordering::Relaxed),
            ..ImportResult::begun(self.id, &self.order, state)
        }
    }
}

/// An import that may begin: the market is its own until it is dropped.
pub struct ImportJob {
    engine: Engine,
    intent: Intent,
    render: RenderImport,
    mapping: Option<Mapping>,
    progress: Arc<Progress>,
    _importing: Importing,
}

impl Engine {
    /// Lets an import begin.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` for the mapping; `import-running`.
    pub fn begin_import(
        &self,
        intent: &Intent,
        order: ImportOrder,
        render: RenderImport,
    ) -> Result<ImportJob, EngineError> {
        intent
            .principal
            .may(Verb::Import, &Object::Market(&order.market))?;
        let snapshot = self.snapshot();
        let state = market_state(&snapshot, &order.market)?;
        if order.mode == Mode::Delta {
            state.standing.is_newest(&order.market)?;
        }
        let mapping = match &order.mapping {
            Some(name) => {
                let held = snapshot.mappings.get(&(order.market.clone(), name.clone()));
                let missing = || EngineError::NotFound {
                    what: "feed mapping",
                    id: name.clone(),
                };
                let json = &held.ok_or_else(missing)?.value;
                Some(Mapping::parse(json).map_err(|_| {
                    EngineError::internal(format!("the stored mapping \"{name}\" is not one"))
                })?)
            }
            None => None,
        };
        let complaints = misfits(&order);
        if !complaints.is_empty() {
            return Err(EngineError::Invalid(complaints));
        }
        let progress = Arc::new(Progress::new(ImportId(self.new_id()), order));
        let importing = self.claim_import(&progress)?;
        let intent = intent.clone();
        let engine = self.clone();
        Ok(ImportJob {
            engine,
            intent,
            render,
            mapping,
            progress,
            _importing: importing,
        })
    }

    /// A running import, or the kept result of an earlier one.
    ///
    /// # Errors
    /// `not-found`, also for one of a market out of scope.
    pub async fn import_result(
        &self,
        principal: &Principal,
        id: ImportId,
    ) -> Result<ImportResult, EngineError> {
        principal.may(Verb::ReadImports, &Object::Anywhere)?;
        let running = self.running_import(id).map(|progress| progress.result());
        let found = match running {
            Some(result) => Some(result),
            None => self
                .kept_import(id)
                .await?
                .map(|kept| kept.result())
                .transpose()?,
        };
        let own = found.filter(|result| principal.markets.holds(&result.market));
        own.ok_or_else(|| EngineError::NotFound {
            what: "import",
            id: id.to_string(),
        })
    }
}

impl ImportJob {
    /// The import's id.
    pub fn id(&self) -> ImportId {
        self.progress.id
    }

    /// Reads the feed to its end and does what is asked. Blocks; call it on a blocking thread of a
    /// runtime.
    ///
    /// # Errors
    /// `import-invalid`, `import-harmful`, `body-too-large`; nothing was changed.
    pub fn run(mut self, input: impl Read) -> Result<Written<ImportResult>, EngineError> {
        background::stand_back();
        let began = Instant::now();
        let mut hashed = Hashed {
            input,
            hasher: Sha256::new(),
        };
        let feed = self.read(&mut hashed)?;
        if let Some(idempotency) = &mut self.intent.idempotency {
            idempotency.request = hashed.hasher.finalize().into();
        }
        let runtime = tokio::runtime::Handle::current();
        let _turn = self.engine.begin(&self.intent)?;
        if let Some((answer, revision)) = runtime.block_on(self.engine.replay(&self.intent))? {
            return Ok(Written::Replayed(answer, revision));
        }
        self.progress.checking.store(true, Ordering::Relaxed);
        let order = &self.progress.order;
        let mut checked = match self.engine.check_feed(self.progress.id, order, feed) {
            Ok(checked) => checked,
            Err(refused) => {
                let refused = *refused;
                let kept =
                    self.engine
                        .keep_import(&refused.result, &refused.all_errors, Vec::new());
                runtime.block_on(kept)?;
                return Err(refused.error());
            }
        };
        checked.result.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.engine.count_rows(&checked.result);
        let finished = self
            .engine
            .finish_import(&self.intent, order, checked, self.render);
        runtime.block_on(finished)
    }

    fn read(&self, input: &mut impl Read) -> Result<Feed, EngineError> {
        let order = &self.progress.order;
        let state = market_state(&self.engine.snapshot(), &order.market)?;
        let reading = Reading {
            format: order.format,
            kind: order.kind,
            mapping: self.mapping.as_ref(),
            encoding: order.encoding,
            locale: &state.market.value.locale,
            market: &[order.market.as_str(), &state.market.value.name],
            now: self.engine.now(),
            repeats: match order.mode {
                Mode::Full => Repeats::Refused,
                Mode::Delta | Mode::Validate => Repeats::Allowed,
            },
        };
        let mut feed = Feed::default();
        let mut each = |row: u64, outcome: Result<FeedOperation, Refused>| {
            self.progress.rows.fetch_max(row, Ordering::Relaxed);
            match outcome {
                Ok(operation) => {
                    feed.operations.push(operation);
                    feed.row_of.push(row);
                }
                Err(refused) => feed.refuse(refused),
            }
        };
        let counts = feed::read(input, &reading, &mut each);
        match counts {
            Ok(counts) => feed.counts = counts,
            Err(error) => feed.break_off(error)?,
        }
        Ok(feed)
    }
}

/// What a format cannot be asked for.
fn misfits(order: &ImportOrder) -> Vec<Complaint> {
    let format = order.format.as_str();
    let mut complaints = Complaints::new();
    if order.mapping.is_some() && !order.format.takes_mapping() {
        let why = format!("{format} says itself what its columns mean");
        complaints.add("/mapping", Fault::Contradiction { why });
    }
    if !order.format.takes(order.kind) {
        let why = format!("{format} holds products alone");
        complaints.add("/kind", Fault::Contradiction { why });
    }
    complaints.into_vec()
}

/// Goods that an import built, waiting for their commit to come by.
pub(in crate::engine) struct Prepared {
    pub(in crate::engine) goods: GoodsV1,
    pub(in crate::engine) catalogue: Arc<Catalogue>,
    pub(in crate::engine) base: Arc<RankBase>,
}

/// Hashes what is read through it.
struct Hashed<R> {
    input: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}
