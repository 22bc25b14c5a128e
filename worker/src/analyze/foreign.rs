//! The mean embedding of other texts, from their means statistics.

use super::entries::Entry;
use crate::{Error, Result, files, stats::Means};
use protocol::stage::StageKind;
use std::path::Path;

/// The mean embedding `[width]` over all samples that the statistics folder has of a checkpoint; none where
/// it has none.
///
/// # Errors
/// When the file is damaged, has no samples, or was made with a model of another width, other weights or other settings
/// than `means`.
pub(super) fn mean(stats: &Path, entry: &Entry, means: &Means) -> Result<Option<Vec<f64>>> {
    let path = entry.path(stats, StageKind::Means);
    if !files::exists(&path)? {
        return Ok(None);
    }
    let foreign = Means::read(&path)?;
    let refuse = |what: String| Err(Error::input(format!("{}: {what}", path.display())));
    if foreign.dim != means.dim {
        return refuse(format!("means of width {}; those to compare with have {}", foreign.dim, means.dim));
    }
    for (key, what) in [("checkpoint_sha256", "weights"), ("function_sha256", "settings in config.json")] {
        let made_from = |means: &Means| means.meta.made_from.get(key).cloned();
        if made_from(&foreign).zip(made_from(means)).is_some_and(|(a, b)| a != b) {
            return refuse(format!(
                "made from other {what} than the means to compare with; collect it again"
            ));
        }
    }
    let samples = foreign.tokens();
    if samples == 0 {
        return refuse("no samples".into());
    }
    let mut mean = vec![0.0; foreign.dim];
    for totals in foreign.totals.chunks_exact(foreign.dim.max(1)) {
        mean.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
    }
    mean.iter_mut().for_each(|sum| *sum /= samples as f64);
    Ok(Some(mean))
}
