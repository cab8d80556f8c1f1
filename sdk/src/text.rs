//! Words for messages: a text of a stranger quoted and cut, the nearest of some names, a list of names.
//!
//! It does not write the messages.

/// Longest text that [`quoted`] shows whole, in characters.
const LONGEST: usize = 60;

/// A text from outside, fit for one line of a message: in back quotes, control characters escaped, cut when long.
pub fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for (place, character) in text.chars().enumerate() {
        if place == LONGEST {
            shown.push('…');
            break;
        }
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown.push('`');
    shown
}

/// The name most like `word`, if one is like it: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let long = |text: &str| text.len() > 4 * LONGEST;
    if long(word) {
        return None;
    }
    let distance = |name: &str| strsim::osa_distance(&word.to_lowercase(), &name.to_lowercase());
    let best = names.into_iter().filter(|name| !long(name)).map(|name| (distance(name), name)).min()?;
    let length = word.chars().count();
    (best.0 <= (length / 3).max(1) && best.0 < length).then_some(best.1)
}

/// Names for a message: quoted, with commas, the first ten.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<_> = names.by_ref().take(10).map(quoted).collect();
    match names.count() {
        0 => {}
        more => shown.push(format!("and {more} more")),
    }
    shown.join(", ")
}

/// A number of things: `1 row`, `2 rows`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_fit_on_a_line() {
        assert_eq!(quoted("a\tb\n"), "`a\\tb\\n`");
        assert_eq!(quoted(&"x".repeat(61)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn only_a_like_name_is_near() {
        assert_eq!(nearest("lable", ["id", "label"]), Some("label"));
        assert_eq!(nearest("ID", ["id", "label"]), Some("id"));
        assert_eq!(nearest("y", ["z"]), None);
        assert_eq!(nearest("colour", ["id", "label"]), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), ["id"]), None);
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(listed(["a", "b"]), "`a`, `b`");
        assert!(listed(["a"; 12]).ends_with("and 2 more"));
    }
}
