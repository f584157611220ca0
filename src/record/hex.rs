//! Bytes within stored forms: as they are where a form becomes bytes, as hex where it becomes JSON.
//!
//! For `#[serde(with = …)]` on fields, by the shape of the field. What bincode writes is what it
//! writes without the attribute, so none of them is part of a layout.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[u8; N]`.
pub(in crate::record) mod one {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::record) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        [u8; N]: Serialize,
    {
        Bytes(*bytes).serialize(serializer)
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error>
    where
        [u8; N]: Deserialize<'de>,
    {
        Bytes::deserialize(deserializer).map(|bytes| bytes.0)
    }
}

/// `Option<[u8; 32]>`.
pub(in crate::record) mod option {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
    pub(in crate::record) fn serialize<S: Serializer>(
        bytes: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.map(Bytes).serialize(serializer)
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let bytes = Option::<Bytes<32>>::deserialize(deserializer)?;
        Ok(bytes.map(|bytes| bytes.0))
    }
}

/// `Vec<[u8; 32]>`.
pub(in crate::record) mod list {
    use super::{Bytes, Deserialize, Deserializer, Serializer};

    pub(in crate::record) fn serialize<S: Serializer>(
        list: &[[u8; 32]],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| Bytes(*bytes)))
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<[u8; 32]>, D::Error> {
        let list = Vec::<Bytes<32>>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|bytes| bytes.0).collect())
    }
}

/// `Vec<([u8; 32], T)>`.
pub(in crate::record) mod pairs {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::record) fn serialize<S: Serializer, T: Serialize>(
        pairs: &[([u8; 32], T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(bytes, second)| (Bytes(*bytes), second)))
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Vec<([u8; 32], T)>, D::Error> {
        let pairs = Vec::<(Bytes<32>, T)>::deserialize(deserializer)?;
        Ok(pairs
            .into_iter()
            .map(|(bytes, second)| (bytes.0, second))
            .collect())
    }
}

/// `Option<Vec<u8>>`.
pub(in crate::record) mod blob {
    use super::{Blob, Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
    pub(in crate::record) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes
            .as_deref()
            .map(|bytes| Blob(bytes.into()))
            .serialize(serializer)
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let bytes = Option::<Blob<'_>>::deserialize(deserializer)?;
        Ok(bytes.map(|bytes| bytes.0.into_owned()))
    }
}

/// A fixed number of bytes.
struct Bytes<const N: usize>([u8; N]);

/// Any number of bytes.
struct Blob<'b>(Cow<'b, [u8]>);

impl<const N: usize> Serialize for Bytes<N>
where
    [u8; N]: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&encode(&self.0));
        }
        self.0.serialize(serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N>
where
    [u8; N]: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; N]>::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        let bytes = decode(&text).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("expected {N} bytes in hex")))
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&encode(&self.0));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(|bytes| Self(bytes.into()));
        }
        let bytes = decode(&String::deserialize(deserializer)?);
        bytes
            .map(|bytes| Self(bytes.into()))
            .ok_or_else(|| D::Error::custom("expected hex"))
    }
}

/// Two lower-case digits a byte.
pub(in crate::record) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text in memory takes all that is written");
    }
    text
}

/// What [`encode`] wrote; `None` for any other text.
pub(in crate::record) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    odd.is_empty().then(|| bytes.collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_what_it_writes_and_nothing_else() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(decode(""), Some(Vec::new()));
        for odd in ["0", "0A", "0g", "0x", " 00"] {
            assert_eq!(decode(odd), None, "{odd}");
        }
    }
}
