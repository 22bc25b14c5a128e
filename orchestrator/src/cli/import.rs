//! `lcctl import`: results that were published elsewhere, from their CSV.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use clap::{Args, ValueHint};
use protocol::{output::MeasureRow, real::Real, report::Import as Content};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// Take in published results from a CSV, to report on them as on a study
#[derive(Debug, Args)]
#[command(
    after_help = "The file has a column 'model' with row names (02x0768_01d07@0) and columns of numbers, as the published \
                  tables (github.com/rhubarbwu/linguistic-collapse, folder artifacts) and 'lcctl export' have them. \
                  Empty cells are missing values.\n\n\
                  Examples:\n  lcctl import lc-2024_10_24.csv --name published\n  lcctl report published\n  \
                  lcctl import --remove published"
)]
pub(super) struct Import {
    /// The CSV
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "remove", value_name = "FILE.csv")]
    file: Option<PathBuf>,
    /// The name it is kept under; no study may have it
    #[arg(long, value_name = "NAME", required_unless_present = "remove")]
    name: Option<String>,
    /// Forget the results that were imported under this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "name"])]
    remove: Option<String>,
    /// Say what would be imported or removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        if let Some(name) = &self.remove {
            connect::daemon(context).await?.remove_import(name, self.dry_run).await?;
            return context.out.answer(&Removed { removed: name.clone(), dry_run: self.dry_run });
        }
        let (Some(file), Some(name)) = (&self.file, &self.name) else {
            return Err(Failure::Usage("name a file and the name to keep it under: --name NAME".into()));
        };
        let content = read(file, name)?;
        let shown = Shown {
            name: name.clone(),
            file: content.file.clone(),
            rows: content.rows.len(),
            columns: content.columns.len(),
            dry_run: self.dry_run,
        };
        connect::daemon(context).await?.import(&content, self.dry_run).await?;
        context.out.answer(&shown)
    }
}

/// Reads a table of results.
fn read(path: &Path, name: &str) -> Result<Content, Failure> {
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(error.to_string()))?;
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let model = headers.iter().position(|header| header.trim() == "model").ok_or_else(|| {
        wrong("has no column 'model'; it is a table of results if its first line names one".to_owned())
    })?;
    // An unnamed column before it is a counter.
    let columns: Vec<(usize, String)> = headers
        .iter()
        .enumerate()
        .map(|(at, header)| (at, header.trim().to_owned()))
        .filter(|(at, header)| *at != model && !header.is_empty())
        .collect();
    let (mut rows, mut models) = (Vec::new(), HashSet::new());
    for (line, record) in reader.records().enumerate() {
        let line = line + 2;
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let row_name = record.get(model).unwrap_or_default().trim().to_owned();
        if row_name.is_empty() || !models.insert(row_name.clone()) {
            let what = if row_name.is_empty() { "no model" } else { "a model that was there already" };
            return Err(wrong(format!("line {line} names {what}: {row_name:?}")));
        }
        let mut values = BTreeMap::new();
        for (at, column) in &columns {
            let cell = record.get(*at).unwrap_or_default().trim();
            if cell.is_empty() {
                continue;
            }
            let value: f64 = cell.parse().map_err(|_| {
                wrong(format!(
                    "line {line}, column {column}: {cell:?} is not a number; leave it empty if it is missing"
                ))
            })?;
            values.insert(column.clone(), Real(value));
        }
        rows.push(MeasureRow { model: row_name, values });
    }
    if rows.is_empty() || columns.is_empty() {
        return Err(wrong("has no rows with numbers".to_owned()));
    }
    Ok(Content {
        name: name.to_owned(),
        file: path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default(),
        columns: columns.into_iter().map(|(_, column)| column).collect(),
        rows,
    })
}

#[derive(Serialize)]
struct Shown {
    name: String,
    file: String,
    rows: usize,
    columns: usize,
    dry_run: bool,
}

impl View for Shown {
    fn table(&self, _screen: Screen) -> String {
        let (verb, next) = if self.dry_run {
            ("would import", String::new())
        } else {
            ("imported", format!("\nlook at them: lcctl report {}", self.name))
        };
        format!(
            "{verb} {} rows with {} columns of {} as {}{next}",
            self.rows, self.columns, self.file, self.name
        )
    }

    fn brief(&self) -> String {
        self.name.clone()
    }
}

#[derive(Serialize)]
struct Removed {
    removed: String,
    dry_run: bool,
}

impl View for Removed {
    fn table(&self, _screen: Screen) -> String {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        format!("{verb} the imported results {}", self.removed)
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::io::Write as _;

    fn parsed(text: &str) -> Result<protocol::report::Import, String> {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read(file.path(), "n").map_err(|failure| failure.to_string())
    }

    #[test]
    fn both_published_forms_are_read() {
        let plain = parsed("model,n_params,cdnv\n01x0064_01d@0,12,0.5\n02x0064_01d@0,24,\n").unwrap();
        assert_eq!(plain.columns, ["n_params", "cdnv"]);
        assert_eq!(plain.rows[1].values.len(), 1, "an empty cell is a missing value");
        let counted = parsed(",model,cdnv_mean\n0,01x0064_01d@0,inf\n").unwrap();
        assert_eq!(counted.columns, ["cdnv_mean"]);
        assert_eq!(counted.rows[0].values["cdnv_mean"].0, f64::INFINITY);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert!(parsed("name,cdnv\na,1\n").unwrap_err().contains("no column 'model'"));
        assert!(parsed("model,cdnv\na,1\na,2\n").unwrap_err().contains("line 3"));
        let cell = parsed("model,cdnv\na,much\n").unwrap_err();
        assert!(cell.contains("line 2, column cdnv: \"much\""), "{cell}");
        assert!(parsed("model,cdnv\n").unwrap_err().contains("no rows"));
    }
}
