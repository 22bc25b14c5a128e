//! Floating-point numbers that survive JSON: `inf`, `-inf` and `nan` travel as strings.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An `f64` whose JSON form is a number, or `"inf"`, `"-inf"`, `"nan"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Real(
    /// The value.
    pub f64,
);

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_nan() => serializer.serialize_str("nan"),
            x if x == f64::INFINITY => serializer.serialize_str("inf"),
            x if x == f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            // Counts (parameters, hits) stay integers on the wire.
            x if x.fract() == 0.0 && x.abs() < 9e15 => serializer.serialize_i64(x as i64),
            x => serializer.serialize_f64(x),
        }
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(f64),
            Name(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(x) => Ok(Self(x)),
            Wire::Name(name) => match name.as_str() {
                "nan" => Ok(Self(f64::NAN)),
                "inf" => Ok(Self(f64::INFINITY)),
                "-inf" => Ok(Self(f64::NEG_INFINITY)),
                other => Err(D::Error::custom(format!("{other:?} is not a number"))),
            },
        }
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Real {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["inf", "-inf", "nan"]));
        OneOfBuilder::new().item(f64::schema()).item(names).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Real {}

impl From<f64> for Real {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn non_finite_values_survive_json() {
        for x in [f64::INFINITY, f64::NEG_INFINITY, 0.1, 3.0, -1e300] {
            let text = serde_json::to_string(&Real(x)).unwrap();
            assert_eq!(serde_json::from_str::<Real>(&text).unwrap(), Real(x), "{text}");
        }
        let nan: Real = serde_json::from_str(&serde_json::to_string(&Real(f64::NAN)).unwrap()).unwrap();
        assert!(nan.0.is_nan());
        assert!(serde_json::from_str::<Real>("\"infinite\"").is_err());
    }

    #[test]
    fn counts_stay_integers() {
        assert_eq!(serde_json::to_string(&Real(3_397_440.0)).unwrap(), "3397440");
    }
}
