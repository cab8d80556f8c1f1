//! From the raw text to a challenge: every rule that the text alone can break.

use super::raw::{self, line_at};
use super::{FILE, Located, nearest};
use crate::domain::challenge::{Challenge, Column, Expected, Leaderboard, Phase, ScorerSource, Solution, Task};
use crate::domain::id::{ChallengeId, LeaderboardId, PhaseId, TaskId};
use crate::domain::limits::Limits;
use crate::domain::quota::{MAX_ROLLING, MAX_WINDOW_LIMIT, QuotaRule, Window};
use crate::domain::submission::Lane;
use crate::domain::tree::TreePath;
use crate::domain::units::Millis;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::str::FromStr;
use toml::Spanned;
use toml::value::Datetime;

/// Parts of a kind in a challenge, at most.
const MAX_PARTS: usize = 100;
/// Characters of a title or summary, at most.
const MAX_TEXT: usize = 500;
/// Parameters as JSON, at most; bytes.
const MAX_PARAMS: usize = 1 << 20;
/// The outcomes that a solution can be expected to have.
const OUTCOMES: [&str; 6] =
    ["scored", "invalid-submission", "invalid-challenge", "scorer-failed", "limit", "run-failed"];

mod git;
mod run;

/// An id for what has none: a problem was told, so that the challenge is refused and nobody sees it.
fn stand_in<T: FromStr>() -> T {
    "x".parse().unwrap_or_else(|_| unreachable!("`x` is a slug"))
}

/// Collects problems while it reads.
pub struct Reader<'a> {
    text: &'a str,
    pub problems: Vec<Located>,
    pub lines: Vec<(String, usize)>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new(), lines: Vec::new() }
    }

    /// Remembers where `key` is.
    fn at<T>(&mut self, key: &str, value: &Spanned<T>) -> usize {
        let line = line_at(self.text, value.span().start);
        self.lines.push((key.to_owned(), line));
        line
    }

    fn problem(&mut self, line: usize, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Located { file: FILE.into(), line, key: key.into(), message: message.into() });
    }

    /// A name; a stand-in when it is not usable, as the challenge is refused then anyhow.
    fn id<T: FromStr>(&mut self, key: &str, value: &Spanned<String>) -> T
    where
        T::Err: std::fmt::Display,
    {
        let line = self.at(key, value);
        value.get_ref().parse().unwrap_or_else(|error| {
            self.problem(line, key, format!("{error}"));
            stand_in()
        })
    }

    fn quantity<T>(&mut self, key: &str, value: Option<&Spanned<String>>, default: T, most: T) -> T
    where
        T: FromStr<Err: std::fmt::Display> + Ord + Copy + Into<u64> + std::fmt::Display,
    {
        let Some(value) = value else { return default };
        let line = self.at(key, value);
        match value.get_ref().parse::<T>() {
            Ok(given) if given.into() == 0 => self.problem(line, key, "must be more than 0"),
            Ok(given) if given > most => {
                self.problem(line, key, format!("is more than the {most} that a task may have"));
            }
            Ok(given) => return given,
            Err(error) => self.problem(line, key, error.to_string()),
        }
        default
    }

    fn instant(&mut self, key: &str, value: &Spanned<Datetime>) -> Timestamp {
        let line = self.at(key, value);
        value.get_ref().to_string().parse().unwrap_or_else(|_| {
            self.problem(line, key, "must be an instant with its offset, such as 2026-11-01T00:00:00Z");
            Timestamp::UNIX_EPOCH
        })
    }

    /// A path of the folder's.
    fn path(&mut self, key: &str, value: &Spanned<String>) -> String {
        let line = self.at(key, value);
        let trimmed = value.get_ref().trim_end_matches('/');
        if let Err(error) = trimmed.parse::<TreePath>() {
            self.problem(line, key, format!("`{trimmed}`: {error}"));
        }
        trimmed.to_owned()
    }

    fn short(&mut self, key: &str, value: &Spanned<String>) -> String {
        let line = self.at(key, value);
        let text = value.get_ref().trim();
        if text.is_empty() || text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
            self.problem(line, key, format!("must be one line of 1 to {MAX_TEXT} characters"));
        }
        text.to_owned()
    }

    fn once<T: Ord + std::fmt::Display>(&mut self, kind: &str, names: Vec<(T, usize)>) {
        if names.len() > MAX_PARTS {
            self.problem(0, kind, format!("there are {} of them; {MAX_PARTS} at most", names.len()));
        }
        let mut seen = BTreeMap::new();
        for (name, line) in names {
            if let Some(first) = seen.get(&name) {
                self.problem(line, kind, format!("`{name}` is there already, in line {first}; give it another id"));
            } else {
                seen.insert(name, line);
            }
        }
    }

    pub fn challenge(&mut self, raw: raw::Challenge) -> Challenge {
        let id: ChallengeId = self.id("id", &raw.id);
        let title = self.short("title", &raw.title);
        let summary = raw.summary.as_ref().map_or_else(String::new, |summary| self.short("summary", summary));
        let tasks: Vec<_> = raw.tasks.into_iter().map(|task| self.task(task)).collect();
        self.apart(&tasks);
        if tasks.is_empty() {
            self.problem(0, "tasks", "a challenge needs a [[tasks]]");
        }
        let phases: Vec<_> = raw.phases.into_iter().map(|phase| self.phase(phase, &tasks)).collect();
        if phases.is_empty() {
            self.problem(0, "phases", "a challenge needs a [[phases]]");
        }
        let boards: Vec<_> = raw.leaderboards.into_iter().map(|board| self.board(board, &phases)).collect();
        let solutions: Vec<_> = raw.solutions.into_iter().map(|solution| self.solution(solution, &tasks)).collect();
        if solutions.len() > MAX_PARTS {
            self.problem(0, "solutions", format!("there are {}; {MAX_PARTS} at most", solutions.len()));
        }
        self.once("tasks", tasks.iter().map(|(task, line)| (task.id.clone(), *line)).collect());
        self.once("phases", phases.iter().map(|(phase, line)| (phase.id.clone(), *line)).collect());
        self.once("leaderboards", boards.iter().map(|(board, line)| (board.id.clone(), *line)).collect());
        self.order(&phases);
        let git = raw.git.map(|git| self.git(&git));
        self.told_elsewhere(&boards, &phases);
        Challenge {
            id,
            title,
            summary,
            licence: raw.licence,
            visibility: raw.visibility,
            phases: phases.into_iter().map(|(phase, _)| phase).collect(),
            tasks: tasks.into_iter().map(|(task, _)| task).collect(),
            leaderboards: boards.into_iter().map(|(board, _)| board).collect(),
            solutions,
            git,
        }
    }

    /// Phases are in order of time, may touch and do not overlap.
    fn order(&mut self, phases: &[(Phase, usize)]) {
        for (at, (phase, line)) in phases.iter().enumerate() {
            let key = format!("phases.{}", phase.id);
            match (phase.ends, phases.get(at + 1)) {
                (Some(ends), _) if ends <= phase.starts => self.problem(*line, key, "`ends` is not after `starts`"),
                (None, Some(_)) => self.problem(*line, key, "only the last phase may do without `ends`"),
                (Some(ends), Some((next, _))) if next.starts < ends => {
                    self.problem(*line, key, format!("it overlaps with `{}`, which starts before this ends", next.id));
                }
                _ => {}
            }
        }
    }

    /// A board shows its own split from the start, and so no other board of the same phase can hide it.
    fn told_elsewhere(&mut self, boards: &[(Leaderboard, usize)], phases: &[(Phase, usize)]) {
        for (board, line) in boards {
            let Some(split) = &board.split else { continue };
            let hides = |other: &Leaderboard| {
                let shared =
                    |(phase, _): &&(Phase, usize)| board.phases.contains(&phase.id) && other.phases.contains(&phase.id);
                // Nothing is hidden in a phase that everything is revealed in from its start.
                let hidden = |(phase, _): &(Phase, usize)| other.reveal.is_none_or(|reveal| reveal > phase.starts);
                other.split.as_ref().is_some_and(|hers| hers != split) && phases.iter().filter(shared).any(hidden)
            };
            if let Some((other, _)) = boards.iter().find(|(other, _)| hides(other)) {
                let message = format!(
                    "shows `{split}` at once, which `{}` hides; `reveal` shows the others later, never the board's own: \
                    for a final ranking by `{split}` publish a version with it when the phase is over",
                    other.id
                );
                self.problem(*line, format!("leaderboards.{}.split", board.id), message);
            }
        }
    }

    fn phase(&mut self, raw: Spanned<raw::Phase>, tasks: &[(Task, usize)]) -> (Phase, usize) {
        let line = line_at(self.text, raw.span().start);
        let raw = raw.into_inner();
        let key = |part: &str| format!("phases.{}.{part}", raw.id.get_ref());
        let id: PhaseId = self.id("phases.id", &raw.id);
        let tasks_line = self.at(&key("tasks"), &raw.tasks);
        let task = match raw.tasks.get_ref().as_slice() {
            [one] => self.known(tasks_line, &key("tasks"), one, tasks.iter().map(|(task, _)| &task.id)),
            [] => {
                self.problem(tasks_line, key("tasks"), "name the task that is graded in this phase");
                None
            }
            many => {
                let message = "tasks in one phase; this version of Gradus grades one task in a phase: split the phase";
                self.problem(tasks_line, key("tasks"), format!("{} {message}", many.len()));
                None
            }
        };
        let count = |reader: &mut Self, name: &str, value: Option<&Spanned<u32>>, default: u32| {
            let Some(value) = value else { return default };
            let line = reader.at(&key(name), value);
            if !(1..=10_000).contains(value.get_ref()) {
                reader.problem(line, key(name), "must be 1 to 10000");
            }
            *value.get_ref()
        };
        let phase = Phase {
            title: raw.title.clone().unwrap_or_else(|| id.to_string()),
            id,
            starts: self.instant(&key("starts"), &raw.starts),
            ends: raw.ends.as_ref().map(|ends| self.instant(&key("ends"), ends)),
            task: task.unwrap_or_else(stand_in),
            concurrent: count(self, "concurrent", raw.concurrent.as_ref(), 2),
            max_queued: count(self, "max_queued", raw.max_queued.as_ref(), 20),
            repeats: raw.repeats,
            quota: raw.quota.iter().map(|rule| self.quota(&key("quota"), rule)).collect(),
        };
        (phase, line)
    }

    fn quota(&mut self, key: &str, raw: &Spanned<raw::Quota>) -> QuotaRule {
        let line = self.at(key, raw);
        let raw::Quota { limit, per, zone } = raw.get_ref();
        let window = match per.as_deref() {
            None => Window::Total,
            Some("day") => {
                let zone = zone.as_deref().unwrap_or("UTC");
                if TimeZone::get(zone).is_err() {
                    self.problem(line, key, format!("`{zone}` is no time zone; use a name such as `Europe/Zurich`"));
                }
                Window::Day(zone.to_owned())
            }
            Some(other) => match other.strip_prefix("rolling ").map(Millis::from_str) {
                Some(Ok(span)) if span.0 > 0 && span <= MAX_ROLLING => Window::Rolling(span),
                Some(Ok(_)) => {
                    self.problem(line, key, format!("a rolling window is at most {MAX_ROLLING} long"));
                    Window::Total
                }
                Some(Err(error)) => {
                    self.problem(line, key, error.to_string());
                    Window::Total
                }
                None => {
                    let message = "use \"day\", \"rolling 1h\", or leave `per` out for the whole phase";
                    self.problem(line, key, format!("`{other}` is no window; {message}"));
                    Window::Total
                }
            },
        };
        if zone.is_some() && !matches!(window, Window::Day(_)) {
            self.problem(line, key, "`zone` goes with `per = \"day\"` only");
        }
        if *limit > MAX_WINDOW_LIMIT && window != Window::Total {
            self.problem(line, key, format!("`limit` is at most {MAX_WINDOW_LIMIT} in a window of time"));
        }
        QuotaRule { limit: *limit, window }
    }

    /// No task may publish what it, or another one, keeps hidden.
    fn apart(&mut self, tasks: &[(Task, usize)]) {
        let inside = |path: &str, folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
        for (task, line) in tasks {
            for (name, open, who) in [
                ("public", &task.public, "participants"),
                ("template", &task.template, "participants"),
                ("input", &task.input, "participants' programs"),
                ("ingestion", &task.ingestion, "participants' programs"),
            ] {
                let Some(open) = open else { continue };
                let key = format!("tasks.{}.{name}", task.id);
                let clashes = |other: &Task| inside(&other.reference, open) || inside(open, &other.reference);
                if let Some((other, _)) = tasks.iter().find(|(other, _)| clashes(other)) {
                    let whose = if other.id == task.id { String::new() } else { format!(" of task `{}`", other.id) };
                    let read = format!("what is in `{open}` can be read by {who}");
                    self.problem(*line, &key, format!("overlaps with `reference`{whose}: {read}"));
                }
                if inside(FILE, open) {
                    self.problem(*line, &key, format!("is {FILE} itself, which only organizers read"));
                }
            }
            for (name, open) in [("public", &task.public), ("template", &task.template)] {
                let hidden = |other: &Task| {
                    let (Some(input), Some(open)) = (&other.input, open) else { return false };
                    inside(input, open) || inside(open, input)
                };
                if tasks.iter().any(|(other, _)| hidden(other)) {
                    let message = "overlaps with `input`: participants could download what only programs are to read";
                    self.problem(*line, format!("tasks.{}.{name}", task.id), message);
                }
            }
            // Pages at the top of the folder are for everybody.
            for (name, path) in [("reference", Some(&task.reference)), ("input", task.input.as_ref())] {
                if path.is_some_and(|path| !path.contains('/') && path.ends_with(".md")) {
                    let message = "is a page at the top of the folder, which participants read; put it into a folder";
                    self.problem(*line, format!("tasks.{}.{name}", task.id), message);
                }
            }
        }
    }

    fn task(&mut self, raw: Spanned<raw::Task>) -> (Task, usize) {
        let line = line_at(self.text, raw.span().start);
        let raw = raw.into_inner();
        let key = |part: &str| format!("tasks.{}.{part}", raw.id.get_ref());
        let id: TaskId = self.id("tasks.id", &raw.id);
        let accepts = self.accepts(&key("accepts"), &raw.accepts);
        if let Some(metrics) = &raw.metrics {
            let line = self.at(&key("metrics"), metrics);
            let message = "is for command scorers; this one describes its metrics itself; remove it";
            self.problem(line, key("metrics"), message);
        }
        let runs = accepts.iter().any(|lane| matches!(lane, Lane::Code | Lane::Image));
        let run = self.run(raw.id.get_ref(), &accepts, &raw);
        let (input, ingestion) = (raw.input.as_ref().filter(|_| runs), raw.ingestion.as_ref().filter(|_| runs));
        let task = Task {
            id,
            accepts,
            reference: self.path(&key("reference"), &raw.reference),
            input: input.map(|path| self.path(&key("input"), path)),
            ingestion: ingestion.map(|path| self.path(&key("ingestion"), path)),
            public: raw.public.as_ref().map(|path| self.path(&key("public"), path)),
            template: raw.template.as_ref().map(|path| self.path(&key("template"), path)),
            scorer: self.scorer(&key("scorer"), &raw.scorer),
            params: self.params(&key("params"), raw.params.as_ref()),
            limits: self.limits(&key("limits"), raw.limits.as_ref()),
            run,
        };
        (task, line)
    }

    fn scorer(&mut self, key: &str, raw: &Spanned<raw::Scorer>) -> ScorerSource {
        let line = self.at(key, raw);
        let raw::Scorer { stock, component, krate, command, args } = raw.get_ref();
        if command.is_some() || args.is_some() {
            let message =
                "command scorers are not supported by this version of Gradus; use `stock`, `component` or `crate`";
            self.problem(line, key, message);
            return ScorerSource::Stock(String::new());
        }
        let path = |reader: &mut Self, path: &String| {
            if let Err(error) = path.parse::<TreePath>() {
                reader.problem(line, key, format!("`{path}`: {error}"));
            }
            path.clone()
        };
        match (stock, component, krate) {
            (Some(name), None, None) => ScorerSource::Stock(name.clone()),
            (None, Some(file), None) => ScorerSource::Component(path(self, file)),
            (None, None, Some(folder)) => ScorerSource::Crate(path(self, folder)),
            _ => {
                self.problem(line, key, "name exactly one of `stock`, `component` and `crate`");
                ScorerSource::Stock(String::new())
            }
        }
    }

    fn params(&mut self, key: &str, raw: Option<&Spanned<toml::Table>>) -> String {
        let Some(raw) = raw else { return "{}".to_owned() };
        let line = self.at(key, raw);
        match json(&toml::Value::Table(raw.get_ref().clone())).map(|value| value.to_string()) {
            Ok(text) if text.len() <= MAX_PARAMS => text,
            Ok(text) => {
                self.problem(line, key, format!("{} bytes of parameters; {MAX_PARAMS} at most", text.len()));
                "{}".to_owned()
            }
            Err(message) => {
                self.problem(line, key, message);
                "{}".to_owned()
            }
        }
    }

    fn limits(&mut self, key: &str, raw: Option<&Spanned<raw::Limits>>) -> Limits {
        let (default, most) = (Limits::default(), Limits::MOST);
        let Some(raw) = raw else { return default };
        self.at(key, raw);
        let raw = raw.get_ref();
        let key = |name: &str| format!("{key}.{name}");
        Limits {
            fuel: self.quantity(&key("fuel"), raw.fuel.as_ref(), default.fuel, most.fuel),
            memory: self.quantity(&key("memory"), raw.memory.as_ref(), default.memory, most.memory),
            wall: self.quantity(&key("wall"), raw.wall.as_ref(), default.wall, most.wall),
            report: self.quantity(&key("report"), raw.report.as_ref(), default.report, most.report),
            log: self.quantity(&key("log"), raw.log.as_ref(), default.log, most.log),
            notes: self.quantity(&key("notes"), raw.notes.as_ref(), default.notes, most.notes),
            attachments: self.quantity(
                &key("attachments"),
                raw.attachments.as_ref(),
                default.attachments,
                most.attachments,
            ),
        }
    }

    fn board(&mut self, raw: Spanned<raw::Leaderboard>, phases: &[(Phase, usize)]) -> (Leaderboard, usize) {
        let line = line_at(self.text, raw.span().start);
        let raw = raw.into_inner();
        let key = |part: &str| format!("leaderboards.{}.{part}", raw.id.get_ref());
        let id: LeaderboardId = self.id("leaderboards.id", &raw.id);
        let phases_line = self.at(&key("phases"), &raw.phases);
        let known = |reader: &mut Self, name: &String| {
            reader.known(phases_line, &key("phases"), name, phases.iter().map(|(phase, _)| &phase.id))
        };
        let named: Vec<PhaseId> = raw.phases.get_ref().iter().filter_map(|name| known(self, name)).collect();
        if raw.phases.get_ref().is_empty() {
            self.problem(phases_line, key("phases"), "name the phases whose submissions it takes");
        }
        let mut tasks: Vec<_> =
            phases.iter().filter(|(phase, _)| named.contains(&phase.id)).map(|(phase, _)| &phase.task).collect();
        tasks.dedup();
        if tasks.len() > 1 {
            let message = "its phases have different tasks; in this version of Gradus a leaderboard is of one task";
            self.problem(phases_line, key("phases"), message);
        }
        let columns_line = self.at(&key("columns"), &raw.columns);
        if !(1..=32).contains(&raw.columns.get_ref().len()) {
            self.problem(columns_line, key("columns"), "name 1 to 32 columns; the first is the primary one");
        }
        for column in raw.columns.get_ref() {
            if let Some(task) = &column.task
                && !tasks.iter().any(|known| known.as_str() == task)
            {
                self.problem(columns_line, key("columns"), format!("`{task}` is not the task of these phases"));
            }
            if column.precision.is_some_and(|precision| precision > 12) {
                self.problem(columns_line, key("columns"), "`precision` is 0 to 12 decimal places");
            }
        }
        if raw.columns.get_ref().first().is_some_and(|column| column.hidden) {
            self.problem(columns_line, key("columns"), "the first column decides the order and cannot be hidden");
        }
        if raw.reveal.is_some() && raw.split.is_none() {
            self.problem(line, key("reveal"), "goes with `split` only");
        }
        let reveal = raw.reveal.as_ref().map(|reveal| self.instant(&key("reveal"), reveal));
        let column = |raw: raw::Column| Column {
            metric: raw.metric,
            title: raw.title,
            precision: raw.precision,
            direction: raw.direction,
            hidden: raw.hidden,
        };
        let columns = raw.columns.into_inner().into_iter().map(column).collect();
        (Leaderboard { id, phases: named, rule: raw.rule, columns, split: raw.split, reveal }, line)
    }

    fn solution(&mut self, raw: Spanned<raw::Solution>, tasks: &[(Task, usize)]) -> Solution {
        let line = line_at(self.text, raw.span().start);
        let raw = raw.into_inner();
        let key = format!("solutions.{}", raw.path.get_ref());
        self.lines.push((key.clone(), line));
        let path = self.path("solutions.path", &raw.path);
        let task = match (&raw.task, tasks) {
            (Some(name), _) => {
                let line = self.at("solutions.task", name);
                self.known(line, &key, name.get_ref(), tasks.iter().map(|(task, _)| &task.id))
            }
            (None, [(only, _)]) => Some(only.id.clone()),
            (None, _) => {
                self.problem(line, &key, "say which `task` it is for, as there are several");
                None
            }
        };
        let expected = match (raw.scores, raw.outcome) {
            (Some(scores), None) if !scores.is_empty() => {
                let scores: BTreeMap<_, _> = scores.into_iter().map(|(name, value)| (name, value.value())).collect();
                for (name, value) in scores.iter().filter(|(_, value)| !value.is_finite()) {
                    self.problem(line, format!("{key}.scores"), format!("`{name}` is {value}; a score is finite"));
                }
                Expected::Scores(scores)
            }
            (None, Some(outcome)) => {
                let (line, word) = (self.at(&format!("{key}.outcome"), &outcome), outcome.into_inner());
                if !OUTCOMES.contains(&word.as_str()) {
                    let near = nearest(&word, OUTCOMES).map(|near| format!("; did you mean `{near}`?"));
                    let message = format!("`{word}` is no outcome{}", near.unwrap_or_default());
                    self.problem(line, format!("{key}.outcome"), message);
                }
                Expected::Outcome { word, problems: raw.problems.map(|problems| problems.total) }
            }
            _ => {
                self.problem(
                    line,
                    &key,
                    "say what it must get: either `scores = { metric = 0.9 }` or `outcome = \"…\"`",
                );
                Expected::Scores(BTreeMap::new())
            }
        };
        let task = task.unwrap_or_else(stand_in);
        Solution { path, task, expected }
    }

    /// The part called `name`, or a problem that names the nearest one.
    fn known<'k, T: Clone + ToString + 'k>(
        &mut self,
        line: usize,
        key: &str,
        name: &str,
        parts: impl Iterator<Item = &'k T>,
    ) -> Option<T> {
        let parts: Vec<(String, &T)> = parts.map(|part| (part.to_string(), part)).collect();
        if let Some((_, part)) = parts.iter().find(|(known, _)| known == name) {
            return Some((*part).clone());
        }
        let near = nearest(name, parts.iter().map(|(known, _)| known.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.problem(line, key, format!("there is no `{name}`{hint}"));
        None
    }
}

/// TOML to JSON with sorted keys, as the digest of the parameters must not depend on their order.
fn json(value: &toml::Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .ok_or_else(|| format!("`{number}` has no JSON form; use a finite number"))?
            .into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(instant) => instant.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => {
            let sorted: BTreeMap<_, _> = table.iter().collect();
            let pairs = sorted.into_iter().map(|(key, value)| Ok((key.clone(), json(value)?)));
            serde_json::Value::Object(pairs.collect::<Result<_, String>>()?)
        }
    })
}
