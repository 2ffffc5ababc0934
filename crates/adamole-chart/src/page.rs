//! Self-contained HTML pages.

/// Colours that are distinguishable with any kind of colour blindness (Okabe and Ito, 2008), on white and on black: without
/// the yellow, which is too light on white, and with grey in place of black.
pub(crate) const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888"];

/// The style of all pages: light or dark as the reader has it. What is wider than the page scrolls by itself.
const STYLE: &str = ":root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;max-width:80em;\
    margin:2em auto;padding:0 1em}.wide{overflow-x:auto}svg{display:block;max-width:100%;height:auto}\
    .wide svg{min-width:40em}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1.2em}\
    dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
    .scale span{display:inline-block;width:12em;max-width:40vw;height:1em;vertical-align:-.15em;margin:0 .3em}";

/// A page with this title and content. `style` is added to the style of all pages.
pub fn document(title: &str, style: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}{style}</style></head><body>\n<h1>{title}</h1>\n{body}</body></html>\n",
        title = escaped(title),
    )
}

/// Names and what they stand for, as a list in HTML.
pub fn facts(facts: &[(&str, String)]) -> String {
    let fact = |(name, value): &(&str, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    format!("<dl>\n{}</dl>\n", facts.iter().map(fact).collect::<String>())
}

/// The text with its markup characters escaped.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_fact_is_markup() {
        assert_eq!(facts(&[("a", "<b>".into())]), "<dl>\n<dt>a</dt><dd>&lt;b&gt;</dd>\n</dl>\n");
    }
}
