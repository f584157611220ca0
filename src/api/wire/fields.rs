//! Reads one JSON object, field by field, to its end.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::domain::complaint::{Complaint, Complaints, Fault, token};
use crate::domain::text::nearest;

/// All complaints about a part, with pointers seen from that part.
pub(crate) type Read<T> = Result<T, Vec<Complaint>>;

/// Comparing so few names costs less than hashing one.
const COMPARED_MAX: usize = 8;

/// What is read where no object is.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// An object being read. Ask for every field it may have, then [`Fields::finish`].
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// Every field asked for, some of them twice.
    known: Vec<&'static str>,
    complaints: Complaints,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// `wrong-type` if the value is no object.
    pub(crate) fn of(value: &'a Value) -> Read<Self> {
        match value {
            Value::Object(object) => Ok(Self::over(object)),
            other => Err(vec![wrong_type("an object", other).at("")]),
        }
    }

    fn over(object: &'a Map<String, Value>) -> Self {
        Self {
            object,
            known: Vec::with_capacity(32),
            complaints: Complaints::new(),
        }
    }

    /// Reads what can be read of an object, with all that is wrong with it. The value stands even
    /// then: whoever checks it further tells the rest in the same answer.
    pub(crate) fn gather<T>(
        value: &'a Value,
        read: impl FnOnce(&mut Self) -> T,
    ) -> (T, Vec<Complaint>) {
        match Self::of(value) {
            Ok(mut fields) => {
                let read = read(&mut fields);
                (read, fields.close())
            }
            Err(complaints) => (read(&mut Self::over(&NOTHING)), complaints),
        }
    }

    /// An object inside that may be absent or null; read as [`Fields::gather`] does.
    pub(crate) fn inside<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let (read, complaints) = Self::gather(self.value(name)?, read);
        self.complaints
            .take_all::<()>(&pointer(name), Err(complaints));
        Some(read)
    }

    /// A list of objects that may be absent or null; each is read as [`Fields::gather`] does.
    pub(crate) fn insides<T>(
        &mut self,
        name: &'static str,
        max: usize,
        read: impl Fn(&mut Self) -> T,
    ) -> Option<Vec<T>> {
        let entries = self.part(name, |value| entries_of(value, max))?;
        let mut list = Vec::with_capacity(entries.len());
        for (place, entry) in entries.iter().enumerate() {
            let (value, complaints) = Self::gather(entry, &read);
            let at = format!("{}/{place}", pointer(name));
            self.complaints.take_all::<()>(&at, Err(complaints));
            list.push(value);
        }
        Some(list)
    }

    /// A part that may be absent or null.
    pub(crate) fn part<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Read<T>,
    ) -> Option<T> {
        let value = self.value(name)?;
        self.complaints.take_all(&pointer(name), read(value))
    }

    /// A scalar that may be absent or null.
    pub(crate) fn scalar<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.part(name, |value| {
            read(value).map_err(|fault| vec![fault.at("")])
        })
    }

    /// A part that must be there.
    pub(crate) fn need_part<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Read<T>,
    ) -> Option<T> {
        if self.value(name).is_none() {
            self.complaints.add(pointer(name), Fault::Required);
        }
        self.part(name, read)
    }

    /// A scalar that must be there.
    pub(crate) fn need<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.need_part(name, |value| {
            read(value).map_err(|fault| vec![fault.at("")])
        })
    }

    /// A list that may be absent or null; every entry is read, faults carry its place.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        max: usize,
        read: impl Fn(&'a Value) -> Read<T>,
    ) -> Option<Vec<T>> {
        self.part(name, |value| read_list(value, max, read))
    }

    /// Whether the field is there, null included. A merge patch tells absent from null.
    pub(crate) fn has(&mut self, name: &'static str) -> bool {
        self.known.push(name);
        self.object.contains_key(name)
    }

    /// Whether the field says anything: it is there and not null, readable or not.
    pub(crate) fn says(&mut self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    /// Complains when a field that only the server sets is present.
    pub(crate) fn read_only(&mut self, names: &[&'static str]) {
        for name in names {
            if self.has(name) {
                self.complaints.add(pointer(name), Fault::ReadOnly);
            }
        }
    }

    /// Complains about something that only shows across fields.
    pub(crate) fn complain(&mut self, name: &str, fault: Fault) {
        self.complaints.add(pointer(name), fault);
    }

    /// The same of a field that lies further inside.
    pub(crate) fn complain_below(&mut self, names: &[&str], fault: Fault) {
        let at: String = names.iter().map(|name| pointer(name)).collect();
        self.complaints.add(at, fault);
    }

    /// Names the fields nobody asked for, and hands the value out if nothing was wrong.
    ///
    /// # Errors
    /// All complaints about this object, in the order of reading, unknown fields last.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Read<T> {
        self.name_unknown();
        self.complaints.finish(value)
    }

    /// Names the fields nobody asked for, after everything else that was wrong.
    fn close(mut self) -> Vec<Complaint> {
        self.name_unknown();
        self.complaints.into_vec()
    }

    fn name_unknown(&mut self) {
        for name in self.object.keys() {
            if !self.known.contains(&name.as_str()) {
                let did_you_mean = nearest(name, self.known.iter().copied());
                let fault = Fault::UnknownField {
                    found: name.chars().take(80).collect(),
                    did_you_mean,
                };
                self.complaints.add(pointer(name), fault);
            }
        }
    }

    fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        let found = if self.object.len() <= COMPARED_MAX {
            let own = self.object.iter().find(|(own, _)| *own == name);
            own.map(|(_, value)| value)
        } else {
            self.object.get(name)
        };
        found.filter(|value| !value.is_null())
    }
}

/// Every entry of a list of at most `max`.
///
/// # Errors
/// `wrong-type`, `too-many`, and the complaints of all entries.
pub(crate) fn read_list<'a, T>(
    value: &'a Value,
    max: usize,
    read: impl Fn(&'a Value) -> Read<T>,
) -> Read<Vec<T>> {
    let entries = entries_of(value, max)?;
    let mut complaints = Complaints::new();
    let mut list = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        list.extend(complaints.take_all(&format!("/{place}"), read(entry)));
    }
    complaints.finish(Some(list))
}

/// The entries of a list of at most `max`.
///
/// # Errors
/// `wrong-type`, `too-many`.
pub(crate) fn entries_of(value: &Value, max: usize) -> Read<&[Value]> {
    let Value::Array(entries) = value else {
        return Err(vec![wrong_type("a list", value).at("")]);
    };
    let have = entries.len();
    if max < have {
        return Err(vec![Fault::TooMany { have, max }.at("")]);
    }
    Ok(entries)
}

/// Makes a reader of scalars a reader of parts.
pub(crate) fn whole<'a, T>(
    read: impl Fn(&'a Value) -> Result<T, Fault>,
) -> impl Fn(&'a Value) -> Read<T> {
    move |value| read(value).map_err(|fault| vec![fault.at("")])
}

/// What was expected, and the type that was found.
pub(crate) fn wrong_type(expected: &'static str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::WrongType {
        expected,
        found: found.to_owned(),
    }
}

fn pointer(name: &str) -> String {
    format!("/{}", token(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::wire::scalar;

    #[test]
    fn all_faults_of_an_object_come_at_once() {
        let body = json!({ "nmae": "x", "level": 3, "list": [1, "a", true] });
        let mut fields = Fields::of(&body).ok().unwrap();
        fields.need("name", scalar::text);
        fields.scalar("level", scalar::text);
        fields.list("list", 9, whole(scalar::text));
        let complaints = fields.finish(Some(())).unwrap_err();
        let found: Vec<_> = complaints
            .iter()
            .map(|c| (&*c.pointer, c.fault.code()))
            .collect();
        let expected = [
            ("/name", "required"),
            ("/level", "wrong-type"),
            ("/list/0", "wrong-type"),
            ("/list/2", "wrong-type"),
            ("/nmae", "unknown-field"),
        ];
        assert_eq!(found, expected);
        assert_eq!(complaints[4].fault.did_you_mean(), Some("name"));
    }

    #[test]
    fn what_stands_beside_a_fault_is_read_all_the_same() {
        let body = json!({ "a": { "x": "1", "y": 2 }, "b": [{ "x": "3", "z": 4 }, 5, { "x": 6 }] });
        let x = |fields: &mut Fields<'_>| fields.scalar("x", scalar::text).map(str::to_owned);
        let (read, complaints) = Fields::gather(&body, |fields| {
            let a = fields.inside("a", x);
            (a, fields.insides("b", 3, x))
        });
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read, (Some(text("1")), Some(vec![text("3"), None, None])));
        let found: Vec<_> = complaints
            .iter()
            .map(|c| (&*c.pointer, c.fault.code()))
            .collect();
        let expected = [
            ("/a/y", "unknown-field"),
            ("/b/0/z", "unknown-field"),
            ("/b/1", "wrong-type"),
            ("/b/2/x", "wrong-type"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lists_are_bounded() {
        let complaints = read_list(&json!([1, 2, 3]), 2, whole(scalar::integer)).unwrap_err();
        assert_eq!(complaints[0].fault, Fault::TooMany { have: 3, max: 2 });
    }
}
