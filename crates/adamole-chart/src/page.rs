//! Self-contained HTML pages.

/// The colours of shares from 0 to 1: cividis (Nunez, Anderton and Renslow, 2018), which looks alike with and without colour blindness.
const RAMP: [(u8, u8, u8); 6] =
    [(0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56)];

/// Colours that are distinguishable with any kind of colour blindness (Okabe and Ito, 2008), without the yellow, which is too light on
/// white.
pub(crate) const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// A page with this title and content. `style` is added to the style of all pages.
pub fn document(title: &str, style: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:14px system-ui,sans-serif;margin:2em}}{style}</style></head><body>\n<h1>{title}</h1>\n\
         {body}</body></html>\n",
        title = escaped(title),
    )
}

/// The background and text colour for a share in `[0, 1]`.
pub fn shade(share: f64) -> (String, &'static str) {
    let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let (low, rest) = (place as usize, place.fract());
    let (from, to) = (RAMP[low], RAMP[(low + 1).min(RAMP.len() - 1)]);
    let mix = |from: u8, to: u8| (f64::from(from) * (1.0 - rest) + f64::from(to) * rest).round() as u8;
    let (red, green, blue) = (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2));
    (format!("#{red:02x}{green:02x}{blue:02x}"), if place > 2.5 { "#000" } else { "#fff" })
}

/// The text with its markup characters escaped.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
