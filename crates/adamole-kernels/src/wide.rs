//! Functions that are compiled for the widest vectors of the processor.

/// How wide the vectors of the processor are.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512.
    V4,
    /// AVX2.
    V3,
    /// What every processor has.
    Least,
}

#[cfg(target_arch = "x86_64")]
impl Level {
    #[inline]
    pub(crate) fn of_processor() -> Self {
        let has_v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let has_v4 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (has_v3, has_v4) {
            (true, true) => Self::V4,
            (true, false) => Self::V3,
            _ => Self::Least,
        }
    }
}

/// Defines functions whose loops are compiled once for each width of vectors, and which take the widest of the processor. The
/// results do not depend on it.
///
/// The whole body is compiled so, with what is inlined into it. A closure that is handed to another function is not: it would
/// be compiled for every processor, whatever calls it.
macro_rules! wide {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn v4($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }

                #[target_feature(enable = "avx2,fma")]
                fn v3($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }

                match $crate::wide::Level::of_processor() {
                    // SAFETY: the processor has these instructions.
                    $crate::wide::Level::V4 => unsafe { v4($($argument),*) },
                    // SAFETY: the same.
                    $crate::wide::Level::V3 => unsafe { v3($($argument),*) },
                    $crate::wide::Level::Least => plain($($argument),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            plain($($argument),*)
        }
    )*};
}

pub(crate) use wide;
