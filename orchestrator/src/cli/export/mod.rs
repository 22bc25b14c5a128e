//! `lcctl export`: the measures of a study as CSV, JSON or Parquet.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{self, Screen, View},
};
use crate::{client::Client, files, results};
use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

/// Write the measures of a study as CSV, JSON or Parquet
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl export first > first.csv\n  lcctl export first --out first.parquet"
)]
pub(super) struct Export {
    /// Name of the study
    study: String,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Format [default: by the file's ending, else csv; with --json, json]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Csv,
    Json,
    Parquet,
}

impl Export {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let format = self.format(context.out.is_json())?;
        let client = connect::daemon(context).await?;
        if let Some(file) = &self.out {
            writable(file, "--out")?;
        } else if format == Format::Parquet && std::io::stdout().is_terminal() {
            return Err(Failure::Usage("Parquet is not for terminals; name a file with --out".into()));
        }
        let (bytes, rows) = content(&client, &self.study, format).await?;
        if !self.dry_run {
            match &self.out {
                Some(file) => write(file, &bytes, "--out")?,
                None => return output::bytes(&bytes),
            }
        }
        context.out.answer(&Written {
            file: self.out.as_ref().map(|file| file.display().to_string()),
            format,
            rows,
            bytes: bytes.len(),
            dry_run: self.dry_run,
        })
    }

    fn format(&self, json: bool) -> Result<Format, Failure> {
        let ending = self.out.as_deref().and_then(|file| file.extension()?.to_str());
        match (self.format, ending, json) {
            (Some(format), _, true) if format != Format::Json && self.out.is_none() => Err(Failure::Usage(
                "--json prints JSON; write another format to a file with --out, or leave out --json".into(),
            )),
            (Some(format), _, _) => Ok(format),
            (None, Some("csv"), _) => Ok(Format::Csv),
            (None, Some("json"), _) => Ok(Format::Json),
            (None, Some("parquet"), _) => Ok(Format::Parquet),
            (None, Some(other), _) => Err(Failure::Usage(format!(
                "--out ends in .{other}, which names no format; say it with --format; accepted: csv, json, parquet"
            ))),
            (None, None, true) if self.out.is_none() => Ok(Format::Json),
            (None, None, _) => Ok(Format::Csv),
        }
    }
}

async fn content(client: &Client, study: &str, format: Format) -> Result<(Vec<u8>, usize), Failure> {
    let results = client.results(study).await?;
    let rows = results.rows.len();
    let bytes = match format {
        // The daemon's own bytes: the file and the export never differ.
        Format::Csv => client.results_csv(study).await?,
        Format::Json => {
            let mut json = serde_json::to_vec_pretty(&results)
                .map_err(|error| Failure::Failed(format!("can't write the results as JSON: {error}")))?;
            json.push(b'\n');
            json
        }
        Format::Parquet => results::parquet::measures(&results)
            .map_err(|error| Failure::Failed(format!("can't write the results as Parquet: {error}")))?,
    };
    Ok((bytes, rows))
}

/// Writes the file whole or not at all, so that a reader never sees half of it; its folder has to be there.
pub(super) fn write(file: &Path, bytes: &[u8], flag: &str) -> Result<(), Failure> {
    writable(file, flag)?;
    // The error itself names the temporary file.
    let to = |error: std::io::Error| Failure::Usage(format!("{flag} {}: {}", file.display(), error.kind()));
    // What a person exports is an ordinary file.
    files::write_atomically(file, bytes, 0o644).map_err(to)
}

/// Whether there is a folder for a file, and none of its name.
fn writable(file: &Path, flag: &str) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = if !folder.is_dir() {
        format!("no such folder {}", folder.display())
    } else if file.is_dir() {
        "is a folder; name a file".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!("{flag} {}: {wrong}", file.display())))
}

#[derive(Serialize)]
struct Written {
    /// None for standard output.
    file: Option<String>,
    format: Format,
    rows: usize,
    bytes: usize,
    dry_run: bool,
}

impl View for Written {
    fn table(&self, _screen: Screen) -> String {
        let verb = if self.dry_run { "would write" } else { "wrote" };
        let file = self.file.as_deref().unwrap_or("to standard output");
        format!("{verb} {file} ({} rows, {} bytes)", self.rows, self.bytes)
    }

    fn brief(&self) -> String {
        self.file.clone().unwrap_or_default()
    }
}
