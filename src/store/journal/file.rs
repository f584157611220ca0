//! A journal file: its header of 64 bytes and its name.
//!
//! ```text
//! 'ECJRNL01' · store id 16 · era u64 · first revision u64 · salt 8 · space u8 · 11 zeros · CRC of 0–59 u32
//! ```

use crate::store::codec::{u32_at, u64_at};
use crate::store::journal::frame::Salt;
use crate::store::{Identity, Revision, Space, StoreId};

/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"ECJRNL01";
const SUFFIX: &str = ".seg";

/// What a journal file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose it is.
    pub identity: Identity,
    /// Revision of its first record.
    pub first: Revision,
    /// Its salt.
    pub salt: Salt,
}

impl Header {
    /// The 64 bytes.
    pub fn seal(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.identity.store.0);
        bytes[24..32].copy_from_slice(&self.identity.era.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt);
        bytes[48] = self.identity.space as u8;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header that `bytes` begin with; `None` if it is cut or damaged.
    pub fn open(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let sound = header[..8] == MAGIC
            && crc32fast::hash(&header[..60]) == u32_at(header, 60)
            && header[49..60].iter().all(|&byte| byte == 0);
        let space = Space::from_number(header[48]);
        let header = Self::unchecked(header, space.unwrap_or(Space::Config))?;
        (sound && space.is_some()).then_some(header)
    }

    /// What a damaged header says where its CRC is ignored. Only its salt is of use: frames that
    /// are valid under it prove it right.
    pub(in crate::store) fn unchecked(bytes: &[u8], space: Space) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let mut store = [0; 16];
        store.copy_from_slice(&header[8..24]);
        let mut salt = [0; 8];
        salt.copy_from_slice(&header[40..48]);
        Some(Self {
            identity: Identity {
                store: StoreId(store),
                era: u64_at(header, 24),
                space,
            },
            first: Revision(u64_at(header, 32)),
            salt,
        })
    }
}

/// Name of the file whose first record has this revision.
pub fn name_of(first: Revision) -> String {
    format!("{:016x}{SUFFIX}", first.0)
}

/// First revision of a file of this name; `None` if it is no journal file's.
pub fn first_of(name: &str) -> Option<Revision> {
    let digits = name.strip_suffix(SUFFIX)?;
    let first = Revision(u64::from_str_radix(digits, 16).ok()?);
    (name_of(first) == name).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::store::chunk::ChunkHash;
    use crate::store::codec::{Kind, encode};
    use crate::store::commit::{Commit, CommitId, Write};
    use crate::store::journal::frame::{Frame, Record};
    use crate::store::key::Key;
    use std::sync::Arc;

    fn golden_header() -> Header {
        let mut store = [0; 16];
        store.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let mut salt = [0; 8];
        salt.iter_mut().zip(0xa0..).for_each(|(byte, n)| *byte = n);
        Header {
            identity: Identity {
                store: StoreId(store),
                era: 1,
                space: Space::Trade,
            },
            first: Revision(1),
            salt,
        }
    }

    fn golden_file() -> Vec<u8> {
        let id = CommitId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
        let payload = encode(&(7_u32, 513_u64)).unwrap();
        let key = Key::of(&["probe", "n7"]).unwrap();
        let write = Write::put(key, Kind(240), 1, &payload).unwrap();
        let commit = Commit::new(id, Timestamp(1_767_225_600_250), vec![write]);
        let record = Arc::new(Record::of(&commit, Revision(1)));
        let header = golden_header();
        let mut bytes = header.seal().to_vec();
        bytes.extend_from_slice(&Frame::of(&[record]).seal(header.salt));
        bytes
    }

    /// `docs`: the golden bytes of the format, section 4 of the store's specification.
    #[test]
    fn the_journal_has_its_golden_bytes() {
        let bytes = golden_file();
        assert_eq!(bytes.len(), 184);
        assert_eq!(bytes[60..64], [0xd8, 0x82, 0x56, 0x1f]);
        assert_eq!(
            bytes[56 + 32..96],
            [0x1b, 0xe4, 0x8f, 0x8b, 0x32, 0xf6, 0x5c, 0x26]
        );
        let digest = ChunkHash::of(&bytes);
        assert_eq!(
            digest.to_string(),
            "e7bdc9a8cd7d294fdc13c2e5d8cbbb701011cafeab893fc0bdff3d126bdf0f83"
        );
        let kept = include_bytes!("../../../data/golden/store/probe.seg");
        assert_eq!(bytes, kept);
    }

    #[test]
    fn headers_read_what_was_written_and_notice_a_flipped_bit() {
        let header = golden_header();
        let bytes = header.seal();
        assert_eq!(Header::open(&bytes), Some(header));
        assert_eq!(Header::open(&bytes[..63]), None);
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::open(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn names_are_sixteen_hexadecimal_digits() {
        assert_eq!(name_of(Revision(4_180)), "0000000000001054.seg");
        assert_eq!(first_of("0000000000001054.seg"), Some(Revision(4_180)));
        assert_eq!(first_of("1054.seg"), None);
        assert_eq!(first_of("000000000000105G.seg"), None);
        assert_eq!(first_of("0000000000001054.seg.new"), None);
    }
}
