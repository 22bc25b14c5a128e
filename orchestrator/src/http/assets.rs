//! The dashboard, embedded in the program. A page needs a session; a program built without the
//! dashboard says so.

use super::{App, auth};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use rust_embed::Embed;

#[derive(Embed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Dashboard;

/// Answers everything that is not the API: an embedded file, or the dashboard's entry page for
/// paths of its own.
pub(super) async fn serve(State(app): State<App>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::problem::method_not_allowed(request.method().clone(), request.uri().clone())
            .await
            .into_response();
    }
    match auth::has_session(&app, request.headers()).await {
        Ok(true) => {}
        Ok(false) => return signed_out("This browser is not signed in."),
        Err(error) => return error.into_response(),
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    if let Some(answer) = file(path) {
        return answer;
    }
    // A file that is missing, not a page: the name of a study may have dots, too.
    if path.starts_with("assets/") || !path.contains('/') && path.contains('.') && path != "index.html" {
        return (StatusCode::NOT_FOUND, page("Not found", "<p>There is no such page.</p>", None))
            .into_response();
    }
    file("index.html").unwrap_or_else(|| {
        let text = "<p>This program was built without the dashboard. Build it with <code>make</code>, or use \
                    <code>lcctl watch</code>.</p>";
        (StatusCode::OK, page("No dashboard", text, None)).into_response()
    })
}

fn file(path: &str) -> Option<Response> {
    let file = Dashboard::get(path)?;
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    // Vite puts a hash in the names under assets/: such a file never changes.
    let cache = if path.starts_with("assets/") { "private, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::CONTENT_TYPE, mime.as_ref()), (header::CACHE_CONTROL, cache)];
    Some((headers, Body::from(file.data)).into_response())
}

/// The page for a browser without a session.
pub(super) fn signed_out(why: &str) -> Response {
    let text = format!(
        "<p>{why}</p><p>Run <code>lcctl login</code> on the machine of the daemon and open the link that it \
         prints.</p>"
    );
    (StatusCode::UNAUTHORIZED, page("Not signed in", &text, None)).into_response()
}

/// A plain page; `next` is where it leads at once.
pub(super) fn page(title: &str, body: &str, next: Option<&str>) -> Html<String> {
    let refresh =
        next.map(|to| format!("<meta http-equiv=\"refresh\" content=\"0; url={to}\">")).unwrap_or_default();
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title>{refresh}</head><body><h1>{title}</h1>{body}</body></html>"
    ))
}
