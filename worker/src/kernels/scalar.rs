//! A number that a device computes.

use super::host_floats;
use crate::Result;
use burn::tensor::{Tensor, backend::Backend};

/// A number that may still be on its way: a GPU goes on while nobody asks for it.
#[derive(Clone, Debug)]
pub enum Scalar<B: Backend> {
    /// It is here.
    Known(f64),
    /// It is on the device, or will be once that has done what it was told before; `[1, 1]`.
    OnDevice(Tensor<B, 2>),
}

impl<B: Backend> Scalar<B> {
    /// The number; waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self) -> Result<f64> {
        match self {
            Self::Known(number) => Ok(*number),
            Self::OnDevice(tensor) => {
                Ok(host_floats(tensor.clone())?.first().map_or(f64::NAN, |&x| x.into()))
            }
        }
    }

    /// The sum of two; waits for nothing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a + b),
            (Self::OnDevice(a), Self::OnDevice(b)) => Self::OnDevice(a + b),
            (Self::OnDevice(tensor), Self::Known(number)) | (Self::Known(number), Self::OnDevice(tensor)) => {
                Self::OnDevice(tensor + number)
            }
        }
    }

    /// Whether [`Self::read`] has nothing to wait for.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}
