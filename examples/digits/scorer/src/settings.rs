//! What `params` in `challenge.toml` may say.

use gradus_sdk::Params;
use serde::Deserialize;

use crate::costs::{Costs, Pair};

/// JSON Schema of the parameters.
pub const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "id": { "type": "string", "default": "id", "description": "column that names the image" },
    "digit": { "type": "string", "default": "digit", "description": "column with the digit, in both files" },
    "pass": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.9, "description": "recall at which a digit passes"
    },
    "costs": {
      "type": "array",
      "default": [],
      "description": "what confusing two digits costs, in either direction; any other mistake costs 1",
      "items": {
        "type": "object",
        "properties": {
          "digits": { "type": "string", "pattern": "^[0-9]{2}$" },
          "cost": { "type": "number", "minimum": 0, "maximum": 1 }
        },
        "required": ["digits", "cost"],
        "additionalProperties": false
      }
    }
  },
  "additionalProperties": false
}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    id: String,
    digit: String,
    pass: f64,
    costs: Vec<Pair>,
}

impl Default for Raw {
    fn default() -> Self {
        Self { id: "id".to_owned(), digit: "digit".to_owned(), pass: 0.9, costs: vec![] }
    }
}

/// The parameters, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Column that names the image.
    pub id: String,
    /// Column with the digit.
    pub digit: String,
    /// Recall at which a digit passes: 0 to 1.
    pub pass: f64,
    /// What mistakes cost.
    pub costs: Costs,
}

impl Settings {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    /// A sentence for the organizer that names the key.
    pub fn parse(params: &Params) -> Result<Self, String> {
        let Raw { id, digit, pass, costs } = params.parse()?;
        if !(0.0..=1.0).contains(&pass) {
            return Err(format!("params `pass`: a recall of {pass}; write a number from 0 to 1"));
        }
        Ok(Self { id, digit, pass, costs: Costs::new(&costs)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_parameters_the_defaults_hold() {
        let settings = Settings::parse(&Params::default()).unwrap();
        assert_eq!((settings.id.as_str(), settings.digit.as_str(), settings.pass), ("id", "digit", 0.9));
        assert_eq!(settings.costs, Costs::new(&[]).unwrap());
    }

    #[test]
    fn wrong_ones_are_named() {
        for (json, expected) in [
            (r#"{"cost": []}"#, "did you mean `costs`?"),
            (r#"{"pass": 1.5}"#, "params `pass`"),
            (r#"{"costs": [{"digits": "33", "cost": 0.5}]}"#, "`costs[0]`"),
            (r#"{"costs": [{"digits": "38"}]}"#, "`costs[0]`"),
        ] {
            let error = Settings::parse(&Params::new(json)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
