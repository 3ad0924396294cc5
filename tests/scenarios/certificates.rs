//! Client certificates of a cluster's users.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// Signs them; the API server is told of it by `--client-ca-file`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// A new one, whose certificates go to this folder.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "clients");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        let authority =
            Self { issuer: Issuer::from_ca_cert_pem(&certificate, key)?, folder: folder.to_owned() };
        fs::write(authority.certificate(), certificate)?;
        Ok(authority)
    }

    /// The file with its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("client-ca.crt")
    }

    /// Certificate and key of a user, in files of this name.
    pub(crate) fn user(&self, file: &str, name: &str, group: Option<&str>) -> Result<(PathBuf, PathBuf)> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            parameters.distinguished_name.push(DnType::OrganizationName, group);
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let pair = KeyPair::generate()?;
        let (certificate, key) =
            (self.folder.join(format!("{file}.crt")), self.folder.join(format!("{file}.key")));
        fs::write(&certificate, parameters.signed_by(&pair, &self.issuer)?.pem())?;
        fs::write(&key, pair.serialize_pem())?;
        Ok((certificate, key))
    }
}
