//! `gradus leaderboard`: who is where.

use super::table::{Table, number};
use super::{Context, Done, Json, Remote, usage};
use crate::http::dto::BoardInfo;
use clap::Args;
use std::num::NonZeroUsize;

/// Show a leaderboard.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus leaderboard breast-cancer
  gradus leaderboard breast-cancer main --csv > board.csv")]
pub struct Leaderboard {
    /// The challenge.
    challenge: String,
    /// The board [default: the challenge's first].
    board: Option<String>,
    /// Rows, at most.
    #[arg(long, value_name = "N", default_value = "100")]
    limit: NonZeroUsize,
    /// Print CSV, all rows.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Leaderboard {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        let board = match self.board {
            Some(board) => board,
            None => {
                let boards = client.challenge(&self.challenge)?.leaderboards;
                boards.into_iter().next().ok_or_else(|| usage(format!("`{}` has no leaderboard", self.challenge)))?
            }
        };
        if self.csv {
            context.out.bytes(&client.leaderboard_csv(&self.challenge, &board)?)?;
            return Ok(Done::Well);
        }
        let page = client.leaderboard(&self.challenge, &board, self.limit)?;
        if self.json.json {
            context.out.json(&page)?;
        } else {
            table(&page).print(&context.out)?;
            if page.next_cursor.is_some() {
                context.out.note("there are more; `--limit N` shows them")?;
            }
        }
        Ok(Done::Well)
    }
}

/// A leaderboard as a table.
pub fn table(board: &BoardInfo) -> Table {
    let title = |column: &crate::http::dto::ColumnInfo| {
        let split = column.split.as_ref().map_or_else(String::new, |split| format!(" ({split})"));
        let unit = column.unit.as_ref().map_or_else(String::new, |unit| format!(" [{unit}]"));
        let arrow = if column.direction == "lower" { "↓" } else { "↑" };
        format!("{}{split}{unit} {arrow}>", column.title)
    };
    let titles: Vec<String> = board.columns.iter().map(title).collect();
    let heads = ["#>", "entrant"].into_iter().chain(titles.iter().map(String::as_str)).chain(["submitted"]);
    let mut table = Table::new(heads);
    for entry in &board.items {
        let values = entry.values.iter().zip(&board.columns).map(|(value, column)| number(*value, column.precision));
        let at = entry.submitted_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        table.row([entry.rank.to_string(), entry.entrant.clone()].into_iter().chain(values).chain([at]));
    }
    table
}
