//! Cross-origin requests: the rules of a bucket, the question before a request, and the headers
//! of its answer.

use super::{
    bucket::change,
    call::Call,
    error::{Code, S3Error},
    route::{document, empty, set, xml},
    setting::allowed,
    xml::{Element, Xml},
};
use crate::{
    bucket,
    cors::{self, CorsRule},
    objects::Objects,
};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};

/// Rules of one bucket, as on S3.
const RULES_MAX: usize = 100;

const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

pub(super) async fn get(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketCORS").await?;
    if bucket.settings.cors.is_empty() {
        return Err(Code::NoSuchCORSConfiguration.into());
    }
    Ok(xml(Xml::document("CORSConfiguration", |xml| {
        for rule in &bucket.settings.cors {
            xml.nest("CORSRule", |xml| write(xml, rule));
        }
    })))
}

fn write(xml: &mut Xml, rule: &CorsRule) {
    xml.optional("ID", rule.id.as_deref());
    let mut all = |name: &str, texts: &[String]| texts.iter().for_each(|one| xml.text(name, one));
    all("AllowedMethod", &rule.methods);
    all("AllowedOrigin", &rule.origins);
    all("AllowedHeader", &rule.headers);
    all("ExposeHeader", &rule.expose);
    if let Some(seconds) = rule.max_age {
        xml.value("MaxAgeSeconds", seconds);
    }
}

pub(super) fn rules(root: &Element) -> Result<Vec<CorsRule>, S3Error> {
    let found: Vec<_> = root.all("CORSRule").map(rule).collect::<Result<_, _>>()?;
    if root.name != "CORSConfiguration" || found.is_empty() || found.len() > RULES_MAX {
        return Err(Code::MalformedXML.into());
    }
    Ok(found)
}

fn rule(one: &Element) -> Result<CorsRule, S3Error> {
    let texts = |name| one.all(name).map(|one| one.text.trim().to_owned()).collect::<Vec<_>>();
    let rule = CorsRule {
        id: one.text_of("ID").map(str::to_owned),
        methods: texts("AllowedMethod"),
        origins: texts("AllowedOrigin"),
        headers: texts("AllowedHeader"),
        expose: texts("ExposeHeader"),
        max_age: one
            .text_of("MaxAgeSeconds")
            .map(str::parse)
            .transpose()
            .map_err(|_| Code::MalformedXML)?,
    };
    let stars = |text: &String| text.matches('*').count() > 1;
    if rule.methods.is_empty() || rule.origins.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    if let Some(bad) = rule.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        return Err(Code::InvalidRequest.says(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {bad}"
        )));
    }
    if let Some(bad) = rule.origins.iter().chain(&rule.headers).find(|text| stars(text)) {
        return Err(
            Code::InvalidRequest.says(format!("`{bad}` can not have more than one wildcard."))
        );
    }
    Ok(rule)
}

pub(super) async fn put(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketCORS").await?;
    let wanted = rules(&document(call).await?)?;
    change(call, "cors", move |bucket| bucket.settings.cors = wanted).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketCORS").await?;
    change(call, "cors", |bucket| bucket.settings.cors.clear()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// What a page asks, before or with its request.
struct Asked {
    origin: String,
    method: Option<String>,
    headers: Vec<String>,
}

fn asked(headers: &HeaderMap) -> Option<Asked> {
    let text = |name: &str| headers.get(name).and_then(super::call::text_of);
    let wanted = text("access-control-request-headers").unwrap_or_default();
    let names = wanted.split(',').map(|name| name.trim().to_ascii_lowercase());
    Some(Asked {
        origin: text("origin")?.to_owned(),
        method: text("access-control-request-method").map(str::to_owned),
        headers: names.filter(|name| !name.is_empty()).collect(),
    })
}

async fn rules_of(objects: &Objects, name: &str) -> Result<Vec<CorsRule>, S3Error> {
    let name = name.to_owned();
    let found = objects.read(move |reader| bucket::get(reader, &name)).await?;
    Ok(found.settings.cors)
}

/// The question of a browser whether a page may ask. It bears no signature: what it tells is
/// only what the rules say, and a bucket without rules says nothing.
pub(super) async fn preflight(
    objects: &Objects,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, S3Error> {
    let asked = asked(headers).filter(|asked| asked.method.is_some());
    let asked = asked.ok_or_else(|| {
        Code::BadRequest.says(
            "Insufficient information. Origin and Access-Control-Request-Method request headers are needed.",
        )
    })?;
    let rules = rules_of(objects, name).await?;
    let method = asked.method.as_deref().unwrap_or_default();
    let found = cors::matching(&rules, &asked.origin, method, &asked.headers);
    let (rule, told) = found.ok_or_else(|| {
        Code::AccessForbidden.says("CORSResponse: This CORS request is not allowed.")
    })?;
    let mut response = empty(StatusCode::OK);
    tell(&mut response, rule, &told);
    if !asked.headers.is_empty() {
        set(&mut response, "access-control-allow-headers", &asked.headers.join(", "));
    }
    Ok(response)
}

fn tell(response: &mut Response, rule: &CorsRule, origin: &str) {
    set(response, "access-control-allow-origin", origin);
    set(response, "access-control-allow-methods", &rule.methods.join(", "));
    set(response, "vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    if origin != "*" {
        set(response, "access-control-allow-credentials", "true");
    }
    if !rule.expose.is_empty() {
        set(response, "access-control-expose-headers", &rule.expose.join(", "));
    }
    if let Some(seconds) = rule.max_age {
        set(response, "access-control-max-age", &seconds.to_string());
    }
}

/// Adds what a page of another origin must see to be given the answer.
pub(super) async fn annotate(
    objects: &Objects,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
    response: &mut Response,
) {
    let Some(asked) = asked(headers) else { return };
    // A bucket that is not there has no rules; the answer says so itself.
    let Ok(rules) = rules_of(objects, name).await else { return };
    let method = asked.method.as_deref().unwrap_or(method.as_str());
    if let Some((rule, told)) = cors::matching(&rules, &asked.origin, method, &asked.headers) {
        tell(response, rule, &told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<usize, Code>) {
        let text = format!("<CORSConfiguration>{body}</CORSConfiguration>");
        let found = rules(&super::super::xml::parse(text.as_bytes()).unwrap());
        assert_eq!(found.map(|all| all.len()).map_err(|error| error.code), expected, "{body}");
    }

    #[test]
    fn rules_name_known_methods_and_origins_with_one_star() {
        let rule = |method: &str, origin: &str| {
            format!(
                "<CORSRule><AllowedMethod>{method}</AllowedMethod><AllowedOrigin>{origin}</AllowedOrigin></CORSRule>"
            )
        };
        check(&rule("GET", "*"), Ok(1));
        check(&rule("PATCH", "*"), Err(Code::InvalidRequest));
        check(&rule("GET", "*.*"), Err(Code::InvalidRequest));
        check("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>", Err(Code::MalformedXML));
        check("", Err(Code::MalformedXML));
    }
}
