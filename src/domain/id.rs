//! Keys given by the shop and ids given by the server.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::complaint::Fault;
use crate::domain::text;

/// Most Unicode scalar values of a key.
pub const KEY_CHARS_MAX: usize = 128;

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        ///
        /// 1 to 128 Unicode scalar values after trimming and normal form C, no control
        /// character, compared with regard to case.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl TryFrom<String> for $name {
            type Error = Fault;

            fn try_from(text: String) -> Result<Self, Fault> {
                Self::parse(&text)
            }
        }

        impl $name {
            /// Trims and normalises `text`.
            ///
            /// # Errors
            /// `too-short`, `too-long` or `bad-format`.
            pub fn parse(text: &str) -> Result<Self, Fault> {
                text::bounded(text, KEY_CHARS_MAX).map(|key| Self(key.into()))
            }

            /// The key's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The key's text, shared rather than copied.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+ };
}

keys! {
    /// What is sold, unique in its market.
    ProductKey,
    /// The unit of ranking, unique in its market.
    VariantKey,
    /// Products that belong together.
    GroupKey,
    /// Who sells a product.
    SellerKey,
    /// The value of a market's cross-market attribute: one article under several keys.
    CrossKey,
    /// The person who shops.
    Shopper,
    /// A kind of shopper that the shop declares.
    GroupOfShoppers,
    /// Where on the page a result is shown.
    Panel,
}

/// One visit, as the shop names it; the split hashes exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(Arc<str>);

impl SessionKey {
    /// Takes the text as received: neither trimmed nor normalised, so that any party can
    /// recompute the split from the bytes it sent.
    ///
    /// # Errors
    /// `too-short`, `too-long` (128 scalar values) or `bad-format` for control characters.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        text::bounded(text, KEY_CHARS_MAX)?;
        let have = text.chars().count();
        if KEY_CHARS_MAX < have {
            return Err(Fault::TooLong {
                have,
                max: KEY_CHARS_MAX,
            });
        }
        Ok(Self(text.into()))
    }

    /// The key as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A shop front with one currency and one zone: `[a-z0-9-]{1,32}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MarketId(Arc<str>);

impl TryFrom<String> for MarketId {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        Self::parse(&text)
    }
}

impl MarketId {
    /// Most characters.
    pub const CHARS_MAX: usize = 32;

    /// Takes lower-case letters, digits and hyphens.
    ///
    /// # Errors
    /// `too-short`, `too-long` or `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let have = text.chars().count();
        if have == 0 {
            return Err(Fault::TooShort { have, min: 1 });
        }
        if Self::CHARS_MAX < have {
            return Err(Fault::TooLong {
                have,
                max: Self::CHARS_MAX,
            });
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !text.bytes().all(allowed) {
            return Err(Fault::bad_format(
                "lower-case letters, digits and hyphens",
                text,
            ));
        }
        Ok(Self(text.into()))
    }

    /// The market's name in paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MarketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for MarketId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Characters of an id behind its prefix: 128 bits, five a character.
const ID_CHARS: usize = 26;

/// Crockford's base 32 in lower case: no i, l, o, u.
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),+ $(,)?) => { $(
        $(#[$doc])*
        ///
        #[doc = concat!("Written `", $prefix, "_` and 26 characters of Crockford's base 32; the 16 bytes are a UUIDv7, so ids ascend in order of creation.")]
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the written form.
            ///
            /// # Errors
            /// `bad-format`.
            pub fn parse(text: &str) -> Result<Self, Fault> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode_id)
                    .map(Self)
                    .ok_or_else(|| Fault::bad_format(concat!("an id that begins with ", $prefix, "_"), text))
            }
        }

        impl $name {
            /// The written form.
            pub fn text(self) -> IdText {
                IdText::new($prefix, self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }
    )+ };
}

ids! {
    /// A promotion or demotion.
    PromotionId = "prm",
    /// An API key's record, not its secret.
    KeyId = "key",
    /// A console user.
    UserId = "usr",
    /// One import and its result.
    ImportId = "imp",
    /// An export of figures.
    ExportId = "exp",
    /// Frozen results of a measured stretch.
    ReportId = "rep",
    /// One request, named in answers and logs.
    RequestId = "req",
}

/// Characters of a prefix and the underscore behind it.
const PREFIX_CHARS: usize = 4;

/// A written id: plain letters, digits and an underscore, kept in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdText([u8; PREFIX_CHARS + ID_CHARS]);

impl IdText {
    /// The prefix, then 26 characters, most significant first, so that text order is byte order.
    fn new(prefix: &str, bytes: [u8; 16]) -> Self {
        let mut text = [b'_'; PREFIX_CHARS + ID_CHARS];
        text[..PREFIX_CHARS - 1].copy_from_slice(prefix.as_bytes());
        let mut number = u128::from_be_bytes(bytes);
        for character in text[PREFIX_CHARS..].iter_mut().rev() {
            *character = CROCKFORD[(number & 31) as usize];
            number >>= 5;
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is written in ASCII")
    }
}

fn decode_id(text: &str) -> Option<[u8; 16]> {
    if text.len() != ID_CHARS || b'7' < *text.as_bytes().first()? {
        return None;
    }
    let mut number = 0_u128;
    for byte in text.bytes() {
        let digit = CROCKFORD.iter().position(|&known| known == byte)?;
        number = number << 5 | digit as u128;
    }
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_trimmed_normalised_and_bounded() {
        assert_eq!(ProductKey::parse(" Sjo\u{308} ").unwrap().as_str(), "Sjö");
        assert!(ProductKey::parse(&"🛒".repeat(128)).is_ok());
        assert_eq!(
            ProductKey::parse(&"x".repeat(129)).unwrap_err().code(),
            "too-long"
        );
        assert_eq!(ProductKey::parse("a\nb").unwrap_err().code(), "bad-format");
        assert_ne!(
            VariantKey::parse("a").unwrap(),
            VariantKey::parse("A").unwrap()
        );
    }

    #[test]
    fn session_keys_stay_as_received() {
        assert_eq!(SessionKey::parse(" s-1 ").unwrap().as_str(), " s-1 ");
        assert_eq!(SessionKey::parse("").unwrap_err().code(), "too-short");
    }

    #[test]
    fn markets_are_path_words() {
        assert!(MarketId::parse("se-2").is_ok());
        assert_eq!(MarketId::parse("SE").unwrap_err().code(), "bad-format");
        assert_eq!(
            MarketId::parse(&"s".repeat(33)).unwrap_err().code(),
            "too-long"
        );
    }

    #[test]
    fn ids_read_what_they_write_and_keep_order() {
        let low = PromotionId([0; 16]);
        let high = PromotionId([255; 16]);
        assert_eq!(low.to_string(), "prm_00000000000000000000000000");
        assert_eq!(high.to_string(), "prm_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert!(low.to_string() < high.to_string());
        let some = PromotionId(*b"0123456789abcdef");
        assert_eq!(PromotionId::parse(&some.to_string()), Ok(some));
        assert!(PromotionId::parse("prm_8zzzzzzzzzzzzzzzzzzzzzzzzz").is_err());
        assert!(PromotionId::parse("key_00000000000000000000000000").is_err());
        assert!(PromotionId::parse("prm_0000000000000000000000000l").is_err());
    }
}
