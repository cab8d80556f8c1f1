//! A participant's program: the file that says how to start it, its command, and where everything lies in its container.
//!
//! The layout and the placeholders are Codabench's, so that programs written for it run here. What differs: nothing that
//! is read can be written to, `/tmp` is a place of its own, and no placeholder leads to reference data, which are in no
//! container.

use super::manifest::nearest;
use super::report::Problem;
use super::run::ImageRef;
use super::tree::Tree;
use serde::Deserialize;

/// The file that makes a submission a program, at its top.
pub const FILE: &str = "metadata";
/// The names that it may have; the first that is there counts.
const FILES: [&str; 3] = ["metadata.yaml", "metadata.yml", FILE];
/// Its size, at most; bytes.
pub const MAX_LEN: u64 = 64 << 10;
/// What is started, and where it starts: what the participant handed in, or the organizer's ingestion program.
pub const PROGRAM: &str = "/app/program";
/// What the participant handed in, when an ingestion program is started.
pub const INGESTED: &str = "/app/ingested_program";
/// The task's input data.
pub const INPUT: &str = "/app/input_data";
/// Where predictions go.
pub const OUTPUT: &str = "/app/output";
/// Where two programs meet that run apart.
pub const SHARED: &str = "/app/shared";
/// For what nobody keeps.
pub const SCRATCH: &str = "/tmp";

/// The task's input data, for images.
pub const IMAGE_INPUT: &str = "/mnt/in";
/// Where the predictions of images go.
pub const IMAGE_OUTPUT: &str = "/mnt/out";

/// Words of a command, at most.
const MAX_WORDS: usize = 256;
/// What a container starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// The participant's program.
    Submission,
    /// The organizer's, which calls the participant's.
    Ingestion,
    /// The participant's, while the organizer's runs in a container of its own.
    SubmissionApart,
    /// The organizer's, while the participant's runs in a container of its own.
    IngestionApart,
}

/// When a command is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is handed in, or published: what stands for nothing is refused.
    TakenIn,
    /// It is started, and may have been taken in under other rules.
    Started,
}

/// Words that mean something to a shell, and no program takes for its own.
const OF_A_SHELL: [&str; 9] = ["&&", "||", "|", ">", ">>", "<", "2>", "2>&1", "&"];

/// All placeholders, and why one leads nowhere.
const PLACEHOLDERS: [&str; 9] = [
    "$predictions",
    "$program",
    "$output",
    "$input",
    "$tmp",
    "$ingestion_program",
    "$submission_program",
    "$shared",
    "$hidden",
];

impl Starts {
    /// Where a placeholder leads, or why nowhere.
    fn place(self, placeholder: &str) -> Result<&'static str, &'static str> {
        match (placeholder, self) {
            ("$hidden", _) => Err("the reference data are in no container"),
            ("$shared", Self::SubmissionApart | Self::IngestionApart) => Ok(SHARED),
            ("$shared", _) => Err("one program runs, in one container"),
            ("$tmp", _) => Ok(SCRATCH),
            ("$program", _) | ("$ingestion_program", Self::Ingestion | Self::IngestionApart) => Ok(PROGRAM),
            ("$ingestion_program", Self::Submission) | ("$submission_program", Self::Submission) => {
                Err("your program is started itself; use `$program`")
            }
            ("$submission_program", Self::Ingestion) => Ok(INGESTED),
            (_, Self::SubmissionApart) => {
                Err("it is in the container of the task's ingestion program alone; the two meet in `$shared`")
            }
            ("$submission_program", Self::IngestionApart) => {
                Err("what is handed in is in a container of its own; the two meet in `$shared`")
            }
            ("$input", _) => Ok(INPUT),
            (_, _) => Ok(OUTPUT),
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    command: Option<String>,
    image: Option<String>,
}

impl Metadata {
    fn read(name: &str, text: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(text).map_err(|_| problem(name, "is not UTF-8; save it as UTF-8"))?;
        serde_saphyr::from_str(text).map_err(|error| Problem {
            line: error.location().map(|place| place.line()),
            ..problem(name, "is not what it should be: write one line such as `command: python3 $program/main.py`")
        })
    }
}

fn problem(file: &str, message: impl Into<String>) -> Problem {
    Problem { file: Some(file.to_owned()), line: None, message: message.into() }
}

/// The file of `tree` that says how to start it. `None`: these files are no program.
pub fn file(tree: &Tree) -> Option<&'static str> {
    FILES.into_iter().find(|name| tree.get(name).is_some())
}

/// What to do about files that have none at their top, for the participant.
pub fn how_to_start(tree: &Tree) -> String {
    let deeper = tree.files().iter().find(|file| FILES.contains(&file.path.file_name()));
    match deeper {
        Some(file) => format!(
            "`{}` lies in a folder: put it at the top of the archive, by packing what is in the folder and not the folder",
            file.path
        ),
        None => "a program needs a file `metadata` at the top of the archive, with a line such as \
                 `command: python3 $program/main.py $input $output`"
            .to_owned(),
    }
}

/// The image that `text`, the bytes of the file `name`, names to be started by itself. `None`: it names none.
///
/// # Errors
/// What is wrong with it, for the participant.
pub fn image(name: &str, text: &[u8]) -> Result<Option<ImageRef>, Problem> {
    let Metadata { command, image } = Metadata::read(name, text)?;
    let Some(image) = image else { return Ok(None) };
    if command.is_some() {
        let message = "has an `image` and a `command`: an image is started by its own ENTRYPOINT and CMD; remove one";
        return Err(problem(name, message));
    }
    // A tag may stand for something else tomorrow.
    let pinned = image.parse::<ImageRef>().ok().filter(|image| image.as_str().contains('@'));
    let message = "has an `image` that is not named by its digest: write `image: registry/name@sha256:…`, with the digest \
                   that `docker push` printed";
    pinned.map(Some).ok_or_else(|| problem(name, message))
}

/// The program and arguments that `text`, the bytes of the file `name`, asks for.
///
/// # Errors
/// What is wrong with it, for whose program it is.
pub fn command(name: &str, text: &[u8], starts: Starts, when: When) -> Result<Vec<String>, Problem> {
    let Metadata { command, image } = Metadata::read(name, text)?;
    let command = command.filter(|command| !command.trim().is_empty()).ok_or_else(|| {
        let but = if image.is_some() { ", and what it is handed in for takes no images" } else { "" };
        problem(name, format!("has no `command`{but}: add one, such as `command: python3 $program/main.py`"))
    })?;
    let words = shlex::split(&command)
        .ok_or_else(|| problem(name, "has a `command` with an open quote or a `\\` at its end"))?;
    if words.first().is_none_or(|word| word.trim().is_empty()) {
        return Err(problem(name, "has a `command` that names no program"));
    }
    if words.len() > MAX_WORDS || words.iter().any(|word| word.contains('\0')) {
        return Err(problem(name, format!("has a `command` of more than {MAX_WORDS} words, or with a NUL in it")));
    }
    if when == When::TakenIn
        && let Some(word) = words.iter().find(|word| OF_A_SHELL.contains(&word.as_str()))
    {
        let message =
            format!("has a `{word}` in its `command`, and no shell reads it: write `sh -c '…'` around all of it");
        return Err(problem(name, message));
    }
    words.iter().map(|word| filled(name, word, starts, when)).collect()
}

/// `word` with what its placeholders stand for.
fn filled(file: &str, word: &str, starts: Starts, when: When) -> Result<String, Problem> {
    // What a shell is told may have variables of its own.
    let script = word.contains(char::is_whitespace);
    let (mut filled, mut rest) = (String::new(), word);
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let (name, end) = variable(from);
        filled.push_str(before);
        let placeholder = PLACEHOLDERS.into_iter().find(|placeholder| placeholder.strip_prefix('$') == Some(name));
        if let Some(placeholder) = placeholder {
            let why = |why| problem(file, format!("has `{placeholder}` in its `command`: {why}"));
            filled.push_str(starts.place(placeholder).map_err(why)?);
        } else if script || when == When::Started || !(from.starts_with("${") || begins_a_name(name)) {
            filled.push_str(&from[..end]);
        } else {
            let known = || PLACEHOLDERS.into_iter().filter(|name| starts.place(name).is_ok());
            let near = (!name.is_empty()).then(|| nearest(&format!("${name}"), known())).flatten();
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let all = known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    format!("there are {all}; variables of a shell's need one, as in `sh -c 'exec $HOME/x'`")
                }
            };
            let shown = if end > 1 { &from[..end] } else { "${" };
            let message = format!("has `{shown}` in its `command`, which stands for nothing: {hint}");
            return Err(problem(file, message));
        }
        rest = &from[end..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn begins_a_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The name of the variable that `text`, from its `$` on, begins with, also in braces; and where it ends.
fn variable(text: &str) -> (&str, usize) {
    let of_a_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let long = |text: &str| text.find(|c| !of_a_name(c)).unwrap_or(text.len());
    match text.strip_prefix("${") {
        Some(inside) if inside[long(inside)..].starts_with('}') => (&inside[..long(inside)], long(inside) + 3),
        Some(_) => ("", 1),
        None => (&text[1..1 + long(&text[1..])], 1 + long(&text[1..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would_and_filled() {
        for (text, expected) in [
            (
                "command: python3 $program/main.py $input $output\n",
                "python3|/app/program/main.py|/app/input_data|/app/output",
            ),
            ("description: mine\ncommand: \"sh run.sh\"\n", "sh|run.sh"),
            ("command: sh -c 'echo \"$predictions\" > $tmp/x'\n", "sh|-c|echo \"/app/output\" > /tmp/x"),
            ("command: >\n  python3\n  a.py\n", "python3|a.py"),
            ("command: sh -c 'cd $HOME; ls $outputs $output$tmp'\n", "sh|-c|cd $HOME; ls $outputs /app/output/tmp"),
            ("command: grep 5$ a$/b $input\n", "grep|5$|a$/b|/app/input_data"),
            ("command: x ${program}/m.py ${tmp}$output\n", "x|/app/program/m.py|/tmp/app/output"),
            ("command: awk '{print$1}' $_\n", "awk|{print$1}|$_"),
        ] {
            assert_eq!(
                command("metadata", text.as_bytes(), Starts::Submission, When::TakenIn).unwrap().join("|"),
                expected
            );
        }
    }

    #[test]
    fn what_only_a_shell_reads_is_refused() {
        let words = |text: &str, when| command("metadata", text.as_bytes(), Starts::Submission, when);
        for text in ["cd $program && python3 a.py", "python3 a.py > $output/p.csv", "a | b", "a 2>&1"] {
            let text = format!("command: {text}\n");
            let problem = words(&text, When::TakenIn).unwrap_err();
            assert!(problem.message.contains("`sh -c '…'`"), "{problem:?}");
            assert!(words(&text, When::Started).is_ok());
        }
        assert!(words("command: sh -c 'a && b > c'\n", When::TakenIn).is_ok());
    }

    #[test]
    fn what_was_taken_in_is_started_whatever_the_rules_are_now() {
        let words = |when| command("metadata", b"command: x --to=$FOO ${outputs}\n", Starts::Submission, when);
        assert!(words(When::TakenIn).unwrap_err().message.contains("`$FOO`"));
        assert_eq!(words(When::Started).unwrap().join("|"), "x|--to=$FOO|${outputs}");
    }

    #[test]
    fn ingestion_programs_have_placeholders_of_their_own() {
        let text = b"command: python3 $ingestion_program/i.py $input $output $submission_program\n";
        let words = command("metadata", text, Starts::Ingestion, When::TakenIn).unwrap().join("|");
        assert_eq!(words, "python3|/app/program/i.py|/app/input_data|/app/output|/app/ingested_program");
    }

    #[test]
    fn programs_that_run_apart_meet_in_one_place() {
        let text = b"command: sh $program/run.sh $shared $tmp\n";
        let words = command("metadata", text, Starts::SubmissionApart, When::TakenIn).unwrap().join("|");
        assert_eq!(words, "sh|/app/program/run.sh|/app/shared|/tmp");
        let text = b"command: sh $ingestion_program/i.sh $input $output $shared\n";
        let words = command("metadata", text, Starts::IngestionApart, When::TakenIn).unwrap().join("|");
        assert_eq!(words, "sh|/app/program/i.sh|/app/input_data|/app/output|/app/shared");
        for (text, starts) in [
            ("command: cat $input/x", Starts::SubmissionApart),
            ("command: cat $output/x", Starts::SubmissionApart),
            ("command: cat $submission_program/x", Starts::IngestionApart),
        ] {
            let problem = command("metadata", text.as_bytes(), starts, When::TakenIn).unwrap_err();
            assert!(problem.message.contains("the two meet in `$shared`"), "{problem:?}");
        }
    }

    #[test]
    fn an_image_is_named_by_its_digest() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let named = |text: String| image("metadata", text.as_bytes());
        assert_eq!(named("command: x\n".to_owned()), Ok(None));
        let name = format!("images.example.org:5000/team/x@{digest}");
        assert_eq!(named(format!("image: {name}\n")).unwrap().unwrap().as_str(), name);
        for (text, word) in [
            (format!("image: {name}\ncommand: x\n"), "remove one"),
            ("image: images.example.org/team/x:1\n".to_owned(), "by its digest"),
            // Whatever the engine has, by its id.
            (format!("image: {digest}\n"), "by its digest"),
            ("image: [x]\n".to_owned(), "write one line"),
        ] {
            let problem = named(text).unwrap_err();
            assert!(problem.message.contains(word), "{problem:?}");
        }
    }

    #[test]
    fn what_cannot_be_started_is_told() {
        let billion = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &(b'b'..b'z')
                .map(|c| {
                    let (this, last) = (char::from(c), char::from(c - 1));
                    format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n")
                })
                .collect::<String>();
        for (text, word) in [
            (&b"command: 'a\n"[..], "write one line"),
            (b"\xff", "UTF-8"),
            (b"", "no `command`"),
            (b"description: x\n", "no `command`"),
            (b"command: ''\n", "no `command`"),
            (b"command: \"''\"\n", "names no program"),
            (b"command: \"# x\"\n", "names no program"),
            (b"command: [a, b]\n", "write one line"),
            (b"command: \"python3 'main.py\"\n", "open quote"),
            (b"command: cat $hidden/labels.csv\n", "no container"),
            (b"command: python3 $ingestion_program/x.py\n", "started itself"),
            (
                b"command: python3 $programm/x.py\n",
                "`$programm` in its `command`, which stands for nothing: did you mean `$program`?",
            ),
            (b"command: $HOME/run\n", "there are `$predictions`"),
            (b"command: x ${program/x\n", "`${` in its"),
            (b"command: x ${}/x\n", "`${}` in its `command`, which stands for nothing: there are"),
            (b"command: x ${program:-x}\n", "`${` in its"),
            (b"command: ${HOME}/run\n", "`${HOME}` in its"),
            (billion.as_bytes(), ""),
        ] {
            let problem = command("metadata", text, Starts::Submission, When::TakenIn).unwrap_err();
            assert!(problem.message.contains(word), "{problem:?}");
            assert_eq!(problem.file.as_deref(), Some("metadata"));
        }
    }
}
