//! The API's description, for programs that make clients of it.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::api::{self, Problem};
use super::{bundles, metrics, stream, unplaced, verdicts};

/// OpenAPI 3.1, as JSON.
#[must_use]
pub fn description() -> String {
    Description::openapi().to_pretty_json().unwrap_or_default()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Waypost's local API",
        description = "Health, explanations, events, and orders. Over the Unix socket nothing is asked for; \
                       over TCP each request needs a token."
    ),
    paths(
        api::health,
        api::explanation,
        api::events,
        stream::stream,
        unplaced::unplaced,
        bundles::bundle,
        metrics::render,
        api::drain,
        api::undrain,
        api::force,
        api::failback,
        api::accept,
        verdicts::verdict,
        verdicts::alertmanager
    ),
    components(schemas(Problem)),
    modifiers(&Everywhere)
)]
struct Description;

/// What holds for all operations: who may, and how what isn't understood is told.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("a line of `[admin] tokens`"));
        if let Some(components) = &mut description.components {
            components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
        }
        let socket = SecurityRequirement::default();
        description.security = Some(vec![socket, SecurityRequirement::new("token", Vec::<String>::new())]);
        for item in description.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                let all = &mut operation.responses.responses;
                let mut declare = |status: &str, text: &str| {
                    all.entry(status.to_owned()).or_insert_with(|| problem(text));
                };
                declare("401", "over TCP: no token that is known");
                declare("429", "over TCP: too many wrong tokens came from this address");
                declare("403", "another origin's page, or a Host that is a name");
                if operation.parameters.is_some() {
                    declare("400", "a parameter that isn't understood");
                }
                if operation.request_body.is_some() {
                    declare("400", "no JSON, or an order that can't be given");
                    declare("413", "too long");
                    declare("415", "not application/json");
                    declare("422", "JSON of another form");
                    declare("503", "the server is ending");
                }
            }
        }
    }
}

fn problem(text: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(text).content("application/json", content).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_typed_and_every_refusal_declared() {
        let text = description();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("401") && responses.contains_key("403"), "{method} {path}");
                for (status, response) in responses {
                    if status == "304" {
                        // RFC 9110 15.4.5: it has no content.
                        continue;
                    }
                    let content = response["content"].as_object().unwrap();
                    for schema in content.values().map(|content| &content["schema"]) {
                        let bare = serde_json::json!({ "type": "object" });
                        assert!(*schema != bare && schema["items"] != bare, "{method} {path} {status}");
                    }
                }
            }
        }
        for path in ["/metrics", "/v1/bundles/{zone}", "/v1/unplaced"] {
            assert!(described["paths"].get(path).is_some(), "{path}");
        }
        assert_eq!(described["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    }
}
