//! Numbers as block characters.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One block for each value, as high as it stands between the lowest and the highest.
pub(super) fn sparkline(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|value| block(if high > low { (value - low) / (high - low) } else { 0.5 })).collect()
}

/// One block for each share in a whole: half high where all are even, full from twice as much on.
pub(super) fn load(shares: &[f64]) -> String {
    shares.iter().map(|share| block(share * shares.len() as f64 / 2.0)).collect()
}

/// The block of this height in `[0, 1]`.
fn block(height: f64) -> char {
    let top = (BLOCKS.len() - 1) as f64;
    // Not a number is the lowest.
    BLOCKS[(height.clamp(0.0, 1.0) * top) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_high_as_the_values() {
        assert_eq!(sparkline(&[0.0, 1.0, 3.5, 7.0]), "▁▂▄█");
        assert_eq!((sparkline(&[2.0, 2.0]), sparkline(&[])), ("▄▄".into(), String::new()));
        assert_eq!((load(&[0.25; 4]), load(&[1.0, 0.0])), ("▄▄▄▄".into(), "█▁".into()));
        assert_eq!(block(f64::NAN), '▁');
    }
}
