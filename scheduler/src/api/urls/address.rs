//! Which function URL a request is for, by its host or by its path.

use std::net::SocketAddr;

use axum::http::uri::Uri;
use axum::http::{HeaderMap, header};

use crate::function::UrlForm;
use crate::service::Identity;

/// Where URLs are found that need no host of their own.
const PATH: &str = "/mayfly/urls/";
/// What follows the id in a host.
const LABEL: &str = ".lambda-url.";
/// Length of an id: a UUID in hexadecimal.
const ID_CHARS: usize = 32;

/// A request's URL, and the path below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) id: String,
    /// Begins with a slash; as it came, not decoded.
    pub(super) path: String,
}

/// The function URL that a request is for, if it is for any.
pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Option<Address> {
    if let Some(rest) = uri.path().strip_prefix(PATH) {
        let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
        return is_id(id).then(|| Address { id: id.into(), path: format!("/{path}") });
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let (id, _) = host.split_once(LABEL)?;
    is_id(id).then(|| Address { id: id.into(), path: uri.path().into() })
}

/// The host of a URL, without a port.
pub(super) fn domain(identity: &Identity, id: &str) -> String {
    format!("{id}{LABEL}{}.localhost", identity.region)
}

/// What clients are told.
pub(super) fn url(form: UrlForm, identity: &Identity, id: &str, platform: SocketAddr) -> String {
    match form {
        UrlForm::Host => format!("http://{}:{}/", domain(identity, id), platform.port()),
        UrlForm::Path => format!("http://{platform}{PATH}{id}/"),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_by_its_host_or_its_path() {
        let id = "0123456789abcdef0123456789abcdef";
        let find = |host: &str, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            of(&uri.parse().unwrap(), &headers).map(|one| (one.id, one.path))
        };
        let found = |path: &str| Some((id.to_owned(), path.to_owned()));
        let told = |form| url(form, &Identity::default(), id, "127.0.0.1:9000".parse().unwrap());
        assert_eq!(told(UrlForm::Path), format!("http://127.0.0.1:9000/mayfly/urls/{id}/"));
        let url = told(UrlForm::Host);
        assert_eq!(url, format!("http://{id}.lambda-url.us-east-1.localhost:9000/"));
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        assert_eq!(find(host, "/a%20b/c?d"), found("/a%20b/c"));
        assert_eq!(find("x", &format!("/mayfly/urls/{id}")), found("/"));
        assert_eq!(find("x", &format!("/mayfly/urls/{id}/a//b")), found("/a//b"));
        for (host, uri) in [
            ("127.0.0.1:9000", "/2015-03-31/functions"),
            ("f.lambda-url.us-east-1.localhost", "/"),
            ("x", "/mayfly/urls/"),
            ("x", "/mayfly/urls/0123456789ABCDEF0123456789ABCDEF"),
        ] {
            assert_eq!(find(host, uri), None, "{host} {uri}");
        }
    }
}
