//! Which number each value of an attribute has after some came and others went.

use std::sync::Arc;

use crate::catalogue::column::{Column, ValueId};
use crate::domain::value::Value;
use crate::ranking::posting::MISSING;

/// Which number each value has from now on.
pub(super) struct Renaming {
    /// By former number, [`MISSING`] for a value that is gone; `None` if all keep theirs.
    pub(super) new_of: Option<Vec<u32>>,
    /// Values that are new: the former number they come before, and their own.
    pub(super) came: Vec<(u32, u32)>,
    /// Former numbers of values that are gone.
    pub(super) gone: Vec<u32>,
}

impl Renaming {
    /// From one column to the next; free if they share their dictionary.
    pub(super) fn new(former: &Column, column: &Column) -> Self {
        if column.shares_values(former) {
            return Self {
                new_of: None,
                came: Vec::new(),
                gone: Vec::new(),
            };
        }
        Self::between(former.values(), column.values())
    }

    /// One walk over both dictionaries.
    fn between(former: &[Value], values: &[Value]) -> Self {
        let (mut came, mut gone) = (Vec::new(), Vec::new());
        let mut new_of = Vec::with_capacity(former.len());
        let mut news = (0..).zip(values).peekable();
        for (old, value) in (0..).zip(former) {
            while let Some((new, _)) = news.next_if(|(_, other)| *other < value) {
                came.push((old, new));
            }
            let same = |(_, other): &(u32, &Value)| *other == value;
            if let Some((new, _)) = news.next_if(same) {
                new_of.push(new);
            } else {
                gone.push(old);
                new_of.push(MISSING);
            }
        }
        let end = u32::try_from(new_of.len()).expect("fewer values than memberships");
        came.extend(news.map(|(new, _)| (end, new)));
        Self {
            new_of: Some(new_of),
            came,
            gone,
        }
    }

    /// From which former number on numbers move by one, and whether they move up.
    pub(super) fn steps(&self) -> impl Iterator<Item = (u32, bool)> + '_ {
        let came = self.came.iter().map(|(before, _)| (*before, true));
        came.chain(self.gone.iter().map(|gone| (gone + 1, false)))
    }

    /// The former number that a new value comes before.
    pub(super) fn place_of_new(&self, new: u32) -> u32 {
        let place = self.came.partition_point(|(_, own)| *own < new);
        self.came[place].0
    }

    /// The number of a value from now on, [`MISSING`] if it is gone.
    pub(super) fn new_id(&self, old: u32) -> u32 {
        self.new_of.as_ref().map_or(old, |all| all[old as usize])
    }

    /// The numbers of some values from now on.
    pub(super) fn all(&self, ids: &[ValueId]) -> Vec<u32> {
        ids.iter().map(|id| self.new_id(id.0)).collect()
    }
}

/// A number that [`stepped`] moves.
pub(super) trait Code: Copy + PartialOrd {
    /// No value, which stays none.
    const NONE: Self;
    /// One more, or the same.
    fn up(self, by: bool) -> Self;
    /// One less, or the same.
    fn down(self, by: bool) -> Self;
}

impl Code for u16 {
    const NONE: Self = Self::MAX;

    fn up(self, by: bool) -> Self {
        self.wrapping_add(Self::from(by))
    }

    fn down(self, by: bool) -> Self {
        self.wrapping_sub(Self::from(by))
    }
}

impl Code for u32 {
    const NONE: Self = MISSING;

    fn up(self, by: bool) -> Self {
        self.wrapping_add(Self::from(by))
    }

    fn down(self, by: bool) -> Self {
        self.wrapping_sub(Self::from(by))
    }
}

/// Codes moved by one, up or down, once for each step that begins at or below them; loops that
/// compile to vector comparisons.
pub(super) fn stepped<T: Code>(codes: &[T], steps: &[(T, bool)]) -> Arc<[T]> {
    let mut moved = codes.to_vec();
    for (from, up) in steps {
        let pairs = moved.iter_mut().zip(codes);
        if *up {
            pairs.for_each(|(new, code)| *new = new.up(*from <= *code));
        } else {
            pairs.for_each(|(new, code)| *new = new.down(*from <= *code));
        }
    }
    for (new, code) in moved.iter_mut().zip(codes) {
        *new = if *code == T::NONE { T::NONE } else { *new };
    }
    moved.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::number::Number;

    proptest! {
        #[test]
        fn steps_and_table_rename_alike(
            before in prop::collection::btree_set(0_i64..90, 1..60),
            after in prop::collection::btree_set(0_i64..90, 1..60),
        ) {
            let [former, values] = [&before, &after].map(|all| -> Vec<Value> {
                let numbers = all.iter().map(|number| Number::from_integer(*number));
                numbers.map(Value::Number).collect()
            });
            let renaming = Renaming::between(&former, &values);
            let new_of = renaming.new_of.clone().unwrap();
            let place = |number: &i64| after.iter().position(|own| own == number);
            let number = |place: usize| u32::try_from(place).unwrap();
            let expected = before.iter().map(|own| place(own).map_or(MISSING, number));
            prop_assert_eq!(&new_of, &expected.collect::<Vec<_>>());
            // Whoever held a value that is gone gets another one afterwards.
            let kept = (0..).zip(&new_of).filter(|(_, new)| **new != MISSING);
            let (mut codes, mut renamed): (Vec<u32>, Vec<u32>) = kept.unzip();
            codes.push(MISSING);
            renamed.push(MISSING);
            let steps: Vec<(u32, bool)> = renaming.steps().collect();
            prop_assert_eq!(&stepped(&codes, &steps)[..], &renamed[..]);
            let narrow = |wide: &u32| u16::try_from(*wide).unwrap_or(u16::MAX);
            let steps: Vec<(u16, bool)> = steps.iter().map(|(from, up)| (narrow(from), *up)).collect();
            let codes: Vec<u16> = codes.iter().map(narrow).collect();
            let renamed: Vec<u16> = renamed.iter().map(narrow).collect();
            prop_assert_eq!(&stepped(&codes, &steps)[..], &renamed[..]);
        }
    }
}
