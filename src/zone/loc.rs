//! LOC (RFC 1876): a place on earth. hickory-proto doesn't read it.

use super::fields::{Fields, RecordError, shown};
use super::scan::Token;

/// Thousandths of a second of arc at the equator and the prime meridian (RFC 1876 2).
const ORIGIN: u32 = 1 << 31;
/// Centimetres below the reference spheroid that altitude 0 stands for (RFC 1876 2).
const ALTITUDE_BASE_CM: i64 = 10_000_000;
/// Defaults of size, horizontal and vertical precision: 1 m, 10 km, 10 m (RFC 1876 3).
const PRECISIONS: [u8; 3] = [0x12, 0x16, 0x13];

pub(super) fn write(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let latitude = angle(fields, "a latitude", 90, [b"N", b"S"])?;
    let longitude = angle(fields, "a longitude", 180, [b"E", b"W"])?;
    let token = fields.next("an altitude")?;
    let altitude = centimetres(token.text)
        .and_then(|altitude| altitude.checked_add(ALTITUDE_BASE_CM))
        .and_then(|altitude| u32::try_from(altitude).ok())
        .ok_or_else(|| metres_error(token, "an altitude"))?;
    let mut precisions = PRECISIONS;
    for place in &mut precisions {
        let Some(token) = fields.peek() else { break };
        fields.next("a precision")?;
        *place = centimetres(token.text)
            .and_then(|length| u64::try_from(length).ok())
            .and_then(mantissa_and_exponent)
            .ok_or_else(|| metres_error(token, "a size or precision"))?;
    }
    out.push(0);
    out.extend(precisions);
    for number in [latitude, longitude, altitude] {
        out.extend(number.to_be_bytes());
    }
    Ok(())
}

/// RDATA as text; nothing for another version than 0, or what no text stands for.
pub(super) fn text(octets: [u8; 16]) -> Option<String> {
    let [0, size, horizontal, vertical, numbers @ ..] = octets else { return None };
    let (numbers, _) = numbers.as_chunks::<4>();
    let [latitude, longitude, altitude] = [0, 1, 2].map(|place| u32::from_be_bytes(numbers[place]));
    let latitude = angle_text(latitude, 90, ["N", "S"])?;
    let longitude = angle_text(longitude, 180, ["E", "W"])?;
    let altitude = i64::from(altitude) - ALTITUDE_BASE_CM;
    let mut text = format!("{latitude} {longitude} {}", metres(altitude.unsigned_abs(), altitude < 0));
    for precision in [size, horizontal, vertical] {
        let (mantissa, exponent) = (precision >> 4, precision & 15);
        if mantissa > 9 || exponent > 9 || mantissa == 0 && exponent > 0 {
            return None;
        }
        text += " ";
        text += &metres(u64::from(mantissa) * 10u64.pow(exponent.into()), false);
    }
    Some(text)
}

fn angle_text(angle: u32, degrees_max: u32, [positive, negative]: [&str; 2]) -> Option<String> {
    let thousandths = angle.abs_diff(ORIGIN);
    let side = if angle >= ORIGIN { positive } else { negative };
    let (seconds, fraction) = (thousandths / 1000, thousandths % 1000);
    (thousandths <= degrees_max * 3_600_000)
        .then(|| format!("{} {} {}.{fraction:03} {side}", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

fn metres(centimetres: u64, is_negative: bool) -> String {
    format!("{}{}.{:02}m", if is_negative { "-" } else { "" }, centimetres / 100, centimetres % 100)
}

/// `degrees [minutes [seconds]] hemisphere`.
fn angle(
    fields: &mut Fields<'_, '_>,
    what: &str,
    degrees_max: u32,
    hemispheres: [&[u8]; 2],
) -> Result<u32, RecordError> {
    let wrong = |token: Token<'_>| {
        RecordError::new(token.at, format!("{} isn't part of {what}", shown(token.text)))
            .help("write degrees, minutes, seconds and hemisphere: 25 2 30.5 N 121 33 54 E 9m")
    };
    let mut thousandths: u64 = 0;
    for (place, unit) in [3_600_000, 60_000, 1_000].into_iter().enumerate() {
        let token = fields.next(what)?;
        if let Some(side) = side(token, hemispheres).filter(|_| place > 0) {
            return signed(thousandths, side, degrees_max).ok_or_else(|| wrong(token));
        }
        let part = decimal(token.text, if place == 2 { 3 } else { 0 }).ok_or_else(|| wrong(token))?;
        let (value, limit) = match place {
            0 => (part, u64::from(degrees_max)),
            1 => (part, 59),
            _ => (part, 59_999),
        };
        if value > limit {
            return Err(wrong(token));
        }
        thousandths += if place == 2 { value } else { value * unit };
    }
    let token = fields.next(what)?;
    side(token, hemispheres)
        .and_then(|side| signed(thousandths, side, degrees_max))
        .ok_or_else(|| wrong(token))
}

/// 0 for north and east, 1 for south and west.
fn side(token: Token<'_>, hemispheres: [&[u8]; 2]) -> Option<usize> {
    hemispheres.iter().position(|name| token.text.eq_ignore_ascii_case(name))
}

fn signed(thousandths: u64, side: usize, degrees_max: u32) -> Option<u32> {
    let within = u32::try_from(thousandths).ok().filter(|all| *all <= degrees_max * 3_600_000)?;
    Some(if side == 0 { ORIGIN + within } else { ORIGIN - within })
}

/// Metres with up to two decimals, with or without `m`, as centimetres.
fn centimetres(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"m").unwrap_or(text);
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = i64::try_from(decimal(digits, 2)?).ok()?;
    Some(if negative { -value } else { value })
}

/// A decimal number in units of its last permitted decimal.
fn decimal(text: &[u8], decimals: usize) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

/// Centimetres as a digit and a power of ten, a nibble each (RFC 1876 2).
fn mantissa_and_exponent(centimetres: u64) -> Option<u8> {
    let mut mantissa = centimetres;
    let mut exponent = 0u8;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    (exponent <= 9).then_some((mantissa as u8) << 4 | exponent)
}

fn metres_error(token: Token<'_>, what: &str) -> RecordError {
    RecordError::new(token.at, format!("{} isn't {what}", shown(token.text)))
        .help("write metres with up to two decimals, as 9m or -12.50m")
}
