//! Values of parameters that may be written in more than one way.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::metrics::Policy;

/// A label, written as text or as a whole number or a truth value, which then stands for its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Label(pub(super) String);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Label;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a label: a text, a whole number, true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Label, E> {
                Ok(Label(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Label, E> {
                Ok(Label(truth.to_string()))
            }
        }
        from.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Which;
        impl Visitor<'_> for Which {
            type Value = Policy;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number, or \"invalid\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Policy, E> {
                if text == "invalid" {
                    Ok(Policy::Invalid)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Policy, E> {
                if value.is_finite() { Ok(Policy::Value(value)) } else { Err(E::custom("not a finite number")) }
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Policy, E> {
                Ok(Policy::Value(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Policy, E> {
                Ok(Policy::Value(value as f64))
            }
        }
        from.deserialize_any(Which)
    }
}
