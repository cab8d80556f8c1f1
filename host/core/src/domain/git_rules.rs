//! Which tags a challenge takes from forges: of which projects, under which names.

use super::forge::TagName;
use super::id::SourceId;
use super::tree::TreePath;
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// Patterns of a kind, at most; characters of one, at most.
pub const MAX_PATTERNS: usize = 100;
const MAX_LEN: usize = 255;

/// What becomes of a tag that was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moved {
    /// It is one more submission.
    #[default]
    Grade,
    /// It is refused: what was handed in under a name stays that.
    Refuse,
}

/// Which tags a challenge takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitRules {
    /// Of these forges; at least one.
    pub sources: Vec<SourceId>,
    /// Of projects whose path is like one of these; at least one.
    pub projects: Vec<PathPattern>,
    /// Whose names are like one of these; at least one.
    pub tags: Vec<PathPattern>,
    /// What becomes of a tag that was moved.
    #[serde(default)]
    pub moved: Moved,
    /// Where predictions are, unless a repository says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<TreePath>,
}

/// What paths and names are like: `*` stands for any text without a `/`, `**` for any folders, `?` for one character, `[ab]` for
/// one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(GlobMatcher);

impl PathPattern {
    /// Whether `text` is like it. Takes time in proportion to the text.
    pub fn is_of(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for PathPattern {}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > MAX_LEN {
            return Err(format!("a pattern has 1 to {MAX_LEN} characters"));
        }
        let pattern = GlobBuilder::new(&text).literal_separator(true).build();
        pattern.map(|pattern| Self(pattern.compile_matcher())).map_err(|error| {
            format!("`{text}` is no pattern: {}; `*` is any text without `/`, `**` any folders", error.kind())
        })
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.0.glob().glob().to_owned()
    }
}

impl GitRules {
    /// Whether it takes a tag of a project at a forge.
    pub fn take(&self, source: &SourceId, project: &str, tag: &TagName) -> bool {
        let like = |patterns: &[PathPattern], text: &str| patterns.iter().any(|pattern| pattern.is_of(text));
        self.sources.contains(source) && like(&self.projects, project) && like(&self.tags, tag.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_which_tags_are_taken() {
        let patterns = |all: &[&str]| all.iter().map(|text| text.to_string().try_into().unwrap()).collect();
        let rules = GitRules {
            sources: vec!["uni".parse().unwrap()],
            projects: patterns(&["course/*", "deep/**", "one/repo"]),
            tags: patterns(&["submission-*", "v[12]"]),
            moved: Moved::Grade,
            results: None,
        };
        for (source, project, tag, taken) in [
            ("uni", "course/anna", "submission-1", true),
            ("uni", "course/anna", "v1", true),
            ("uni", "course/anna", "v3", false),
            ("uni", "course/anna", "submission-a/b", false),
            ("uni", "course/group/anna", "v1", false),
            ("uni", "deep/group/anna", "v1", true),
            ("uni", "one/repo", "v1", true),
            ("uni", "one/repo2", "v1", false),
            ("uni", "COURSE/anna", "v1", false),
            ("other", "course/anna", "v1", false),
        ] {
            let tag_name = tag.to_owned().try_into().unwrap();
            assert_eq!(rules.take(&source.parse().unwrap(), project, &tag_name), taken, "{source} {project} {tag}");
        }
        for bad in ["", "{a", "[a", &"x".repeat(256)] {
            assert!(PathPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = PathPattern::try_from("*-".repeat(100) + "z").unwrap();
        assert!(!pattern.is_of(&("-".repeat(250) + "/x")) && !pattern.is_of(&"-".repeat(255)));
    }
}
