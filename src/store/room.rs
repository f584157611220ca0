//! How much room the volume has, and what may still be written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::store::Mode;
use crate::store::disk::{Disk, Volume};

const MIB: u64 = 1 << 20;

/// Sizes that follow from the size of the volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Below this only commits that help are taken, below half of it none.
    pub low: u64,
    /// Size of the file `ballast`, which an operator may delete to get going again.
    pub ballast: u64,
    /// A journal file is sealed at this size, unless the settings say less.
    pub seal: u64,
}

impl Marks {
    /// 5 % of the volume within 4 MiB and 1 GiB; 1/32 within 1 and 64 MiB; 1/16 within 1 and
    /// 64 MiB.
    pub fn of(total: u64) -> Self {
        Self {
            low: (total / 20).clamp(4 * MIB, 1_024 * MIB),
            ballast: (total / 32).clamp(MIB, 64 * MIB),
            seal: (total / 16).clamp(MIB, 64 * MIB),
        }
    }

    /// What may be written with so many bytes free.
    pub fn mode(&self, free: u64) -> Mode {
        match free {
            _ if free < self.low / 2 => Mode::Full,
            _ if free < self.low => Mode::Low,
            _ => Mode::Ok,
        }
    }
}

/// Looks at the volume below a directory.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// A directory on the volume.
    pub path: PathBuf,
}

impl Gauge {
    /// Free bytes and what they allow. A disk that cannot say counts as having room: the write
    /// itself will tell.
    pub fn look(&self) -> (Option<u64>, Mode) {
        match self.disk.free_bytes(&self.path) {
            Ok(Volume { free, total }) => (Some(free), Marks::of(total).mode(free)),
            Err(_) => (None, Mode::Ok),
        }
    }

    /// Refuses large writes that nobody is served by, such as backups, below the low mark.
    ///
    /// # Errors
    /// `StorageFull`.
    pub fn check(&self) -> io::Result<()> {
        match self.look().1 {
            Mode::Ok => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_follow_the_volume_within_bounds() {
        let small = Marks::of(64 * MIB);
        assert_eq!((small.low, small.ballast), (4 * MIB, 2 * MIB));
        let large = Marks::of(1 << 40);
        assert_eq!(
            large,
            Marks {
                low: 1_024 * MIB,
                ballast: 64 * MIB,
                seal: 64 * MIB
            }
        );
        assert_eq!(Marks::of(8 * MIB).seal, MIB);
    }

    #[test]
    fn less_room_allows_less() {
        let marks = Marks::of(64 * MIB);
        assert_eq!(marks.mode(4 * MIB), Mode::Ok);
        assert_eq!(marks.mode(4 * MIB - 1), Mode::Low);
        assert_eq!(marks.mode(2 * MIB), Mode::Low);
        assert_eq!(marks.mode(2 * MIB - 1), Mode::Full);
    }
}
