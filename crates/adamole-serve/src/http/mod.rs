//! The server's paths.

mod access;
mod answer;
mod app;
mod chat;
mod completions;
mod error;
mod fields;
mod messages;
mod page;
mod stream;
mod token_texts;

pub use access::Access;

use crate::{Limits, Models, Served, engine::Engine, metrics::Metrics};
use app::App;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderValue, Method, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use error::ApiError;
use fields::Fields;
use serde_json::{Value, json};
use std::{future::Future, io, net::TcpListener, sync::Arc, time::Duration};
use tower_http::cors::CorsLayer;

/// An error of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The system refuses a thread or a connection.
    #[error("the server cannot run: {0}")]
    Io(#[from] io::Error),
    /// The origin is not one.
    #[error("{0:?} is not an origin, expected one like https://example.org")]
    Origin(String),
}

type Body = Result<Bytes, BytesRejection>;

/// Serves models until `stop` is done. Answers that are under way then have `grace` to end; no new ones are begun.
///
/// # Errors
/// The system refuses a thread or the connection.
pub fn serve(
    models: Models,
    limits: Limits,
    access: Access,
    listener: TcpListener,
    grace: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (models, metrics) = (Arc::new(models), Arc::new(Metrics::new()));
    let engine = Engine::start(models.clone(), limits.clone(), metrics.clone())?;
    let router = router(Arc::new(App::new(models, engine.clone(), limits, metrics)), access)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let stop = async move {
            stop.await;
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                engine.stop();
            });
        };
        Ok(axum::serve(listener, router).with_graceful_shutdown(stop).await?)
    })
}

fn router(app: Arc<App>, access: Access) -> Result<Router, ServeError> {
    let cors = match &access.origin {
        None => None,
        Some(origin) => {
            let value: HeaderValue = origin.parse().map_err(|_| ServeError::Origin(origin.clone()))?;
            let headers = [header::CONTENT_TYPE, header::AUTHORIZATION];
            Some(CorsLayer::new().allow_origin(value).allow_methods([Method::GET, Method::POST]).allow_headers(headers))
        }
    };
    let guard = middleware::from_fn_with_state((app.clone(), Arc::new(access)), access::guard);
    let router = Router::new()
        .merge(page::routes())
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/completions", post(completions))
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/tokenize", post(tokenize))
        .route_layer(guard)
        .fallback(|uri: Uri| async move { ApiError::no_path(uri.path()) })
        .method_not_allowed_fallback(|uri: Uri| async move { ApiError::method(uri.path()) })
        .layer(DefaultBodyLimit::max(app.limits.body))
        .with_state(app);
    Ok(match cors {
        Some(cors) => router.layer(cors),
        None => router,
    })
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let text = app.metrics.text().map_err(|error| ApiError::server(error.to_string()))?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let all: Vec<Value> = app.models.served.iter().map(|served| described(&app, served)).collect();
    Json(json!({"object": "list", "data": all}))
}

async fn model(
    State(app): State<Arc<App>>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(described(&app, app.served(app.named(&name)?))))
}

fn described(app: &App, served: &Served) -> Value {
    let base = &app.models.served[0].name;
    let routed = served.routed.as_ref();
    json!({
        "id": served.name,
        "object": "model",
        "created": app.created,
        "owned_by": "adamole",
        "parent": served.adapters.as_ref().map(|_| base),
        "max_model_len": app.limits.longest(),
        "adamole": routed.map(|it| json!({
            "method": it.method, "experts": it.experts, "thresholds": it.thresholds, "linears": it.linears,
        })),
    })
}

async fn completions(State(app): State<Arc<App>>, body: Body) -> Result<Response, ApiError> {
    let body = whole(&app, body)?;
    completions::answer(app, &body).await
}

async fn chat_completions(State(app): State<Arc<App>>, body: Body) -> Result<Response, ApiError> {
    let body = whole(&app, body)?;
    chat::answer(app, &body).await
}

async fn tokenize(State(app): State<Arc<App>>, body: Body) -> Result<Json<Value>, ApiError> {
    let mut fields = Fields::parse(&whole(&app, body)?)?;
    let model = app.model(&mut fields)?;
    let prompt: Option<String> = fields.take("prompt", "a string")?;
    let messages: Option<Value> = fields.take("messages", "a list of messages")?;
    fields.finish()?;
    let tokens = match (prompt, messages) {
        (Some(prompt), None) => app.encode_text(&prompt)?,
        (None, Some(messages)) => app.encode_messages(model, messages)?,
        _ => return Err(ApiError::invalid("either prompt or messages is needed")),
    };
    Ok(Json(json!({"count": tokens.len(), "max_model_len": app.limits.longest(), "tokens": tokens})))
}

fn whole(app: &App, body: Body) -> Result<Bytes, ApiError> {
    body.map_err(|rejection| match rejection.status().as_u16() {
        413 => ApiError::body(app.limits.body),
        _ => ApiError::invalid(rejection.body_text()),
    })
}
