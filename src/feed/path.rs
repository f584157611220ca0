//! Category paths such as `Clothing > Rain Wear`, and the categories they imply.

use std::collections::HashSet;

use crate::catalogue::product::CategoryRecord;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::text;

/// Most steps of a path.
pub(super) const STEPS_MAX: usize = 32;

/// Most paths remembered as mentioned; after that they are mentioned again, which changes nothing.
const MENTIONED_MAX: usize = 100_000;

/// Reads paths, and remembers which were mentioned.
pub(super) struct Paths {
    separator: String,
    mentioned: HashSet<String>,
}

impl Paths {
    pub(super) fn new(separator: &str) -> Self {
        Self {
            separator: separator.to_owned(),
            mentioned: HashSet::new(),
        }
    }

    /// The category at the end of a path.
    ///
    /// # Errors
    /// `bad-format` for an empty step, `too-many` steps, and those of [`CategoryId::parse`].
    pub(super) fn last(&self, path: &str) -> Result<CategoryId, Fault> {
        let mut key = String::with_capacity(path.len());
        for (depth, step) in path.split(self.separator.as_str()).enumerate() {
            self.append(&mut key, depth, step, path)?;
        }
        CategoryId::parse(&format!("{}:{key}", CategoryId::DEFAULT_TREE))
    }

    /// The categories of a path that [`last`](Self::last) could read, from the top; none if it was
    /// mentioned before.
    pub(super) fn mention(&mut self, path: &str) -> Vec<CategoryRecord> {
        if self.mentioned.contains(path) {
            return Vec::new();
        }
        if MENTIONED_MAX <= self.mentioned.len() {
            self.mentioned.clear();
        }
        self.mentioned.insert(path.to_owned());
        let mut key = String::new();
        let mut above = None;
        let mut records = Vec::new();
        for (depth, step) in path.split(self.separator.as_str()).enumerate() {
            let appended = self.append(&mut key, depth, step, path);
            let id = appended
                .and_then(|()| CategoryId::parse(&format!("{}:{key}", CategoryId::DEFAULT_TREE)));
            let Ok(id) = id else { break };
            records.push(CategoryRecord {
                id: id.clone(),
                name: Some(text::normal(step).into_owned()),
                parents: above.into_iter().collect(),
            });
            above = Some(id);
        }
        records
    }

    /// Adds a step: trimmed, normal, lower case, inner white space as one hyphen.
    fn append(&self, key: &mut String, depth: usize, step: &str, path: &str) -> Result<(), Fault> {
        if STEPS_MAX <= depth {
            let have = path.matches(self.separator.as_str()).count() + 1;
            return Err(Fault::TooMany {
                have,
                max: STEPS_MAX,
            });
        }
        let step = text::caseless(step);
        let mut words = step.split_whitespace();
        let Some(first) = words.next() else {
            return Err(Fault::bad_format("a path without empty steps", path));
        };
        if 0 < depth {
            key.push('/');
        }
        key.push_str(first);
        for word in words {
            key.push('-');
            key.push_str(word);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<&str, &str>) {
        let found = Paths::new(">").last(path);
        let found = found.as_ref().map(CategoryId::as_str).map_err(Fault::code);
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_become_ids() {
        check("Clothing > Rain Wear", Ok("main:clothing/rain-wear"));
        check("  SJO\u{308} ", Ok("main:sjö"));
        check("a>  b \t c>d", Ok("main:a/b-c/d"));
        check("a > > c", Err("bad-format"));
        check("", Err("bad-format"));
        check(&"x".repeat(200), Err("too-long"));
        check(&["x"; 33].join(">"), Err("too-many"));
    }

    #[test]
    fn ancestors_are_mentioned_once() {
        let mut paths = Paths::new(">");
        let mentions = paths.mention("Clothing > Rain Wear");
        let found: Vec<_> = mentions
            .iter()
            .map(|record| {
                (
                    record.id.as_str(),
                    record.name.as_deref(),
                    record.parents.len(),
                )
            })
            .collect();
        assert_eq!(
            found,
            vec![
                ("main:clothing", Some("Clothing"), 0),
                ("main:clothing/rain-wear", Some("Rain Wear"), 1)
            ]
        );
        assert_eq!(paths.mention("Clothing > Rain Wear"), vec![]);
    }
}
