//! A refused form is answered by its own page, with the reason at the top and what was typed.
//!
//! Why here: a handler says why it refuses ([`crate::error::Failure`]) and nothing else. The page is
//! asked for as the browser would, with the session of the one who sent the form, and takes the status
//! of the refusal. Where that page cannot be shown, the refusal stays as it was.
//! Invariants: only for forms of this site's own pages: another site could fill a form with what it
//! likes and wait for a press of the button. What is typed is kept as the handler reads it, so that it
//! is bounded by the handler's own limit, and nothing is read before the caller was let in.

use super::Asked;
use crate::{access::is_own, error::Told, pages};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use std::sync::{Arc, Mutex, PoisonError};
use tower::ServiceExt;

/// Headers of the form's own request, which say nothing of the page's.
const OF_THE_FORM: [header::HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT];

/// What a form's body held, as far as it was read.
type Read = Arc<Mutex<Vec<u8>>>;

/// The answer of `faces`, or the form's page.
pub(super) async fn answer(faces: Router, request: Request) -> Response {
    let Some(page) = page_of(&request) else { return sent(faces, request).await };
    let action = request.uri().path().to_owned();
    let again = page_request(&request, page);
    let (request, read) = kept(request);
    let mut response = sent(faces.clone(), request).await;
    let Some(told) = response.extensions_mut().remove::<Told>() else { return response };
    let Some(mut again) = again.filter(|_| is_of_the_form(told.status)) else { return response };
    let typed = std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner));
    let refused = pages::Refused::new(&action, &told.message, &typed);
    again.extensions_mut().insert(Arc::new(refused));
    let mut page = sent(faces, again).await;
    if page.status() != StatusCode::OK {
        return response;
    }
    *page.status_mut() = told.status;
    if let Some(after) = response.headers_mut().remove(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, after);
    }
    page
}

async fn sent(faces: Router, request: Request) -> Response {
    faces.oneshot(request).await.into_response()
}

/// Something that another form could mend, or another try.
fn is_of_the_form(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::UNAUTHORIZED
}

/// The page with the form, when a browser sends one from a page of this site.
fn page_of(request: &Request) -> Option<Uri> {
    let (uri, headers) = (request.uri(), request.headers());
    let is_form = request.method() == Method::POST && is_urlencoded(headers);
    if !is_form || !Asked::of(request).by_browser || !is_own(uri, headers) {
        return None;
    }
    let page = pages::links::page_with_form(uri.path())?;
    // The page as it was looked at: the third part of a list, say.
    let seen = super::referer(uri, headers).filter(|seen| seen.split('?').next() == Some(&page));
    seen.unwrap_or(&page).parse().ok()
}

fn is_urlencoded(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
}

/// The request for the page, by the same person over the same connection.
fn page_request(form: &Request, page: Uri) -> Option<Request> {
    let mut request = Request::builder().method(Method::GET).uri(page).body(Body::empty()).ok()?;
    *request.headers_mut() = form.headers().clone();
    for name in OF_THE_FORM {
        request.headers_mut().remove(name);
    }
    *request.extensions_mut() = form.extensions().clone();
    Some(request)
}

/// The request, and what will have been read of it.
fn kept(request: Request) -> (Request, Read) {
    let read = Read::default();
    let to = read.clone();
    let (parts, body) = request.into_parts();
    let body = body.into_data_stream().inspect_ok(move |part| {
        to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(part);
    });
    (Request::from_parts(parts, Body::from_stream(body)), read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, headers: &[(&str, &str)], expected: Option<&str>) {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", "ci.site")
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let found = page_of(&request.body(Body::empty()).unwrap()).map(|page| page.to_string());
        assert_eq!(found.as_deref(), expected, "{path} {headers:?}");
    }

    #[test]
    fn a_form_of_our_own_page_has_a_page_to_go_back_to() {
        let own = ("sec-fetch-site", "same-origin");
        check("/users", &[own], Some("/users"));
        check(
            "/contexts",
            &[own, ("referer", "https://ci.site/contexts?after=b")],
            Some("/contexts?after=b"),
        );
        check("/contexts", &[own, ("referer", "https://evil/contexts?after=b")], Some("/contexts"));
        check("/contexts", &[own, ("referer", "https://ci.site/users")], Some("/contexts"));
        check("/users", &[("sec-fetch-site", "cross-site")], None);
        check("/users", &[], None);
        check("/jobs/1/cancel", &[own], None);
        check("/api/v2/context", &[own], None);
    }
}
