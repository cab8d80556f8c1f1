//! The description of the API, and whether an answer is one that it names.

use gradus_e2e::Answer;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The description, and which of its operations have had a success compared.
pub struct Description {
    whole: Value,
    seen: RefCell<BTreeSet<(String, String)>>,
}

impl Description {
    pub fn new(whole: Value) -> Self {
        Self { whole, seen: RefCell::default() }
    }

    pub fn version(&self) -> &str {
        self.whole["openapi"].as_str().unwrap_or_default()
    }

    /// Each operation: method, path with its parameters, and what is said of it.
    pub fn operations(&self) -> Vec<(String, String, &Value)> {
        let paths = self.whole["paths"].as_object().expect("there are paths");
        let of = |(path, methods)| {
            let methods: &Map<String, Value> = Value::as_object(methods).expect("a path has methods");
            methods.iter().map(move |(method, said)| (method.to_uppercase(), String::clone(path), said))
        };
        paths.iter().flat_map(of).collect()
    }

    pub fn operation(&self, method: &str, path: &str) -> &Value {
        &self.whole["paths"][path][method.to_lowercase()]
    }

    /// Operations of which no success was compared.
    pub fn unseen(&self) -> Vec<(String, String)> {
        let seen = self.seen.borrow();
        let all = self.operations().into_iter().map(|(method, path, _)| (method, path));
        all.filter(|operation| !seen.contains(operation)).collect()
    }

    /// Every reference points at something.
    pub fn resolves(&self) {
        let mut left = vec![&self.whole];
        while let Some(node) = left.pop() {
            match node {
                Value::Object(map) => {
                    if map.contains_key("$ref") {
                        self.resolve(node);
                    }
                    left.extend(map.values());
                }
                Value::Array(items) => left.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let Some(target) = schema["$ref"].as_str() else { return schema };
        let pointer = target.strip_prefix('#').expect("references are local");
        self.whole.pointer(pointer).unwrap_or_else(|| panic!("{target} points at nothing"))
    }

    /// Fails unless status, media type and shape of `answer` are what the operation behind `path` is said to answer.
    pub fn holds(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path}: {} {}", answer.status, answer.text());
        let bare = path.split('?').next().unwrap_or_default();
        let all = self.operations();
        let fitting = all.iter().filter(|(known, pattern, _)| known == method && matches(pattern, bare));
        // `…/submissions` and `…/{something}`: the one with fewer parameters is meant.
        let found = fitting.min_by_key(|(_, pattern, _)| pattern.matches('{').count());
        let (_, pattern, said) = found.unwrap_or_else(|| panic!("{what}: it is not described"));
        let response = &said["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{what}: the status is not described");
        let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
        let content = &response["content"];
        if content.is_object() {
            assert!(content[kind].is_object(), "{what}: {kind} is not described");
        } else {
            assert!(answer.body.is_empty(), "{what}: a body is not described");
        }
        if kind.ends_with("json")
            && let Err(why) = self.fits(&content[kind]["schema"], &answer.json())
        {
            panic!("{what}: {why}");
        }
        if answer.status < 300 {
            self.seen.borrow_mut().insert((method.to_owned(), pattern.clone()));
        }
    }

    /// All properties of an object's schema, those of its parts included, and which are required.
    fn object<'a>(&'a self, schema: &'a Value, known: &mut Map<String, Value>, required: &mut Vec<&'a str>) {
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.object(part, known, required);
        }
        known.extend(schema["properties"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = choices.iter().any(|choice| self.fits(choice, value).is_ok());
            return if fits { Ok(()) } else { Err(format!("{value} is none of {schema}")) };
        }
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let several = schema["type"].as_array().into_iter().flatten();
        let kinds: Vec<&str> = several.chain([&schema["type"]]).filter_map(Value::as_str).collect();
        let whole = is == "integer" && kinds.contains(&"number");
        let parts = is == "object" && schema["allOf"].is_array();
        if !(kinds.contains(&is) || whole || parts) {
            return Err(format!("{value} is {is}, and not {kinds:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item)?;
        }
        let Some(object) = value.as_object() else { return Ok(()) };
        let (mut known, mut required) = (Map::new(), Vec::new());
        self.object(schema, &mut known, &mut required);
        for (key, value) in object {
            let more = &schema["additionalProperties"];
            let property = known.get(key).or(more.is_object().then_some(more));
            let property = property.ok_or_else(|| format!("`{key}` is not described"))?;
            self.fits(property, value).map_err(|why| format!("{key}: {why}"))?;
        }
        let missing = required.into_iter().find(|key| !object.contains_key(*key));
        missing.map_or(Ok(()), |key| Err(format!("`{key}` is missing")))
    }
}

/// Whether a filled path is one of a pattern; `{path}` takes the rest.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for known in pattern.split('/') {
        if known == "{path}" {
            return parts.next().is_some();
        }
        if !parts.next().is_some_and(|part| known.starts_with('{') || known == part) {
            return false;
        }
    }
    parts.next().is_none()
}
