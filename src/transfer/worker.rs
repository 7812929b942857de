//! One connection: takes pieces until there are none, and fetches each with as many requests as that needs.

use super::{
    Run, Signal, TransferError,
    budget::OpenConnection,
    buffer::Buffer,
    job::FileTransfer,
    mirrors::Rotation,
    schedule::{Assignment, Piece},
};
use crate::{
    event::Event,
    http::{Backoff, Body, HttpError, Retry},
    store::BorrowReader,
};
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How long a connection that is ahead of the hashing rests: about as long as a segment takes to be hashed.
const BREATH: Duration = Duration::from_millis(1);

/// How one try at a piece ended.
enum Outcome {
    Done,
    Failed(HttpError),
    /// Another connection fetches the whole file, or the run is over.
    Leave,
}

pub(super) async fn work(run: Arc<Run>, connection: OpenConnection) {
    let stop = run.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = work_pieces(&run) => {}
    }
    drop(connection);
    run.workers.fetch_sub(1, Ordering::Release);
    run.tell(Signal::Idle);
}

async fn work_pieces(run: &Arc<Run>) {
    while let Some(assignment) = run.schedule.take(run.share.limit(), Instant::now()) {
        let (number, assignment_number) = (assignment.piece.job, assignment.number);
        let fetched = fetch(run, assignment).await;
        run.schedule.end(assignment_number);
        if let Err(error) = fetched {
            let file = run.jobs[number].file.clone();
            let hint = run.jobs[number].locations.first().map_or_else(|| error.hint(), |location| location.hint(&error));
            return run.tell(Signal::Failed(number, TransferError::Http { file, error, hint: hint.map(Box::new) }));
        }
        if run.workers.load(Ordering::Relaxed) > run.share.limit() {
            return;
        }
    }
}

/// Fetches one piece; retries go on where the last try ended, to the byte.
async fn fetch(run: &Arc<Run>, Assignment { number, piece }: Assignment) -> Result<(), HttpError> {
    let job = &run.jobs[piece.job];
    let mut cursor = Cursor::new(job, number, piece);
    let mut backoff = Backoff::new(run.tries);
    let mut rotation = run.mirrors.rotation(&job.locations);
    // The Hub's own refusal, which is reported whatever its mirrors answer.
    let mut refused = None;
    while cursor.next < cursor.end {
        if cursor.borrow(run, job).await {
            continue;
        }
        let is_last = rotation.is_only_choice() || backoff.failures() + 1 >= run.tries;
        let progress = run.http.progress();
        let as_whole = job.is_asked_for_all();
        let outcome = attempt(run, job, &mut cursor, &rotation, Try { is_last, as_whole }).await;
        let gained = cursor.came_further(job);
        let is_progress = progress.is_made_by(gained);
        if is_progress || (gained > 0 && matches!(outcome, Outcome::Done)) {
            run.mirrors.served(&rotation, &job.locations);
        }
        let error = match outcome {
            Outcome::Done => continue,
            // A server without ranges may serve no other connection beside the one that fetches all of it.
            Outcome::Failed(error) if !run.schedule.is_single(cursor.number) => error,
            Outcome::Leave | Outcome::Failed(_) => {
                job.uncount(cursor.fetched());
                return Ok(());
            }
        };
        if is_progress {
            backoff.progressed();
        }
        if matches!(
            error,
            HttpError::Stalled { .. } | HttpError::Slow { .. } | HttpError::RateLimited { .. } | HttpError::Status(_)
        ) {
            run.share.on_congestion();
        }
        if error.is_refusal() && job.locations[rotation.at()].is_authority() {
            refused = Some(error.clone());
        }
        // The next mirror at once where this one does not give what it should or has no such file, and after a pause where
        // all were tried.
        if (error.should_try_next_mirror() || error.is_refusal()) && rotation.go_on(error.is_refusal()) {
            run.reporter.event(&Event::Elsewhere { why: error.to_string() });
            continue;
        }
        rotation = run.mirrors.rotation(&job.locations);
        match backoff.next(&error) {
            Some(pause) => {
                run.retrying(job, &error, pause);
                tokio::time::sleep(pause).await;
            }
            // A server whose ranges are wrong may still have the right file.
            None if error.is_about_ranges() && !as_whole => match job.ask_for_all() {
                true => backoff = Backoff::new(run.tries),
                // Another connection asks for all of it, and ends the run where it does not get it.
                false => {
                    job.uncount(cursor.fetched());
                    return Ok(());
                }
            },
            None => return Err(refused.unwrap_or(error)),
        }
    }
    Ok(())
}

/// How one try is made.
#[derive(Clone, Copy)]
struct Try {
    /// No other location will be asked after it.
    is_last: bool,
    /// Without naming a range.
    as_whole: bool,
}

async fn attempt(run: &Arc<Run>, job: &Arc<FileTransfer>, cursor: &mut Cursor, rotation: &Rotation, how: Try) -> Outcome {
    let location = &job.locations[rotation.at()];
    let start = cursor.position(job);
    let end = job.fetch_end(start, job.range(cursor.end - 1).end);
    let asked = Instant::now();
    run.schedule.comes(cursor.assignment, None);
    if how.as_whole && !cursor.is_whole && run.schedule.is_single(cursor.number) {
        return Outcome::Leave;
    }
    let opened = match how.as_whole {
        true => run.http.open_whole(location, job.size()).await,
        false => run.http.open(location, start..end, job.size()).await,
    };
    let mut body = match opened {
        Ok(body) => body,
        Err(error) => return Outcome::Failed(error),
    };
    if !how.as_whole && body.start() == start && body.end() == end {
        job.note_ranges(&body);
        let waited = asked.elapsed();
        run.schedule.comes(cursor.assignment, Some(Instant::now()));
        let outcome = read(run, job, cursor, &mut body).await;
        if matches!(outcome, Outcome::Done) {
            run.schedule.learn(
                waited,
                asked.elapsed().saturating_sub(waited),
                cursor.begins_at(job).min(end).saturating_sub(start),
            );
        }
        return outcome;
    }
    // The server knows no ranges and sends the file from its beginning.
    if !how.as_whole && !rotation.is_first() && !how.is_last && job.has_ranges() {
        let asked = format!("bytes {start}-{}", end - 1);
        return Outcome::Failed(HttpError::BadRange { url: location.shown(), asked, got: "the whole file".into() });
    }
    // One connection takes all of it.
    if !run.schedule.claim_whole_file(cursor.assignment, &Piece { job: cursor.number, segments: 0..job.segments() }) {
        return Outcome::Leave;
    }
    job.stop_borrowing();
    job.start_over();
    cursor.start_over(job);
    let outcome = read(run, job, cursor, &mut body).await;
    run.schedule.release_whole_file(cursor.number);
    outcome
}

async fn read(run: &Arc<Run>, job: &Arc<FileTransfer>, cursor: &mut Cursor, body: &mut Body) -> Outcome {
    loop {
        match body.chunk().await {
            Ok(Some(mut chunk)) => {
                job.count(chunk.len() as u64);
                while !chunk.is_empty() {
                    let buffer = match &mut cursor.buffer {
                        Some(buffer) => buffer,
                        empty => {
                            while job.exceeds_read_ahead(cursor.next) {
                                tokio::time::sleep(BREATH).await;
                            }
                            empty.insert(run.share.pool().take().await)
                        }
                    };
                    let range = job.range(cursor.next);
                    let room = (range.end - range.start) as usize - buffer.len();
                    let part = chunk.split_to(room.min(chunk.len()));
                    buffer.extend_from_slice(&part);
                    if part.len() == room {
                        cursor.dispatch(run, job);
                        if cursor.ends_early(run) {
                            // What comes behind is another's.
                            job.uncount(chunk.len() as u64);
                            return Outcome::Done;
                        }
                    }
                }
            }
            Ok(None) => return Outcome::Done,
            Err(error) => return Outcome::Failed(error),
        }
    }
}

/// Where a connection is in its piece.
struct Cursor {
    /// The number of its assignment, and that of its job.
    assignment: u64,
    number: usize,
    /// The segment being filled.
    next: u64,
    end: u64,
    /// Another connection took over a part of the assignment since it was asked for.
    is_cut: bool,
    /// It fetches all of a server that knows no ranges, where each try begins with the first byte.
    is_whole: bool,
    /// The byte that it came to in the best of its tries.
    furthest: u64,
    buffer: Option<Buffer>,
    /// Bytes in the buffer that were copied from the store.
    borrowed: u64,
    /// Reads them; made when first needed.
    reader: Option<BorrowReader>,
}

impl Cursor {
    fn new(job: &FileTransfer, assignment: u64, piece: Piece) -> Self {
        let Piece { job: number, segments: Range { start: next, end } } = piece;
        let mut cursor = Self {
            assignment,
            number,
            next,
            end,
            is_cut: false,
            is_whole: false,
            furthest: 0,
            buffer: None,
            borrowed: 0,
            reader: None,
        };
        cursor.furthest = cursor.position(job);
        cursor
    }

    /// Goes back to the first byte, for all that there is.
    fn start_over(&mut self, job: &FileTransfer) {
        let furthest = if self.is_whole { self.furthest } else { 0 };
        (self.next, self.end, self.is_cut, self.is_whole) = (0, job.segments(), false, true);
        (self.furthest, self.buffer, self.borrowed) = (furthest, None, 0);
    }

    /// How many bytes it came further than in any try before. Only that is progress: a server without ranges may cut now
    /// sooner and now later, and never get to the end.
    fn came_further(&mut self, job: &FileTransfer) -> u64 {
        let before = self.furthest;
        self.furthest = before.max(self.position(job));
        self.furthest - before
    }

    /// Tells the schedule how far it is, and whether another connection has taken over what comes next.
    fn ends_early(&mut self, run: &Run) -> bool {
        let end = run.schedule.advance(self.assignment, self.next).unwrap_or(self.end);
        let is_shorter = end < self.end;
        self.end = end;
        self.is_cut |= is_shorter;
        self.is_cut && self.next >= self.end
    }

    /// Where the segment begins that is being filled, or the end of the last one.
    fn begins_at(&self, job: &FileTransfer) -> u64 {
        match self.next {
            0 => 0,
            next => job.range(next - 1).end,
        }
    }

    /// The next byte that is needed.
    fn position(&self, job: &FileTransfer) -> u64 {
        match self.next < self.end {
            true => job.range(self.next).start + self.buffered(),
            false => job.size(),
        }
    }

    fn buffered(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len() as u64)
    }

    /// Of these, the bytes that came over the network.
    fn fetched(&self) -> u64 {
        self.buffered().saturating_sub(self.borrowed)
    }

    /// Copies what comes next, where the store has it; whether it had.
    async fn borrow(&mut self, run: &Arc<Run>, job: &Arc<FileTransfer>) -> bool {
        if self.is_whole || !job.is_borrowed(self.position(job)) {
            return false;
        }
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => run.share.pool().take().await,
        };
        let Some(mut reader) = self.reader.take().or_else(|| job.reader()) else { return false };
        let (before, index) = (buffer.len(), self.next);
        let (filling, run_of_it) = (job.clone(), run.clone());
        let filled = run.tasks.spawn_blocking(move || {
            let borrowed = filling.fill(index, &mut buffer, &mut reader, &run_of_it);
            (buffer, borrowed, reader)
        });
        // A thread that died took the buffer with it: the segment begins anew, and the run ends where that goes on.
        let Ok((buffer, borrowed, reader)) = filled.await else {
            job.stop_borrowing();
            return false;
        };
        let range = job.range(index);
        let (is_full, is_more) = (buffer.len() as u64 == range.end - range.start, buffer.len() > before);
        self.borrowed += borrowed;
        (self.buffer, self.reader) = (Some(buffer), Some(reader));
        if is_full {
            self.dispatch(run, job);
            self.ends_early(run);
        }
        // That is no progress of the connection.
        self.furthest = self.furthest.max(self.position(job));
        is_more
    }

    /// Hands a full segment to a blocking thread.
    fn dispatch(&mut self, run: &Arc<Run>, job: &Arc<FileTransfer>) {
        let borrowed = std::mem::take(&mut self.borrowed);
        if let Some(buffer) = self.buffer.take() {
            let (run, job, number, index) = (run.clone(), job.clone(), self.number, self.next);
            let tasks = run.tasks.clone();
            tasks.spawn_blocking(move || job.take_segment(number, index, (buffer, borrowed), &run));
        }
        self.next += 1;
    }
}

impl Run {
    pub(super) fn tell(&self, message: Signal) {
        // A closed inbox means that the run is over; no task needs to know then.
        let _ = self.messages.send(message);
    }

    fn retrying(&self, job: &FileTransfer, error: &HttpError, pause: Duration) {
        if error.retry() != Retry::Never {
            let (what, why) = (job.file.clone(), error.to_string());
            self.reporter.event(&Event::Retry { what, why, after: pause });
        }
    }
}
