//! Names for requests: ascending, unique, made without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::id::RequestId;
use crate::engine::clock::Clock;

/// Bits of the running number that stand below the milliseconds.
const SEQUENCE_BITS: u32 = 16;

/// Makes request ids.
///
/// An id is a UUIDv7 (RFC 9562 section 5.7) whose counter is this process's running number and
/// whose last 58 bits are the same for all ids of a process. They ascend strictly, also when the
/// clock steps back; 65,536 fit into a millisecond, and whatever comes on top borrows from the
/// next ones. They name requests and keep no secret.
#[derive(Debug)]
pub(in crate::http) struct RequestIds {
    clock: Clock,
    /// Milliseconds since 1970 above, running number below.
    last: AtomicU64,
    /// What tells this process from others.
    process: u64,
}

impl RequestIds {
    /// Ids of a process with its own random number.
    pub(in crate::http) fn new(process: u64) -> Self {
        let process = process & ((1 << 58) - 1);
        Self {
            clock: Clock::real(),
            last: AtomicU64::new(0),
            process,
        }
    }

    /// The next id.
    pub(in crate::http) fn next(&self) -> RequestId {
        let ms = u64::try_from(self.clock.now().0).unwrap_or(0);
        let least = ms << SEQUENCE_BITS;
        let step = |last: u64| Some(least.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        id_of(least.max(last.unwrap_or(0) + 1), self.process)
    }
}

/// 48 bits of time, version 7, 12 and then 4 bits of the running number, 58 bits of the process.
fn id_of(number: u64, process: u64) -> RequestId {
    let (time, sequence) = (number >> SEQUENCE_BITS, number & 0xffff);
    let high = time << 16 | 7 << 12 | sequence >> 4;
    let low = 0b10 << 62 | (sequence & 15) << 58 | process;
    RequestId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_within_a_millisecond_and_beyond_its_numbers() {
        let ids = RequestIds::new(u64::MAX);
        let made: Vec<RequestId> = (0..70_000).map(|_| ids.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn ids_are_of_version_7() {
        let RequestId(bytes) = id_of(0x0123_4567_89ab_cdef, 1);
        assert_eq!(bytes[..6], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
        assert_eq!(bytes[6..8], [0x7c, 0xde]);
        assert_eq!((bytes[8], bytes[15]), (0b1011_1100, 1));
    }
}
