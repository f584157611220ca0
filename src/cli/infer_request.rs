//! Reading a request of `endcap infer`: whole numbers from their text, never through a float.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// What is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Refused {
    /// Stable code, of those that the API uses for fields.
    pub(in crate::cli) code: &'static str,
    /// JSON pointer; empty for the whole line.
    pub(in crate::cli) pointer: String,
}

impl Refused {
    pub(in crate::cli) fn new(code: &'static str, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        Self { code, pointer }
    }
}

/// The fields of one object that nobody took yet.
pub(in crate::cli) struct Fields {
    pointer: String,
    left: BTreeMap<String, Box<RawValue>>,
}

impl Fields {
    /// Reads a line.
    ///
    /// # Errors
    /// `malformed-json` unless it is one object.
    pub(in crate::cli) fn read(line: &str) -> Result<Self, Refused> {
        let left = serde_json::from_str(line);
        Ok(Self {
            pointer: String::new(),
            left: left.map_err(|_| Refused::new("malformed-json", ""))?,
        })
    }

    /// The id, whatever it is, to be given back.
    pub(in crate::cli) fn id(&mut self) -> Value {
        let raw = self.left.remove("id");
        let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        value.unwrap_or(Value::Null)
    }

    /// That no field is left over.
    ///
    /// # Errors
    /// `unknown-field` at the first of them.
    pub(in crate::cli) fn finish(&self) -> Result<(), Refused> {
        match self.left.keys().next() {
            Some(name) => Err(Refused::new("unknown-field", self.at(name))),
            None => Ok(()),
        }
    }

    /// An object inside.
    ///
    /// # Errors
    /// `required`, `wrong-type`.
    pub(in crate::cli) fn object(&mut self, name: &str) -> Result<Self, Refused> {
        let left = self.parsed(name)?;
        let left = left.ok_or_else(|| Refused::new("required", self.at(name)))?;
        let pointer = self.at(name);
        Ok(Self { pointer, left })
    }

    /// A text.
    ///
    /// # Errors
    /// `required`, `wrong-type`.
    pub(in crate::cli) fn text(&mut self, name: &str) -> Result<String, Refused> {
        let text = self.parsed(name)?;
        text.ok_or_else(|| Refused::new("required", self.at(name)))
    }

    /// A finite number.
    ///
    /// # Errors
    /// `wrong-type`, `out-of-range` if it does not fit.
    pub(in crate::cli) fn number(
        &mut self,
        name: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, Refused> {
        match self.parsed::<f64>(name)? {
            Some(number) if !number.is_finite() || !fits(number) => {
                Err(Refused::new("out-of-range", self.at(name)))
            }
            number => Ok(number),
        }
    }

    /// A list of finite numbers.
    ///
    /// # Errors
    /// `required`, `wrong-type`, `too-many`, `out-of-range` at the first that does not fit.
    pub(in crate::cli) fn numbers(
        &mut self,
        name: &str,
        max: usize,
        fits: impl Fn(f64) -> bool,
    ) -> Result<Vec<f64>, Refused> {
        let numbers: Option<Vec<f64>> = self.parsed(name)?;
        let numbers = numbers.ok_or_else(|| Refused::new("required", self.at(name)))?;
        if max < numbers.len() {
            return Err(Refused::new("too-many", self.at(name)));
        }
        let faulty = numbers.iter().position(|number| !fits(*number));
        match faulty {
            Some(place) => Err(Refused::new(
                "out-of-range",
                self.at(&format!("{name}/{place}")),
            )),
            None => Ok(numbers),
        }
    }

    /// A whole number of 128 bits, as a number or as text.
    ///
    /// # Errors
    /// `wrong-type`, `out-of-range`.
    pub(in crate::cli) fn whole(&mut self, name: &str) -> Result<Option<i128>, Refused> {
        let Some(raw) = self.taken(name) else {
            return Ok(None);
        };
        whole(&raw)
            .map(Some)
            .map_err(|code| Refused::new(code, self.at(name)))
    }

    /// The same where it must be there.
    ///
    /// # Errors
    /// `required` as well.
    pub(in crate::cli) fn needed(&mut self, name: &str) -> Result<i128, Refused> {
        let value = self.whole(name)?;
        value.ok_or_else(|| Refused::new("required", self.at(name)))
    }

    /// A count.
    ///
    /// # Errors
    /// As [`needed`](Self::needed); `out-of-range` below 0.
    pub(in crate::cli) fn count(&mut self, name: &str) -> Result<u64, Refused> {
        let value = self.needed(name)?;
        u64::try_from(value).map_err(|_| Refused::new("out-of-range", self.at(name)))
    }

    /// A list of `n` counts.
    ///
    /// # Errors
    /// `required`, `wrong-type`, `contradiction` if there are more or fewer.
    pub(in crate::cli) fn counts(&mut self, name: &str, n: usize) -> Result<Vec<u64>, Refused> {
        let raw: Option<Vec<Box<RawValue>>> = self.parsed(name)?;
        let raw = raw.ok_or_else(|| Refused::new("required", self.at(name)))?;
        counts(raw, n, &self.at(name))
    }

    /// A list of such lists.
    ///
    /// # Errors
    /// As [`counts`](Self::counts); `too-many`.
    pub(in crate::cli) fn count_lists(
        &mut self,
        name: &str,
        n: usize,
        max: usize,
    ) -> Result<Vec<Vec<u64>>, Refused> {
        let raw: Option<Vec<Vec<Box<RawValue>>>> = self.parsed(name)?;
        let raw = raw.ok_or_else(|| Refused::new("required", self.at(name)))?;
        if max < raw.len() {
            return Err(Refused::new("too-many", self.at(name)));
        }
        let lists = raw.into_iter().enumerate();
        lists
            .map(|(place, list)| counts(list, n, &self.at(&format!("{name}/{place}"))))
            .collect()
    }

    /// Takes a field out; null is absent.
    fn taken(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.left.remove(name).filter(|raw| raw.get() != "null")
    }

    fn parsed<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refused> {
        let Some(raw) = self.taken(name) else {
            return Ok(None);
        };
        let parsed = serde_json::from_str(raw.get());
        parsed
            .map(Some)
            .map_err(|_| Refused::new("wrong-type", self.at(name)))
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }
}

fn counts(raw: Vec<Box<RawValue>>, n: usize, pointer: &str) -> Result<Vec<u64>, Refused> {
    if raw.len() != n {
        return Err(Refused::new("contradiction", pointer));
    }
    let count = |(place, raw): (usize, Box<RawValue>)| {
        let count = whole(&raw).and_then(|count| u64::try_from(count).map_err(|_| "out-of-range"));
        count.map_err(|code| Refused::new(code, format!("{pointer}/{place}")))
    };
    raw.into_iter().enumerate().map(count).collect()
}

fn whole(raw: &RawValue) -> Result<i128, &'static str> {
    let text = raw.get();
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("wrong-type");
    }
    digits.parse().map_err(|_| "out-of-range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Fields {
        Fields::read(line).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    #[test]
    fn whole_numbers_keep_every_digit() {
        let max = i128::MAX;
        let mut fields = read(&format!("{{\"a\": {max}, \"b\": \"-{max}\", \"c\": null}}"));
        assert_eq!(fields.needed("a"), Ok(max));
        assert_eq!(fields.needed("b"), Ok(-max));
        assert_eq!(fields.whole("c"), Ok(None));
        for (written, code) in [
            ("1.0", "wrong-type"),
            ("1e3", "wrong-type"),
            ("\"+1\"", "wrong-type"),
            ("\"\"", "wrong-type"),
            ("170141183460469231731687303715884105728", "out-of-range"),
        ] {
            let refused = read(&format!("{{\"a\": {written}}}")).needed("a");
            assert_eq!(refused, Err(Refused::new(code, "/a")), "{written}");
        }
    }

    #[test]
    fn what_nobody_takes_is_named() {
        let mut fields = read("{\"id\": 7, \"shown\": {\"n\": 1, \"sums\": 2}}");
        assert_eq!(fields.id(), 7);
        let mut shown = fields.object("shown").unwrap();
        assert_eq!(shown.count("n"), Ok(1));
        assert_eq!(
            shown.finish(),
            Err(Refused::new("unknown-field", "/shown/sums"))
        );
        assert_eq!(
            shown.needed("sum"),
            Err(Refused::new("required", "/shown/sum"))
        );
        assert_eq!(fields.finish(), Ok(()));
    }
}
