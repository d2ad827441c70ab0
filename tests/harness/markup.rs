//! A page as a browser reads it: its tags and their attributes, and what of them is none of ours.

/// A tag that begins: its name, and its attributes.
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// What stands between it and the next tag or its end.
    pub text: String,
}

impl Tag {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All tags of a page that begin, as a browser finds them.
pub fn tags(page: &str) -> Vec<Tag> {
    let mut all: Vec<Tag> = Vec::new();
    let (mut rest, mut is_open) = (page, false);
    while let Some(at) = rest.find('<') {
        if let Some(last) = all.last_mut().filter(|_| is_open) {
            last.text.push_str(&rest[..at]);
        }
        rest = &rest[at + 1..];
        is_open = !rest.starts_with('/');
        if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, behind) = tag(rest);
            all.push(tag);
            rest = behind;
        }
    }
    all
}

/// Reads a tag behind its `<`; what stands behind it.
fn tag(text: &str) -> (Tag, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(text.len());
    let mut tag = Tag { name: text[..end].to_lowercase(), attributes: Vec::new(), text: String::new() };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(behind) = rest.strip_prefix('>') {
            return (tag, behind);
        }
        let end =
            rest[1..].find(|c: char| c.is_whitespace() || "=>/".contains(c)).map_or(rest.len(), |at| at + 1);
        let name = rest[..end].to_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(behind) = rest.strip_prefix('=') {
            let behind = behind.trim_start();
            let quote = behind.chars().next().filter(|c| "\"'".contains(*c));
            let (from, ends): (&str, &dyn Fn(char) -> bool) = match &quote {
                Some(quote) => (&behind[1..], &move |c| c == *quote),
                None => (behind, &|c: char| c.is_whitespace() || c == '>'),
            };
            let end = from.find(ends).unwrap_or(from.len());
            value = &from[..end];
            rest = &from[end..];
            rest = if quote.is_some() { rest.get(1..).unwrap_or_default() } else { rest };
        }
        tag.attributes.push((name, decoded(value)));
    }
}

/// An attribute's value, with its characters for their names.
pub fn decoded(value: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    named.iter().fold(value.to_owned(), |text, (name, char)| text.replace(name, char))
}

/// What stands in a page or a drawing that we would never write.
pub fn foreign(page: &str) -> Vec<String> {
    let mut all = Vec::new();
    let tags = tags(page);
    for tag in &tags {
        let own = match tag.name.as_str() {
            "script" => {
                tag.get("src").is_some_and(|src| src.starts_with("/script.js?")) && tag.text.trim().is_empty()
            }
            "img" | "iframe" | "object" | "embed" | "base" | "xss" | "video" | "audio" => false,
            _ => true,
        };
        if !own {
            all.push(format!("<{}>", tag.name));
        }
        for (name, value) in &tag.attributes {
            // Browsers leave out what is not seen.
            let plain: String = value.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
            let plain = plain.to_lowercase();
            let leads = ["href", "src", "action", "formaction", "xlink:href"].contains(&name.as_str());
            let runs = ["javascript:", "data:", "vbscript:"].iter().any(|scheme| plain.starts_with(scheme));
            if name.starts_with("on") || name == "style" || name == "srcdoc" || (leads && runs) {
                all.push(format!("<{} {name}={value:?}>", tag.name));
            }
        }
    }
    all
}

#[test]
fn what_is_foreign_in_a_page_is_found() {
    for (page, is_foreign) in [
        ("<p class=\"a\">&lt;script&gt;alert(1)</p><a href=\"/devices/javascript:x\">x</a>", false),
        ("<script src=\"/script.js?1\" defer></script></head><p>text</p>", false),
        ("<script src=\"/script.js?1\">alert(1)</script>", true),
        ("<p><script>alert(1)</script>", true),
        ("<input value=\"\" onfocus=\"alert(1)\">", true),
        ("<input value=''onfocus=alert(1)>", true),
        ("<a href=\"java\nscript:alert(1)\">x</a>", true),
        ("<a href=' javascript:alert(1)'>x</a>", true),
        ("<IMG SRC=x>", true),
        ("<svg/onload=alert(1)>", true),
    ] {
        assert_eq!(!foreign(page).is_empty(), is_foreign, "{page}: {:?}", foreign(page));
    }
}
