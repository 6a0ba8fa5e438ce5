//! What is done to every request and every answer: an id, a log line, the security headers, a
//! page for people where a program gets JSON, compression, and a net under panics.

mod again;
pub(crate) mod encoding;
mod forms;

use crate::{
    State,
    access::{Routes, host, secure, visitor},
    api::slug,
    error::{Failure, Told},
    pages,
};
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{any::Any, convert::Infallible, time::Instant};
use tower::service_fn;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

const REQUEST_ID: &str = "x-request-id";

/// What programs call; they get JSON and no redirects.
const PROGRAM_PATHS: [&str; 8] =
    ["/api/", "/git/", "/runner/", "/v2/", "/hooks/", "/.well-known/", "/events", "/assets/"];

/// Characters of an address that an answer repeats.
const PATH_SHOWN: usize = 256;

/// Bytes of a refusal in plain text; it names a place in the request, and no more.
const REFUSAL_MAX: usize = 8 << 10;

pub(crate) fn dress(routes: Routes, state: State) -> Router {
    let routed = routes
        .into_router()
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_that_method)
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn_with_state(state.clone(), around))
        .with_state(state);
    // Outside of the router, because what it changes decides the route.
    let faces = service_fn(move |request: Request| {
        let request = with_plain_slug(request);
        let gzip = encoding::may(request.uri(), request.headers());
        let answer = again::answer(routed.clone(), request);
        answer.then(move |answer| encoding::packed(gzip, answer)).map(Ok::<_, Infallible>)
    });
    Router::new().fallback_service(faces)
}

fn with_plain_slug(mut request: Request) -> Request {
    if let Some(plain) = slug::plain(request.uri()) {
        *request.uri_mut() = plain;
    }
    request
}

/// A program that was written for the original learns what is not here, and that it is not a
/// mistake of its own.
async fn nothing_there(method: Method, uri: Uri) -> Failure {
    if uri.path().starts_with("/api/") {
        let path: String = uri.path().chars().take(PATH_SHOWN).collect();
        let told = format!("this appliance does not offer {method} {path}");
        return match forms::takes_404_for_none(&path) {
            true => Failure::NotOffered(told),
            false => Failure::Missing(told),
        };
    }
    Failure::missing("Page")
}

/// Most such addresses take a form, and somebody typed one or loaded it again.
async fn not_that_method(method: Method, headers: HeaderMap) -> Response {
    let message = "this address does not take that method";
    let mut answer = (StatusCode::METHOD_NOT_ALLOWED, message).into_response();
    if accepts_html(&headers) {
        let message = match method {
            Method::GET => {
                "This address takes what a form sends, and has no page of its own. Nothing was changed."
            }
            _ => message,
        };
        let told = Told { status: answer.status(), message: message.into(), remedy: None };
        answer.extensions_mut().insert(told);
    }
    answer
}

fn after_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged message and place.
    Failure::inside(std::io::Error::other("a handler panicked")).into_response()
}

async fn around(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(&request);
    let id = request_id();
    let span = tracing::info_span!("request", request.id = id, http.method = %asked.method, http.path = asked.path);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(http.status = response.status().as_u16(), elapsed_us, "answered");
    });
    if asked.path.starts_with("/api/") {
        response = in_form(response).await;
        if asked.token_in_address && response.status() == StatusCode::UNAUTHORIZED {
            response = Failure::TokenInAddress.into_response();
        }
    }
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        response = asked.tell(&told, response, &id, &state).await;
        // For the page of a form that was refused.
        response.extensions_mut().insert(told);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    secure(response.headers_mut(), state.transport());
    response
}

/// A refusal of a library is a line of text; programs expect the form of the API.
async fn in_form(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_text {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, REFUSAL_MAX).await.unwrap_or_default();
    let message = in_words(String::from_utf8_lossy(&text).trim());
    let body = serde_json::json!({ "message": message }).to_string();
    parts.extensions.insert(Told { status: parts.status, message, remedy: None });
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, body.into())
}

/// What stands in an address where a number or an identifier belongs, without the names of types.
fn in_words(refusal: &str) -> String {
    let parsed = refusal.strip_prefix("Invalid URL: Cannot parse ");
    let given = parsed.and_then(|text| text.rsplit_once("` to a `")?.0.rsplit_once('`'));
    match given {
        Some((_, given)) => {
            let given: String = given.chars().take(64).collect();
            format!("`{given}` is not the number or identifier that belongs there.")
        }
        None => refusal.to_owned(),
    }
}

/// Ids only need to differ within a log; without randomness they all read the same.
fn request_id() -> String {
    let mut bytes = [0; 9];
    let _ = getrandom::fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What must be known of the request after it has been answered.
struct Asked {
    method: Method,
    path: String,
    target: String,
    by_browser: bool,
    token_in_address: bool,
    /// The page of this site that the request came from.
    from: Option<String>,
    theme: pages::Theme,
    /// Of a browser: its session frames the page of a failure.
    headers: HeaderMap,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path().to_owned();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let by_browser = !PROGRAM_PATHS.iter().any(|start| path.starts_with(start))
            && accepts_html(request.headers());
        Self {
            method: request.method().clone(),
            target: target.to_owned(),
            by_browser,
            token_in_address: request.uri().query().is_some_and(has_token),
            from: referer(request.uri(), request.headers()).map(str::to_owned),
            theme: pages::Theme::of(request.headers()),
            headers: if by_browser { request.headers().clone() } else { HeaderMap::new() },
            path,
        }
    }

    /// The answer as this caller understands it.
    async fn tell(&self, told: &Told, mut response: Response, id: &str, state: &State) -> Response {
        if self.by_browser {
            return self.page(told, response.headers().clone(), id, state).await;
        }
        if let Some((status, body)) = forms::form(&self.path, told, id) {
            let (mut parts, _) = response.into_parts();
            parts.status = status;
            parts.headers.remove(header::CONTENT_LENGTH);
            return Response::from_parts(parts, body.to_string().into());
        }
        if told.status == StatusCode::UNAUTHORIZED && self.path.starts_with("/git/") {
            let challenge = HeaderValue::from_static(r#"Basic realm="appliance", charset="UTF-8""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    async fn page(&self, told: &Told, refused: HeaderMap, id: &str, state: &State) -> Response {
        if let (Some(remedy), &Method::GET) = (told.remedy, &self.method) {
            let next = utf8_percent_encode(&self.target, NON_ALPHANUMERIC);
            return Redirect::to(&format!("{remedy}?next={next}")).into_response();
        }
        // A form cannot be sent again from there: its page is what to go back to.
        let remedy = told.remedy.map(|remedy| {
            let next = utf8_percent_encode(self.from.as_deref().unwrap_or("/"), NON_ALPHANUMERIC);
            format!("{remedy}?next={next}")
        });
        let failed = pages::Failed {
            status: told.status,
            message: &told.message,
            remedy: remedy.as_deref(),
            back: self.back(told.status),
            id,
            theme: self.theme,
            path: &self.path,
            user: visitor(&self.headers, state).await,
        };
        let mut page = (told.status, pages::failure(&failed, state)).into_response();
        for name in [header::ALLOW, header::RETRY_AFTER] {
            if let Some(value) = refused.get(&name) {
                page.headers_mut().insert(name, value.clone());
            }
        }
        page
    }

    /// Where a person comes from, or would have.
    fn back(&self, status: StatusCode) -> Option<String> {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Some(pages::links::back_from_form(&self.path)),
            _ if self.method == Method::GET => None,
            _ => self.from.clone(),
        }
    }
}

/// Path and query of the page that a browser came from, when that is one of this host.
fn referer<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let (_, address) = headers.get(header::REFERER)?.to_str().ok()?.split_once("://")?;
    let path = address.strip_prefix(host(uri, headers)?)?;
    path.starts_with('/').then_some(path)
}

/// As older tools send it.
fn has_token(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("circle-token="))
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
