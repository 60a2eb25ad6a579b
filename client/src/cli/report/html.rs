//! Text as HTML has it. Names of tables are foreign text: whatever comes from outside goes through
//! here.

use super::super::output::format::clean;

/// Text between tags and in quoted attributes. Marks that turn the direction of a text around are
/// shown as what they are.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in clean(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A table whose columns from `numbers` on are aligned to the right. The cells are text.
pub(super) fn table<const N: usize>(
    heading: [&str; N],
    numbers: std::ops::Range<usize>,
    rows: &[[String; N]],
) -> String {
    let row = |tag: &str, cells: Vec<String>| {
        let cells = cells.iter().enumerate().map(|(index, cell)| {
            let class = if numbers.contains(&index) { " class=\"number\"" } else { "" };
            format!("<{tag}{class}>{cell}</{tag}>")
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let head = row("th", heading.iter().map(|cell| escape(cell)).collect());
    let body: String = rows
        .iter()
        .map(|cells| row("td", cells.iter().map(|cell| escape(cell)).collect()))
        .collect();
    format!(
        "<div class=\"wide\"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )
}

/// Names and what they are.
pub(super) fn list(class: &str, items: &[(&str, String)]) -> String {
    let item = |(name, what): &(&str, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(what))
    };
    format!("<dl class=\"{class}\">\n{}</dl>\n", items.iter().map(item).collect::<String>())
}

/// A part of the page; nothing where it has no content.
pub(super) fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(title))
}

/// A paragraph of text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            escape("<script>alert('x')</script>&\"\n\u{202e}é"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\\n\\u{202e}é"
        );
        let made = table(["<a>", "n"], 1..2, &[["</td><b>".to_owned(), "7".to_owned()]]);
        assert!(made.contains("<th>&lt;a&gt;</th><th class=\"number\">n</th>"), "{made}");
        assert!(
            made.contains("<td>&lt;/td&gt;&lt;b&gt;</td><td class=\"number\">7</td>"),
            "{made}"
        );
        assert_eq!(section("t", ""), "");
    }
}
