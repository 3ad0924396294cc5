//! By what receiver and sender know each other: files of one folder, as a Secret is mounted.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::api::WebhookAuthentication;

/// The server's certificate, and those between it and its authority.
pub const CERTIFICATE: &str = "tls.crt";
/// The server's key.
pub const KEY: &str = "tls.key";
/// The authority that the API server's certificate must be of.
pub const AUTHORITY: &str = "ca.crt";
/// The token that the API server must have.
pub const TOKEN: &str = "token";

/// The shortest token, in characters.
const SHORTEST_TOKEN: usize = 16;

/// Why the credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file is not there or cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no certificate or no key.
    #[error("found no usable PEM in {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The authority cannot be used.
    #[error("failed to use the authority in {}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not fit, or are of a kind that is not understood.
    #[error("failed to use certificate and key in {}", folder.display())]
    Tls {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The token can be guessed.
    #[error("the token in {} is shorter than {SHORTEST_TOKEN} characters", path.display())]
    ShortToken {
        /// The file.
        path: PathBuf,
    },
}

/// What was read.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) tls: Arc<ServerConfig>,
    /// The hash of the token, where one is asked for.
    token: Option<[u8; 32]>,
    /// The hash of the files, by which a change is seen.
    files: [u8; 32],
}

impl Credentials {
    /// Reads what this way to authenticate needs.
    pub(super) fn load(folder: &Path, how: WebhookAuthentication) -> Result<Self, CredentialError> {
        let mut files = Sha256::new();
        let mut read = |name: &str| {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(bytes) => {
                    files.update((bytes.len() as u64).to_be_bytes());
                    files.update(&bytes);
                    Ok((path, bytes))
                }
                Err(source) => Err(CredentialError::Read { path, source }),
            }
        };
        let (path, bytes) = read(CERTIFICATE)?;
        let chain = certificates(path, &bytes)?;
        let (path, bytes) = read(KEY)?;
        let key =
            PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| CredentialError::Pem { path, source })?;
        let provider = Arc::new(ring::default_provider());
        let in_folder = |source| CredentialError::Tls { folder: folder.to_owned(), source };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(in_folder)?;
        let (builder, token) = match how {
            WebhookAuthentication::ClientCertificate => {
                let (path, bytes) = read(AUTHORITY)?;
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path.clone(), &bytes)? {
                    roots.add(certificate).map_err(in_folder)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|source| CredentialError::Authority { path, source })?;
                (builder.with_client_cert_verifier(verifier), None)
            }
            WebhookAuthentication::BearerToken => {
                let (path, bytes) = read(TOKEN)?;
                let token = bytes.trim_ascii();
                if token.len() < SHORTEST_TOKEN {
                    return Err(CredentialError::ShortToken { path });
                }
                (builder.with_no_client_auth(), Some(Sha256::digest(token).into()))
            }
        };
        let mut tls = builder.with_single_cert(chain, key).map_err(in_folder)?;
        // One request at a time on a connection, which bounds what a connection costs.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), token, files: files.finalize().into() })
    }

    /// Whether the files were the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// Whether a request with this `Authorization` header may come in. Where certificates are asked for, the connection
    /// was proof enough.
    pub(super) fn admit(&self, header: Option<&[u8]>) -> bool {
        let Some(token) = &self.token else { return true };
        let given = header.and_then(|header| {
            let (scheme, token) = header.split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
        });
        // Of hashes, whose comparison tells by its time nothing of the token.
        given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given)) == *token)
    }
}

fn certificates(path: PathBuf, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(CredentialError::Pem { path, source: pem::Error::NoItemsFound }),
        Ok(found) => Ok(found),
        Err(source) => Err(CredentialError::Pem { path, source }),
    }
}

/// When a certificate ends.
pub(super) fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

impl std::fmt::Debug for Credentials {
    /// Nothing of what they are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}
