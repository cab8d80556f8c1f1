//! A cell as a number, at a cost that its writer cannot drive up.
//!
//! Numbers are read as the standard library reads them, correctly rounded. Only of one with more than 19 significant
//! digits the rest is dropped first: 64-bit floats have 17, and halfway cases, which a participant can write into every
//! cell, take a hundred times the fuel.

use std::ops::RangeInclusive;

/// Digits that count.
const DIGITS: usize = 19;

/// Longest number, in characters.
const LONGEST: usize = 64;

/// A finite number in `range`, or what is wrong with the text.
pub(super) fn number(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("is empty; a number is needed".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} characters; a 64-bit float holds 17 digits"));
    }
    let mut buffer;
    let short = if text.len() > DIGITS {
        buffer = [0; LONGEST + 16];
        shortened(text, &mut buffer)
    } else {
        None
    };
    match short.unwrap_or(text).parse::<f64>() {
        Ok(value) if range.contains(&value) && value.is_finite() => Ok(value),
        Ok(value) if value.is_nan() => Err("is not a number: NaN cannot be scored".to_owned()),
        Ok(value) if value.is_infinite() => Err("is not finite, or too large for a 64-bit float".to_owned()),
        Ok(_) => Err(format!("is not between {} and {}", range.start(), range.end())),
        Err(_) => Err("is not a number; write it like 0.25 or 2.5e-1".to_owned()),
    }
}

/// A decimal number without the digits after its 19th significant one, in `buffer`; nothing for a text that has no more or
/// is no such number.
fn shortened<'b>(text: &str, buffer: &'b mut [u8; LONGEST + 16]) -> Option<&'b str> {
    let (mut kept, mut cut, mut point, mut dropped_before_point) = (0, None, None, 0_i32);
    let mut end = text.len();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if kept == DIGITS => {
                cut = cut.or(Some(at));
                dropped_before_point += i32::from(point.is_none());
            }
            b'0' if kept == 0 => {}
            b'0'..=b'9' => kept += 1,
            b'.' if point.is_none() => point = Some(at),
            b'+' | b'-' if at == 0 => {}
            b'e' | b'E' => {
                end = at;
                break;
            }
            _ => return None,
        }
    }
    let mut cut = cut?;
    // Nineteen digits and then the point: cut before that.
    if point.is_some_and(|point| point + 1 == cut) {
        cut -= 1;
    }
    let exponent = text.get(end..).unwrap_or_default();
    buffer.get_mut(..cut)?.copy_from_slice(text.as_bytes().get(..cut)?);
    let mut length = cut;
    if dropped_before_point == 0 {
        buffer.get_mut(length..length + exponent.len())?.copy_from_slice(exponent.as_bytes());
        length += exponent.len();
    } else {
        let exponent = exponent.get(1..).map_or(Ok(0), str::parse::<i32>).ok()?;
        let power = exponent.checked_add(dropped_before_point)?;
        let sign: &[u8] = if power < 0 { b"e-" } else { b"e+" };
        buffer.get_mut(length..length + 2)?.copy_from_slice(sign);
        length += 2;
        let mut unit = 1_000_000_000;
        while unit > 0 {
            *buffer.get_mut(length)? = b'0' + (power.unsigned_abs() / unit % 10) as u8;
            length += 1;
            unit /= 10;
        }
    }
    str::from_utf8(buffer.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: RangeInclusive<f64> = f64::MIN..=f64::MAX;

    #[test]
    fn long_numbers_keep_their_value() {
        for text in [
            "0.50000000000000005551115123125782702118158340454101562",
            "-123456789012345678901234567890",
            "+000000000000000000000000000001.5",
            "0.00000000000000000000000000000012345678901234567890123e-5",
            "1000000000000000000000000.00000000000e3",
            "2.2250738585072011360574097967091319759e-308",
            "0.000000000000000000000000000000000000000",
        ] {
            let (found, exact) = (number(text, &ALL).unwrap(), text.parse::<f64>().unwrap());
            assert!((found - exact).abs() <= exact.abs() * f64::EPSILON + f64::from_bits(1), "{text}: {found} {exact}");
        }
        let mut buffer = [0; LONGEST + 16];
        assert_eq!(shortened("0.1234567890123456789", &mut buffer), None);
        assert_eq!(shortened("1234567890123456789.123", &mut buffer), Some("1234567890123456789"));
        assert_eq!(shortened("-12345678901234567891.5e-2", &mut buffer), Some("-1234567890123456789e-0000000001"));
        for text in
            ["1.2.34567890123456789012", "12345678901234567890123x", "....................", "e12345678901234567890"]
        {
            assert!(number(text, &ALL).is_err(), "{text}");
        }
        assert!(number(&"9".repeat(65), &ALL).unwrap_err().contains("longer than 64"));
    }

    proptest! {
        #[test]
        fn numbers_read_as_the_standard_library_reads_them(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            for text in [format!("{value:?}"), format!("{value:e}"), format!("{value:.16e}")] {
                prop_assert_eq!(number(&text, &ALL).unwrap().to_bits(), value.to_bits());
            }
        }

        #[test]
        fn long_ones_nearly_do(text in "-?[0-9]{0,28}[1-9]\\.[0-9]{0,28}(e-?[0-9]{1,2})?") {
            let (found, exact) = (number(&text, &ALL).unwrap(), text.parse::<f64>().unwrap());
            prop_assert!((found - exact).abs() <= exact.abs() * f64::EPSILON, "{text}: {found} {exact}");
        }
    }
}
