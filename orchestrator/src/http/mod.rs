//! The HTTP interface: one file per endpoint group, errors as `application/problem+json`, and the
//! OpenAPI document generated from the handlers.
//!
//! Three doors with three keys: people and `lcctl` use the API token or a browser session
//! ([`auth`]), workers the token of their attempt ([`worker`]), and pages a session ([`assets`]).
//! [`guard`] stands before all of them.

mod assets;
mod auth;
mod board;
mod changes;
mod control;
mod extract;
mod failures;
mod guard;
mod login;
mod moves;
mod problem;
mod report;
mod results;
mod runs;
mod stages;
mod studies;
mod worker;

pub use login::LoginCodes;
pub use problem::ApiError;
pub use report::Reports;

use crate::{engine::Engine, store::Store, table::Table};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use std::{net::SocketAddr, sync::Arc};
use tokio_util::sync::CancellationToken;
use tower_http::{CompressionLevel, compression::CompressionLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The largest body that is read: a batch of events, or the measures of a checkpoint, stay far below.
const MOST_BYTES: usize = 4 << 20;
/// The same of imported results: a whole table.
const MOST_IMPORT_BYTES: usize = 64 << 20;

/// What every handler can reach.
#[derive(Clone)]
pub struct App(Arc<AppState>);

/// The content of [`App`].
pub struct AppState {
    /// Reads.
    pub store: Store,
    /// All runs in memory, for questions about many of them.
    pub table: Arc<Table>,
    /// Everything that changes something.
    pub engine: Arc<Engine>,
    /// SHA-256 of the API token, in hex.
    pub token_sha256: String,
    /// Where the daemon listens.
    pub listen: SocketAddr,
    /// When the daemon started.
    pub started: DateTime<Utc>,
    /// Login links that were handed out and not used yet.
    pub codes: LoginCodes,
    /// Reports that were made.
    pub reports: Reports,
    /// Cancelled to stop the daemon in an orderly way.
    pub shutdown: CancellationToken,
}

impl std::ops::Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

impl App {
    /// Wraps the state for sharing.
    #[must_use]
    pub fn new(state: AppState) -> Self {
        Self(Arc::new(state))
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "lcctl daemon", description = "Plans, records and runs neural-collapse studies."),
    security(("token" = [])),
    modifiers(&TokenScheme)
)]
struct Document;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Endpoints for people, dashboards and `lcctl`.
fn people() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(control::health))
        .routes(routes!(control::cluster))
        .routes(routes!(control::openapi))
        .routes(routes!(control::shutdown))
        .routes(routes!(studies::list, studies::create))
        .routes(routes!(studies::show, studies::remove))
        .routes(routes!(studies::cancel))
        .routes(routes!(studies::retry))
        .routes(routes!(results::table))
        .routes(routes!(results::csv))
        .routes(routes!(report::show))
        .routes(routes!(report::figure))
        .routes(routes!(report::import).layer(DefaultBodyLimit::max(MOST_IMPORT_BYTES)))
        .routes(routes!(report::remove_import))
        .routes(routes!(runs::show))
        .routes(routes!(runs::compare))
        .routes(routes!(runs::curve))
        .routes(routes!(runs::classes))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(stages::log))
        .routes(routes!(stages::script))
        .routes(routes!(stages::cancel))
        .routes(routes!(stages::retry))
        .routes(routes!(board::show))
        .routes(routes!(board::runs))
        .routes(routes!(board::csv))
        .routes(routes!(board::parquet))
        .routes(routes!(board::grid))
        .routes(routes!(board::act))
        .routes(routes!(board::save_view, board::remove_view))
        .routes(routes!(failures::list))
        .routes(routes!(changes::stream))
        .routes(routes!(moves::stream))
        .routes(routes!(login::create_link))
}

/// Endpoints for workers.
fn workers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(worker::claim))
        .routes(routes!(worker::events))
        .routes(routes!(worker::result))
}

/// The OpenAPI document of the API.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", people().merge(workers())).into_openapi()
}

/// Does what changes something to its end, also where whoever asked hangs up meanwhile: what is in the record by then has to
/// be told to those who watch, too.
async fn to_its_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    tokio::spawn(next.run(request))
        .await
        .unwrap_or_else(|error| ApiError::internal("panic", error).into_response())
}

/// The whole interface.
pub fn router(app: App) -> Router {
    let people =
        Router::from(people()).route_layer(middleware::from_fn_with_state(app.clone(), auth::require_person));
    let workers = Router::from(workers())
        .route_layer(middleware::from_fn_with_state(app.clone(), worker::require_attempt));
    Router::new()
        .nest("/api/v1", people.merge(workers).fallback(problem::not_found))
        .merge(login::page())
        .fallback(assets::serve)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        // Streams of events are left as they are.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .layer(middleware::from_fn(to_its_end))
        .with_state(app)
}
