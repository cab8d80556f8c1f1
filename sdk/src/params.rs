//! The task's parameters: JSON in, a scorer's own type out, with errors that name the key.
//!
//! It knows nothing of what a parameter means.

use serde::de::DeserializeOwned;

use crate::text;

/// The task's parameters for the scorer: a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(String);

impl Default for Params {
    fn default() -> Self {
        Self::new("{}")
    }
}

impl Params {
    /// Parameters from JSON.
    pub fn new(json: impl Into<String>) -> Self {
        Self(json.into())
    }

    /// The JSON.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The parameters as a type of the scorer's own. Derive it with `#[serde(deny_unknown_fields)]`, so that a
    /// misspelt key is an error and not a silent default.
    ///
    /// # Errors
    /// A sentence for the organizer that names the key, what is wrong with it, what is allowed, and the nearest allowed
    /// name.
    ///
    /// ```
    /// #[derive(Debug, serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Mine { target: String }
    ///
    /// let error = gradus_sdk::Params::new(r#"{"taget": "label"}"#).parse::<Mine>().unwrap_err();
    /// assert!(error.contains("`taget`") && error.contains("did you mean `target`?"), "{error}");
    /// ```
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        // serde would read a list into a struct, by position.
        if !self.0.trim_start().starts_with('{') {
            return Err("params: not a JSON object".to_owned());
        }
        let mut json = serde_json::Deserializer::from_str(&self.0);
        let params = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            explain(&path, &error.into_inner().to_string())
        })?;
        json.end().map_err(|error| format!("params: {error}"))?;
        Ok(params)
    }
}

/// Makes serde's message one for people: the key first, no position in a JSON text that they never saw, and the nearest
/// allowed name.
fn explain(path: &str, message: &str) -> String {
    let what = message.rsplit_once(" at line ").map_or(message, |(what, _)| what);
    // "unknown field `x`, expected one of `a`, `b`": every second piece is a name, the first of them the wrong one.
    let mut names = what.split('`').skip(1).step_by(2);
    let near = match names.next() {
        Some(wrong) if what.starts_with("unknown ") => text::nearest(wrong, names),
        Some(_) | None => None,
    };
    let place = if path == "." { String::new() } else { format!(" `{path}`") };
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("params{place}: {what}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Mine {
        #[serde(default)]
        metrics: Vec<Kind>,
        #[serde(default)]
        count: u32,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Accuracy,
        LogLoss,
    }

    fn error(json: &str) -> String {
        Params::new(json).parse::<Mine>().unwrap_err()
    }

    #[test]
    fn errors_name_the_key() {
        assert_eq!(
            error(r#"{"metrics": ["accuracy", "logloss"]}"#),
            "params `metrics[1]`: unknown variant `logloss`, expected `accuracy` or `log_loss`; did you mean `log_loss`?"
        );
        assert_eq!(error(r#"{"count": "x"}"#), "params `count`: invalid type: string \"x\", expected u32");
        let unknown = error(r#"{"metricz": []}"#);
        assert!(unknown.starts_with("params `metricz`: unknown field `metricz`"), "{unknown}");
        assert!(unknown.ends_with("did you mean `metrics`?"), "{unknown}");
        assert_eq!(error("[]"), "params: not a JSON object");
        assert!(error("{} {}").starts_with("params: trailing characters"), "{}", error("{} {}"));
    }

    #[test]
    fn good_ones_are_read() {
        let mine: Mine = Params::new(r#"{"metrics": ["log_loss"], "count": 3}"#).parse().unwrap();
        assert_eq!((mine.metrics, mine.count), (vec![Kind::LogLoss], 3));
        assert!(Params::default().parse::<Mine>().is_ok());
    }
}
