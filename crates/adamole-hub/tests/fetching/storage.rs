//! The storage of Xet.

use serde_json::json;

use super::{Answer, Request, Site, etag};

/// Files are cut into chunks of this size, and each file is one object of the storage.
pub(crate) const CHUNK: usize = 1 << 16;

const TOKEN: &str = "of-the-storage";

/// Whether this is asked of the storage.
pub(crate) fn is_asked(path: &str) -> bool {
    ["/v1/reconstructions/", "/v2/reconstructions/", "/xorb/"].iter().any(|start| path.starts_with(start))
}

/// Where the storage is, and a token for it.
pub(crate) fn access(port: u16) -> Answer {
    let storage = format!("http://localhost:{port}");
    Answer::new(200, json!({ "accessToken": TOKEN, "exp": u32::MAX, "casUrl": storage }).to_string())
}

pub(crate) fn answer(site: &Site, request: &Request, port: u16) -> Answer {
    let hash = request.path.rsplit('/').next().unwrap();
    let Some(content) = site.files.values().find(|content| etag(content) == hash) else { return Answer::new(404, "") };
    let chunks: Vec<&[u8]> = content.chunks(CHUNK).collect();
    if request.path.starts_with("/xorb/") {
        let object: Vec<u8> = chunks.iter().flat_map(|chunk| [&header(chunk)[..], chunk].concat()).collect();
        let (first, last) = request.range().unwrap();
        let last = last.min(object.len() - 1);
        return Answer::new(206, &object[first..=last]);
    }
    if request.path.starts_with("/v2/") || request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Answer::new(if request.path.starts_with("/v2/") { 404 } else { 401 }, "");
    }
    // The chunks that the wanted range lies in.
    let (first, last) = request.range().unwrap_or((0, content.len() - 1));
    if first >= content.len() {
        return Answer::new(416, "");
    }
    let (begin, end) = (first / CHUNK, last.min(content.len() - 1) / CHUNK + 1);
    let length: usize = chunks[begin..end].iter().map(|chunk| chunk.len()).sum();
    let stored = |chunk: usize| chunk * (CHUNK + 8);
    let range = json!({ "start": begin, "end": end });
    let bytes = json!({ "start": stored(begin), "end": stored(begin) + length + 8 * (end - begin) - 1 });
    let url = format!("http://localhost:{port}/xorb/{hash}");
    let answer = json!({
        "offset_into_first_range": first % CHUNK,
        "terms": [{ "hash": hash, "unpacked_length": length, "range": range }],
        "fetch_info": { hash: [{ "range": range, "url": url, "url_range": bytes }] },
    });
    Answer::new(200, answer.to_string())
}

/// What stands before a chunk that is not compressed: version, stored length, kind of compression, length.
fn header(chunk: &[u8]) -> [u8; 8] {
    let [a, b, c, _] = (chunk.len() as u32).to_le_bytes();
    [0, a, b, c, 0, a, b, c]
}
