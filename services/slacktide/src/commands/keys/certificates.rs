//! The authority of a test site, and what it signs.
//!
//! A real site has an authority of its own; then only the files' places in the configuration matter.

use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::failure::Failure;

/// A certificate and its private key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// How many days the authority itself is valid.
const AUTHORITY_DAYS: u32 = 3650;

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::internal(&format!("a certificate cannot be made: {error}"))
}

/// A new authority.
pub(super) fn authority(name: &str) -> Result<Pair, Failure> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut params = described(name, &[], AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// The exchange's, for these names and addresses.
pub(super) fn server(authority: &Pair, names: &[String], days: u32) -> Result<Pair, Failure> {
    signed(
        authority,
        "exchange",
        names,
        ExtendedKeyUsagePurpose::ServerAuth,
        days,
    )
}

/// A party's.
pub(super) fn client(authority: &Pair, user: &str, days: u32) -> Result<Pair, Failure> {
    signed(authority, user, &[], ExtendedKeyUsagePurpose::ClientAuth, days)
}

fn signed(
    authority: &Pair,
    name: &str,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
    days: u32,
) -> Result<Pair, Failure> {
    let issuer = KeyPair::from_pem(&authority.key)
        .and_then(|key| Issuer::from_ca_cert_pem(&authority.certificate, key))
        .map_err(|error| failed(&error))?;
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut params = described(name, names, days)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, &issuer).map_err(|error| failed(&error))?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Valid since yesterday, for clocks that are behind, until the beginning of the day so many days
/// ahead; with 0 it has already expired.
fn described(name: &str, names: &[String], days: u32) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Slacktide site");
    params.distinguished_name.push(DnType::CommonName, name);
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |span: Span| {
        let date = today.checked_add(span).map_err(|error| failed(&error))?;
        let part = |number: i8| u8::try_from(number).map_err(|error| failed(&error));
        Ok::<_, Failure>(rcgen::date_time_ymd(
            i32::from(date.year()),
            part(date.month())?,
            part(date.day())?,
        ))
    };
    params.not_before = day(Span::new().days(-2))?;
    params.not_after = day(Span::new().days(i64::from(days.min(AUTHORITY_DAYS))))?;
    Ok(params)
}
