//! Statistics as the published tool saves them with `torch.save`.
//!
//! Its collection writes `<stage>@<C>/TS<identifier>@<C>-<stage>.pt`: a dictionary with `hash` (of the
//! class means), `N_seqs`, `Ns_toks` int32 `[classes]` and `totals`, in the shapes and types of our own
//! files. (Source: rhubarbwu/linguistic-collapse, `lib/collection.py`, and rhubarbwu/neural-collapse.)

use super::{Decs, Means, Meta, Vars, means_hash, run_name};
use crate::{
    Error, Result, files,
    tensors::integers,
    torch::{Entry, File},
};
use protocol::stage::StageKind;
use safetensors::{Dtype, tensor::TensorView};
use std::{borrow::Cow, collections::BTreeMap, path::Path};

/// How the published tool abbreviates the dataset in names.
const PREFIX: &str = "TS";

/// What the name of a file says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Run name, as in our own files.
    pub(super) run: String,
    pub(super) checkpoint: u32,
    pub(super) stage: StageKind,
}

impl Named {
    /// Reads a name of the form `TS<identifier>@<C>-<stage>.pt`.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let (name, stage) = path.file_name()?.to_str()?.strip_suffix(".pt")?.rsplit_once('-')?;
        let stage = stage.parse().ok()?;
        matches!(stage, StageKind::Means | StageKind::Vars | StageKind::Decs).then_some(())?;
        let (name, checkpoint) = name.rsplit_once('@')?;
        let (model, checkpoint) = (model(name), checkpoint.parse().ok()?);
        let run = run_name(&model);
        (!run.is_empty()).then(|| Self { run: run.to_owned(), checkpoint, stage })
    }
}

/// The name of the model folder that a name without stage and checkpoint abbreviates.
fn model(name: &str) -> Cow<'_, str> {
    let parts = name.rfind(PREFIX).map(|at| (&name[..at], &name[at + PREFIX.len()..]));
    match parts {
        Some((before, identifier)) if identifier.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("{before}TinyStories-{identifier}").into()
        }
        _ => name.into(),
    }
}

/// Statistics of one stage.
pub(super) enum Statistics {
    Means(Means),
    Vars(Vars),
    Decs(Decs),
}

impl Statistics {
    /// Reads a file of the published tool.
    ///
    /// # Errors
    /// When it is no such file, or holds means that do not have the hash it names.
    pub(super) fn read_published(path: &Path, stage: StageKind) -> Result<Self> {
        // Its collection writes the same file again and again.
        let file = File::read(path)?;
        let meta = meta(&file, path)?;
        let counts = whole_numbers(&file, "Ns_toks")?;
        if let Some(class) = counts.iter().position(|&n| n < 0) {
            return Err(file.refuse(format!("`Ns_toks` of class {class} is negative ({})", counts[class])));
        }
        let classes = counts.len();
        let fits = |found: usize| {
            let refused = || file.refuse(format!("`totals` has {found} classes, `Ns_toks` {classes}"));
            (found == classes).then_some(()).ok_or_else(refused)
        };
        Ok(match stage {
            StageKind::Means => {
                let (totals, shape) = doubles(&file, "totals", 2)?;
                fits(shape[0])?;
                let means = Means { counts, totals, dim: shape[1], squares: None, meta };
                let found = means_hash(&means);
                if found != means.meta.hash {
                    return Err(file.refuse(format!(
                        "its means have the hash {found}, not {}, which it says they have; it is damaged or \
                         was changed, copy it again",
                        means.meta.hash
                    )));
                }
                Self::Means(means)
            }
            StageKind::Vars => {
                let (totals, shape) = doubles(&file, "totals", 1)?;
                fits(shape[0])?;
                Self::Vars(Vars { counts, totals, covariance: None, meta })
            }
            _ => {
                let totals = whole_numbers(&file, "totals")?;
                fits(totals.len())?;
                Self::Decs(Decs { counts, totals, meta })
            }
        })
    }

    /// Reads a file of ours.
    pub(super) fn read(path: &Path, stage: StageKind) -> Result<Self> {
        Ok(match stage {
            StageKind::Means => Self::Means(Means::read(path)?),
            StageKind::Vars => Self::Vars(Vars::read(path)?),
            _ => Self::Decs(Decs::read(path)?),
        })
    }

    /// Writes a file of ours.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        match self {
            Self::Means(means) => means.write(path),
            Self::Vars(vars) => vars.write(path),
            Self::Decs(decs) => decs.write(path),
        }
    }

    pub(super) const fn meta(&self) -> &Meta {
        match self {
            Self::Means(Means { meta, .. })
            | Self::Vars(Vars { meta, .. })
            | Self::Decs(Decs { meta, .. }) => meta,
        }
    }

    pub(super) fn counts(&self) -> &[i32] {
        match self {
            Self::Means(Means { counts, .. })
            | Self::Vars(Vars { counts, .. })
            | Self::Decs(Decs { counts, .. }) => counts,
        }
    }

    /// Whether both hold the same numbers, bit for bit, whatever they were made from.
    pub(super) fn same(&self, other: &Self) -> bool {
        let equal = |a: &[f64], b: &[f64]| a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
        let totals = match (self, other) {
            (Self::Means(a), Self::Means(b)) => a.dim == b.dim && equal(&a.totals, &b.totals),
            (Self::Vars(a), Self::Vars(b)) => equal(&a.totals, &b.totals),
            (Self::Decs(a), Self::Decs(b)) => a.totals == b.totals,
            _ => false,
        };
        let (a, b) = (self.meta(), other.meta());
        totals && self.counts() == other.counts() && a.hash == b.hash && a.n_seqs == b.n_seqs
    }
}

fn meta(file: &File, path: &Path) -> Result<Meta> {
    let Some(Entry::Text(hash)) = file.get("hash") else { return Err(lacks(file, "text `hash`")) };
    let n_seqs = match file.get("N_seqs") {
        Some(Entry::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    };
    let n_seqs = n_seqs.ok_or_else(|| lacks(file, "whole number `N_seqs`"))?;
    let name = files::name(path);
    let mut made_from = BTreeMap::new();
    // As our own statistics tell it.
    if let Some((name, checkpoint)) = name.rsplit_once('-').and_then(|(name, _)| name.rsplit_once('@')) {
        made_from.insert("model".to_owned(), format!("{}@{checkpoint}", model(name)));
    }
    made_from.insert("imported_from".to_owned(), name);
    Ok(Meta { hash: hash.to_owned(), n_seqs, made_from })
}

fn lacks(file: &File, what: &str) -> Error {
    let keys: Vec<&str> = file.entries().map(|(key, _)| key).collect();
    file.refuse(format!(
        "no {what}; expected statistics of the published tool with hash, N_seqs, Ns_toks and totals (it has: {})",
        keys.join(", ")
    ))
}

/// The values of a tensor with one axis.
fn whole_numbers(file: &File, name: &str) -> Result<Vec<i32>> {
    read(file, name, 1, |view| integers(name, view))
}

/// The values and the shape of a double-precision tensor with `rank` axes.
fn doubles(file: &File, name: &str, rank: usize) -> Result<(Vec<f64>, Vec<usize>)> {
    read(file, name, rank, |view| {
        if view.dtype() != Dtype::F64 {
            return Err(Error::input(format!("`{name}` is {}; accepted: F64", view.dtype())));
        }
        let values = view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        Ok((values, view.shape().to_vec()))
    })
}

fn read<T>(
    file: &File,
    name: &str,
    rank: usize,
    take: impl FnOnce(&TensorView<'_>) -> Result<T>,
) -> Result<T> {
    let Some(Entry::Tensor(tensor)) = file.get(name) else {
        return Err(lacks(file, &format!("tensor `{name}`")));
    };
    if tensor.shape().len() != rank {
        return Err(file.refuse(format!("`{name}` has shape {:?}; expected {rank} axes", tensor.shape())));
    }
    let bytes = file.bytes(name, tensor)?;
    let view = TensorView::new(tensor.dtype(), tensor.shape().to_vec(), &bytes);
    view.map_err(|error| Error::input(error.to_string()))
        .and_then(|view| take(&view))
        .map_err(|error| file.refuse(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_run_checkpoint_and_stage() {
        let parse = |name: &str| {
            let Named { run, checkpoint, stage } = Named::parse(Path::new("means@0").join(name).as_path())?;
            Some((run, checkpoint, stage.as_str()))
        };
        let named = |run: &str, checkpoint, stage| Some((run.to_owned(), checkpoint, stage));
        assert_eq!(parse("TS01x0032_01n@0-means.pt"), named("01x0032_01n", 0, "means"));
        assert_eq!(parse("old-TS02x0768_03L07@12-decs.pt"), named("02x0768_03L07", 12, "decs"));
        assert_eq!(parse("TinyStories-33M@1-vars.pt"), named("33M", 1, "vars"));
        assert_eq!(parse("MYTS@1-vars.pt"), named("MYTS", 1, "vars"));
        for other in
            ["TS01x0032_01n-means.pt", "TS01x0032_01n@None-means.pt", "TS01x0032_01n@0-train.pt", "a.pt"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
