//! One model of a study in canonical form. What is in here, and only that, makes a run's identity.

use crate::{
    identifier::Identifier,
    study::{AnalysisSpec, Checkpoints, DataSpec, ModelSpec, TrainingSpec},
};
use serde::{Deserialize, Serialize};

/// The canonical configuration of a run: everything that can change its results, and nothing else
/// (no device, no batch size of collection, no study name).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunConfig {
    /// The texts, with absolute paths.
    pub data: DataSpec,
    /// Layers.
    pub layers: u32,
    /// Width.
    pub width: u32,
    /// Seed.
    pub seed: u32,
    /// Epochs.
    pub epochs: u32,
    /// Weight decay.
    pub weight_decay: f64,
    /// Letter of the weight decay.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub decay: char,
    /// The rest of the architecture.
    pub model: ModelSpec,
    /// Training settings.
    pub training: TrainingSpec,
    /// Which checkpoints are analysed.
    pub checkpoints: Checkpoints,
    /// Which measures, over which classes.
    pub analysis: AnalysisSpec,
}

impl RunConfig {
    /// The name of this model in tables.
    #[must_use]
    pub const fn identifier(&self) -> Identifier {
        Identifier {
            layers: self.layers,
            width: self.width,
            epochs: self.epochs,
            decay: self.decay,
            seed: Some(self.seed),
        }
    }
}

/// Whether weight decay is asked for and does nothing: `1 - rate * decay`, by which AdamW multiplies weights, is 1 in
/// `f32`, as they are.
#[must_use]
pub fn decay_is_lost(learning_rate: f64, weight_decay: f64) -> bool {
    learning_rate > 0.0 && weight_decay > 0.0 && (1.0 - learning_rate * weight_decay) as f32 == 1.0
}

#[cfg(test)]
mod tests {
    use super::decay_is_lost;

    #[test]
    fn decay_is_lost_up_to_half_the_distance_to_the_number_below_one() {
        let half = 2.0_f64.powi(-25);
        for (rate, decay, lost) in [
            (5e-5, 0.0005, true),
            (5e-5, 0.1, false),
            (1e-3, 0.0005, false),
            (1.0, half, true),
            (1.0, half * 1.001, false),
            (5e-5, 0.0, false),
            (0.0, 0.0005, false),
        ] {
            assert_eq!(decay_is_lost(rate, decay), lost, "{rate} x {decay}");
        }
    }
}
