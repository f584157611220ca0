//! Names of category nodes.

use std::fmt;
use std::sync::Arc;

use crate::domain::complaint::Fault;
use crate::domain::id::KEY_CHARS_MAX;
use crate::domain::text;

/// A node of a market's category graph, written `tree:key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CategoryId(Arc<str>);

impl CategoryId {
    /// The tree of a key that names none.
    pub const DEFAULT_TREE: &'static str = "main";

    /// Reads `tree:key`; a text without a colon lies in the tree `main`.
    ///
    /// Tree and key together obey the rules of keys, and neither may be empty.
    ///
    /// # Errors
    /// `too-short`, `too-long` or `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let normal = text::bounded(text, KEY_CHARS_MAX)?;
        match normal.split_once(':') {
            None => Ok(Self(format!("{}:{normal}", Self::DEFAULT_TREE).into())),
            Some((tree, key)) if !tree.is_empty() && !key.is_empty() => Ok(Self(normal.into())),
            Some(_) => Err(Fault::bad_format("a category, written tree:key", &normal)),
        }
    }

    /// The written form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The written form, shared rather than copied.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The part before the first colon.
    pub fn tree(&self) -> &str {
        self.0
            .split_once(':')
            .map_or(Self::DEFAULT_TREE, |(tree, _)| tree)
    }
}

impl fmt::Display for CategoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for CategoryId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_tree_need_not_be_named() {
        assert_eq!(
            CategoryId::parse("jackets").unwrap().as_str(),
            "main:jackets"
        );
        assert_eq!(CategoryId::parse("sale:a:b").unwrap().tree(), "sale");
        assert_eq!(CategoryId::parse("main:").unwrap_err().code(), "bad-format");
        assert_eq!(CategoryId::parse(":x").unwrap_err().code(), "bad-format");
    }
}
