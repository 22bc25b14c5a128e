//! Views of a study's runs table that people saved.

use super::{Result, Store, Tx};
use protocol::table::SavedView;

impl Store {
    /// The saved views of a study, by name.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn saved_views(&self, study: &str) -> Result<Vec<SavedView>> {
        let rows = sqlx::query_as!(
            SavedView,
            "SELECT views.name, views.query FROM views JOIN studies ON studies.id = views.study_id
             WHERE studies.name = ? ORDER BY views.name",
            study
        );
        Ok(rows.fetch_all(&self.readers).await?)
    }
}

impl Tx {
    /// Keeps a view in place of an earlier one of its name. Answers whether there is such a study.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn save_view(&mut self, study: &str, view: &SavedView) -> Result<bool> {
        let kept = sqlx::query!(
            "INSERT OR REPLACE INTO views (study_id, name, query) SELECT id, ?, ? FROM studies WHERE name = ?",
            view.name,
            view.query,
            study
        );
        let kept = kept.execute(self.conn()).await?.rows_affected() == 1;
        self.tell_study(study);
        Ok(kept)
    }

    /// Forgets a view. Answers whether there was one.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn remove_view(&mut self, study: &str, view: &str) -> Result<bool> {
        let gone = sqlx::query!(
            "DELETE FROM views WHERE name = ? AND study_id = (SELECT id FROM studies WHERE name = ?)",
            view,
            study
        );
        let gone = gone.execute(self.conn()).await?.rows_affected() == 1;
        self.tell_study(study);
        Ok(gone)
    }
}
