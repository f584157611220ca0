//! Keys: parts joined by `.`, each escaped so that no part can imitate another.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Most bytes of a key.
pub const KEY_BYTES_MAX: usize = 255;

/// Most bytes of a part that is written as it is.
const PLAIN_BYTES_MAX: usize = 40;

/// Most bytes of an escaped part, its `=` included; above it the part is digested.
const ESCAPED_BYTES_MAX: usize = 60;

/// First parts whose records stay in the index and out of memory.
const COLD: [&str; 9] = [
    "audit", "past", "idem", "order", "quote", "code", "report", "imp", "exp",
];

/// Name of a record: 1 to 255 bytes of `[a-z0-9_.=~-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing, or more than [`KEY_BYTES_MAX`].
    #[error("a key has 1 to {KEY_BYTES_MAX} bytes, not {have}")]
    Length {
        /// Bytes found.
        have: usize,
    },
    /// A byte that no key holds.
    #[error("byte {byte:#04x} is not allowed in a key")]
    Byte {
        /// The byte.
        byte: u8,
    },
}

impl Key {
    /// The key of these parts, each escaped by [`part`].
    ///
    /// # Errors
    /// [`KeyError::Length`] if the whole is longer than 255 bytes, which four parts never are.
    pub fn of(parts: &[&str]) -> Result<Self, KeyError> {
        let escaped: Vec<String> = parts.iter().map(|text| part(text)).collect();
        Self::parse(&escaped.join("."))
    }

    /// A key as it is stored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let have = text.len();
        if have == 0 || KEY_BYTES_MAX < have {
            return Err(KeyError::Length { have });
        }
        let allowed = |byte: u8| is_plain(byte) || matches!(byte, b'.' | b'=' | b'~');
        match text.bytes().find(|&byte| !allowed(byte)) {
            Some(byte) => Err(KeyError::Byte { byte }),
            None => Ok(Self(text.into())),
        }
    }

    /// The stored text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `.`: it names the kind.
    pub fn first_part(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Whether its record stays in the index and out of memory.
    pub fn is_cold(&self) -> bool {
        COLD.contains(&self.first_part())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One part: as it is if it matches `[a-z0-9_-]{1,40}`, else `=` and the base 32 of its UTF-8,
/// or, where that exceeds 60 bytes, `~` and 40 characters of its digest.
///
/// A digested part does not say its text: the value holds it, and readers compare.
pub fn part(text: &str) -> String {
    let plain = !text.is_empty() && text.len() <= PLAIN_BYTES_MAX && text.bytes().all(is_plain);
    if plain {
        return text.to_owned();
    }
    let escaped = format!("={}", base32(text.as_bytes()));
    if escaped.len() <= ESCAPED_BYTES_MAX {
        return escaped;
    }
    let digest = base32(&Sha256::digest(text.as_bytes()));
    format!("~{}", &digest[..40])
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
}

/// RFC 4648 section 6 in lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let mut wide = [0_u8; 8];
        wide[3..3 + group.len()].copy_from_slice(group);
        let number = u64::from_be_bytes(wide);
        let characters = (group.len() * 8).div_ceil(5);
        for place in 0..characters {
            let digit = (number >> (35 - 5 * place) & 31) as usize;
            text.push(char::from(ALPHABET[digit]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(part(text), expected);
    }

    #[test]
    fn parts_are_escaped_as_the_format_says() {
        check("n7", "n7");
        check(&"x".repeat(40), &"x".repeat(40));
        check("Röd", "=klb3mza");
        check("", "=");
        check(&"x".repeat(61), "~yueooxze4jo3stp7klevmssrajpwsuibshgh3qwp");
        check("a.b", "=mexge");
    }

    #[test]
    fn the_first_part_says_hot_or_cold() {
        assert!(Key::of(&["order", "se", "1"]).unwrap().is_cold());
        assert!(Key::of(&["idem", "00"]).unwrap().is_cold());
        assert!(!Key::of(&["promo", "1"]).unwrap().is_cold());
        assert!(!Key::parse("orders.se").unwrap().is_cold());
    }

    #[test]
    fn keys_are_bounded_and_printable() {
        assert!(Key::parse(&"k".repeat(255)).is_ok());
        assert_eq!(
            Key::parse(&"k".repeat(256)),
            Err(KeyError::Length { have: 256 })
        );
        assert_eq!(Key::parse(""), Err(KeyError::Length { have: 0 }));
        assert_eq!(Key::parse("a\0"), Err(KeyError::Byte { byte: 0 }));
        assert_eq!(Key::parse("A"), Err(KeyError::Byte { byte: b'A' }));
    }

    /// Base 32 the slow way: a string of bits cut into fives.
    fn base32_by_bits(bytes: &[u8]) -> String {
        let eight: Vec<String> = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        let mut bits = eight.concat();
        while !bits.len().is_multiple_of(5) {
            bits.push('0');
        }
        bits.as_bytes()
            .chunks(5)
            .map(|five| {
                let digit = u8::from_str_radix(std::str::from_utf8(five).unwrap(), 2).unwrap();
                char::from(if digit < 26 {
                    b'a' + digit
                } else {
                    b'2' + digit - 26
                })
            })
            .collect()
    }

    proptest! {
        #[test]
        fn base32_is_its_slow_twin(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(base32(&bytes), base32_by_bits(&bytes));
        }

        #[test]
        fn different_parts_stay_different(a in ".{0,70}", b in ".{0,70}") {
            prop_assert_eq!(a == b, part(&a) == part(&b));
            prop_assert!(!part(&a).contains('.') && part(&a).len() <= 60);
        }

        #[test]
        fn every_part_makes_a_key(text in ".{0,300}") {
            prop_assert!(Key::of(&["promo", &text]).is_ok());
        }
    }
}
