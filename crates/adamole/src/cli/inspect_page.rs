//! An HTML page of an inspection, without external files.

use super::{
    inspect::{Cell, Inspection, Token},
    routing_facts::Facts,
};
use adamole_chart::{Scale, document, escaped, facts};

const STYLE: &str = ".text{font-size:1.25em;line-height:2;white-space:pre-wrap;overflow-wrap:anywhere}\
    .text span{padding:.15em 0;border-radius:.15em}table{border-collapse:collapse}th{font-weight:normal;padding:0 4px}\
    td{text-align:center;min-width:1.6em;padding:2px 3px;font-size:12px}\
    td:first-child,th:first-child{position:sticky;left:0;background:Canvas;text-align:right;padding-right:.6em}\
    td:first-child{font-family:monospace;font-size:13px;white-space:pre}";

/// The share of numbers at either end that may be unlike all others: models treat the first token of a text in another way.
const UNLIKE: f64 = 0.04;

/// The page as HTML: the facts, the text with colours, and its tokens by layers.
pub(super) fn page(inspection: &Inspection, about: &Facts) -> String {
    let Inspection { layers, experts, tokens } = inspection;
    let cells = tokens.iter().flat_map(|token| &token.layers).map(|cell| cell.active);
    let (of_tokens, of_cells) = (Scale::of_most(tokens.iter().map(Token::mean), UNLIKE), Scale::of_most(cells, UNLIKE));
    let words: String = words(tokens).iter().map(|word| span(word, of_tokens)).collect();
    let heading: String = layers.iter().map(|layer| format!("<th>{layer}</th>")).collect();
    let rows: String = tokens.iter().map(|token| row(token, layers, of_cells)).collect();
    let body = format!(
        "{}<h2>The text</h2>\n{}<p class=\"text\">{words}</p>\n<h2>Its tokens, layer by layer</h2>\n\
         <p>Active experts of each token in each layer, out of {experts}: the mean over the layer's adapted linears. Rest \
         the pointer on a cell for more.</p>\n{}<div class=\"wide\"><table>\n<tr><th>layer</th>{heading}</tr>\n{rows}\
         </table></div>\n",
        facts(about),
        of_tokens.legend("Active experts of a token, the mean over all layers", two_digits),
        of_cells.legend("Active experts in a layer", two_digits),
    );
    document("Experts per token", STYLE, &body)
}

fn two_digits(number: f64) -> String {
    format!("{number:.2}")
}

/// The tokens of each piece of text: several where they make up one character.
fn words(tokens: &[Token]) -> Vec<&[Token]> {
    tokens.chunk_by(|_, next| next.text.part.0 > 1).collect()
}

/// A piece of the text, with the number of its active experts as its colour.
fn span(word: &[Token], scale: Scale) -> String {
    let mean = word.iter().map(Token::mean).sum::<f64>() / word.len().max(1) as f64;
    let (background, ink) = scale.colours(mean);
    let text = word.first().map_or("", |token| &token.text.text);
    // The colour of a line's end is at that end.
    let shown = escaped(text).replace('\n', "\u{21b5}\n");
    let title = format!("{mean:.2} active experts");
    format!("<span style=\"background:{background};color:{ink}\" title=\"{title}\">{shown}</span>")
}

fn row(token: &Token, layers: &[usize], scale: Scale) -> String {
    let cells: String = token.layers.iter().zip(layers).map(|(found, layer)| cell(found, *layer, scale)).collect();
    format!("<tr><td>{}</td>{cells}</tr>\n", escaped(&token.text.label()))
}

fn cell(cell: &Cell, layer: usize, scale: Scale) -> String {
    let linears = cell.linears.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    let threshold = cell.threshold.map(|threshold| format!("; threshold {threshold:.3}")).unwrap_or_default();
    let title = escaped(&format!("layer {layer}: {linears}{threshold}"));
    let (background, ink) = scale.colours(cell.active);
    format!("<td style=\"background:{background};color:{ink}\" title=\"{title}\">{:.1}</td>", cell.active)
}

#[cfg(test)]
mod tests {
    use super::{super::token_texts::TokenText, *};

    fn token(text: &str, part: (usize, usize), active: f64) -> Token {
        let cell = Cell { active, threshold: Some(0.0625), linears: vec![("q_proj".into(), active as usize)] };
        Token { token: "\u{120}piece".into(), text: TokenText { text: text.into(), part }, layers: vec![cell] }
    }

    #[test]
    fn a_page_holds_every_token_and_nothing_of_it_as_markup() {
        let tokens = vec![token("<s>\"&", (1, 1), 8.0), token(" lamp", (1, 1), 2.0)];
        let about = vec![("Base model", "a<b".to_owned())];
        let page = page(&Inspection { layers: vec![3], experts: 8, tokens }, &about);
        assert!(page.contains("<dt>Base model</dt><dd>a&lt;b</dd>"), "{page}");
        assert!(page.contains("<td>&lt;s&gt;&quot;&amp;</td>") && page.contains("<td> lamp</td>"), "{page}");
        assert!(page.contains("title=\"layer 3: q_proj 8; threshold 0.062\">8.0</td>"), "{page}");
        // From the lowest number to the highest, whatever they are.
        assert_eq!((page.matches("background:#fee838;color:#000").count(), page.matches("#00224e").count()), (2, 2));
        assert!(!page.contains("http") && !page.contains('\u{120}'), "the page stands alone, without vocabulary signs");
    }

    #[test]
    fn the_tokens_of_a_character_are_one_piece_of_the_text() {
        let tokens = vec![token("a", (1, 1), 1.0), token("\u{4e16}", (1, 2), 2.0), token("\u{4e16}", (2, 2), 4.0)];
        let page = page(&Inspection { layers: vec![0], experts: 8, tokens }, &Facts::new());
        assert_eq!(page.matches("\u{4e16}</span>").count(), 1, "{page}");
        assert!(page.contains("title=\"3.00 active experts\">\u{4e16}<"), "{page}");
        assert!(page.contains("<td>\u{4e16} 2/2</td>"), "{page}");
    }
}
