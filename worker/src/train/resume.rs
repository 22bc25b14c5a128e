//! The choice of the checkpoint to go on from, and what becomes of damaged ones.

use super::{
    adamw::AdamW,
    keep,
    state::{Settings, TrainerState, difference},
};
use crate::{
    Error, Result, files,
    kernels::Kernels,
    model::{
        GptNeo,
        checkpoint::{self, CONFIG, OPTIMIZER, Sums, TRAINER_STATE, WEIGHTS},
    },
    report::Report,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the folder that a damaged checkpoint is set aside under, before its own.
const DAMAGED: &str = "damaged-";

/// A training run as it was at a checkpoint.
pub struct Resumed<B: Kernels> {
    /// Weights.
    pub model: GptNeo<B>,
    /// Moments.
    pub optimizer: AdamW<B>,
    /// Position.
    pub state: TrainerState,
}

/// The newest whole checkpoint in `out` to go on from; none if there is none. Damaged ones that are newer
/// are set aside, and a line says so.
///
/// # Errors
/// When it was made with other settings (the line names the first that differs), or has no hashes, so that
/// nothing says whether it is whole.
pub fn newest<B: Kernels>(
    out: &Path,
    settings: &Settings,
    report: &Report,
    device: &B::Device,
) -> Result<Option<Resumed<B>>> {
    let (mut damaged, mut found) = (Vec::new(), None);
    for (_, folder) in keep::all(out)?.into_iter().rev() {
        match inspect(&folder)? {
            Found::Whole(state) => {
                found = Some((folder, state));
                break;
            }
            Found::WeightsOnly => {}
            Found::Damaged(what) => damaged.push((folder, what)),
        }
    }
    if let Some((folder, state)) = &found
        && let Some((field, then, now)) = difference(&state.settings, settings)
    {
        return Err(Error::input(format!(
            "{}: made with {field} {then}, asked to resume with {now}; use the same or another --out",
            folder.join(TRAINER_STATE).display()
        )));
    }
    for (folder, what) in damaged {
        let aside = set_aside(&folder)?;
        let instead = match &found {
            Some((folder, _)) => format!("going on from {}", files::name(folder)),
            None => "no whole checkpoint is left, training starts anew".to_owned(),
        };
        report.warn(format!("{what}; set aside as {}, {instead}", files::name(&aside)));
    }
    let Some((folder, state)) = found else { return Ok(None) };
    let model = checkpoint::load::<B>(&folder, device)?;
    let moments =
        |prefix| checkpoint::load_tensors::<B>(&folder.join(OPTIMIZER), prefix, &model.config, device);
    let list = |moments: GptNeo<B>| moments.parameters().to_vec();
    let (first, second) = (list(moments("exp_avg.")?), list(moments("exp_avg_sq.")?));
    let optimizer = AdamW::with_moments(&model, settings.weight_decay, first, second);
    Ok(Some(Resumed { model, optimizer, state }))
}

/// What a checkpoint folder is good for.
enum Found {
    Whole(TrainerState),
    /// Its optimizer's state was removed: it was not to be kept.
    WeightsOnly,
    /// The line says what is wrong.
    Damaged(String),
}

fn inspect(folder: &Path) -> Result<Found> {
    let checked = Sums::read(folder).and_then(|sums| match sums {
        Some(sums) => {
            // The list itself may have been cut short.
            [CONFIG, WEIGHTS, TRAINER_STATE].iter().try_for_each(|name| sums.require(name))?;
            sums.check_all().map(|()| Some(sums.lists(OPTIMIZER)))
        }
        None => Ok(None),
    });
    match checked {
        Ok(Some(true)) => files::read_json(&folder.join(TRAINER_STATE)).map(Found::Whole),
        Ok(Some(false)) => Ok(Found::WeightsOnly),
        Ok(None) => Err(Error::input(format!(
            "{}: no SHA256SUMS in it, so it was not made by training with this program; move it away or use another \
             --out",
            folder.display()
        ))),
        Err(Error::Input(what)) => Ok(Found::Damaged(what)),
        Err(other) => Err(other),
    }
}

/// Renames a damaged folder, so that it counts as no checkpoint; gives its new place.
fn set_aside(folder: &Path) -> Result<PathBuf> {
    let plain = format!("{DAMAGED}{}", files::name(folder));
    let mut aside = folder.with_file_name(&plain);
    let mut times = 1;
    while aside.exists() {
        times += 1;
        aside = folder.with_file_name(format!("{plain}.{times}"));
    }
    fs::rename(folder, &aside).map_err(Error::io(folder))?;
    Ok(aside)
}
