//! Whether statistics and scores were made from the checkpoint and the data that they stand beside: looked at for all rows
//! before the first is computed.

use super::{checkpoint, columns::Columns, entries::Entry, scores::Scores};
use crate::{
    Error, Result,
    measure::Need,
    model::{
        GptNeoConfig,
        checkpoint::{self as folders, CONFIG, EVAL_RESULTS, Found, Located, weights},
    },
    stats::Summary,
};
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use std::path::{Path, PathBuf};

/// Refuses statistics and scores of other weights, or of another function of them, than the checkpoint that is read, and
/// scores over other data than decisions.
///
/// # Errors
/// When there are such, or what tells can't be read.
pub(super) fn check(spec: &AnalyzeSpec, columns: &Columns, entry: &Entry) -> Result<()> {
    if !columns.wants_loss() && !columns.need(Need::Weights) {
        return Ok(());
    }
    let found = checkpoint::find(spec, entry)?;
    // What is missing leaves cells empty, which is told when the row is computed.
    let Found::There(Located { folder, .. }) = found else { return Ok(()) };
    let scores = if columns.wants_loss() { Scores::read(&folder)? } else { None };
    let means = entry.summary(&spec.stats, StageKind::Means)?;
    let decs = match columns.need(Need::Decisions) {
        true => entry.summary(&spec.stats, StageKind::Decs)?,
        false => None,
    };
    let of_means = ["checkpoint_sha256", "function_sha256"]
        .map(|key| means.as_ref().and_then(|means| means.made_from.get(key)));
    let of_scores = scores
        .as_ref()
        .map_or([None, None], |scores| [scores.checkpoint_sha256.as_ref(), scores.function_sha256.as_ref()]);
    let evaluated = folder.join(EVAL_RESULTS);
    let made_from = [
        (entry.path(&spec.stats, StageKind::Means), of_means, "collect the statistics again with --replace"),
        (evaluated.clone(), of_scores, "evaluate it again"),
    ];
    type Hash = fn(&Path) -> Result<String>;
    let kinds: [(&str, PathBuf, Hash); 2] = [
        ("weights", folder.clone(), weights::hash),
        ("settings", folder.join(CONFIG), |config| Ok(GptNeoConfig::read(config)?.function_sha256())),
    ];
    let mut found = [None, None];
    for (path, told, remedy) in made_from {
        for (((what, of, hash), then), now) in kinds.iter().zip(told).zip(&mut found) {
            let Some(then) = then else { continue };
            if now.get_or_insert_with(|| hash(of).ok()).as_ref() != Some(then) {
                // Damage is told as such.
                folders::check(&folder)?;
                hash(of)?;
                return Err(Error::input(format!(
                    "{}: outdated, made from other {what} than {}; {remedy}",
                    path.display(),
                    of.display()
                )));
            }
        }
    }
    let decs = decs.map(|decs| (entry.path(&spec.stats, StageKind::Decs), decs));
    match (scores, decs) {
        (Some(scores), Some((path, decs))) => same_data(&evaluated, &scores, &path, &decs),
        _ => Ok(()),
    }
}

/// Refuses scores over other data than decisions, where both tell.
fn same_data(evaluated: &Path, scores: &Scores, file: &Path, decs: &Summary) -> Result<()> {
    // By hand, decisions may be collected over another split.
    if decs.made_from.get("split").is_none_or(|split| split != "validation") {
        return Ok(());
    }
    // The hash is of the tokens, however they are cut into sequences.
    let length = scores.block_size.map(|length| length.to_string());
    let lengths = length.as_ref().zip(decs.made_from.get("block_size"));
    if let Some((of_scores, of_decs)) = lengths.filter(|(scores, decs)| scores != decs) {
        return Err(Error::input(format!(
            "{}: made from sequences of {of_scores} tokens, but {} from such of {of_decs}; evaluate and collect from \
             the same",
            evaluated.display(),
            file.display()
        )));
    }
    let hashes = scores.data_sha256.as_ref().zip(decs.made_from.get("data_sha256"));
    if hashes.is_some_and(|(scores, decs)| scores != decs) {
        return Err(Error::input(format!(
            "{}: made from other data than {}; evaluate and collect from the same",
            evaluated.display(),
            file.display()
        )));
    }
    Ok(())
}
