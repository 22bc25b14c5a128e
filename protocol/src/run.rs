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
