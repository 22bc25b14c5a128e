//! Measures of analysed checkpoints.

use super::{Result, Store, Tx, row};
use protocol::{ids::RunId, output::MeasureRow, view::Results};

impl Tx {
    /// Records the measures of a checkpoint, in place of earlier ones.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn keep_measures(
        &mut self,
        run: RunId,
        checkpoint: u32,
        columns: &[String],
        measures: &MeasureRow,
    ) -> Result<()> {
        let (columns, measures) = (row::to_json(&columns)?, row::to_json(&measures.values)?);
        sqlx::query!(
            "INSERT OR REPLACE INTO results (run_id, checkpoint, columns, measures) VALUES (?, ?, ?, ?)",
            run.0,
            checkpoint,
            columns,
            measures
        )
        .execute(self.conn())
        .await?;
        self.touch_results(run);
        Ok(())
    }

    /// Names of the studies that hold a run.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn studies_of_run(&mut self, run: RunId) -> Result<Vec<String>> {
        super::changes::studies_of_run(self.conn(), run).await
    }
}

impl Store {
    /// The measures of a study, in the order of its runs, or imported ones; none if there are none of this name.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn results(&self, study: &str) -> Result<Option<Results>> {
        let id = sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM studies WHERE name = ?"#, study);
        let Some(id) = id.fetch_optional(&self.readers).await? else { return self.imported(study).await };
        let rows = sqlx::query!(
            r#"SELECT runs.identifier AS "identifier!: String", results.checkpoint AS "checkpoint!: i64",
                      results.columns AS "columns!: String", results.measures AS "measures!: String"
               FROM study_runs JOIN runs ON runs.id = study_runs.run_id JOIN results ON results.run_id = runs.id
               WHERE study_runs.study_id = ? ORDER BY study_runs.position, results.checkpoint"#,
            id
        );
        let mut results = Results { columns: Vec::new(), rows: Vec::new() };
        for found in rows.fetch_all(&self.readers).await? {
            let columns: Vec<String> = row::json("columns of results", &found.columns)?;
            for column in columns {
                if !results.columns.contains(&column) {
                    results.columns.push(column);
                }
            }
            results.rows.push(MeasureRow {
                model: format!("{}@{}", found.identifier, found.checkpoint),
                values: row::json("measures", &found.measures)?,
            });
        }
        Ok(Some(results))
    }
}
