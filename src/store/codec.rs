//! Values: the envelope, byte for byte, and the one place that names bincode.
//!
//! ```text
//! 45 43 · version u8 · flags u8 · kind u16 · schema u16 · revision u64 · length u32 · payload · CRC u32
//! ```
//!
//! Little-endian. The CRC runs over the key and all bytes before it, so a value under a wrong key
//! is noticed. bincode is positional: `skip_serializing_if`, `flatten`, `untagged` and `tag`
//! write bytes that cannot be read back, so stored forms use none of them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::Revision;
use crate::store::chunk::CHUNK_BYTES_MAX;
use crate::store::key::Key;

/// Most bytes of a value as stored, its envelope included.
pub const VALUE_BYTES_MAX: usize = 262_144;

/// Most bytes of an unpacked payload: ten thousand of the longest keys.
pub const PAYLOAD_BYTES_MAX: usize = 2_097_152;

/// Bytes of an envelope without payload.
pub const ENVELOPE_BYTES: usize = HEAD + 4;

const HEAD: usize = 20;
const MAGIC: [u8; 2] = *b"EC";
const VERSION: u8 = 1;
const PACKED: u8 = 1;

/// Payloads from here on are packed, where that makes them smaller.
const PACK_FROM_BYTES: usize = 1_024;

/// Number of a record type; `record` owns the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Cut, flipped, or under another key than its own.
    #[error("damaged value: {what}")]
    Damaged {
        /// Which check failed.
        what: &'static str,
    },
    /// Written by a newer endcap.
    #[error("format-too-new: envelope version {version}, flags {flags:#04x}")]
    TooNew {
        /// Version found.
        version: u8,
        /// Flags found.
        flags: u8,
    },
    /// A payload that is not the form it is read as.
    #[error("payload does not fit its form: {why}")]
    Form {
        /// What bincode says.
        why: String,
    },
    /// Longer than [`VALUE_BYTES_MAX`] or unpacked than [`PAYLOAD_BYTES_MAX`], or a chunk longer than
    /// [`CHUNK_BYTES_MAX`].
    #[error("{have} bytes are more than there is room for, {max}")]
    TooLarge {
        /// Bytes needed.
        have: usize,
        /// Bytes that there is room for.
        max: usize,
    },
}

/// A stored form as payload bytes.
///
/// # Errors
/// [`CodecError::TooLarge`] above 2 MiB, [`CodecError::Form`] for a form that bincode
/// cannot write.
pub fn encode<T: Serialize + ?Sized>(form: &T) -> Result<Vec<u8>, CodecError> {
    write(form, PAYLOAD_BYTES_MAX)
}

/// A stored form from payload bytes, every one of which must be consumed.
///
/// # Errors
/// [`CodecError::Form`].
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    read::<T, PAYLOAD_BYTES_MAX>(payload)
}

/// A form of many small numbers as payload bytes: below 251 each takes one byte, a sign included
/// below 126.
///
/// The bytes of bincode 1.3 with its `DefaultOptions`, so that another crate can read them later.
///
/// # Errors
/// As [`encode`].
pub fn encode_dense<T: Serialize + ?Sized>(form: &T) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::serde::encode_to_vec(form, bincode::config::standard()).map_err(form_error)?;
    bounded(bytes, PAYLOAD_BYTES_MAX)
}

/// What [`encode_dense`] wrote, every byte of which must be consumed. The form may borrow texts.
///
/// A number may be written longer than needed, so other bytes may give an equal form.
///
/// # Errors
/// [`CodecError::Form`].
pub fn decode_dense<'b, T: Deserialize<'b>>(payload: &'b [u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<PAYLOAD_BYTES_MAX>();
    let (form, used) =
        bincode::serde::borrow_decode_from_slice(payload, config).map_err(form_error)?;
    whole(form, used, payload)
}

/// Stored forms as the content of a chunk: as [`encode`], with a chunk's room.
///
/// # Errors
/// [`CodecError::TooLarge`] above 64 MiB, [`CodecError::Form`] for a form that bincode cannot
/// write.
pub fn encode_chunk<T: Serialize + ?Sized>(form: &T) -> Result<Vec<u8>, CodecError> {
    write(form, CHUNK_BYTES_MAX)
}

/// Stored forms from the content of a chunk, every byte of which must be consumed.
///
/// # Errors
/// [`CodecError::Form`].
pub fn decode_chunk<T: DeserializeOwned>(content: &[u8]) -> Result<T, CodecError> {
    read::<T, CHUNK_BYTES_MAX>(content)
}

fn write<T: Serialize + ?Sized>(form: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::serde::encode_to_vec(form, bincode::config::legacy()).map_err(form_error)?;
    bounded(bytes, max)
}

fn bounded(bytes: Vec<u8>, max: usize) -> Result<Vec<u8>, CodecError> {
    match bytes.len() {
        have if max < have => Err(CodecError::TooLarge { have, max }),
        _ => Ok(bytes),
    }
}

fn read<T: DeserializeOwned, const MAX: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::legacy().with_limit::<MAX>();
    let (form, used) = bincode::serde::decode_from_slice(bytes, config).map_err(form_error)?;
    whole(form, used, bytes)
}

fn whole<T>(form: T, used: usize, bytes: &[u8]) -> Result<T, CodecError> {
    if used == bytes.len() {
        return Ok(form);
    }
    Err(CodecError::Form {
        why: format!("{} bytes left over", bytes.len() - used),
    })
}

fn form_error(error: impl std::fmt::Display) -> CodecError {
    CodecError::Form {
        why: error.to_string(),
    }
}

/// A value before its revision is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft(Vec<u8>);

impl Draft {
    /// Wraps a payload, packed where that makes it smaller.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] if the payload exceeds 2 MiB, or the value it makes 256 KiB.
    pub fn new(kind: Kind, schema: u16, payload: &[u8]) -> Result<Self, CodecError> {
        let packed = match payload.len() {
            PACK_FROM_BYTES.. => zstd::bulk::compress(payload, 1).ok(),
            _ => None,
        };
        match packed {
            _ if PAYLOAD_BYTES_MAX < payload.len() => Err(CodecError::TooLarge {
                have: payload.len(),
                max: PAYLOAD_BYTES_MAX,
            }),
            Some(packed) if packed.len() < payload.len() => {
                Self::with_flags(kind, schema, PACKED, &packed)
            }
            _ => Self::with_flags(kind, schema, 0, payload),
        }
    }

    fn with_flags(kind: Kind, schema: u16, flags: u8, payload: &[u8]) -> Result<Self, CodecError> {
        let have = ENVELOPE_BYTES + payload.len();
        let max = VALUE_BYTES_MAX;
        if max < have {
            return Err(CodecError::TooLarge { have, max });
        }
        let length =
            u32::try_from(payload.len()).map_err(|_| CodecError::TooLarge { have, max })?;
        let mut bytes = Vec::with_capacity(have);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, flags]);
        bytes.extend_from_slice(&kind.0.to_le_bytes());
        bytes.extend_from_slice(&schema.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&[0; 4]);
        Ok(Self(bytes))
    }

    /// Bytes of the value it becomes.
    pub fn value_bytes(&self) -> usize {
        self.0.len()
    }

    /// The value under `key`, last changed at `revision`.
    pub fn seal(&self, key: &Key, revision: Revision) -> Value {
        let mut bytes = self.0.clone();
        bytes[8..16].copy_from_slice(&revision.0.to_le_bytes());
        let end = bytes.len() - 4;
        let crc = crc_under(key, &bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        Value(bytes.into())
    }
}

/// A whole, checked envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(Arc<[u8]>);

impl Value {
    /// Checks magic, version, length and CRC of stored bytes.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] or [`CodecError::TooNew`].
    pub fn open(key: &Key, bytes: &[u8]) -> Result<Self, CodecError> {
        let damaged = |what| Err(CodecError::Damaged { what });
        if bytes.len() < ENVELOPE_BYTES || VALUE_BYTES_MAX < bytes.len() {
            return damaged("length");
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if crc_under(key, body).to_le_bytes() != crc {
            return damaged("CRC");
        }
        if body[..2] != MAGIC {
            return damaged("magic");
        }
        let (version, flags) = (body[2], body[3]);
        if version != VERSION || PACKED < flags {
            return Err(CodecError::TooNew { version, flags });
        }
        if u32_at(body, 16) as usize != body.len() - HEAD {
            return damaged("payload length");
        }
        Ok(Self(bytes.into()))
    }

    /// The same value, last changed at another revision.
    #[must_use]
    pub fn moved(&self, key: &Key, revision: Revision) -> Self {
        Draft(self.0.to_vec()).seal(key, revision)
    }

    /// The envelope as stored.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of the record type.
    pub fn kind(&self) -> Kind {
        Kind(u16_at(&self.0, 4))
    }

    /// Version of the stored form.
    pub fn schema(&self) -> u16 {
        u16_at(&self.0, 6)
    }

    /// Revision of the commit that wrote it.
    pub fn revision(&self) -> Revision {
        Revision(u64_at(&self.0, 8))
    }

    /// The payload, unpacked.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] if it cannot be unpacked into 2 MiB.
    pub fn payload(&self) -> Result<Cow<'_, [u8]>, CodecError> {
        let stored = &self.0[HEAD..self.0.len() - 4];
        if self.0[3] & PACKED == 0 {
            return Ok(Cow::Borrowed(stored));
        }
        zstd::bulk::decompress(stored, PAYLOAD_BYTES_MAX)
            .map(Cow::Owned)
            .map_err(|_| CodecError::Damaged { what: "packing" })
    }

    /// The payload as its stored form.
    ///
    /// # Errors
    /// As [`payload`](Self::payload) and [`decode`].
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        decode(&self.payload()?)
    }
}

fn crc_under(key: &Key, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key.as_str().as_bytes());
    crc.update(body);
    crc.finalize()
}

/// Little-endian number at `at`; the caller has checked the length.
pub(in crate::store) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Little-endian number at `at`; the caller has checked the length.
pub(in crate::store) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// Little-endian number at `at`; the caller has checked the length.
pub(in crate::store) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Probe {
        node: u32,
        beat: u64,
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn sealed(payload: &[u8]) -> Value {
        Draft::new(Kind(240), 1, payload)
            .unwrap()
            .seal(&key("probe.n7"), Revision(1))
    }

    #[test]
    fn the_probe_has_its_golden_bytes() {
        let payload = encode(&Probe { node: 7, beat: 513 }).unwrap();
        let golden = [
            0x45, 0x43, 0x01, 0x00, 0xf0, 0x00, 0x01, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0x0c, 0, 0,
            0, 0x07, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0x1b, 0xe2, 0x0f, 0xdd,
        ];
        let value = sealed(&payload);
        assert_eq!(value.bytes(), golden);
        assert_eq!(value.form::<Probe>().unwrap(), Probe { node: 7, beat: 513 });
        assert_eq!((value.kind(), value.schema()), (Kind(240), 1));
    }

    #[test]
    fn dense_numbers_take_as_few_bytes_as_they_need() {
        let bytes = encode_dense(&(250_u64, 251_u64, -125_i32, 126_i32, "x")).unwrap();
        assert_eq!(bytes, [250, 251, 251, 0, 249, 251, 252, 0, 1, b'x']);
        let back: (u64, u64, i32, i32, &str) = decode_dense(&bytes).unwrap();
        assert_eq!(back, (250, 251, -125, 126, "x"));
        for odd in [&bytes[..9], &[bytes.as_slice(), &[0]].concat()] {
            assert!(decode_dense::<(u64, u64, i32, i32, &str)>(odd).is_err());
        }
    }

    #[test]
    fn every_byte_is_consumed() {
        assert!(matches!(
            decode::<u32>(&[1, 0, 0, 0, 0]),
            Err(CodecError::Form { .. })
        ));
        assert!(matches!(
            decode::<u64>(&[1, 0, 0, 0]),
            Err(CodecError::Form { .. })
        ));
    }

    #[test]
    fn chunks_hold_what_no_value_holds() {
        let forms: Vec<u64> = (0..400_000).collect();
        assert!(matches!(encode(&forms), Err(CodecError::TooLarge { .. })));
        let content = encode_chunk(forms.as_slice()).unwrap();
        assert_eq!(decode_chunk::<Vec<u64>>(&content).unwrap(), forms);
        let longer = [content.as_slice(), &[0]].concat();
        assert!(decode_chunk::<Vec<u64>>(&longer).is_err());
        assert!(decode_chunk::<Vec<u64>>(&content[..content.len() - 1]).is_err());
        // A length that no chunk has room for is refused before memory is taken for it.
        assert!(decode_chunk::<Vec<u64>>(&u64::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn a_newer_envelope_is_named() {
        let mut bytes = sealed(b"x").bytes().to_vec();
        bytes[2] = 2;
        let end = bytes.len() - 4;
        let crc = crc_under(&key("probe.n7"), &bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(
            Value::open(&key("probe.n7"), &bytes),
            Err(CodecError::TooNew {
                version: 2,
                flags: 0
            })
        );
    }

    #[test]
    fn values_are_bounded() {
        let mut noise = vec![0; VALUE_BYTES_MAX];
        crate::store::sim::Dice::new(1).fill(&mut noise);
        let longest = VALUE_BYTES_MAX - ENVELOPE_BYTES;
        assert!(Draft::with_flags(Kind(1), 1, 0, &noise[..longest]).is_ok());
        assert!(Draft::with_flags(Kind(1), 1, 0, &noise[..=longest]).is_err());
        let emptiness = |n: usize| Draft::new(Kind(1), 1, &vec![0; n]);
        let draft = emptiness(PAYLOAD_BYTES_MAX).unwrap();
        let value = draft.seal(&key("probe.n7"), Revision(1));
        assert_eq!(value.payload().unwrap().len(), PAYLOAD_BYTES_MAX);
        assert!(emptiness(PAYLOAD_BYTES_MAX + 1).is_err());
    }

    proptest! {
        #[test]
        fn values_read_what_was_written(payload in prop::collection::vec(0_u8..4, 0..5_000)) {
            let value = sealed(&payload);
            let read = Value::open(&key("probe.n7"), value.bytes()).unwrap();
            let unpacked = read.payload().unwrap();
            prop_assert_eq!(unpacked.as_ref(), payload.as_slice());
            prop_assert!(value.bytes().len() <= payload.len() + ENVELOPE_BYTES);
        }

        #[test]
        fn a_flipped_bit_or_a_foreign_key_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let value = sealed(&payload);
            let mut bytes = value.bytes().to_vec();
            bytes[at.index(value.bytes().len())] ^= 1 << bit;
            prop_assert!(Value::open(&key("probe.n7"), &bytes).is_err());
            prop_assert!(Value::open(&key("probe.n8"), value.bytes()).is_err());
        }
    }
}
