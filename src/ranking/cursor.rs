//! Where the next page begins.

use crate::ranking::order::Key;

/// Most attribute keys before relevance.
pub(in crate::ranking) const SORT_KEYS_MAX: usize = 4;

/// Place of a variant under a whole request: attribute keys, match class, then its [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Value numbers in the direction asked, missing last.
    pub(in crate::ranking) sort: [u32; SORT_KEYS_MAX],
    /// Match class, best 0.
    pub(in crate::ranking) class: u32,
    /// Place by promotions and scores.
    pub(in crate::ranking) key: Key,
}

/// Where an earlier page ended: the place of its last item is enough to go on at any depth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Places served before.
    pub(in crate::ranking) served: u32,
    /// The last place served behind the panel's own hits; `None` if there was none yet.
    pub(in crate::ranking) last: Option<Place>,
}

const PLACE_BYTES: usize = 4 * SORT_KEYS_MAX + 4 + 8;

impl Position {
    /// Appends its bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.served.to_le_bytes());
        let Some(place) = &self.last else { return };
        for sort in place.sort {
            bytes.extend_from_slice(&sort.to_le_bytes());
        }
        bytes.extend_from_slice(&place.class.to_le_bytes());
        bytes.extend_from_slice(&place.key.bits().to_le_bytes());
    }

    /// Reads what [`Position::write`] wrote; `None` for anything else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (served, rest) = bytes.split_first_chunk::<4>()?;
        let served = u32::from_le_bytes(*served);
        match rest.len() {
            0 => Some(Self { served, last: None }),
            PLACE_BYTES => Some(Self {
                served,
                last: Some(read_place(rest)?),
            }),
            _ => None,
        }
    }
}

fn read_place(bytes: &[u8]) -> Option<Place> {
    let (numbers, key) = bytes.split_last_chunk::<8>()?;
    let mut numbers = numbers.chunks_exact(4).map(|part| {
        let part: [u8; 4] = part.try_into().ok()?;
        Some(u32::from_le_bytes(part))
    });
    let mut sort = [0; SORT_KEYS_MAX];
    for value in &mut sort {
        *value = numbers.next()??;
    }
    Some(Place {
        sort,
        class: numbers.next()??,
        key: Key::from_bits(u64::from_le_bytes(*key)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::order::Effect;

    #[test]
    fn positions_read_what_they_write() {
        let key = Key::of(123_456, Effect::HIGH, &[]);
        for last in [
            None,
            Some(Place {
                sort: [1, u32::MAX, 3, 4],
                class: 7,
                key,
            }),
        ] {
            let position = Position { served: 600, last };
            let mut bytes = Vec::new();
            position.write(&mut bytes);
            assert_eq!(Position::read(&bytes), Some(position));
            bytes.push(0);
            assert_eq!(Position::read(&bytes), None);
        }
        assert_eq!(Position::read(&[1, 2, 3]), None);
    }
}
