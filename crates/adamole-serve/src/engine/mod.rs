//! The engine: a thread that reads and continues many texts in shared steps.

mod blocks;
mod kept;
mod request;
mod scheduler;
mod scores;
mod text;

pub(crate) use request::{Event, Request, TextError, TokenScore};

use crate::{Limits, Models, metrics::Metrics};
use scheduler::Scheduler;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};
use tokio::sync::Semaphore;

/// What requests are handed to.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    requests: mpsc::Sender<Request>,
    places: Arc<Semaphore>,
    stops: Arc<AtomicBool>,
}

/// Why requests are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the server has as many requests as it takes; try again later")]
    Busy,
    #[error("the engine has stopped")]
    Stopped,
}

impl Engine {
    /// Starts the thread.
    pub(crate) fn start(models: Arc<Models>, limits: Limits, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (requests, incoming) = mpsc::channel();
        let places = Arc::new(Semaphore::new(limits.active + limits.waiting));
        let stops = Arc::new(AtomicBool::new(false));
        let stop = stops.clone();
        thread::Builder::new()
            .name("engine".into())
            .spawn(move || run(&models, &limits, &metrics, &incoming, &stop))?;
        Ok(Self { requests, places, stops })
    }

    /// Takes all of these requests on, or none.
    ///
    /// # Errors
    /// There is no place for them.
    pub(crate) fn take(&self, requests: Vec<Request>) -> Result<(), Refused> {
        let mut places = Vec::new();
        for _ in &requests {
            places.push(self.places.clone().try_acquire_owned().map_err(|_| Refused::Busy)?);
        }
        for (request, place) in requests.into_iter().zip(places) {
            self.requests.send(Request { place: Some(place), ..request }).map_err(|_| Refused::Stopped)?;
        }
        Ok(())
    }

    /// Ends every text, and takes no more.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }
}

fn run(models: &Models, limits: &Limits, metrics: &Metrics, incoming: &mpsc::Receiver<Request>, stop: &AtomicBool) {
    let mut scheduler = Scheduler::new(models, limits, metrics);
    loop {
        if scheduler.is_idle() {
            let Ok(request) = incoming.recv() else { return };
            scheduler.add(request);
        }
        incoming.try_iter().for_each(|request| scheduler.add(request));
        if stop.load(Ordering::Relaxed) {
            scheduler.shut_down();
        }
        scheduler.turn();
    }
}
