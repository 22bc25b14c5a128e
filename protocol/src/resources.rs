//! What jobs ask a cluster for: rules by stage and architecture.

use crate::{several, stage::StageKind};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// One rule. Its fields go over those of the rules before it, for the stages that it is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ResourceRule {
    /// Kinds of stages that it is meant for; all if empty.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "several::words")]
    pub stages: Vec<StageKind>,
    /// Numbers of layers that it is meant for: `4`, `2..8`, `8..` or `..4`, ends included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub depth: Option<Span>,
    /// Widths that it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub width: Option<Span>,
    /// Partition. An empty text takes back what an earlier rule asked for; so for every text below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Generic resources, for example `gpu:1` or `gpu:a100:1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gres: Option<String>,
    /// Features that a node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Runs of one architecture that share a job and its GPU, a process each: a number, or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub pack: Option<Pack>,
    /// Processor cores, for each run of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory, for each run of a job: `16G`, `4000M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Time limit: minutes, `H:MM:SS` or `D-HH:MM:SS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Further options of the submit command, one each, for example `--mail-type=FAIL`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "several::lines_if_any")]
    pub extra: Option<Vec<String>>,
}

impl ResourceRule {
    /// Whether it is meant for a stage of this kind and, where it has one, this architecture.
    #[must_use]
    pub fn is_for(&self, kind: StageKind, architecture: Option<(u32, u32)>) -> bool {
        let within = |span: Option<Span>, value: Option<u32>| match (span, value) {
            (None, _) => true,
            (Some(span), Some(value)) => span.holds(value),
            // Data that runs share belongs to no architecture.
            (Some(_), None) => false,
        };
        (self.stages.is_empty() || self.stages.contains(&kind))
            && within(self.depth, architecture.map(|(depth, _)| depth))
            && within(self.width, architecture.map(|(_, width)| width))
    }
}

/// How many runs share a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub enum Pack {
    /// As many as the architecture leaves room for on a GPU.
    Auto,
    /// So many.
    Runs(NonZeroU32),
}

impl Pack {
    /// More processes than this can't share a GPU under Nvidia's MPS.
    pub const MOST: u32 = 48;
}

/// Why a text is not a pack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no number of runs; expected auto or 1 to {most}", most = Pack::MOST)]
pub struct PackError(String);

impl std::str::FromStr for Pack {
    type Err = PackError;

    fn from_str(text: &str) -> Result<Self, PackError> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            number => number
                .parse()
                .ok()
                .filter(|runs: &NonZeroU32| runs.get() <= Self::MOST)
                .map(Self::Runs)
                .ok_or_else(|| PackError(text.to_owned())),
        }
    }
}

impl TryFrom<Written> for Pack {
    type Error = PackError;

    fn try_from(written: Written) -> Result<Self, PackError> {
        match written {
            Written::One(runs) => runs.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Pack> for String {
    fn from(pack: Pack) -> Self {
        match pack {
            Pack::Auto => "auto".to_owned(),
            Pack::Runs(runs) => runs.to_string(),
        }
    }
}

/// Whole numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Span {
    least: u32,
    most: u32,
}

/// Why a text is not a span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span; expected for example 64, 64..256, 512.. or ..128")]
pub struct SpanError(String);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a text")]
enum Written {
    One(u32),
    Text(String),
}

impl Span {
    /// Whether a number lies in it.
    #[must_use]
    pub const fn holds(self, value: u32) -> bool {
        self.least <= value && value <= self.most
    }
}

impl std::str::FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refused = || SpanError(text.to_owned());
        let number = |part: &str, missing: u32| match part.trim() {
            "" => Some(missing),
            part => part.parse().ok(),
        };
        let (least, most) = match text.split_once("..") {
            None => (text.trim().parse().ok(), text.trim().parse().ok()),
            Some((least, most)) if least.trim().is_empty() && most.trim().is_empty() => (None, None),
            Some((least, most)) => (number(least, 0), number(most, u32::MAX)),
        };
        match (least, most) {
            (Some(least), Some(most)) if least <= most => Ok(Self { least, most }),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<Written> for Span {
    type Error = SpanError;

    fn try_from(written: Written) -> Result<Self, SpanError> {
        match written {
            Written::One(value) => Ok(Self { least: value, most: value }),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (0, most) => write!(f, "..{most}"),
            (least, u32::MAX) => write!(f, "{least}.."),
            (least, most) => write!(f, "{least}..{most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, inside, outside) in [
            ("64", vec![64], vec![63, 65]),
            ("64..256", vec![64, 256], vec![63, 257]),
            ("512..", vec![512, u32::MAX], vec![511]),
            ("..128", vec![0, 128], vec![129]),
        ] {
            let span: Span = text.parse().unwrap();
            assert!(inside.iter().all(|&value| span.holds(value)), "{text}");
            assert!(!outside.iter().any(|&value| span.holds(value)), "{text}");
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "..", "9..1", "wide", "1..x"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn packs_are_read_and_written() {
        for (text, written) in [("\"auto\"", "auto"), ("1", "1"), ("\"48\"", "48")] {
            let pack: Pack = serde_json::from_str(text).unwrap();
            assert_eq!(String::from(pack), written);
            assert_eq!(written.parse(), Ok(pack));
        }
        for text in ["0", "49", "-1", "\"many\"", "\"\"", "2.5"] {
            assert!(serde_json::from_str::<Pack>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_is_for_the_stages_it_names() {
        let rule = ResourceRule {
            stages: vec![StageKind::Train],
            width: Some("512..".parse().unwrap()),
            ..ResourceRule::default()
        };
        assert!(rule.is_for(StageKind::Train, Some((2, 768))));
        assert!(!rule.is_for(StageKind::Train, Some((2, 64))));
        assert!(!rule.is_for(StageKind::Means, Some((2, 768))));
        assert!(!rule.is_for(StageKind::Train, None));
        assert!(ResourceRule::default().is_for(StageKind::Prepare, None));
    }
}
