//! What is tried again, and when.

use std::time::Duration;

use crate::event::{Event, Progress};
use crate::{HubError, Network};

/// The longest wait between two tries, whatever the server asks for.
const MAX_DELAY: Duration = Duration::from_secs(60);

impl Network {
    /// Does `ask` until it succeeds, fails for good, or has failed too often.
    ///
    /// `hf-hub` would try again by itself, but without a word to whoever waits, and without heed of `Retry-After`.
    pub(crate) fn retry<T>(
        &self,
        progress: &mut Progress<'_>,
        mut ask: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut tries = self.tries();
        loop {
            match ask() {
                Ok(value) => return Ok(value),
                Err(error) => tries.again(error, progress)?,
            }
        }
    }

    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries { network: self, failures: 0 }
    }
}

/// The tries of one request.
pub(crate) struct Tries<'a> {
    network: &'a Network,
    failures: u32,
}

impl Tries<'_> {
    /// Waits, if it makes sense to try again after this error; else gives it back.
    pub(crate) fn again(&mut self, error: HubError, progress: &mut Progress<'_>) -> Result<(), HubError> {
        self.failures += 1;
        if !error.is_transient() || self.failures >= self.network.tries {
            return Err(error);
        }
        let doubled = 2_u32.saturating_pow(self.failures - 1);
        let asked_for = match &error {
            HubError::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let delay = self.network.retry_delay.saturating_mul(doubled).max(asked_for).min(MAX_DELAY);
        progress(Event::Retrying { error: &error, delay });
        std::thread::sleep(delay);
        Ok(())
    }

    /// Forgets the failures, because something was achieved.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}
