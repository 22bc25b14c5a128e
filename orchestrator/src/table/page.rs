//! The runs table: filtered, sorted, a page of it.

use super::{
    Result,
    entry::Entry,
    field::{self, Field, Moment, Value},
    filter::Filter,
    inner::Study,
    pool,
};
use chrono::{DateTime, Utc};
use protocol::{
    ids::RunId,
    table::{ColumnGroup, RunsPage, TableRow},
};

/// What is asked of the runs table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunsQuery {
    /// Only runs that fit.
    pub filter: String,
    /// Columns to sort by, separated by commas; `-` before one reverses it.
    pub sort: String,
    /// Columns to show, separated by commas; the usual ones if missing.
    pub columns: Option<String>,
    /// Average over runs that differ only in these columns.
    pub over: String,
    /// Checkpoint index; each run's last one if missing.
    pub checkpoint: Option<u32>,
    /// Rows to leave out at the start.
    pub offset: usize,
    /// At most so many rows.
    pub limit: usize,
}

/// Measures that are shown where nobody chose columns.
const USUAL: [&str; 6] = ["val_loss", "cdnv", "etf_error", "simcos_mean", "hits", "misses"];
/// At most so many settings are shown where nobody chose columns.
const FEW: usize = 6;

/// Rows of the runs table.
pub(super) fn page(study: &Study<'_>, query: &RunsQuery, now: DateTime<Utc>) -> Result<RunsPage> {
    let moment = Moment { checkpoint: query.checkpoint, now: now.timestamp_millis() };
    let filter = Filter::parse(&query.filter, study)?;
    let mut shown = match &query.columns {
        Some(names) => Field::list(names, study)?,
        None => usual(study),
    };
    let over = Field::list(&query.over, study)?;
    let sort = sort_keys(&query.sort, study)?;
    let runs: Vec<&Entry> = study.runs.iter().copied().filter(|run| filter.fits(run, moment)).collect();
    let count = runs.len() as u64;
    let mut rows: Vec<pool::Row<'_>> = if over.is_empty() {
        runs.into_iter().map(|run| pool::Row { runs: vec![run], key: Vec::new() }).collect()
    } else {
        shown.retain(|field| !over.contains(field));
        pool::pool(study, runs, &over, moment)
    };
    if !sort.is_empty() {
        let mut keyed: Vec<(Vec<Value>, pool::Row<'_>)> = rows
            .into_iter()
            .map(|row| (sort.iter().map(|(field, _)| row.value(field, moment)).collect(), row))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| {
            let orders =
                sort.iter().zip(a.iter().zip(b)).map(|((_, reversed), (a, b))| a.order(b, *reversed));
            orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        rows = keyed.into_iter().map(|(_, row)| row).collect();
    }
    let total = rows.len() as u64;
    let rows = rows.iter().skip(query.offset).take(query.limit);
    let rows = rows
        .map(|row| TableRow {
            run: row.single().map(|run| run.id),
            runs: row.runs.len() as u64,
            filter: row.filter(&query.filter),
            cells: shown.iter().map(|field| row.cell(field, moment)).collect(),
        })
        .collect();
    let columns = shown.iter().map(|field| field.column(study)).collect();
    Ok(RunsPage { columns, rows, total, runs: count })
}

fn sort_keys(text: &str, study: &Study<'_>) -> Result<Vec<(Field, bool)>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match name.strip_prefix('-') {
            Some(name) => Ok((Field::parse(name, study)?, true)),
            None => Ok((Field::parse(name, study)?, false)),
        })
        .collect()
}

/// The columns that tell most: what runs differ in, where they stand, the first measures.
fn usual(study: &Study<'_>) -> Vec<Field> {
    let all = field::all(study);
    let mut shown = vec![Field::Run];
    let varying = |group: ColumnGroup| {
        let of = move |field: &&Field| field.group() == group;
        all.iter().filter(of).filter(|field| field.column(study).varies).cloned().collect::<Vec<_>>()
    };
    shown.extend(varying(ColumnGroup::Axis));
    shown.extend(varying(ColumnGroup::Setting).into_iter().take(FEW));
    shown.extend([Field::State, Field::Progress, Field::GpuHours, Field::Loss]);
    let usual = |field: &&Field| matches!(field, Field::Measure(_, name) if USUAL.contains(&&**name));
    shown.extend(all.iter().filter(usual).cloned());
    shown
}

impl pool::Row<'_> {
    /// A filter that selects its runs.
    fn filter(&self, filter: &str) -> String {
        match self.single() {
            Some(Entry { id: RunId(id), .. }) => format!("id={id}"),
            None => {
                let terms = self.key.iter().map(|(field, value)| super::filter::written(field, value));
                let all = std::iter::once(filter.trim().to_owned())
                    .filter(|filter| !filter.is_empty())
                    .chain(terms);
                all.collect::<Vec<_>>().join(" ")
            }
        }
    }
}
