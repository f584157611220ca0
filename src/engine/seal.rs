//! Sealed tokens: what travels through the shop's hands and must come back unaltered.
//!
//! A *ticket* names one item of one answer, so that a later event can be traced to it; a *cursor*
//! names where the next page begins. Both are plain bytes with a 16-byte tag over all of them,
//! `SipHash`-2-4-128 under a secret of the store (Aumasson and Bernstein, "`SipHash`: a fast
//! short-input PRF": a keyed tag is what it was made for), in base64 without padding.
//!
//! Tickets are made for every item of every page, so the part that all items of a page share is
//! hashed and encoded once; an item then costs about 40 bytes of each.

use std::hash::Hasher;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip128::{Hasher128, SipHasher24};
use subtle::ConstantTimeEq;

use crate::domain::id::{MarketId, VariantKey};
use crate::domain::time::{DAY_MS, Timestamp};

/// How long a ticket counts after it was issued.
pub const TICKET_VALID_MS: i64 = 30 * DAY_MS;

/// Longest text taken for a sealed token.
pub const TOKEN_CHARS_MAX: usize = 4_096;

const TICKET: &str = "t1.";
const CURSOR: &str = "c1.";
const TAG_BYTES: usize = 16;

/// A secret under which tokens are sealed.
#[derive(Clone)]
pub struct SealKey(pub [u8; 16]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not ours, altered, or cut.
    #[error("the token was not issued here or was altered")]
    Altered,
    /// A ticket older than 30 days.
    #[error("the ticket has expired")]
    Expired,
}

/// What all items of one answer share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSeal {
    /// The market that answered.
    pub market: MarketId,
    /// Revision the answer was computed from.
    pub snapshot: u64,
    /// First eight bytes of the panel's hash.
    pub panel: u64,
    /// When it was issued.
    pub issued: Timestamp,
    /// Digest of the session key; zeros without a session.
    pub session: [u8; 16],
}

/// An opened ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The answer it belongs to.
    pub page: PageSeal,
    /// The variant shown.
    pub variant: VariantKey,
    /// Its place in the answer.
    pub position: u32,
}

/// Makes the tickets of one answer.
pub struct TicketMaker {
    started: SipHasher24,
    prefix: String,
    scratch: Vec<u8>,
}

impl TicketMaker {
    /// Hashes and encodes the shared part.
    pub fn new(key: &SealKey, page: &PageSeal) -> Self {
        let head = page_bytes(page);
        let mut started = SipHasher24::new_with_key(&key.0);
        started.write(&head);
        let mut prefix = String::with_capacity(TICKET.len() + head.len() * 4 / 3);
        prefix.push_str(TICKET);
        URL_SAFE_NO_PAD.encode_string(&head, &mut prefix);
        Self {
            started,
            prefix,
            scratch: Vec::with_capacity(64),
        }
    }

    /// Appends the ticket of one item to `out`; the text needs no escaping in JSON.
    pub fn write(&mut self, variant: &str, position: u32, out: &mut Vec<u8>) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&position.to_le_bytes());
        self.scratch.extend_from_slice(variant.as_bytes());
        let mut hasher = self.started;
        hasher.write(&self.scratch);
        self.scratch
            .extend_from_slice(&hasher.finish128().as_bytes());
        out.extend_from_slice(self.prefix.as_bytes());
        let from = out.len();
        out.resize(from + self.scratch.len().div_ceil(3) * 4, 0);
        let used = URL_SAFE_NO_PAD
            .encode_slice(&self.scratch, &mut out[from..])
            .expect("four bytes for every three begun are enough");
        out.truncate(from + used);
    }
}

/// Opens a ticket.
///
/// # Errors
/// [`SealError`].
pub fn open_ticket(key: &SealKey, text: &str, now: Timestamp) -> Result<Ticket, SealError> {
    let bytes = unseal(key, TICKET, text)?;
    let ticket = read_ticket(&bytes).ok_or(SealError::Altered)?;
    if ticket.page.issued.plus_ms(TICKET_VALID_MS) <= now {
        return Err(SealError::Expired);
    }
    Ok(ticket)
}

/// Seals the bytes of a cursor.
pub fn seal_cursor(key: &SealKey, bytes: &[u8]) -> String {
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&tag(key, CURSOR, bytes));
    format!("{CURSOR}{}", URL_SAFE_NO_PAD.encode(sealed))
}

/// Opens a cursor.
///
/// # Errors
/// [`SealError::Altered`].
pub fn open_cursor(key: &SealKey, text: &str) -> Result<Vec<u8>, SealError> {
    unseal(key, CURSOR, text)
}

fn unseal(key: &SealKey, kind: &'static str, text: &str) -> Result<Vec<u8>, SealError> {
    let coded = text
        .strip_prefix(kind)
        .filter(|_| text.len() <= TOKEN_CHARS_MAX);
    let decoded = coded.and_then(|coded| URL_SAFE_NO_PAD.decode(coded).ok());
    let mut bytes = decoded
        .filter(|bytes| TAG_BYTES <= bytes.len())
        .ok_or(SealError::Altered)?;
    let given = bytes.split_off(bytes.len() - TAG_BYTES);
    if bool::from(tag(key, kind, &bytes).ct_eq(&given)) {
        return Ok(bytes);
    }
    Err(SealError::Altered)
}

/// Tickets are tagged as they are; cursors with their kind before them, so that neither passes for
/// the other.
fn tag(key: &SealKey, kind: &'static str, bytes: &[u8]) -> [u8; TAG_BYTES] {
    let mut hasher = SipHasher24::new_with_key(&key.0);
    if kind != TICKET {
        hasher.write(kind.as_bytes());
    }
    hasher.write(bytes);
    hasher.finish128().as_bytes()
}

/// Market, snapshot, panel, time, session; padded to a multiple of three so that the items' own
/// bytes begin at a whole base64 character.
fn page_bytes(page: &PageSeal) -> Vec<u8> {
    let market = page.market.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(48 + market.len());
    bytes.push(u8::try_from(market.len()).expect("a market id has at most 32 characters"));
    bytes.extend_from_slice(market);
    bytes.extend_from_slice(&page.snapshot.to_le_bytes());
    bytes.extend_from_slice(&page.panel.to_le_bytes());
    bytes.extend_from_slice(&page.issued.0.to_le_bytes());
    bytes.extend_from_slice(&page.session);
    bytes.resize(bytes.len().next_multiple_of(3), 0);
    bytes
}

fn read_ticket(bytes: &[u8]) -> Option<Ticket> {
    let (&market_len, rest) = bytes.split_first()?;
    let (market, rest) = rest.split_at_checked(usize::from(market_len))?;
    let (numbers, rest) = rest.split_at_checked(24)?;
    let (session, rest) = rest.split_at_checked(16)?;
    let used = bytes.len() - rest.len();
    let rest = rest.get(used.next_multiple_of(3) - used..)?;
    let (position, variant) = rest.split_at_checked(4)?;
    let number = |at: usize| {
        Some(u64::from_le_bytes(
            numbers.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    Some(Ticket {
        page: PageSeal {
            market: MarketId::parse(std::str::from_utf8(market).ok()?).ok()?,
            snapshot: number(0)?,
            panel: number(8)?,
            issued: Timestamp(number(16)?.cast_signed()),
            session: session.try_into().ok()?,
        },
        variant: VariantKey::parse(std::str::from_utf8(variant).ok()?).ok()?,
        position: u32::from_le_bytes(position.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: SealKey = SealKey([7; 16]);

    fn page(market: &str) -> PageSeal {
        PageSeal {
            market: MarketId::parse(market).unwrap(),
            snapshot: 18_342,
            panel: 99,
            issued: Timestamp(1_000),
            session: [5; 16],
        }
    }

    fn ticket(market: &str, variant: &str, position: u32) -> String {
        let mut out = Vec::new();
        TicketMaker::new(&KEY, &page(market)).write(variant, position, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_ticket_opens_to_what_was_sealed() {
        for market in ["s", "se", "sec", "a-long-market"] {
            let opened = open_ticket(&KEY, &ticket(market, "FJO-DÖWN", 17), Timestamp(2_000));
            let variant = VariantKey::parse("FJO-DÖWN").unwrap();
            assert_eq!(
                opened,
                Ok(Ticket {
                    page: page(market),
                    variant,
                    position: 17
                })
            );
        }
    }

    #[test]
    fn a_ticket_expires_after_thirty_days() {
        let text = ticket("se", "v", 0);
        assert!(open_ticket(&KEY, &text, Timestamp(999 + TICKET_VALID_MS)).is_ok());
        let late = open_ticket(&KEY, &text, Timestamp(1_000 + TICKET_VALID_MS));
        assert_eq!(late, Err(SealError::Expired));
    }

    #[test]
    fn the_longest_ticket_keeps_its_bound() {
        assert!(ticket(&"m".repeat(32), &"🛒".repeat(128), u32::MAX).len() <= 820);
        assert!(ticket("se", "FJO-DOWN-L", 3).len() <= 110);
    }

    proptest! {
        #[test]
        fn an_altered_token_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let text = ticket("se", "FJO-DOWN-L", 3);
            let at = 3 + at.index(text.len() - 3);
            let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assume!(altered != text);
            prop_assert_eq!(open_ticket(&KEY, &altered, Timestamp(0)), Err(SealError::Altered));
        }

        #[test]
        fn cursors_open_to_what_was_sealed(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            let text = seal_cursor(&KEY, &bytes);
            prop_assert_eq!(open_cursor(&KEY, &text), Ok(bytes));
            prop_assert!(open_cursor(&SealKey([8; 16]), &text).is_err());
            prop_assert!(open_ticket(&KEY, &text.replace("c1.", "t1."), Timestamp(0)).is_err());
        }
    }
}
