//! What is secret: random, shown once, and kept as a hash; passwords and second factors of users.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schedules::Time;
use sha2::{Digest, Sha256};
use totp_rs::TOTP;

/// What an agent's secret begins with, so that one that leaks is recognised.
const AGENT: &str = "lms_";
/// The same of a program's token.
const PROGRAM: &str = "lmt_";

/// A new secret of an agent: 256 random bits.
///
/// # Errors
/// The system has no randomness to give.
pub fn new() -> Result<String, getrandom::Error> {
    random().map(|text| AGENT.to_owned() + &text)
}

/// A new token of a program.
///
/// # Errors
/// The system has no randomness to give.
pub fn token() -> Result<String, getrandom::Error> {
    random().map(|text| PROGRAM.to_owned() + &text)
}

/// 256 random bits, as they stand in a cookie or a link.
///
/// # Errors
/// The system has no randomness to give.
pub fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret or a token. Both are random, so a plain hash says nothing about them.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Argon2id, 19 MiB and two rounds: what OWASP's Password Storage Cheat Sheet asks for at least.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// What is kept of a password. It takes some hundredths of a second, and 19 MiB: never two at a time.
///
/// # Errors
/// The system has no randomness to give.
pub fn hash_password(password: &str) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| format!("make a salt: {e}"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| format!("make a salt: {e}"))?;
    let hash = argon2().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|e| format!("hash a password: {e}"))
}

/// A password that nobody has: so that the answer for a user who does not exist takes as long.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_password("the password of nobody at all").unwrap_or_default());

/// Whether a password is the one that was hashed; with no hash it never is, and takes as long.
#[must_use]
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(&NOBODY)) else { return false };
    argon2().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}

/// How long one code of a second factor holds, in seconds (RFC 6238).
const STEP: u64 = 30;

/// A new secret for a second factor: 160 random bits.
///
/// # Errors
/// The system has no randomness to give.
pub fn new_factor() -> Result<[u8; 20], getrandom::Error> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn factor(secret: &[u8]) -> Option<TOTP> {
    TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, STEP, secret.to_vec()).ok()
}

/// The step of the code, where it is right now or was a step ago, and after the last one that was used.
#[must_use]
pub fn factor_step(secret: &[u8], code: &str, now: Time, last: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let totp = factor(secret)?;
    let step = now.0.div_euclid(1_000).div_euclid(30);
    (step - 1..=step + 1).find(|&step| {
        let seconds = u64::try_from(step).unwrap_or(0) * STEP;
        step > last && same(&totp.generate(seconds), &code)
    })
}

/// The code of a moment, as a user's device shows it.
#[must_use]
pub fn factor_code(secret: &[u8], now: Time) -> String {
    let seconds = u64::try_from(now.0.div_euclid(1_000)).unwrap_or(0);
    factor(secret).map(|totp| totp.generate(seconds)).unwrap_or_default()
}

/// The secret as people type it into their device.
#[must_use]
pub fn factor_text(secret: &[u8]) -> String {
    factor(secret).map(|totp| totp.get_secret_base32()).unwrap_or_default()
}

/// Codes that each open the door once where the second factor is lost.
///
/// # Errors
/// The system has no randomness to give.
pub fn recovery_codes() -> Result<Vec<String>, getrandom::Error> {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut codes = Vec::with_capacity(10);
    for _ in 0..10 {
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes)?;
        let text: Vec<char> =
            bytes.iter().map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()])).collect();
        codes.push(text.chunks(4).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-"));
    }
    Ok(codes)
}

/// Whether two texts are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    hash(one) == hash(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_nobody_has_none() {
        let hash = hash_password("correct horse battery").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password("correct horse battery", Some(&hash)));
        assert!(!is_password("correct horse batterY", Some(&hash)));
        assert!(!is_password("the password of nobody at all", None));
        assert!(!is_password("x", Some("no hash")));
    }

    #[test]
    fn a_code_is_right_for_a_step_before_and_after_and_once() {
        let (secret, now) = (*b"12345678901234567890", Time(1_111_111_109_000));
        // RFC 6238, appendix B, its last six digits.
        assert_eq!(factor_code(&secret, now), "081804");
        let step = factor_step(&secret, "081 804", now, 0).unwrap();
        assert_eq!(step, 1_111_111_109 / 30);
        assert_eq!(factor_step(&secret, "081804", now, step), None, "not twice");
        assert_eq!(factor_step(&secret, "081804", Time(now.0 + 30_000), 0), Some(step));
        assert_eq!(factor_step(&secret, "081804", Time(now.0 + 90_000), 0), None);
        assert_eq!(factor_step(&secret, "", now, 0), None);
    }

    #[test]
    fn recovery_codes_are_all_different() {
        let codes: std::collections::BTreeSet<_> = recovery_codes().unwrap().into_iter().collect();
        assert_eq!(codes.len(), 10);
        assert!(codes.iter().all(|code| code.len() == 14), "{codes:?}");
    }
}
