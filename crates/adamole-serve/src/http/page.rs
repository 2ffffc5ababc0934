//! The page at `/`, whose files are in the program.

use super::app::App;
use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Paths, media types and contents.
const FILES: [(&str, &str, &str); 9] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/style.css", STYLE, include_str!("../page/style.css")),
    ("/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/answer.js", SCRIPT, include_str!("../page/answer.js")),
    ("/api.js", SCRIPT, include_str!("../page/api.js")),
    ("/colours.js", SCRIPT, include_str!("../page/colours.js")),
    ("/heatmap.js", SCRIPT, include_str!("../page/heatmap.js")),
    ("/scale.js", SCRIPT, include_str!("../page/scale.js")),
];

/// Nothing from elsewhere, and no page of others around it.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Whether a path is one of the page's files.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|(own, ..)| *own == path)
}

/// The routes of the files.
pub(super) fn routes() -> Router<Arc<App>> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, content)| {
        router.route(path, get(move || async move { file(media_type, content) }))
    })
}

fn file(media_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_served_and_nothing_is_inline() {
        for (path, _, content) in FILES {
            let named = content.split('"').skip(1).step_by(2);
            let files = named.filter(|name| [".js", ".css", ".svg"].iter().any(|end| name.ends_with(end)));
            for name in files {
                assert!(has(&format!("/{}", name.trim_start_matches("./"))), "{path} names {name}");
            }
            assert!(!content.contains("innerHTML"), "{path} sets markup");
            let page = content.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains("http://") && !page.contains("https://"), "{path} names another server");
        }
        let (_, _, html) = FILES[0];
        assert!(html.contains("<script type=\"module\" src=\"app.js\"></script>"), "{html}");
        assert_eq!((html.matches("<script").count(), html.matches("<style").count()), (1, 0));
        assert!(!html.contains(" style=") && !html.contains(" onclick="));
    }
}
