//! What a repository says of itself: `gradus.json`, or `crowdai.json` as repositories from before have it.
//!
//! A participant wrote it: every text in it is theirs, and bounded. Keys that nobody here knows are kept for the organizers.

use super::id::ChallengeId;
use super::tree::TreePath;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where it is, at the top of a repository: the first of these that is there.
pub const FILES: [&str; 2] = ["gradus.json", "crowdai.json"];
/// Bytes of it, at most.
pub const MAX_LEN: u64 = 64 << 10;
/// Authors, at most.
const MAX_AUTHORS: usize = 50;
/// Characters of a name, and of a description, at most.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 10_000;

/// What a repository says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The challenge that it is for.
    pub challenge: ChallengeId,
    /// What its authors are called at the forge; none: whoever pushed.
    pub authors: Vec<String>,
    /// Words about the submission.
    pub description: Option<String>,
    /// Which grader it was written for.
    pub grader: Option<String>,
    /// Whether it wants a GPU. What it gets is the task's matter.
    pub gpu: bool,
    /// Where its predictions are, if it is not a program: a file or a folder.
    pub results: Option<TreePath>,
    /// All else.
    pub rest: Map<String, Value>,
}

/// Why it cannot be read, for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct Broken {
    /// The file.
    pub file: String,
    /// What is wrong, where, and what to do.
    pub what: String,
}

impl Contract {
    /// What the file called `file` says.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Broken> {
        let broken = |what: String| Broken { file: file.to_owned(), what };
        if bytes.len() as u64 > MAX_LEN {
            return Err(broken(format!("is longer than {} KiB", MAX_LEN >> 10)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| broken("is not UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}');
        let mut rest: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let example = "it is one object, such as {\"challenge_id\": \"my-challenge\"}";
            broken(format!("line {}, column {}: is not JSON that can be read: {example}", error.line(), error.column()))
        })?;
        let challenge = match word(rest.remove("challenge_id"), "challenge_id", MAX_NAME).map_err(broken)? {
            Some(id) => id.parse().map_err(|error| broken(format!("`challenge_id`: {error}")))?,
            None => {
                return Err(broken("has no `challenge_id`: add the name of the challenge that it is for".to_owned()));
            }
        };
        let mut read = |key: &str, most| word(rest.remove(key), key, most).map_err(broken);
        let (description, grader) = (read("description", MAX_TEXT)?, read("grader_id", MAX_NAME)?);
        let one = read("author", MAX_NAME)?;
        let results = read("results", 1_000)?.map(|path| {
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            path.parse().map_err(|error| broken(format!("`results`: `{path}`: {error}")))
        });
        let results = results.transpose()?;
        let gpu = match rest.remove("gpu") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(gpu)) => gpu,
            Some(_) => return Err(broken("`gpu` is true or false".to_owned())),
        };
        let authors = match rest.remove("authors") {
            None | Some(Value::Null) => one.into_iter().collect(),
            Some(Value::Array(names)) if names.len() <= MAX_AUTHORS => names
                .into_iter()
                .filter_map(|name| word(Some(name), "authors", MAX_NAME).transpose())
                .collect::<Result<_, _>>()
                .map_err(broken)?,
            Some(_) => return Err(broken(format!("`authors` is a list of {MAX_AUTHORS} names at most"))),
        };
        Ok(Self { challenge, authors, description, grader, gpu, results, rest })
    }
}

/// A text, or a number as people write names of things; an empty one is none.
fn word(value: Option<Value>, key: &str, most: usize) -> Result<Option<String>, String> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return Err(format!("`{key}` is a text")),
    };
    let text = text.trim();
    if text.chars().count() > most {
        return Err(format!("`{key}` is longer than {most} characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repositories_say_is_read() {
        let text = r#"{"challenge_id": "maze", "grader_id": 7, "authors": ["anna", "", "ben"], "author": "carl",
            "description": " net ", "gpu": true, "results": "./out/", "license": "MIT", "debug": false}"#;
        let read = Contract::read("gradus.json", text.as_bytes()).unwrap();
        assert_eq!((read.challenge.as_str(), read.grader.as_deref(), read.gpu), ("maze", Some("7"), true));
        assert_eq!((read.authors.join(","), read.description.as_deref()), ("anna,ben".to_owned(), Some("net")));
        assert_eq!(read.results.unwrap().as_str(), "out");
        assert_eq!(read.rest.keys().collect::<Vec<_>>(), ["debug", "license"]);
        let old =
            Contract::read("crowdai.json", "\u{feff}{\"challenge_id\":\"x\",\"author\":\"carl\"}".as_bytes()).unwrap();
        assert_eq!(old.authors, ["carl"]);
    }

    #[test]
    fn what_is_wrong_with_it_is_told_in_words() {
        let long = format!(r#"{{"challenge_id": "{}"}}"#, "x".repeat(101));
        let huge = " ".repeat((MAX_LEN + 1) as usize);
        let deep = "[".repeat(1_000);
        let many = format!(r#"{{"challenge_id":"x","authors":[{}"a"]}}"#, "\"a\",".repeat(MAX_AUTHORS));
        for (text, told) in [
            ("", "line 1, column 0: is not JSON"),
            ("[]", "is not JSON that can be read"),
            ("{\"challenge_id\": \"x\",}", "line 1, column 22"),
            ("{}", "has no `challenge_id`"),
            ("{\"challenge_id\": \"\"}", "has no `challenge_id`"),
            ("{\"challenge_id\": [1]}", "`challenge_id` is a text"),
            ("{\"challenge_id\": \"../x\"}", "`challenge_id`: `../x` is not a usable challenge id"),
            (&long, "longer than 100 characters"),
            (&huge, "is longer than 64 KiB"),
            (&deep, "is not JSON that can be read"),
            (&many, "`authors` is a list of 50 names at most"),
            (r#"{"challenge_id":"x","authors":"anna"}"#, "`authors` is a list"),
            (r#"{"challenge_id":"x","authors":[{}]}"#, "`authors` is a text"),
            (r#"{"challenge_id":"x","gpu":"yes"}"#, "`gpu` is true or false"),
            (r#"{"challenge_id":"x","results":"../../etc/passwd"}"#, "`results`: `../../etc/passwd`"),
            (r#"{"challenge_id":"x","results":"/etc/passwd"}"#, "`results`: `/etc/passwd`"),
        ] {
            let broken = Contract::read("gradus.json", text.as_bytes()).unwrap_err().to_string();
            assert!(broken.starts_with("gradus.json: ") && broken.contains(told), "{text:.60}: {broken}");
        }
        assert!(Contract::read("gradus.json", &[0xff]).is_err());
    }
}
