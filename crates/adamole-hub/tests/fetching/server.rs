//! A stand-in for the hub on this machine, whose answers a test may spoil.

pub(crate) mod storage;
mod uploads;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server has: one repository, `org/name`, as a model and as a data set.
#[derive(Clone, Default)]
pub(crate) struct Site {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Files are at another server, to which the hub refers, as it does for large ones.
    pub(crate) redirects: bool,
    /// Large files are in the storage of Xet as well.
    pub(crate) xet: bool,
    /// What `org/new` is, if it is there: private or not.
    pub(crate) new: Option<bool>,
    /// Only this token opens the repository.
    pub(crate) token: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Whether this asks for the content of a file.
    pub(crate) fn is_transfer(&self) -> bool {
        self.method == "GET" && !self.path.starts_with("/api/") && !storage::is_asked(&self.path)
    }

    pub(crate) fn is_listing(&self) -> bool {
        self.path.contains("/revision/")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte of the range that is asked for, which ends with the file.
    fn offset(&self) -> Option<usize> {
        self.range().map(|(first, _)| first)
    }

    /// The first and the last byte that are asked for.
    pub(crate) fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) body: Vec<u8>,
    /// The connection is closed after so many bytes of the headers.
    pub(crate) head: Option<usize>,
    /// The connection is closed after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Nothing more is sent after so many bytes of the body, but the connection stays open.
    pub(crate) stall: Option<usize>,
    /// The wait after each tenth of the body.
    pub(crate) pause: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, body, pause) = (BTreeMap::new(), body.into(), Duration::ZERO);
        Self { status, headers, body, head: None, cut: None, stall: None, pause }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        let answer = Self::new(status, "{}").with("x-error-message", "no, sorry");
        if code.is_empty() { answer } else { answer.with("x-error-code", code) }
    }

    pub(crate) fn with(mut self, header: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.insert(header, value.into());
        self
    }
}

type Hook = dyn FnMut(&Request, Answer) -> Answer + Send;

pub(crate) struct Server {
    pub(crate) port: u16,
    log: Arc<Mutex<Vec<Request>>>,
    /// How many bytes of bodies were sent.
    sent: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    /// Serves a site. `hook` is given every request with the right answer, and gives what is answered.
    pub(crate) fn start(site: Site, hook: impl FnMut(&Request, Answer) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let sent = Arc::new(AtomicUsize::new(0));
        let hook: Arc<Mutex<Box<Hook>>> = Arc::new(Mutex::new(Box::new(hook)));
        let (site, server) =
            (Arc::new(site), Self { port, log: log.clone(), sent: sent.clone(), is_over: is_over.clone() });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let (site, log, hook) = (site.clone(), log.clone(), hook.clone());
                let (sent, is_over) = (sent.clone(), is_over.clone());
                std::thread::spawn(move || {
                    // A client may go away at any time.
                    let Some(request) = read(&stream) else { return };
                    log.lock().unwrap().push(request.clone());
                    let answer = (hook.lock().unwrap())(&request, site.answer(&request, port));
                    let _ = send(&stream, &request, &answer, &sent, &is_over);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// The files of the commits to `org/new`.
    pub(crate) fn uploaded(&self) -> BTreeMap<String, String> {
        uploads::files(&self.log())
    }

    /// Where all transfers begin: the first byte of their `Range`, if they have one.
    pub(crate) fn offsets(&self) -> Vec<Option<usize>> {
        self.log().iter().filter(|request| request.is_transfer()).map(Request::offset).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Large files have the SHA-256 of their content, others that of a git blob.
pub(crate) fn etag(content: &[u8]) -> String {
    match content.len() {
        1000.. => format!("{:x}", Sha256::digest(content)),
        length => format!("{:x}", Sha1::new_with_prefix(format!("blob {length}\0")).chain_update(content).finalize()),
    }
}

impl Site {
    fn answer(&self, request: &Request, port: u16) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(name) = path.strip_prefix("/cdn/") {
            return self.files.get(name).map_or(Answer::error(404, ""), |content| content_of(content, request));
        }
        if storage::is_asked(path) {
            return storage::answer(self, request, port);
        }
        let authorization = self.token.map(|token| format!("Bearer {token}"));
        if authorization.is_some() && request.header("authorization") != authorization.as_deref() {
            return Answer::error(401, "GatedRepo");
        }
        let plain = path.strip_prefix("/api/models/").or_else(|| path.strip_prefix("/api/datasets/"));
        if let Some(answer) = uploads::answer(self, request) {
            return answer;
        }
        if let Some(rest) = plain {
            if self.xet && rest == format!("org/name/xet-read-token/{COMMIT}") {
                return storage::access(port);
            }
            let revision = rest.strip_prefix("org/name/revision/");
            return match revision {
                None => Answer::error(404, "RepoNotFound"),
                Some("main" | "refs%2Fpr%2F1" | COMMIT) => {
                    let siblings: Vec<_> = self.files.keys().map(|name| json!({ "rfilename": name })).collect();
                    Answer::new(200, json!({ "id": "org/name", "sha": COMMIT, "siblings": siblings }).to_string())
                }
                Some(_) => Answer::error(404, "RevisionNotFound"),
            };
        }
        let name = path.trim_start_matches("/datasets").strip_prefix("/org/name/resolve/");
        let name = name.and_then(|rest| Some(decoded(rest.strip_prefix(COMMIT)?.strip_prefix('/')?)));
        let Some((name, content)) = name.and_then(|name| self.files.get_key_value(&name)) else {
            return Answer::error(404, "EntryNotFound");
        };
        let answer = match self.redirects {
            true => Answer::new(302, "")
                .with("location", format!("http://localhost:{port}/cdn/{name}"))
                .with("x-linked-etag", format!("\"{}\"", etag(content)))
                .with("x-linked-size", content.len().to_string())
                .with("etag", "\"of-the-redirect\""),
            false => content_of(content, request),
        };
        let is_in_xet = self.xet && content.len() >= 1000;
        let answer = if is_in_xet { answer.with("x-xet-hash", etag(content)) } else { answer };
        answer.with("x-repo-commit", COMMIT)
    }
}

/// A part of an address without its percent signs.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.extend(part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        bytes.extend(part.bytes().skip(2));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The content from where the client wants it.
pub(crate) fn content_of(content: &[u8], request: &Request) -> Answer {
    let size = content.len();
    let answer = match request.offset() {
        None => Answer::new(200, content),
        Some(offset) if offset >= size => Answer::new(416, "").with("content-range", format!("bytes */{size}")),
        Some(offset) => {
            Answer::new(206, &content[offset..]).with("content-range", format!("bytes {offset}-{}/{size}", size - 1))
        }
    };
    answer.with("etag", format!("\"{}\"", etag(content)))
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = (&mut reader).lines().map_while(Result::ok);
    let first = lines.next()?;
    let (method, rest) = first.split_once(' ')?;
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    let headers: BTreeMap<_, _> = headers.collect();
    let length = headers.get("content-length").map_or(Some(0), |length: &String| length.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method: method.into(), path: rest.split(' ').next()?.into(), headers, body })
}

fn send(
    mut stream: &TcpStream,
    request: &Request,
    answer: &Answer,
    sent: &AtomicUsize,
    is_over: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status).into_bytes();
    if !answer.headers.contains_key("content-length") {
        head.extend(format!("content-length: {}\r\n", answer.body.len()).bytes());
    }
    for (name, value) in answer.headers.iter().filter(|(_, value)| !value.is_empty()) {
        head.extend(name.bytes().chain(*b": ").chain(value.iter().copied()).chain(*b"\r\n"));
    }
    head.extend(b"\r\n");
    head.truncate(answer.head.unwrap_or(usize::MAX));
    stream.write_all(&head)?;
    if request.method == "HEAD" || answer.head.is_some() {
        return Ok(());
    }
    let end = answer.cut.or(answer.stall).unwrap_or(usize::MAX).min(answer.body.len());
    for chunk in answer.body[..end].chunks(answer.body.len() / 10 + 1) {
        stream.write_all(chunk)?;
        sent.fetch_add(chunk.len(), Ordering::Relaxed);
        std::thread::sleep(answer.pause);
    }
    let start = Instant::now();
    while answer.stall.is_some() && start.elapsed() < Duration::from_secs(60) && !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
    }
    match stream.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
