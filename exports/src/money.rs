//! How an amount of money is written: ISO 4217 says how many decimals a currency has.

/// How many decimals an amount in `currency` has (ISO 4217, "minor unit"): 2 unless the standard says otherwise.
#[must_use]
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `minor` units of `currency` as a decimal number: `1250` of `EUR` is `12.50`, of `JPY` `1250`, of `KWD` `1.250`.
#[must_use]
pub fn amount(minor: i64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let sign = if minor < 0 { "-" } else { "" };
    let units = minor.unsigned_abs();
    if digits == 0 {
        return format!("{sign}{units}");
    }
    let one = 10_u64.pow(digits);
    format!("{sign}{}.{:0width$}", units / one, units % one, width = digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor, currency, shown) in [
            (1250, "EUR", "12.50"),
            (5, "EUR", "0.05"),
            (-5, "USD", "-0.05"),
            (0, "GBP", "0.00"),
            (1250, "JPY", "1250"),
            (1250, "KWD", "1.250"),
            (1250, "CLF", "0.1250"),
            (i64::MIN, "EUR", "-92233720368547758.08"),
        ] {
            assert_eq!(amount(minor, currency), shown);
        }
    }
}
