//! The description of the API is the code's own: what it lists is there, and what is there is listed.

use gradus_e2e::Server;
use serde_json::Value;

#[test]
fn the_description_is_valid_and_every_path_answers() {
    let server = Server::start();
    let api = server.api();
    let answer = api.get("/api/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let described = answer.json();
    assert!(
        described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        described["openapi"]
    );
    let paths = described["paths"].as_object().expect("there are paths");
    assert!(paths.len() >= 20, "{}", paths.len());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            assert!(
                operation["summary"].is_string() || operation["description"].is_string(),
                "{method} {path} says what it does"
            );
            let filled = fill(path);
            let answer = api.send(&method.to_uppercase(), &filled, &[], b"").expect("the server answers");
            // Unknown things and missing tokens are fine answers; an unknown path or method is not.
            assert!(
                !["no-such-path", "no-such-method"].contains(&answer.code().as_str()),
                "{method} {path}: {}",
                answer.text()
            );
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        }
    }
    resolve(&described, &described);
}

/// A path with something in the place of its parameters.
fn fill(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        filled.push('/');
        filled.push_str(if part.starts_with('{') { "x" } else { part });
    }
    filled
}

/// Every reference points at something.
fn resolve(node: &Value, whole: &Value) {
    match node {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').expect("references are local");
                assert!(whole.pointer(pointer).is_some(), "{target}");
            }
            map.values().for_each(|value| resolve(value, whole));
        }
        Value::Array(items) => items.iter().for_each(|value| resolve(value, whole)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
