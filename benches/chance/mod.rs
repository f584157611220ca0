//! Seeded numbers for the data of benches.

/// A seeded stream of numbers.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Below `bound`, all alike.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    /// Below `bound`, the smaller the likelier: the least of three draws.
    pub(crate) fn skewed(&mut self, bound: usize) -> usize {
        let draws = [self.below(bound), self.below(bound), self.below(bound)];
        draws.into_iter().min().unwrap_or(0)
    }
}
