//! Redis over TLS, by rustls.

use redis::{Client, TlsCertificates};

use crate::url::Url;

/// Makes a client of a URL that begins with `rediss://`.
pub(super) fn client(url: &Url<'_>) -> Result<Client, &'static str> {
    if url.place.contains('#') {
        // By `#insecure` the client would believe any certificate.
        return Err("a URL of Redis has no `#`");
    }
    choose_cryptography();
    let place = format!("rediss://{}", url.place);
    let no_url = "this is no URL of Redis";
    let Some(path) = url.parameter("ca") else { return Client::open(place).map_err(|_| no_url) };
    let root = std::fs::read(path).map_err(|_| "the file that `ca` names cannot be read")?;
    if !root.windows(27).any(|text| text == b"-----BEGIN CERTIFICATE-----") {
        // Without one, no server would be believed.
        return Err("the file that `ca` names has no certificate in PEM");
    }
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(root) };
    Client::build_with_tls(place, certificates).map_err(|_| no_url)
}

/// Chooses `ring` for the process, unless it has chosen already: rustls panics where several are linked and none is chosen.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster.
        _ = rustls::crypto::ring::default_provider().install_default();
    }
}
