//! Login links: one-time codes that give a browser a session.

use super::{ApiError, App, assets, auth};
use crate::{address::address, secret};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, TimeDelta, Utc};
use protocol::{problem::Problem, view::LoginLink};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How long a code may be used.
const CODE_LIFE: TimeDelta = TimeDelta::minutes(5);
/// How long a browser stays signed in.
const SESSION_LIFE: TimeDelta = TimeDelta::days(30);

/// Codes that were handed out and not used yet, by SHA-256. They live in memory: a restart voids them.
#[derive(Default)]
pub struct LoginCodes(Mutex<HashMap<String, DateTime<Utc>>>);

impl LoginCodes {
    fn add(&self, code: &str, now: DateTime<Utc>) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, until| *until > now);
        codes.insert(secret::hash(code), now + CODE_LIFE);
    }

    /// Whether the code is good; it is not any more afterwards.
    fn redeem(&self, code: &str, now: DateTime<Utc>) -> bool {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.remove(&secret::hash(code)).is_some_and(|until| until > now)
    }
}

/// Makes a link that signs a browser in, once, within five minutes.
#[utoipa::path(post, path = "/login-links", tag = "daemon", operation_id = "create_login_link", responses(
    (status = 200, body = LoginLink),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create_link(State(app): State<App>) -> Result<Json<LoginLink>, ApiError> {
    let code = secret::fresh().map_err(no_randomness)?;
    app.codes.add(&code, Utc::now());
    Ok(Json(LoginLink { url: format!("{}/login?code={code}", address(app.listen)) }))
}

/// The page behind a link. Only `GET` uses the link up: who previews links asks with `HEAD`.
pub(super) fn page() -> Router<App> {
    Router::new().route("/login", get(login).head(async || StatusCode::OK))
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    code: String,
}

async fn login(State(app): State<App>, Query(Login { code }): Query<Login>) -> Result<Response, ApiError> {
    let now = Utc::now();
    if !app.codes.redeem(&code, now) {
        return Ok(assets::signed_out("This link was used already or is older than five minutes."));
    }
    let session = secret::fresh().map_err(no_randomness)?;
    app.engine.open_session(&secret::hash(&session), now, now + SESSION_LIFE).await?;
    let cookie = format!(
        "{}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
        auth::cookie_name(&app),
        SESSION_LIFE.num_seconds()
    );
    // A page of our own, not a redirect: a strict cookie is not sent along a redirect that another
    // site's link started.
    let page = assets::page("Signed in", "<p>Signed in.</p>", Some("/"));
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], page).into_response())
}

fn no_randomness(error: getrandom::Error) -> ApiError {
    ApiError::internal("randomness", format!("no random bytes: {error}"))
}
