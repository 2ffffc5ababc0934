//! Threads that share the parts of an operation.

use rayon::prelude::*;
use std::sync::Mutex;

/// Does `work` on every part. Parts are taken in order by the threads of the caller's pool.
pub(crate) fn share<P: Send>(parts: Vec<P>, work: impl Fn(P) + Sync) {
    if parts.len() < 2 || rayon::current_num_threads() < 2 {
        parts.into_iter().for_each(work);
        return;
    }
    let threads = rayon::current_num_threads().min(parts.len());
    let parts = Mutex::new(parts.into_iter());
    let next = || parts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    (0..threads).into_par_iter().for_each(|_| {
        while let Some(part) = next() {
            work(part);
        }
    });
}
