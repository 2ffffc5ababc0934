//! Xet: large files in chunks, several at once, from the hub's content-addressed storage.
//!
//! `hf-hub` 1.0.0 streams a file in this way only if the hub does not redirect to another server, and it does
//! (<https://github.com/huggingface/hf-hub/issues/208>). So this asks `hf-xet`, which `hf-hub` is built on, for a range of
//! the file: what comes is kept, continued and verified as any other content. It has its own tries and waits.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use xet::error::XetError;
use xet::xet_session::{XetConfig, XetDownloadStream, XetFileInfo, XetSession, XetSessionBuilder};

use super::client::Client;
use super::remote::{Remote, RemoteFile};

impl Client<'_> {
    /// Created for the first file: it has threads of its own. What it keeps of shards is beside the cache.
    fn xet(&self) -> Result<&XetSession, XetError> {
        if let Some(session) = self.xet.get() {
            return Ok(session);
        }
        let mut config = XetConfig::new();
        // A report on every transfer, to the storage: nobody asked for it.
        config.telemetry.enabled = false;
        let session = XetSessionBuilder::new_with_config(config);
        let session = session.with_cache_dir(self.hf.cache_dir().with_file_name("xet")).build()?;
        Ok(self.xet.get_or_init(|| session))
    }
}

impl Remote<'_> {
    /// The content of a file with this hash of Xet, from `offset` on.
    pub(crate) fn open_xet(
        &self,
        hash: &str,
        file: &RemoteFile<'_>,
        offset: u64,
    ) -> Result<XetDownloadStream, XetError> {
        let token =
            self.client.hub.token.iter().map(|token| HeaderValue::from_str(&format!("Bearer {}", token.as_str())));
        let headers: HeaderMap = token.flatten().map(|header| (AUTHORIZATION, header)).collect();
        // The hub says where the storage is, and gives a token for it.
        let access = self.api(["xet-read-token", file.commit]);
        let group = self.client.xet()?.new_download_stream_group()?;
        let group = group.with_token_refresh_url(access, headers).build_blocking()?;
        let range = (offset > 0).then_some(offset..file.size);
        group.download_stream_blocking(XetFileInfo::new(hash.into(), file.size), range)
    }
}
