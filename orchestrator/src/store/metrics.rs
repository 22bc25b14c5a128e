//! Training curves. A step that comes again, after going on from a checkpoint, replaces the old one.

use super::{Result, Store, Tx, row};
use crate::domain::curve::{Recorded, RecordedCurve};
use protocol::{attempt::MetricPoint, ids::RunId, output::StageOutput, run::RunConfig};

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
    /// The training curve of a run, as recorded; none if there is no such run.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn recorded_curve(&self, run: RunId) -> Result<Option<RecordedCurve>> {
        let mut tx = self.readers.begin().await?;
        let found = sqlx::query!(
            r#"SELECT r.config AS "config!: String", s.output AS "output?: String",
                      a.progress_total AS "total?: i64"
               FROM runs r JOIN stages s ON s.run_id = r.id AND s.kind = 'train'
               LEFT JOIN attempts a ON a.stage_id = s.id AND a.progress_unit = 'steps'
               WHERE r.id = ? ORDER BY a.number DESC LIMIT 1"#,
            run.0
        );
        let Some(found) = found.fetch_optional(&mut *tx).await? else { return Ok(None) };
        let config: RunConfig = row::json("a run's configuration", &found.config)?;
        let output: Option<StageOutput> =
            found.output.map(|output| row::json("a stage's output", &output)).transpose()?;
        let trained = match output {
            Some(StageOutput::Train(output)) => Some(output.steps),
            _ => None,
        };
        let points = sqlx::query!(
            r#"SELECT step AS "step!: i64", loss AS "loss?: f64", learning_rate AS "learning_rate!: f64",
                      grad_norm AS "grad_norm?: f64", tokens_per_s AS "tokens_per_s?: f64"
               FROM metrics WHERE run_id = ? ORDER BY step"#,
            run.0
        );
        let points = points.fetch_all(&mut *tx).await?.into_iter().map(|point| Recorded {
            step: row::unsigned(point.step),
            loss: point.loss.unwrap_or(f64::NAN),
            learning_rate: point.learning_rate,
            grad_norm: point.grad_norm.unwrap_or(f64::NAN),
            tokens_per_s: point.tokens_per_s.unwrap_or_default(),
        });
        Ok(Some(RecordedCurve {
            total_steps: trained.or(found.total.map(row::unsigned)),
            tokens_per_step: f64::from(config.training.batch_size) * f64::from(config.data.block_size),
            points: points.collect(),
        }))
    }
}
