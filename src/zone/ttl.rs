//! TTLs: seconds, or units as BIND has them (`1h30m`).

/// Highest TTL (RFC 2181 8).
pub(super) const TTL_MAX: u32 = i32::MAX as u32;

/// Seconds from text; nothing if it isn't a time, or over 2^32-1.
pub(super) fn parse_ttl(text: &[u8]) -> Option<u32> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for octet in text {
        if octet.is_ascii_digit() {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(octet - b'0'))?);
            continue;
        }
        let unit = match octet.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    u32::try_from(total.checked_add(number.unwrap_or(0))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units() {
        for (text, seconds) in
            [("0", 0), ("300", 300), ("1h30m", 5_400), ("1W", 604_800), ("2d4h", 187_200), ("1h5", 3_605)]
        {
            assert_eq!(parse_ttl(text.as_bytes()), Some(seconds), "{text}");
        }
        for text in ["", "h", "1x", "-1", "1hh", "99999999999", "A"] {
            assert_eq!(parse_ttl(text.as_bytes()), None, "{text}");
        }
    }
}
