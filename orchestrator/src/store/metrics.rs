//! Training curves. A step that comes again, after going on from a checkpoint, replaces the old one.

use super::{Result, Store, Tx, row};
use protocol::{attempt::MetricPoint, ids::RunId, output::StageOutput, real::Real, view::Metrics};

impl Tx {
    /// Records points of a run's training curve.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn add_metrics(&mut self, run: RunId, points: &[MetricPoint]) -> Result<()> {
        for point in points {
            let step = row::signed(point.step);
            let number = |x: f64| (!x.is_nan()).then_some(x);
            let (loss, grad_norm) = (number(point.loss.0), number(point.grad_norm.0));
            sqlx::query!(
                "INSERT OR REPLACE INTO metrics (run_id, step, epoch, loss, learning_rate, grad_norm, tokens_per_s)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                run.0,
                step,
                point.epoch,
                loss,
                point.learning_rate,
                grad_norm,
                point.tokens_per_s
            )
            .execute(self.conn())
            .await?;
        }
        self.touch_metrics(run, points);
        Ok(())
    }
}

impl Store {
    /// The training curve of a run in at most `most` points, evenly thinned, first and last kept.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn metrics(&self, run: RunId, most: u32) -> Result<Option<Metrics>> {
        let found = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM metrics WHERE run_id = r.id) AS "count!: i64",
                      s.output AS "output?: String", a.progress_total AS "total?: i64"
               FROM runs r JOIN stages s ON s.run_id = r.id AND s.kind = 'train'
               LEFT JOIN attempts a ON a.stage_id = s.id AND a.progress_unit = 'steps'
               WHERE r.id = ? ORDER BY a.number DESC LIMIT 1"#,
            run.0
        );
        let Some(found) = found.fetch_optional(&self.readers).await? else { return Ok(None) };
        let total_steps =
            match found.output.as_deref().map(|text| row::json("an output", text)).transpose()? {
                Some(StageOutput::Train(output)) => Some(output.steps),
                _ => found.total.map(row::unsigned).filter(|&total| total > 0),
            };
        // Position i of n is kept when it is the first of its share of the last most - 1 gaps.
        let (last, gaps) = (found.count - 1, i64::from(most) - 1);
        let rows = sqlx::query!(
            r#"SELECT step AS "step!: i64", epoch AS "epoch!: f64", loss AS "loss?: f64",
                      learning_rate AS "learning_rate!: f64", grad_norm AS "grad_norm?: f64",
                      tokens_per_s AS "tokens_per_s?: f64"
               FROM (SELECT *, row_number() OVER (ORDER BY step) - 1 AS i FROM metrics WHERE run_id = ?1)
               WHERE ?2 <= ?3 OR i = 0 OR i * ?3 / ?2 > (i - 1) * ?3 / ?2
               ORDER BY step"#,
            run.0,
            last,
            gaps
        );
        let rows = rows.fetch_all(&self.readers).await?;
        let points = rows
            .into_iter()
            .map(|point| MetricPoint {
                step: row::unsigned(point.step),
                epoch: point.epoch,
                loss: Real(point.loss.unwrap_or(f64::NAN)),
                learning_rate: point.learning_rate,
                grad_norm: Real(point.grad_norm.unwrap_or(f64::NAN)),
                tokens_per_s: point.tokens_per_s.unwrap_or_default(),
            })
            .collect();
        Ok(Some(Metrics { total_steps, points }))
    }
}
