//! Texts as the other ends take them: not too long, in one line, and without what they would read as orders.

/// At most `most` bytes, cut at a character.
pub fn cut_bytes(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// At most `most` bytes, and a sign where something is missing.
pub fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let sign = "…";
    format!("{}{sign}", cut_bytes(text, most.saturating_sub(sign.len())).trim_end())
}

/// At most `most` characters as UTF-16 counts them, and a sign where something is missing.
pub fn shorten_utf16(text: &str, most: usize) -> String {
    let mut left = most;
    for (at, c) in text.char_indices() {
        if c.len_utf16() <= left {
            left -= c.len_utf16();
            continue;
        }
        // One character has to go for the sign.
        let kept = text[..at].char_indices().next_back().map_or(0, |(last, _)| last);
        return format!("{}…", &text[..kept]);
    }
    text.to_owned()
}

/// One line: every run of spaces, line breaks and control characters is one space.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// The text with a backslash before each character that is an order in Markdown, so that it is shown as it is.
pub fn plain_markdown(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~`|<>[]()#@".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_says_so_and_is_whole_to_its_last_character() {
        assert_eq!(shorten("gateway", 7), "gateway");
        assert_eq!(shorten("gateway is down", 10), "gateway…");
        assert_eq!(shorten(&"ä".repeat(10), 10), "äää…");
        assert_eq!(shorten_utf16("gateway", 7), "gateway");
        assert_eq!(shorten_utf16("gateways", 7), "gatewa…");
        assert_eq!(shorten_utf16("😀😀😀", 4), "😀…");
        assert_eq!(one_line(" a\r\nb\u{1b}[31m\t c "), "a b [31m c");
        assert_eq!(plain_markdown("core_1 *x*"), "core\\_1 \\*x\\*");
    }

    proptest! {
        #[test]
        fn no_text_is_too_long_whatever_it_is(text in "\\PC{0,60}", most in 3_usize..40) {
            prop_assert!(shorten(&text, most).len() <= most);
            prop_assert!(shorten_utf16(&text, most).encode_utf16().count() <= most);
            prop_assert!(cut_bytes(&text, most).len() <= most);
            prop_assert!(!one_line(&text).contains(['\n', '\r']));
        }
    }
}
