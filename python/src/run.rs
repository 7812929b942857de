//! Runs work of the core beside the interpreter: on a thread of its own, with the interpreter lock released, events told and
//! signals looked at by the calling thread.
//!
//! Each run is a call of the object's session, with its own event queue and cancel token, so any number of Python threads may
//! use one object. A forked child uses nothing that threads of its parent may hold: the session sees to that.

use crate::{errors, events};
use model_manager::{
    error::{Error, ErrorKind, Result},
    event::{Event, Reporter, Silent},
    manager::{Call, ModelManager, Session},
};
use pyo3::prelude::*;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often signals and the caller's token are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Stops work that runs on another thread. What arrived is kept, and the next download resumes from there.
#[pyclass(frozen, module = "model_manager")]
#[derive(Default)]
pub struct CancelToken(CancellationToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop. It raises `CancelledError` where it was called.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether `cancel` was called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Who hears of a run, and what may stop it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Watch {
    /// Called as `listener(kind, fields)` from the thread that called the run.
    listener: Option<Py<PyAny>>,
    /// Whether it wants to hear how far things are, too.
    progress: bool,
    /// Stops the run.
    cancel: Option<Py<CancelToken>>,
}

enum Message<T> {
    Event(Event),
    Done(Result<T>),
}

/// Does `work` as a call of its own. What it was doing is over when this returns, however it returns.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    session: &Session,
    watch: Watch,
    work: impl FnOnce(&ModelManager) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (sender, receiver) = channel();
    let reporter: Arc<dyn Reporter> = match watch.listener {
        Some(_) => Arc::new(relay(sender.clone(), watch.progress)),
        None => Arc::new(Silent),
    };
    let stop = CancellationToken::new();
    let manager = session.blocking(Call::reporting_to(reporter).stopped_by(stop.clone()));
    let asked: Option<CancellationToken> = watch.cancel.map(|token| token.get().0.clone());
    if asked.as_ref().is_some_and(CancellationToken::is_cancelled) {
        stop.cancel();
    }
    let worker = Builder::new().name("model-manager".into()).spawn(move || {
        let result = work(&manager);
        // The waiting thread stays until this arrives.
        let _ = sender.send(Message::Done(result));
    });
    let worker = worker.map_err(|error| {
        errors::raise(py, &Error::new(ErrorKind::Failed, "cannot start a thread for the work").caused_by(error))
    })?;
    Run { receiver, worker, stop, asked, listener: watch.listener, failure: None }.wait(py)
}

fn relay<T: Send + 'static>(sender: Sender<Message<T>>, progress: bool) -> impl Fn(&Event) + Send + Sync {
    move |event| {
        if progress || !events::is_progress(event) {
            let _ = sender.send(Message::Event(event.clone()));
        }
    }
}

struct Run<T> {
    receiver: Receiver<Message<T>>,
    worker: JoinHandle<()>,
    stop: CancellationToken,
    asked: Option<CancellationToken>,
    listener: Option<Py<PyAny>>,
    /// The first exception of a listener or a signal handler.
    failure: Option<PyErr>,
}

impl<T: Send> Run<T> {
    fn wait(mut self, py: Python<'_>) -> PyResult<T> {
        let result = loop {
            let receiver = self.receiver;
            let (first, receiver) = py.detach(move || (receiver.recv_timeout(POLL), receiver));
            self.receiver = receiver;
            let first = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break None,
            };
            let mut batch = Vec::new();
            let mut done = None;
            for message in first.into_iter().chain(self.receiver.try_iter()) {
                match message {
                    Message::Event(event) => batch.push(event),
                    Message::Done(result) => done = Some(result),
                }
            }
            self.tell(py, batch);
            self.look_up(py);
            if done.is_some() {
                break done;
            }
        };
        let worker = self.worker;
        let ended = py.detach(move || worker.join());
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match (result, ended) {
            (Some(Ok(value)), _) => Ok(value),
            (Some(Err(error)), _) => Err(errors::raise(py, &error)),
            (None, Err(panic)) => Err(errors::bug(py, &*panic)),
            (None, Ok(())) => Err(errors::bug(py, &"the work ended without a result")),
        }
    }

    fn tell(&mut self, py: Python<'_>, batch: Vec<Event>) {
        let Some(listener) = &self.listener else { return };
        for event in events::newest(batch) {
            if self.failure.is_some() {
                return;
            }
            if let Err(failure) = events::tell(py, listener, &event) {
                self.failure = Some(failure);
                self.stop.cancel();
            }
        }
    }

    /// Looks at signals and at the caller's token.
    fn look_up(&mut self, py: Python<'_>) {
        if self.failure.is_none()
            && let Err(failure) = py.check_signals()
        {
            self.failure = Some(failure);
            self.stop.cancel();
        }
        if self.asked.as_ref().is_some_and(CancellationToken::is_cancelled) {
            self.stop.cancel();
        }
    }
}
