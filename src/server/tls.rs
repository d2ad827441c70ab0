//! The server's key and certificate: what it was given, or what it made for itself. Agents trust the key by its hash,
//! which their join token carries, so a certificate that nobody signed needs no switch and no prompt.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// A key and its certificate, in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl Files {
    /// Where the server keeps what it made for itself.
    #[must_use]
    pub fn own(data: &Path) -> Files {
        Files { certificate: data.join("tls-cert.pem"), key: data.join("tls-key.pem") }
    }
}

/// Makes a key and a certificate where there are none yet; both are files that their owner alone reads. Whoever does
/// it first wins, also among processes.
///
/// # Errors
/// They cannot be written.
pub fn make_own(data: &Path) -> Result<Files> {
    let files = Files::own(data);
    if files.key.exists() && files.certificate.exists() {
        return Ok(files);
    }
    let key = KeyPair::generate().context("make a TLS key")?;
    let mut params = CertificateParams::new(vec!["lineman".to_owned()]).context("make a TLS certificate")?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "lineman");
    params.distinguished_name = name;
    let certificate = params.self_signed(&key).context("make a TLS certificate")?;
    write_private(&files.key, &key.serialize_pem())?;
    write_private(&files.certificate, &certificate.pem())?;
    Ok(files)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("pem-new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    let mut file = file.with_context(|| format!("write {}", new.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("write {}", path.display()))
}

/// What agents know the server's key by: SHA-256 of its public key (SubjectPublicKeyInfo, DER; RFC 7469, 2.4).
///
/// # Errors
/// The key cannot be read.
pub fn key_hash(files: &Files) -> Result<[u8; 32]> {
    let path = files.key.display();
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| format!("read the TLS key {path}"))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .with_context(|| format!("the TLS key {path} is of no kind that is understood"))?;
    let public = key.public_key().with_context(|| format!("the TLS key {path} has no public part"))?;
    Ok(Sha256::digest(public.as_ref()).into())
}

/// How connections are encrypted with this key.
///
/// # Errors
/// The files cannot be read, are no PEM, or do not belong together.
pub fn config(files: &Files) -> Result<Arc<ServerConfig>> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("read the TLS certificate {}", files.certificate.display()))?;
    if chain.is_empty() {
        bail!("{} holds no certificate: it must be PEM, the server's own first", files.certificate.display());
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("read the TLS key {}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("set TLS up")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| {
            format!(
                "the key {} does not fit the certificate {}",
                files.key.display(),
                files.certificate.display()
            )
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_known_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let files = make_own(dir.path()).unwrap();
        let hash = key_hash(&files).unwrap();
        assert_eq!(key_hash(&make_own(dir.path()).unwrap()).unwrap(), hash);
        config(&files).unwrap();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = make_own(dir.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        let mixed = Files { key: make_own(other.path()).unwrap().key, ..files.clone() };
        assert!(format!("{:#}", config(&mixed).unwrap_err()).contains("does not fit"));
        fs::write(&files.certificate, "nothing").unwrap();
        let error = format!("{:#}", config(&files).unwrap_err());
        assert!(error.contains("tls-cert.pem"), "{error}");
    }
}
