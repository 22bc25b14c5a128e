//! Secrets from the operating system's randomness, and how they are kept.

use sha2::{Digest as _, Sha256};

/// 32 random bytes in hex: a token, a session or a login code.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// SHA-256 in lower-case hex: how secrets are compared and kept.
#[must_use]
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
