//! The front proxy's certificate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::Error;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate and its key, both as PEM.
pub(super) struct Pair {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Makes a certificate that vouches for itself, good for a year.
pub(super) fn self_signed(name: &str) -> Result<Pair, Error> {
    let alternatives = [name, "localhost", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(alternatives).map_err(Error::Certificate)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A clock before 1970 gets a certificate of 1970, which is as good as it gets.
    let now = SystemTime::now();
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Since yesterday, for clients whose clock is a little behind.
    params.not_before = now - DAY;
    params.not_after = now + 365 * DAY;

    let key = KeyPair::generate().map_err(Error::Certificate)?;
    let certificate = params.self_signed(&key).map_err(Error::Certificate)?;
    Ok(Pair { chain: certificate.pem(), key: key.serialize_pem() })
}
