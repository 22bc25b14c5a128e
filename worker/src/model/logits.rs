//! `lc-worker logits`: the forward pass of a checkpoint on given tokens, for comparing with other
//! programs.

use super::{Batch, checkpoint, head};
use crate::{
    Error, Result,
    device::Device,
    files,
    kernels::{Kernels, host_floats},
    on_device,
    tensors::{self, Mapped},
};
use safetensors::{Dtype, tensor::TensorView};
use std::{io::Write as _, path::Path};

/// Reads `input_ids` int `[batch, length]` from a safetensors file, and writes `logits` f32 `[batch,
/// length, vocabulary]` and `last_hidden` f32 `[batch, length, width]` to another. Gives `[batch, length]`.
///
/// # Errors
/// When the checkpoint or the input can't be read or don't fit each other, or the output can't be
/// written.
pub fn logits(
    model: &Path,
    index: Option<u32>,
    input: &Path,
    out: &Path,
    device: Device,
) -> Result<[usize; 2]> {
    files::require_writable("--out", out, out.parent().unwrap_or(out))?;
    let folder = checkpoint::locate(model, index)?.folder;
    let file = Mapped::open(input)?;
    let tensor = file.tensor("input_ids")?;
    let &[batch, length] = tensor.shape() else {
        return Err(
            file.refuse(format!("`input_ids` has shape {:?}; expected [batch, length]", tensor.shape()))
        );
    };
    let ids = tensors::integers("input_ids", &tensor).map_err(|error| file.refuse(error))?;
    let shape = [batch, length];
    let (logits, hidden, sizes) = on_device!(device, |B, place| compute::<B>(&folder, ids, shape, &place))?;
    let [vocabulary, width] = sizes;
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (logits, hidden) = (bytes(&logits), bytes(&hidden));
    let view = |data, size| TensorView::new(Dtype::F32, vec![batch, length, size], data);
    let file = view(&logits[..], vocabulary)
        .and_then(|logits| Ok([("logits", logits), ("last_hidden", view(&hidden[..], width)?)]))
        .and_then(|tensors| safetensors::serialize(tensors, None))
        .map_err(|error| Error::failed(format!("{}: {error}", out.display())))?;
    files::write_atomically(out, |writer| writer.write_all(&file))?;
    Ok(shape)
}

/// Logits and last embeddings on the host, with vocabulary and width.
fn compute<B: Kernels>(
    folder: &Path,
    ids: Vec<i32>,
    shape: [usize; 2],
    device: &B::Device,
) -> Result<(Vec<f32>, Vec<f32>, [usize; 2])> {
    let model = checkpoint::load::<B>(folder, device)?;
    let config = model.config.clone();
    if shape[1] > config.max_position_embeddings || shape[0] * shape[1] == 0 {
        return Err(Error::input(format!(
            "input_ids has shape {shape:?}; the model takes sequences of 1 to {} tokens",
            config.max_position_embeddings
        )));
    }
    if let Some(id) =
        ids.iter().find(|&&id| usize::try_from(id).is_ok_and(|id| id >= config.vocab_size) || id < 0)
    {
        return Err(Error::input(format!(
            "input_ids holds {id}; the model's vocabulary has 0 to {}",
            config.vocab_size - 1
        )));
    }
    let hidden = model.forward(&Batch { ids, length: shape[1] });
    let logits = head::logits(&hidden, model.token_embedding());
    Ok((host_floats(logits)?, host_floats(hidden)?, [config.vocab_size, config.hidden_size]))
}
