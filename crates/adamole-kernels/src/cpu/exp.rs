//! The exponential function without branches, which the compiler vectorises.

/// `e^x` within two units in the last place; 0 below -87.3, where float32 has no normal numbers, and infinite above 88.7.
///
/// `e^x = 2^n e^r` with n the integer nearest to `x / ln 2`, and a polynomial for `e^r` (Cephes).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let scaled = x.clamp(-87.336_54, 88.722_83) * std::f32::consts::LOG2_E + ROUND;
    let n = scaled - ROUND;
    let clamped = x.clamp(-87.336_54, 88.722_83);
    // ln 2 in two parts, so that the product with n is exact.
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // 2^n as two factors: n reaches 128, beyond the exponent of one float.
    let half = |bits: i32| f32::from_bits(((bits + 127) << 23) as u32);
    let n = scaled.to_bits() as i32 - ROUND.to_bits() as i32;
    let y = y * half(n >> 1) * half(n - (n >> 1));
    if x < -87.336_54 { 0.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_equal_the_exponential_function() {
        for i in -880_000..=880_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let found = f64::from(exp(x));
            if x >= -87.0 {
                assert!((found / expected - 1.0).abs() < 2.5e-7, "exp({x}) is {found}, expected {expected}");
            }
        }
        assert_eq!((exp(f32::MIN), exp(f32::NEG_INFINITY), exp(-88.0), exp(0.0)), (0.0, 0.0, 0.0, 1.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
