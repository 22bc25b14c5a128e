//! One newtype per kind of id, so that they can't be mixed up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

row_id!(
    /// A run in the daemon's record.
    RunId
);
row_id!(
    /// A stage in the daemon's record.
    StageId
);
row_id!(
    /// A position in the stream of live changes; also the id of a server-sent event.
    ChangeId
);
uuid_id!(
    /// One try at a stage.
    AttemptId
);
uuid_id!(
    /// A worker's hold on its attempt. A later claim of the same attempt replaces it; what arrives
    /// with an outdated claim is refused.
    ClaimId
);
uuid_id!(
    /// One call of a cluster's submit command: one job array. Part of its jobs' name, so that they are
    /// found again whatever became of the answer.
    SubmissionId
);
