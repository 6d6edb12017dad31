//! Requests over HTTP for `object_store`: TLS with the certificates of the machine, no redirections, and answers whose bodies go no further.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::SharedError;
use crate::answer::{Answer, SEARCHED};

/// Makes clients. The provider of cryptography is handed over and not installed, so that the program's own choice stands.
#[derive(Debug)]
pub(super) struct Transport;

impl HttpConnector for Transport {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let may_be_plain =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|on| on == "true");
        let client =
            client(may_be_plain).map_err(|source| object_store::Error::Generic { store: "S3", source })?;
        Ok(HttpClient::new(Watched(HttpClient::new(client))))
    }
}

fn client(may_be_plain: bool) -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(!may_be_plain)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .pool_idle_timeout(std::time::Duration::from_secs(20))
        .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")));
    // A plain endpoint is on this machine, or was asked for: no proxy stands between.
    Ok(if may_be_plain { client.no_proxy() } else { client }.build()?)
}

/// Makes errors of answers that are none, before a body gets into the text of one.
#[derive(Debug)]
struct Watched(HttpClient);

impl HttpService for Watched {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        // Nothing in the environment has said which credentials to use, so the machine is asked for its role.
        let is_for_role = request.uri().host().is_some_and(|host| host.starts_with("169.254."));
        Box::pin(async move {
            let response = self.0.execute(request).await?;
            if is_for_role && !response.status().is_success() {
                return Err(HttpError::new(
                    HttpErrorKind::Unknown,
                    Answer::no_role(response.status().as_u16()),
                ));
            }
            watched(response).await
        })
    }
}

async fn watched(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let status = response.status().as_u16();
    // `object_store` knows these: success, not there, there already.
    if matches!(status, 200..300 | 304 | 409 | 412) {
        return Ok(response);
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let length = response.headers().get("content-length").and_then(|value| value.to_str().ok());
    let is_short = length.and_then(|text| text.parse().ok()).is_some_and(|length: usize| length <= SEARCHED);
    let (parts, body) = response.into_parts();
    let body = if is_short { body.bytes().await.unwrap_or_default() } else { Default::default() };
    let answer = Answer::new(status, &body, retry_after.as_deref());
    if status == 404 && !answer.is_about_the_bucket() {
        return Ok(HttpResponse::from_parts(parts, body.into()));
    }
    Err(HttpError::new(HttpErrorKind::Unknown, answer))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn answer(error: &object_store::Error) -> Option<&Answer> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Tells whether the server does not know what it was asked to do.
pub(super) fn is_not_implemented(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. })
        || answer(error).is_some_and(Answer::is_not_implemented)
}

/// Makes an error of the innermost cause. The outer ones name URLs, and some of these hold tokens.
pub(super) fn shared_error(error: object_store::Error) -> SharedError {
    if let Some(answer) = answer(&error) {
        return answer.to_error();
    }
    let is_late = |error: &HttpError| matches!(error.kind(), HttpErrorKind::Timeout);
    if causes(&error).filter_map(|cause| cause.downcast_ref()).any(is_late) {
        return SharedError::Slow;
    }
    match causes(&error).last() {
        Some(innermost) if causes(&error).nth(1).is_some() => SharedError::broken(innermost.to_string()),
        _ => SharedError::broken("the request failed"),
    }
}
