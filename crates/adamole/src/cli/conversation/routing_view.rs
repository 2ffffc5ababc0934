//! The routing of an answer's tokens: their text in colours, or with numbers where there are none.

use adamole::llama::CausalLm;
use std::fmt::Write;

/// The colours of a terminal's palette of 256, from few active experts to many.
const COLOURS: [u8; 5] = [33, 37, 70, 178, 202];

/// A token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoutedToken {
    /// Its text; empty for a part of a character, which the token that completes it has.
    pub(super) text: String,
    /// The token as the vocabulary writes it.
    pub(super) name: String,
    /// Mean number of active experts over the routed linears.
    pub(super) active: f64,
}

/// The routed linears of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoutedLinears {
    pub(super) count: usize,
    /// The largest number of experts of one.
    pub(super) experts: usize,
}

impl RoutedLinears {
    /// Those of a model; `None` where nothing is routed.
    pub(super) fn of(model: &CausalLm) -> Option<Self> {
        let routed = model.routed();
        let experts = routed.iter().map(|(_, adapter, _)| adapter.config().num_experts()).max()?;
        Some(Self { count: routed.len(), experts })
    }
}

/// The tokens of an answer with their mean numbers of active experts, a legend where there are colours, and a summary.
pub(super) fn view(tokens: &[RoutedToken], linears: RoutedLinears, colours: bool) -> String {
    let values = || tokens.iter().map(|token| token.active);
    let (min, max) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if tokens.is_empty() {
        return "no tokens, no routing".into();
    }
    let mean = values().sum::<f64>() / tokens.len() as f64;
    let mut text = String::new();
    if colours {
        let width = (max - min) / COLOURS.len() as f64;
        let bin = |active: f64| match width > 0.0 {
            true => (((active - min) / width) as usize).min(COLOURS.len() - 1),
            false => 0,
        };
        let coloured = |bin: usize, text: &str| format!("\x1b[38;5;{}m{text}\x1b[0m", COLOURS[bin]);
        for token in tokens.iter().filter(|token| !token.text.is_empty()) {
            text += &coloured(bin(token.active), &token.text);
        }
        text.push('\n');
        let bins = if width > 0.0 { COLOURS.len() } else { 1 };
        for index in 0..bins {
            let from = min + index as f64 * width;
            let _ = write!(text, "{} {from:.2} to {:.2}  ", coloured(index, "■"), from + width);
        }
        text.truncate(text.trim_end().len());
    } else {
        let named: Vec<String> =
            tokens.iter().map(|token| format!("{} {:.2}", token.name.escape_debug(), token.active)).collect();
        text += &named.join("  ");
    }
    let RoutedLinears { count, experts } = linears;
    let _ = write!(
        text,
        "\nactive experts of {experts}, mean over {count} linears: mean {mean:.2}, min {min:.2}, max {max:.2}, {} tokens",
        tokens.len()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, name: &str, active: f64) -> RoutedToken {
        RoutedToken { text: text.into(), name: name.into(), active }
    }

    const LINEARS: RoutedLinears = RoutedLinears { count: 8, experts: 4 };

    #[test]
    fn tokens_have_colours_or_numbers() {
        let tokens = [token("Hi", "Hi", 1.0), token("", "ð", 1.5), token(" 😀", "ĠðŁ", 3.0)];
        let summary = "active experts of 4, mean over 8 linears: mean 1.83, min 1.00, max 3.00, 3 tokens";
        assert_eq!(view(&tokens, LINEARS, false), format!("Hi 1.00  ð 1.50  ĠðŁ 3.00\n{summary}"));
        let coloured = view(&tokens, LINEARS, true);
        let lines: Vec<&str> = coloured.lines().collect();
        assert_eq!(lines[0], "\x1b[38;5;33mHi\x1b[0m\x1b[38;5;202m 😀\x1b[0m");
        assert!(lines[1].starts_with("\x1b[38;5;33m■\x1b[0m 1.00 to 1.40  ") && lines[1].ends_with("2.60 to 3.00"));
        assert_eq!(lines[2], summary);
    }

    #[test]
    fn equal_tokens_have_one_colour_and_no_tokens_have_no_numbers() {
        let coloured = view(&[token("a", "a", 2.0), token("b", "b", 2.0)], LINEARS, true);
        assert_eq!(coloured.matches('■').count(), 1);
        assert!(!view(&[], LINEARS, true).contains("NaN"));
    }
}
