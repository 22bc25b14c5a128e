//! Secrets from the operating system's randomness.

/// 32 random bytes in hex: a token, a session or a login code.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
