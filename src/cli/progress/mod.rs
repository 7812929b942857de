//! What a run is doing, on stderr: bars on a terminal, a line every ten seconds, or events for a program.

mod layout;
pub mod program;
mod shown;

use super::{
    hints, notices,
    output::{FAINT, OutputStyle, WARNING, printable, styled},
    units,
};
use crate::{
    disk::limits,
    event::{Event, Reporter, Warning},
    text,
};
use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use layout::{ELSEWHERE, Note, pace, percent};
use program::ProgressEvents;
use shown::Shown;
use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest text of one event, in characters, and how many different notes and warnings one run tells.
const LONGEST_EVENT: usize = 4000;
const MOST_SAID: usize = 1000;

/// Time between two lines about the same file.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tries that start again sooner are nobody's business.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// Where nobody knows how wide the terminal is.
const USUAL_WIDTH: usize = 80;

/// What indicatif draws: all lines, whose layout is ours.
const TEMPLATE: &str = "{lines}";

/// How often it is drawn while nothing happens, so that the shown waiting time keeps up.
const WAITING_TICK: Duration = Duration::from_millis(500);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProgressMode {
    /// Bars, drawn anew in place
    Bar,
    /// A line about each file at its beginning and end, and every ten seconds
    Plain,
    /// Nothing
    #[default]
    None,
    /// An event a line, each a JSON object, for programs
    Json,
}

/// Listens to the core and tells people, or a program.
pub struct ProgressDisplay {
    output_style: OutputStyle,
    bars: Option<ProgressBar>,
    /// Whether anything was ever drawn: until then nothing has to make room for text.
    drawn: AtomicBool,
    shown: Arc<Mutex<Shown>>,
    said: Mutex<HashSet<String>>,
    events: Mutex<ProgressEvents>,
}

impl ProgressDisplay {
    /// Progress in this style.
    pub fn new(output_style: OutputStyle) -> Self {
        let width = || console::Term::stderr().size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns.into());
        Self::drawing(output_style, || ProgressDrawTarget::stderr_with_hz(10), width)
    }

    /// The same on a terminal that is so wide: the width is asked for at each drawing, because it may change.
    fn drawing(
        output_style: OutputStyle,
        target: impl Fn() -> ProgressDrawTarget,
        width: impl Fn() -> usize + Clone + Send + Sync + 'static,
    ) -> Self {
        let shown = Arc::new(Mutex::new(Shown::default()));
        let drawn = shown.clone();
        let lines = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            let _fits = out.write_str(&locked(&drawn).lines(width()).join("\n"));
        };
        let bars = (output_style.progress == ProgressMode::Bar)
            .then(|| ProgressBar::with_draw_target(None, target()).with_style(style().with_key("lines", lines)));
        Self { output_style, bars, drawn: AtomicBool::new(false), shown, said: Mutex::default(), events: Mutex::default() }
    }

    /// Changes what is shown, and draws it.
    fn show<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        let mut shown = locked(&self.shown);
        let was_waiting = shown.is_waiting();
        let result = change(&mut shown);
        let is_waiting = shown.is_waiting();
        // Drawing reads it.
        drop(shown);
        if let Some(bars) = &self.bars {
            match (was_waiting, is_waiting) {
                // It ticks on a thread of its own, if the system has one.
                (false, true) if limits::spare_threads(1) > 0 => bars.enable_steady_tick(WAITING_TICK),
                (true, false) => bars.disable_steady_tick(),
                _ => {}
            }
            self.drawn.store(true, Ordering::Relaxed);
            bars.tick();
        }
        result
    }

    /// How this run speaks.
    pub fn style(&self) -> &OutputStyle {
        &self.output_style
    }

    /// Writes whole lines to stderr, above the bars.
    pub fn tell(&self, text: &str) {
        match &self.bars {
            Some(bars) if self.has_drawn() => bars.suspend(|| self.output_style.tell(text)),
            _ => self.output_style.tell(text),
        }
    }

    fn has_drawn(&self) -> bool {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Tells something once, unless `--quiet`.
    pub fn notice(&self, text: &str) {
        if !self.output_style.quiet {
            self.tell_once("note", FAINT, text);
        }
    }

    /// Tells once what may need attention.
    pub fn warning(&self, warning: &Warning) {
        self.tell_once("warning", WARNING, &hints::with_message(&warning.message, &warning.hints));
    }

    fn tell_once(&self, level: &str, style: Style, text: &str) {
        let text = text::short(text, LONGEST_EVENT);
        let mut said = locked(&self.said);
        // A server or a file could produce messages without end.
        if said.len() < MOST_SAID && said.insert(text.clone()) {
            match self.output_style.progress {
                ProgressMode::Json => self.output_style.tell_program(&program::notice(level, &text)),
                _ => self.tell(&format!("{} {text}\n", styled(style, format!("{level}:")))),
            }
        }
    }

    /// Clears the bars. Called before results are printed.
    pub fn finish(&self) {
        self.show(|shown| *shown = Shown::default());
        if let Some(bars) = self.bars.as_ref() {
            bars.finish_and_clear();
        }
    }

    /// A line, where lines are shown instead of bars.
    fn line(&self, text: &str) {
        if self.output_style.progress == ProgressMode::Plain {
            self.tell(&format!("{}\n", text::short(text, LONGEST_EVENT)));
        }
    }

    fn started(&self, name: &str, size: u64, resumed: u64) {
        self.show(|shown| shown.start(name, size, resumed));
        self.line(&match resumed {
            0 => format!("{name}: fetching {}", units::size(size)),
            _ => {
                format!("{name}: fetching {} of {}, the rest is here", units::size(size.saturating_sub(resumed)), units::size(size))
            }
        });
    }

    /// Notes how far a file is; `counts` where its bytes are part of the total.
    fn moved(&self, name: &str, done: u64, size: u64, counts: bool, note: Note) {
        if self.show(|shown| shown.update(name, (done, size), counts, note, LINE_EVERY)) {
            let how = match note {
                Note::Nothing => String::new(),
                Note::Checking => ", checking".to_owned(),
                Note::Elsewhere => format!(", {ELSEWHERE}"),
                Note::Pace { rate, left } => format!(", {}", pace(rate, left)),
            };
            self.line(&format!("{name}: {}%, {} of {}{how}", percent(done, size), units::size(done), units::size(size)));
        }
    }

    /// The same for bytes that are looked at or awaited, which are not of the total.
    fn looked(&self, name: &str, done: u64, size: u64, note: Note) {
        self.moved(name, done, size, false, note);
        if done >= size {
            self.show(|shown| shown.end(name, None));
        }
    }

    fn waiting(&self, what: &str, holder: &str, since: Duration) {
        let text = format!("waiting for {what}, held by {holder}");
        if self.bars.is_some() {
            self.show(|shown| shown.wait(printable(&text), since));
        } else if !self.output_style.quiet {
            self.tell(&format!("{}\n", text::short(&format!("{text}, for {}", units::time(since)), LONGEST_EVENT)));
        }
    }

    /// Tells a program. What else there is to say reaches it as notices.
    fn event_for_program(&self, event: &Event) {
        if let Some(line) = locked(&self.events).line(event, Instant::now()) {
            self.output_style.tell_program(&line);
        }
    }
}

impl Reporter for ProgressDisplay {
    fn event(&self, event: &Event) {
        let for_program = self.output_style.progress == ProgressMode::Json;
        if for_program {
            self.event_for_program(event);
        }
        match event {
            Event::Retry { what, why, after } => {
                if self.output_style.verbose || (*after > WORTH_TELLING && !self.output_style.quiet) {
                    let text = format!("{what}: {why}; trying again in {}", units::time(*after));
                    self.tell(&format!("{}\n", text::short(&text, LONGEST_EVENT)));
                }
            }
            Event::Elsewhere { why } => {
                if self.output_style.verbose {
                    self.notice(&format!("{why}; trying the next endpoint"));
                }
            }
            Event::Detail(text) => {
                if self.output_style.verbose {
                    self.notice(text);
                }
            }
            Event::Notice(notice) => self.notice(&notices::words(notice)),
            Event::Warning(warning) => self.warning(warning),
            _ if for_program => {}
            Event::Planned { files, bytes } => self.show(|shown| shown.plan(*files, *bytes)),
            Event::FileStarted { file, size, resumed } => self.started(file, *size, *resumed),
            Event::Progress { file, done, size, rate, eta } => {
                self.moved(file, *done, *size, true, Note::Pace { rate: *rate, left: *eta });
            }
            Event::Hashing { file, done, size } => self.looked(file, *done, *size, Note::Checking),
            Event::Awaited { file, done, size } => self.looked(file, *done, *size, Note::Elsewhere),
            Event::FileFinished { file, size, fetched, borrowed, took, published } => {
                self.show(|shown| shown.end(file, Some(*size)));
                let rate = units::rate_of(*fetched, *took).map(|rate| format!(", {rate}")).unwrap_or_default();
                let state = if *published { "complete and verified" } else { "complete; its source published no hash" };
                let here = match borrowed {
                    0 => String::new(),
                    _ => format!(", {} from other files of the store", units::size(*borrowed)),
                };
                self.line(&format!("{file}: {state}, {} in {}{rate}{here}", units::size(*fetched), units::time(*took)));
            }
            Event::FileFailed { file } => {
                self.show(|shown| shown.end(file, None));
                self.line(&format!("{file}: stopped"));
            }
            Event::Waiting { what, holder, since } => self.waiting(what, holder, *since),
            // Its summary follows with the others'.
            // The line of the file says how much it was.
            Event::Borrowed { .. } | Event::ModelFinished { .. } => {}
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A reporter must not panic, and after a panic elsewhere its numbers are still good enough to show.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::output_style;
    use std::{io, sync::atomic::AtomicUsize};

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    /// A terminal that keeps what was written and how wide it was then.
    #[derive(Debug, Clone, Default)]
    struct Terminal {
        columns: Arc<AtomicUsize>,
        lines: Arc<Mutex<Vec<(usize, String)>>>,
    }

    impl Terminal {
        fn note(&self, text: &str) -> io::Result<()> {
            locked(&self.lines).push((self.columns.load(Ordering::Relaxed), text.to_owned()));
            Ok(())
        }
    }

    impl indicatif::TermLike for Terminal {
        fn width(&self) -> u16 {
            self.columns.load(Ordering::Relaxed) as u16
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_follow_the_terminal_to_any_width_and_never_wrap() {
        let terminal = Terminal::default();
        let (target, columns) = (terminal.clone(), terminal.columns.clone());
        let progress = ProgressDisplay::drawing(
            OutputStyle { progress: ProgressMode::Bar, ..output_style() },
            move || ProgressDrawTarget::term_like(Box::new(target.clone())),
            move || columns.load(Ordering::Relaxed),
        );
        let widths = [120, 40, 200, 80, 12];
        terminal.columns.store(widths[0], Ordering::Relaxed);
        progress.event(&Event::Planned { files: 2, bytes: 4_000_000_000 });
        for (step, columns) in widths.into_iter().enumerate() {
            terminal.columns.store(columns, Ordering::Relaxed);
            for file in ["Mistral-7B-Instruct-v0.3.Q4_K_M.gguf", "tinyllama-1.1b-chat/model.safetensors"] {
                let done = step as u64 * 400_000_000;
                let event = Event::Progress { file: file.into(), done, size: 2_000_000_000, rate: 12_300_000, eta: None };
                progress.event(&event);
            }
            progress.bars.as_ref().expect("bars").force_draw();
        }
        progress.finish();
        let lines = locked(&terminal.lines);
        for columns in widths {
            assert!(lines.iter().any(|(width, line)| *width == columns && !line.trim().is_empty()), "{columns}: {lines:#?}");
        }
        let wide = lines.iter().find(|(width, line)| console::measure_text_width(line) > *width);
        assert_eq!(wide, None);
    }
}
