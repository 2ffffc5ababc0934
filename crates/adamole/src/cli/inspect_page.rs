//! An HTML page of an inspection, without external files.

use super::inspect::{Cell, Inspection, Token};
use adamole_chart::{document, escaped, shade};

const STYLE: &str = "table{border-collapse:collapse}\
    th{font-weight:normal;color:#555;padding:0 4px}td{text-align:center;min-width:1.6em;padding:2px}\
    td:first-child{text-align:right;font-family:monospace;white-space:pre;padding-right:.6em}\
    .key span{display:inline-block;padding:2px 8px}";

/// The page as HTML.
pub(super) fn page(inspection: &Inspection) -> String {
    let Inspection { layers, experts, tokens } = inspection;
    let heading: String = layers.iter().map(|layer| format!("<th>{layer}</th>")).collect();
    let rows: String = tokens.iter().map(|token| row(token, layers, *experts)).collect();
    let key: String =
        (0..=*experts).map(|count| format!("<span {}>{count}</span>", colours(count as f64, *experts))).collect();
    let body = format!(
        "<p>Active experts of each token in each layer, out of {experts}: the mean over the layer's adapted linears. \
         Rest the pointer on a cell for more.</p>\n<p class=\"key\">{key}</p>\n<table>\n\
         <tr><th>layer</th>{heading}</tr>\n{rows}</table>\n"
    );
    document("Experts per token", STYLE, &body)
}

fn row(token: &Token, layers: &[usize], experts: usize) -> String {
    let cells: String = token.layers.iter().zip(layers).map(|(found, layer)| cell(found, *layer, experts)).collect();
    format!("<tr><td>{}</td>{cells}</tr>\n", escaped(&token.token))
}

fn cell(cell: &Cell, layer: usize, experts: usize) -> String {
    let linears = cell.linears.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    let threshold = cell.threshold.map(|threshold| format!("; threshold {threshold:.3}")).unwrap_or_default();
    let title = escaped(&format!("layer {layer}: {linears}{threshold}"));
    format!("<td {} title=\"{title}\">{:.1}</td>", colours(cell.active, experts), cell.active)
}

/// Background and ink for a number of experts.
fn colours(active: f64, experts: usize) -> String {
    let (background, ink) = shade(active / experts.max(1) as f64);
    format!("style=\"background:{background};color:{ink}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_every_token_and_nothing_of_it_as_markup() {
        let cell = Cell { active: 8.0, threshold: Some(0.0625), linears: vec![("q_proj".into(), 8)] };
        let tokens = vec![Token { token: "<s>\"&".into(), layers: vec![cell] }];
        let page = page(&Inspection { layers: vec![3], experts: 8, tokens });
        assert!(page.contains("<td>&lt;s&gt;&quot;&amp;</td>"), "{page}");
        assert!(page.contains("title=\"layer 3: q_proj 8; threshold 0.062\">8.0</td>"), "{page}");
        assert!(page.contains("background:#fee838;color:#000"), "{page}");
        assert!(!page.contains("http"), "the page stands alone");
    }
}
