//! Answers as they come, by server-sent events.

use super::{answer::Events, app::App, error::ApiError};
use crate::engine::Event;
use axum::response::{
    IntoResponse, Response,
    sse::{self, KeepAlive, Sse},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value;
use std::{convert::Infallible, sync::Arc};
use tokio::sync::mpsc;

/// What the events of texts become.
pub(super) trait Chunks: Send + 'static {
    /// The chunks of an event of the text with this index.
    fn of(&mut self, text: usize, event: Event) -> Result<Vec<Value>, ApiError>;

    /// The chunk after all others.
    fn last(&mut self) -> Option<Value>;
}

/// An answer that is sent as the texts come. Where the client goes, the texts end.
pub(super) fn streamed(app: Arc<App>, texts: Vec<Events>, chunks: impl Chunks) -> Response {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(send(app, texts, chunks, sender));
    let events = stream::unfold(receiver, |mut receiver| async {
        let event: sse::Event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

async fn send(app: Arc<App>, texts: Vec<Events>, mut chunks: impl Chunks, sender: mpsc::Sender<sse::Event>) {
    let of_text = |(index, events): (usize, Events)| {
        let app = app.clone();
        let next = move |state: Option<Events>| {
            let app = app.clone();
            async move {
                let mut events = state?;
                let event = events.next(&app.metrics).await;
                let is_last = matches!(&event, Err(_) | Ok(None | Some(Event::End { .. })));
                Some(((index, event), (!is_last).then_some(events)))
            }
        };
        stream::unfold(Some(events), next).boxed()
    };
    let texts: Vec<BoxStream<'_, _>> = texts.into_iter().enumerate().map(of_text).collect();
    let mut texts = stream::select_all(texts);
    loop {
        let next = tokio::select! {
            next = texts.next() => next,
            () = sender.closed() => return,
        };
        let Some((index, event)) = next else { break };
        let made = event.and_then(|event| event.map_or(Ok(Vec::new()), |event| chunks.of(index, event)));
        let (chunks, failed) = match made {
            Ok(chunks) => (chunks, false),
            Err(error) => (vec![error.body_json()], true),
        };
        for chunk in chunks {
            if sender.send(sse::Event::default().data(chunk.to_string())).await.is_err() {
                return;
            }
        }
        if failed {
            return;
        }
    }
    let last = chunks.last().map(|chunk| chunk.to_string());
    for data in last.into_iter().chain(["[DONE]".to_owned()]) {
        // A client that has gone misses nothing but the end.
        let _ = sender.send(sse::Event::default().data(data)).await;
    }
}
