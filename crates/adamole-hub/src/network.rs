//! How patient the crate is with a network.

use std::time::Duration;

/// How patient the crate is with a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// How long a connection may take to be made, the search for its host's address included.
    pub connect_timeout: Duration,
    /// How long the server may send nothing.
    pub read_timeout: Duration,
    /// How often a request is tried in all. A transfer that got further than ever before starts to count anew.
    pub tries: u32,
    /// The wait before the second try; it doubles with each further one. A server that asks for a longer wait gets
    /// it, up to a minute.
    pub retry_delay: Duration,
    /// Whether the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded.
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
