//! Timeouts, and which requests are tried again.

use std::time::Duration;

use crate::HubError;
use crate::event::{Event, Progress};

/// The longest wait between two tries, whatever the server asks for.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Timeouts and the number of tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Limit for a connection, including the lookup of the host's address.
    pub connect_timeout: Duration,
    /// Limit for how long the server may send nothing.
    pub read_timeout: Duration,
    /// Number of tries of a request. A transfer that gets further than before starts to count anew.
    pub tries: u32,
    /// Wait before the second try; it doubles with each further one. A longer `Retry-After` is respected, up to a minute.
    pub retry_delay: Duration,
    /// Whether the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are used.
    pub proxy_variables: bool,
}

impl Default for Network {
    /// 10 and 30 seconds, 4 tries, waits of 0.5, 1 and 2 seconds, no proxy.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            tries: 4,
            retry_delay: Duration::from_millis(500),
            proxy_variables: false,
        }
    }
}

impl Network {
    /// Calls `ask` until it succeeds, fails for good, or has failed too often.
    pub(crate) fn retry<T>(
        &self,
        progress: &mut Progress<'_>,
        mut ask: impl FnMut(&mut Progress<'_>) -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            match ask(progress) {
                Ok(value) => return Ok(value),
                Err(error) => self.wait_after(error, &mut failures, progress)?,
            }
        }
    }

    /// Waits before the next try, or returns the error if there is none.
    pub(crate) fn wait_after(
        &self,
        error: HubError,
        failures: &mut u32,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        *failures += 1;
        if !error.is_transient() || *failures >= self.tries {
            return Err(error);
        }
        let asked_for = match &error {
            HubError::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let doubled = self.retry_delay.saturating_mul(2_u32.saturating_pow(*failures - 1));
        let delay = doubled.max(asked_for).min(MAX_DELAY);
        progress(Event::Retrying { error: &error, delay });
        std::thread::sleep(delay);
        Ok(())
    }
}
