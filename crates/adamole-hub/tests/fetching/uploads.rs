//! The repository `org/new`, which takes commits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Request, Site};

/// `None` if this is about no upload.
pub(crate) fn answer(site: &Site, request: &Request) -> Option<Answer> {
    let path = request.path.split('?').next()?;
    let of_new = path.strip_prefix("/api/models/org/new");
    Some(match (request.method.as_str(), path, of_new) {
        ("GET", _, Some("")) => match site.new {
            Some(private) => Answer::new(200, json!({ "id": "org/new", "private": private }).to_string()),
            None => Answer::error(404, "RepoNotFound"),
        },
        ("POST", "/api/repos/create", _) => Answer::new(200, json!({ "url": "http://hub/org/new" }).to_string()),
        ("POST", _, Some(rest)) if rest.starts_with("/branch/") => Answer::new(200, "{}"),
        ("POST", _, Some(rest)) if rest.starts_with("/preupload/") => {
            let asked: Value = serde_json::from_slice(&request.body).ok()?;
            let files = asked["files"].as_array()?.iter();
            let files: Vec<_> = files.map(|file| json!({ "path": file["path"], "uploadMode": "regular" })).collect();
            Answer::new(200, json!({ "files": files }).to_string())
        }
        ("POST", _, Some(rest)) if rest.starts_with("/commit/") => {
            Answer::new(200, json!({ "commitOid": super::COMMIT, "commitUrl": "http://hub/c" }).to_string())
        }
        _ => return None,
    })
}

/// The files that commits brought, as texts.
pub(crate) fn files(log: &[Request]) -> BTreeMap<String, String> {
    let commits = log.iter().filter(|request| request.path.contains("/commit/"));
    let lines = commits.flat_map(|commit| commit.body.split(|&byte| byte == b'\n'));
    let lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let files = lines.filter(|line| line["key"] == "file").filter_map(|line| {
        let file = &line["value"];
        Some((file["path"].as_str()?.to_owned(), from_base64(file["content"].as_str()?)))
    });
    files.collect()
}

fn from_base64(text: &str) -> String {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'=').map(value).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().enumerate().fold(0_u32, |bits, (i, &digit)| bits | u32::from(digit) << (18 - 6 * i));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
