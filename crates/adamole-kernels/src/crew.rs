//! Threads that help with work too short to wake a thread for: after a piece of work they look out for the next one for a
//! moment before they sleep. While a token is decoded, hundreds of operations follow one another within microseconds.

use std::{
    any::Any,
    hint,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicPtr, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long a helper looks out for work. Waking it would take a good part of that.
const LOOKOUT: Duration = Duration::from_micros(100);

/// As many helpers as there are other cores.
static CREW: LazyLock<Vec<Helper>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // Where threads cannot be had the caller does the work alone.
    (1..cores).map_while(|_| Helper::start()).collect()
});

/// What a caller shares with its helpers for as long as [`with_helpers`] runs.
struct Work<'a> {
    run: &'a (dyn Fn() + Sync),
    /// Helpers that have begun, or may still do so.
    outstanding: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Helper {
    thread: Thread,
    slot: Arc<Slot>,
}

/// The work that a helper is to do next; null where it is free, [`BUSY`] from when it begins until it is free again.
type Slot = AtomicPtr<Work<'static>>;

/// No work lies at this address.
const BUSY: *mut Work<'static> = ptr::without_provenance_mut(1);

/// Calls `run` here and on at most so many helpers at the same time.
pub(crate) fn with_helpers(most: usize, run: &(dyn Fn() + Sync)) {
    let work = Work { run, outstanding: AtomicUsize::new(0), panic: Mutex::new(None) };
    let place = ptr::from_ref(&work).cast::<Work<'static>>().cast_mut();
    let taken: Vec<&Helper> =
        CREW.iter().filter(|helper| helper.is_taken(place, &work.outstanding)).take(most).collect();
    let own = catch_unwind(AssertUnwindSafe(run));
    for helper in taken {
        // One that has not begun is not waited for.
        if helper.slot.compare_exchange(place, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            work.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
    while work.outstanding.load(Ordering::Acquire) > 0 {
        hint::spin_loop();
    }
    let panic = work.panic.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(panic) = own.err().or(panic) {
        resume_unwind(panic);
    }
}

impl Helper {
    fn start() -> Option<Self> {
        let slot = Arc::new(Slot::default());
        let looked_at = slot.clone();
        let thread = thread::Builder::new().name("helper".to_owned()).spawn(move || help(&looked_at)).ok()?;
        Some(Self { thread: thread.thread().clone(), slot })
    }

    /// Puts the work before the helper, if it is free.
    fn is_taken(&self, work: *mut Work<'static>, outstanding: &AtomicUsize) -> bool {
        outstanding.fetch_add(1, Ordering::Relaxed);
        let free = self.slot.compare_exchange(ptr::null_mut(), work, Ordering::Release, Ordering::Relaxed).is_ok();
        if free {
            self.thread.unpark();
        } else {
            outstanding.fetch_sub(1, Ordering::Relaxed);
        }
        free
    }
}

/// What a helper does all its life.
fn help(slot: &Slot) {
    let mut since = Instant::now();
    loop {
        let place = slot.load(Ordering::Relaxed);
        if place.is_null() {
            match since.elapsed() < LOOKOUT {
                true => (0..16).for_each(|_| hint::spin_loop()),
                false => {
                    thread::park();
                    since = Instant::now();
                }
            }
        } else if slot.compare_exchange(place, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            // SAFETY: the caller leaves `with_helpers`, and with it the place of the work, only once `outstanding` is 0. It
            // counts this helper, which has taken the work out of its slot, until the last line here that touches the work.
            let work = unsafe { &*place };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work.run)) {
                *work.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(panic);
            }
            work.outstanding.fetch_sub(1, Ordering::Release);
            slot.store(ptr::null_mut(), Ordering::Release);
            since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn work_is_done_once_by_each_and_is_over_afterwards() {
        for round in 0..2000 {
            let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
            with_helpers(round % 4, &|| {
                begun.fetch_add(1, Ordering::Relaxed);
                (0..round % 50).for_each(|_| hint::spin_loop());
                ended.fetch_add(1, Ordering::Relaxed);
            });
            let (begun, ended) = (begun.into_inner(), ended.into_inner());
            assert_eq!(begun, ended);
            assert!((1..=1 + round % 4).contains(&begun), "{begun}");
        }
    }

    #[test]
    fn a_panic_of_a_helper_is_the_callers() {
        let caller = thread::current().id();
        let helped = AtomicBool::new(false);
        let caught = catch_unwind(|| {
            let until = Instant::now() + Duration::from_secs(5);
            with_helpers(1, &|| match thread::current().id() == caller {
                true => {
                    while !helped.load(Ordering::Relaxed) && Instant::now() < until {
                        hint::spin_loop()
                    }
                }
                false => {
                    helped.store(true, Ordering::Relaxed);
                    panic!("a helper's");
                }
            });
        });
        // On one core there is no helper.
        assert_eq!(caught.is_err(), helped.into_inner());
        // It is of use again.
        with_helpers(1, &|| ());
    }
}
