//! API keys: their form, their digests, and whose a key is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::access::principal::{Principal, Role};
use crate::domain::time::Timestamp;

/// Characters of the random part of a key: 32 bytes in base64url.
const SECRET_CHARS: usize = 43;

/// A key as its holder has it; shown once, never kept.
#[derive(Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Makes a key of a role's tag and 32 random bytes.
    pub fn new(role: Role, random: [u8; 32]) -> Self {
        Self(format!("ec_{}_{}", role.tag(), URL_SAFE_NO_PAD.encode(random)).into())
    }

    /// The text, to be shown to its holder.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.expose())
    }
}

/// SHA-256 of a key. The key has 256 random bits, so a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// The digest of a key's whole text, well-formed or not: unknown and malformed keys take the
    /// same path.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl std::fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// Whether a text has the form of a key of a public role.
pub fn looks_public(text: &str) -> bool {
    let secret = text.strip_prefix("ec_pub_");
    secret.is_some_and(|secret| secret.len() == SECRET_CHARS)
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No such key, or it was revoked.
    #[error("the key is not known")]
    Unknown,
    /// It has ended.
    #[error("the key has expired")]
    Expired,
}

/// Whoever can tell whose a key is.
pub trait Doorkeeper: Send + Sync {
    /// The caller behind a key.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    fn principal(
        &self,
        digest: &KeyDigest,
        now: Timestamp,
    ) -> Result<std::sync::Arc<Principal>, KeyRefusal>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        let key = ApiKey::new(Role::StorefrontServer, [255; 32]);
        let expected = format!("ec_srv_{}8", "_".repeat(42));
        assert_eq!(key.expose(), expected);
        assert_eq!(key.expose().len(), "ec_srv_".len() + SECRET_CHARS);
        assert!(!format!("{key:?}").contains("__"));
        assert_eq!(key.digest(), KeyDigest::of(&expected));
    }

    #[test]
    fn only_public_keys_look_public() {
        assert!(looks_public(
            ApiKey::new(Role::StorefrontPublic, [1; 32]).expose()
        ));
        assert!(!looks_public(ApiKey::new(Role::Operator, [1; 32]).expose()));
        assert!(!looks_public("ec_pub_"));
    }
}
