//! Which tags a challenge takes from forges, as `[git]` says.

use super::{Reader, stand_in};
use crate::domain::git_rules::{GitRules, MAX_PATTERNS, PathPattern};
use crate::domain::manifest::raw;
use crate::domain::tree::TreePath;
use toml::Spanned;

impl Reader<'_> {
    pub(super) fn git(&mut self, raw: &raw::Git) -> GitRules {
        let sources = self.several("git.sources", &raw.sources, |name| {
            name.parse().map_err(|error: crate::domain::id::BadSlug| error.to_string())
        });
        let projects = self.several("git.projects", &raw.projects, PathPattern::try_from);
        let tags = match &raw.tags {
            Some(tags) => self.several("git.tags", tags, PathPattern::try_from),
            None => ["**"].into_iter().filter_map(|all| all.to_owned().try_into().ok()).collect(),
        };
        let results = raw.results.as_ref().map(|path| {
            let path = self.path("git.results", path);
            path.parse::<TreePath>().unwrap_or_else(|_| stand_in())
        });
        GitRules { sources, projects, tags, moved: raw.moved, results }
    }

    fn several<T>(
        &mut self,
        key: &str,
        given: &Spanned<Vec<String>>,
        read: impl Fn(String) -> Result<T, String>,
    ) -> Vec<T> {
        let line = self.at(key, given);
        let given = given.get_ref();
        if !(1..=MAX_PATTERNS).contains(&given.len()) {
            self.problem(line, key, format!("has 1 to {MAX_PATTERNS} names"));
        }
        let mut all = Vec::new();
        for text in given {
            match read(text.clone()) {
                Ok(value) => all.push(value),
                Err(what) => self.problem(line, key, what),
            }
        }
        all
    }
}
