//! The authority of a webhook's certificates: Tripline's own, so that nothing else need be installed to be safe.
use jiff::civil::Date;
use jiff::{Span, Timestamp, ToSpan as _, tz};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::credentials::end_of;

/// The name that a server's certificate is for. The API server is told to expect it (`tls-server-name`), so that the
/// certificate is right whatever the address.
pub const SERVER_NAME: &str = "tripline-webhook";

/// How long an authority lasts.
const AUTHORITY_YEARS: i64 = 10;
/// How long a server's certificate lasts.
const SERVER_DAYS: i64 = 90;

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The authority's certificate or key is none.
    #[error("failed to read the authority's {what}")]
    Unreadable {
        /// Which of the two.
        what: &'static str,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// Making a key or a signature failed.
    #[error("failed to make a {what}")]
    Make {
        /// Of what.
        what: &'static str,
        /// What went wrong.
        source: rcgen::Error,
    },
    /// It would end outside of the times there are.
    #[error("failed to find the end of a certificate's time")]
    Time(#[from] jiff::Error),
}

impl AuthorityError {
    /// The kind of the failure.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Make { .. } => "make",
            Self::Time(_) => "time",
        }
    }
}

/// A certificate and its key, both as PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    /// A new one.
    pub fn make(now: Timestamp) -> Result<Self, AuthorityError> {
        let mut parameters = parameters("Tripline webhook authority", now, AUTHORITY_YEARS.years())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let failed = |source| AuthorityError::Make { what: "certificate authority", source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = parameters.self_signed(&key).map_err(failed)?.pem();
        Self::read(Pair { certificate, key: key.serialize_pem() })
    }

    /// The one with this certificate and key.
    pub fn read(pair: Pair) -> Result<Self, AuthorityError> {
        let unreadable = |what| move |source| AuthorityError::Unreadable { what, source };
        let key = KeyPair::from_pem(&pair.key).map_err(unreadable("key"))?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(unreadable("certificate"))?;
        Ok(Self { issuer, pair })
    }

    /// Its own certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// A certificate to serve a webhook with.
    pub fn server(&self, now: Timestamp) -> Result<Pair, AuthorityError> {
        let mut parameters = parameters(SERVER_NAME, now, SERVER_DAYS.days())?;
        let name = SERVER_NAME.try_into();
        let name = name.map_err(|source| AuthorityError::Make { what: "server certificate", source })?;
        parameters.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&parameters, "server certificate")
    }

    /// A certificate by which an API server proves itself, for this many days.
    pub fn client(&self, now: Timestamp, days: u16) -> Result<Pair, AuthorityError> {
        let mut parameters = parameters("kube-apiserver", now, i64::from(days).days())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&parameters, "client certificate")
    }

    fn sign(&self, parameters: &CertificateParams, what: &'static str) -> Result<Pair, AuthorityError> {
        let failed = |source| AuthorityError::Make { what, source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

/// When a certificate in PEM ends; none if it is no certificate.
pub fn certificate_end(pem: &[u8]) -> Option<Timestamp> {
    end_of(&CertificateDer::from_pem_slice(pem).ok()?)
}

/// A certificate in this name from a day ago, for clocks that are behind, for so long.
fn parameters(name: &str, now: Timestamp, lasts: Span) -> Result<CertificateParams, AuthorityError> {
    let midnight = |date: Date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let today = now.to_zoned(tz::TimeZone::UTC).date();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = midnight(today.checked_sub(1.day())?);
    parameters.not_after = midnight(today.checked_add(lasts)?);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_last_as_long_as_they_should() {
        let now: Timestamp = "2026-11-25T21:00:00Z".parse().unwrap();
        let authority = Authority::make(now).unwrap();
        let end = |pair: &Pair| certificate_end(pair.certificate.as_bytes()).unwrap().to_string();
        assert_eq!(end(authority.pair()), "2036-11-25T00:00:00Z");
        assert_eq!(end(&authority.server(now).unwrap()), "2027-02-23T00:00:00Z");
        assert_eq!(end(&authority.client(now, 365).unwrap()), "2027-11-25T00:00:00Z");
        let again = Authority::read(authority.pair().clone()).unwrap();
        assert_eq!(again.pair().certificate, authority.pair().certificate);
    }

    #[test]
    fn what_is_no_authority_is_said() {
        let good = Authority::make(Timestamp::now()).unwrap().pair().clone();
        for (pair, text) in [
            (Pair { key: "none".to_owned(), ..good.clone() }, "failed to read the authority's key"),
            (Pair { certificate: String::new(), ..good }, "failed to read the authority's certificate"),
        ] {
            let Err(error) = Authority::read(pair) else { panic!("read") };
            assert_eq!((error.to_string().as_str(), error.category()), (text, "unreadable"));
        }
        assert_eq!(certificate_end(b"none"), None);
    }
}
