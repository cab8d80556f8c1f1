//! `gradus scorer`: the stock scorers, and whether a component can be one.

use super::{Context, Done, Json, local, output::clean_lines, table::Table, usage};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use gradus_core::domain::limits::{Limits, MAX_COMPONENT};
use gradus_core::domain::metric::{Description, Direction};
use serde_json::{Value, json};
use std::path::PathBuf;

/// List the stock scorers, and check one of your own.
#[derive(Debug, Subcommand)]
pub enum Scorer {
    List(List),
    Check(Check),
}

/// List the stock scorers, with their metrics and parameters.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gradus scorer list\n  gradus scorer list classification")]
pub struct List {
    /// Only this one, with its parameters.
    name: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Check whether a component can be a scorer, and show what it says of itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus scorer check scorer.wasm
  gradus scorer check scorer.wasm --params '{\"cap\": 3}'")]
pub struct Check {
    /// The component.
    file: PathBuf,
    /// Its parameters: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    #[command(flatten)]
    json: Json,
}

impl Scorer {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        match self {
            Self::List(list) => list.run(context),
            Self::Check(check) => check.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let stock = context.host.stock();
        let wanted: Vec<_> =
            stock.iter().filter(|(name, _)| self.name.as_ref().is_none_or(|wanted| wanted == name)).collect();
        if wanted.is_empty() {
            let known: Vec<_> = stock.iter().map(|(name, _)| *name).collect();
            return Err(usage(format!("there is no such stock scorer; there are: {}", known.join(", "))));
        }
        let scorer = local::engine(context)?;
        let mut all = Vec::new();
        for (name, bytes) in wanted {
            let description =
                scorer.admit(bytes, "{}", &Limits::default())?.with_context(|| format!("stock scorer {name}"))?;
            all.push((*name, description));
        }
        if self.json.json {
            let items: Vec<_> = all.iter().map(|(name, description)| document(name, description)).collect();
            context.out.json(&items)?;
            return Ok(Done::Well);
        }
        for (name, description) in &all {
            context.out.line(format!("{} {}: {}", context.out.bold(name), description.version, description.summary))?;
            metrics(description).print(&context.out)?;
            context.out.line("")?;
            if self.name.is_some() {
                parameters(description).print(&context.out)?;
            }
        }
        if self.name.is_none() {
            context.out.note("metrics are those without parameters; `gradus scorer list NAME` shows the parameters")?;
        }
        Ok(Done::Well)
    }
}

impl Check {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        if !serde_json::from_str::<Value>(&self.params).is_ok_and(|params| params.is_object()) {
            return Err(usage("`--params` must be a JSON object, such as '{\"cap\": 3}'"));
        }
        let failed = || format!("could not read {}", self.file.display());
        let len = self.file.metadata().with_context(failed)?.len();
        if len > MAX_COMPONENT.0 {
            return Err(usage(format!("{} is larger than a scorer may be, {MAX_COMPONENT}", self.file.display())));
        }
        let bytes = std::fs::read(&self.file).with_context(failed)?;
        let admitted = local::engine(context)?.admit(&bytes, &self.params, &Limits::default())?;
        let out = &context.out;
        match admitted {
            Ok(description) if self.json.json => {
                out.json(&json!({ "admitted": true, "description": described(&description) }))?
            }
            Ok(description) => {
                out.line(format!(
                    "{} {} {}: {}",
                    out.good("✓"),
                    out.bold(&description.name),
                    description.version,
                    description.summary
                ))?;
                metrics(&description).print(out)?;
            }
            Err(why) if self.json.json => {
                out.json(&json!({ "admitted": false, "why": why.to_string() }))?;
                return Ok(Done::Failed);
            }
            Err(why) => {
                out.line(format!("{} {}: {}", out.bad("✗"), self.file.display(), clean_lines(&why.to_string())))?;
                return Ok(Done::Failed);
            }
        }
        Ok(Done::Well)
    }
}

fn document(name: &str, description: &Description) -> Value {
    json!({ "name": name, "description": described(description) })
}

/// The schema as a document, not as text in one.
fn described(description: &Description) -> Value {
    let schema = serde_json::from_str::<Value>(&description.params_schema).unwrap_or(Value::Null);
    let mut value = serde_json::to_value(description).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.insert("params_schema".to_owned(), schema);
    }
    value
}

fn metrics(description: &Description) -> Table {
    let mut table = Table::new(["metric", "title", "better", "places>"]);
    for metric in &description.metrics {
        let better = match metric.direction {
            Direction::Higher => "higher",
            Direction::Lower => "lower",
        };
        table.row([metric.name.clone(), metric.title.clone(), better.to_owned(), metric.precision.to_string()]);
    }
    table
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The keys that the schema names, and what it says of each.
fn parameters(description: &Description) -> Table {
    let schema: Value = serde_json::from_str(&description.params_schema).unwrap_or(Value::Null);
    let mut table = Table::new(["parameter", "what it is"]);
    for (name, about) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let text = ["description", "type"]
            .iter()
            .find_map(|key| about.get(key))
            .map_or(String::new(), |text| text.as_str().map_or_else(|| text.to_string(), ToOwned::to_owned));
        let choices = about.get("enum").or_else(|| about.pointer("/items/enum")).and_then(Value::as_array);
        let choices = choices.map(|all| all.iter().map(word).collect::<Vec<_>>().join(", "));
        let choices = choices.map_or_else(String::new, |all| format!(" One of: {all}."));
        let default = about.get("default").map_or_else(String::new, |value| format!(" Unless said: {}.", word(value)));
        table.row([name.clone(), format!("{text}{choices}{default}")]);
    }
    table
}
