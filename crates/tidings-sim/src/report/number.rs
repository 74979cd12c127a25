//! Formatting of numbers for tables.

/// Formats a number with at least the given number of significant digits; digits before the point
/// are never rounded away.
///
/// ```
/// # use tidings_sim::report::significant;
/// assert_eq!(significant(0.012345, 3), "0.0123");
/// assert_eq!(significant(1234.56, 3), "1,235");
/// ```
pub fn significant(value: f64, digits: u32) -> String {
    if !value.is_finite() {
        return ABSENT.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    // The formatter also handles rounding up to the next power of ten.
    let scientific = format!("{value:.*e}", digits.max(1) as usize - 1);
    let (_, exponent) = scientific.split_once('e').expect("the `e` format has an exponent");
    let exponent: i32 = exponent.parse().expect("the `e` format has an exponent");
    let decimals = (digits.max(1) as i32 - 1 - exponent).max(0) as usize;
    group(&format!("{value:.decimals$}"))
}

/// Formats a whole number with commas: `12,345`.
pub fn count(value: u64) -> String {
    group(&value.to_string())
}

/// Formats seconds with three significant digits: `1.25 s`, `12.5 ms`.
pub fn seconds(value: f64) -> String {
    with_unit(value, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
}

/// Formats a number of bytes with three significant digits: `512 B`, `1.25 kB`; a kB is 1000 B.
pub fn bytes(value: f64) -> String {
    with_unit(value, &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")])
}

/// Formats a share in percent with three significant digits: 0.125 is `12.5%`.
///
/// Shares close to 1 get as many nines as are needed to distinguish them from 1: 0.99995 is
/// `99.995%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let missing = 1.0 - share;
    if !(missing > 0.0 && missing < 1e-3) {
        return format!("{}%", significant(percent, 3)).replace("—%", ABSENT);
    }
    let nines = (-missing.log10()).floor().clamp(0.0, 12.0) as usize;
    let shown = format!("{percent:.*}", nines - 1);
    format!("{}%", shown.trim_end_matches('0').trim_end_matches('.'))
}

/// Formats a ratio with three significant digits: `1.25×`.
pub fn ratio(value: f64) -> String {
    format!("{}×", significant(value, 3)).replace("—×", ABSENT)
}

/// Whether a cell belongs in a numeric column: empty, or a number followed by short words only,
/// such as units.
pub(super) fn looks_like_number(cell: &str) -> bool {
    let cell = cell.trim();
    if ["", "-", "–", ABSENT].contains(&cell) {
        return true;
    }
    let unsigned = cell.trim_start_matches(['+', '-', '−', '<', '>', '≤', '≥', '≈', '~', '±', ' ']);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned
            .split_whitespace()
            .all(|word| word.chars().count() <= 3 || word.contains(|c: char| c.is_ascii_digit()))
}

/// Placeholder for a missing number.
const ABSENT: &str = "—";

/// Uses the first unit in which the value is at least 1; units are in descending order.
fn with_unit(value: f64, units: &[(f64, &str)]) -> String {
    if !value.is_finite() {
        return ABSENT.into();
    }
    // Values that round up to a whole unit use it: 0.9996 ms, not 1000 µs.
    let fits = |&&(size, _): &&(f64, &str)| value.abs() >= size * 0.9995;
    let whole = units.iter().find(|(size, _)| *size == 1.0);
    let smallest = if value == 0.0 { whole } else { units.last() };
    let &(size, unit) = units.iter().find(fits).or(smallest).expect("there are units");
    format!("{} {unit}", significant(value / size, 3))
}

/// Inserts thousands separators.
fn group(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let digits = whole.trim_start_matches('-').len();
    let mut grouped = whole[..whole.len() - digits].to_owned();
    for (position, digit) in whole[whole.len() - digits..].chars().enumerate() {
        if position > 0 && (digits - position) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_significant_ones() {
        let cases =
            [(0.0, "0"), (9.996, "10.0"), (0.00012345, "0.000123"), (-1234567.8, "-1,234,568")];
        for (value, expected) in cases {
            assert_eq!(significant(value, 3), expected);
        }
        assert_eq!(significant(f64::NAN, 3), "—");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(999), "999");
    }

    #[test]
    fn units_follow_the_size() {
        let times = [0.0, 90.0, 1.25, 0.9996, 0.0125, 2e-6, 1e-12].map(seconds);
        assert_eq!(
            times,
            ["0 s", "90.0 s", "1.25 s", "1.00 s", "12.5 ms", "2.00 µs", "0.00100 ns"]
        );
        let sizes = [0.0, 512.0, 1250.0, 3.2e6].map(bytes);
        assert_eq!(sizes, ["0 B", "512 B", "1.25 kB", "3.20 MB"]);
        assert_eq!([1.25, 1234.0].map(ratio), ["1.25×", "1,234×"]);
        assert_eq!([seconds, bytes, percent, ratio].map(|format| format(f64::INFINITY)), ["—"; 4]);
    }

    #[test]
    fn nearly_all_is_not_all() {
        let shares = [0.0, 0.125, 0.5, 0.99, 0.99995, 0.999_999_9, 1.0, 1.5].map(percent);
        let expected = ["0%", "12.5%", "50.0%", "99.0%", "99.995%", "99.99999%", "100%", "150%"];
        assert_eq!(shares, expected);
    }

    #[test]
    fn numbers_with_units_look_like_numbers() {
        for cell in ["1", "-1.5 ms", "< 1%", "1,000", "12 of 100", "1.2 s (0.9–1.5)", "", "—"] {
            assert!(looks_like_number(cell), "{cell}");
        }
        for cell in ["lan", "3 members fail", "v1", "none"] {
            assert!(!looks_like_number(cell), "{cell}");
        }
    }
}
