//! Words that settings of a study and inputs of a stage may have. Both keep them as they were written, so that everything
//! that is wrong with a study is told at once; these types read them.

use crate::words::{UnknownWord, words};
use std::str::FromStr;

/// Where a stage is computed, as a person names it: `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The first GPU if the program can use one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU by index; `cuda` is the first.
    Cuda(u32),
    /// Whatever speaks Vulkan. Never chosen without being asked for.
    Vulkan,
}

impl FromStr for Device {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let index =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "vulkan" => Ok(Self::Vulkan),
            _ => text
                .strip_prefix("cuda:")
                .and_then(index)
                .map(Self::Cuda)
                .ok_or_else(|| UnknownWord::new(text, ["auto", "cpu", "cuda", "cuda:N", "vulkan"])),
        }
    }
}

words!(
    /// Number format of training.
    Dtype {
        /// Single precision.
        F32 = "f32",
        /// bfloat16.
        Bf16 = "bf16",
    }
);

words!(
    /// Order of the sequences in training.
    Order {
        /// Permuted anew for each epoch, from the seed.
        Shuffled = "shuffled",
        /// As in the file.
        Sequential = "sequential",
    }
);

words!(
    /// What the attention of a layer sees.
    Attention {
        /// Everything before.
        Global = "global",
        /// A window.
        Local = "local",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            ("vulkan", Device::Vulkan),
        ] {
            assert_eq!(text.parse::<Device>(), Ok(device));
        }
        for text in ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:4294967296", "cpu:0"] {
            let line = text.parse::<Device>().unwrap_err().to_string();
            assert_eq!(line, format!("{text:?} is not accepted; use auto, cpu, cuda, cuda:N or vulkan"));
        }
    }

    #[test]
    fn words_of_settings_are_read_as_they_are_written() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.as_str().parse::<Dtype>(), Ok(*dtype));
            assert_eq!(serde_json::to_string(dtype).unwrap(), format!("\"{dtype}\""));
        }
        for order in Order::ALL {
            assert_eq!(order.as_str().parse::<Order>(), Ok(*order));
            assert_eq!(serde_json::to_string(order).unwrap(), format!("\"{order}\""));
        }
        for attention in Attention::ALL {
            assert_eq!(attention.as_str().parse::<Attention>(), Ok(*attention));
            assert_eq!(serde_json::to_string(attention).unwrap(), format!("\"{attention}\""));
        }
        let refused = "f16".parse::<Dtype>().unwrap_err().to_string();
        assert_eq!(refused, "\"f16\" is not accepted; use f32 or bf16");
    }
}
