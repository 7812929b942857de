//! What a run is doing, on stderr: bars on a terminal, else a line every ten seconds.

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
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Bars of files that are drawn at once; what else runs shows in the total.
const MOST_BARS: usize = 8;

/// The longest text of one event, in characters, and how many different notes and warnings one run tells.
const LONGEST_EVENT: usize = 4000;
const MOST_SAID: usize = 1000;

/// Time between two lines about the same file.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tries that start again sooner are nobody's business.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// Listens to the core and tells people.
pub struct ProgressDisplay {
    output_style: OutputStyle,
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, File>,
    total: Option<ProgressBar>,
    planned: (usize, u64),
    waiting: Option<ProgressBar>,
    said: HashSet<String>,
}

struct File {
    bar: Option<ProgressBar>,
    done: u64,
    last_line: Instant,
}

impl ProgressDisplay {
    /// Progress in this style.
    pub fn new(output_style: OutputStyle) -> Self {
        let draw = output_style.progress && output_style.bars;
        let bars = draw.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { output_style, bars, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A reporter must not panic, and after a panic elsewhere its numbers are still good enough to show.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole lines to stderr, above the bars.
    pub fn tell(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.output_style.tell(text)),
            None => self.output_style.tell(text),
        }
    }

    /// Tells something once, unless `--quiet`.
    pub fn notice(&self, text: &str) {
        if !self.output_style.quiet {
            self.tell_once("note:", FAINT, text);
        }
    }

    /// Tells once what may need attention.
    pub fn warning(&self, warning: &Warning) {
        self.tell_once("warning:", WARNING, &hints::with_message(&warning.message, &warning.hints));
    }

    fn tell_once(&self, word: &str, style: Style, text: &str) {
        let text = text::short(text, LONGEST_EVENT);
        let said = &mut self.state().said;
        // A server or a file could produce messages without end.
        if said.len() < MOST_SAID && said.insert(text.clone()) {
            self.tell(&format!("{} {text}\n", styled(style, word)));
        }
    }

    /// Clears the bars. Called before results are printed.
    pub fn finish(&self) {
        let mut state = self.state();
        let files = std::mem::take(&mut state.files);
        let bars = files.into_values().filter_map(|file| file.bar);
        bars.chain(state.total.take()).chain(state.waiting.take()).for_each(|bar| bar.finish_and_clear());
        state.planned = (0, 0);
    }

    /// A line, where lines are shown instead of bars.
    fn line(&self, text: &str) {
        if self.output_style.progress && self.bars.is_none() {
            self.tell(&format!("{}\n", text::short(text, LONGEST_EVENT)));
        }
    }

    fn add_bar(&self, state: &State, name: &str, size: u64, done: u64) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        if state.files.values().filter(|file| file.bar.is_some()).count() >= MOST_BARS {
            return None;
        }
        let bar = ProgressBar::new(size).with_style(style("{prefix:36!} [{wide_bar}] {at:>22} {msg:24}")).with_prefix(short(name));
        let bar = match &state.total {
            Some(total) => bars.insert_before(total, bar),
            None => bars.add(bar),
        };
        bar.set_position(done);
        Some(bar)
    }

    fn planned(&self, files: usize, bytes: u64) {
        let mut state = self.state();
        state.planned = (state.planned.0 + files, state.planned.1 + bytes);
        let (files, bytes) = state.planned;
        // One file's own bar says it all.
        let (Some(bars), true) = (&self.bars, files > 1 && bytes > 0) else { return };
        match &state.total {
            Some(total) => total.set_length(bytes),
            None => {
                let total = bars.add(ProgressBar::new(bytes).with_style(style("{prefix:36!} [{wide_bar}] {at:>22} {pace:24}")));
                total.set_prefix("total");
                state.total = Some(total);
            }
        }
    }

    fn started(&self, name: &str, size: u64, resumed: u64) {
        let mut state = self.state();
        self.stop_waiting(&mut state);
        let bar = self.add_bar(&state, name, size, resumed);
        state.files.insert(name.to_owned(), File { bar, done: resumed, last_line: Instant::now() });
        drop(state);
        self.line(&match resumed {
            0 => format!("{name}: fetching {}", units::size(size)),
            _ => {
                format!("{name}: fetching {} of {}, the rest is here", units::size(size.saturating_sub(resumed)), units::size(size))
            }
        });
    }

    /// Notes how far a file is; `counts` where its bytes are part of the total.
    fn moved(&self, name: &str, done: u64, size: u64, counts: bool, message: impl FnOnce() -> String) {
        let mut state = self.state();
        if !state.files.contains_key(name) {
            let bar = self.add_bar(&state, name, size, done);
            state.files.insert(name.to_owned(), File { bar, done, last_line: Instant::now() });
        }
        self.stop_waiting(&mut state);
        let Some(file) = state.files.get_mut(name) else { return };
        // A file that starts over is counted again only from where it had come to.
        let arrived = done.saturating_sub(file.done);
        file.done = file.done.max(done);
        let is_due = file.last_line.elapsed() >= LINE_EVERY;
        if is_due {
            file.last_line = Instant::now();
        }
        if let Some(bar) = &file.bar {
            bar.set_length(size);
            bar.set_position(done);
            bar.set_message(message());
        } else if is_due && self.bars.is_none() {
            let percent = done.saturating_mul(100).checked_div(size).unwrap_or(100);
            let text = format!("{name}: {percent}%, {} of {}, {}", units::size(done), units::size(size), message());
            drop(state);
            self.line(&text);
            return;
        }
        if let (Some(total), true) = (&state.total, counts) {
            total.inc(arrived);
        }
    }

    /// Takes a file's bar away; `size` where it is complete.
    fn ended(&self, name: &str, size: Option<u64>) {
        let mut state = self.state();
        let Some(file) = state.files.remove(name) else { return };
        if let Some(bar) = file.bar {
            bar.finish_and_clear();
        }
        if let (Some(total), Some(size)) = (&state.total, size) {
            total.inc(size.saturating_sub(file.done));
        }
    }

    fn waiting(&self, what: &str, holder: &str, since: Duration) {
        let text = format!("waiting for {what}, held by {holder}, for {}", units::time(since));
        let Some(bars) = &self.bars else {
            if !self.output_style.quiet {
                self.tell(&format!("{}\n", text::short(&text, LONGEST_EVENT)));
            }
            return;
        };
        let mut state = self.state();
        let bar = state.waiting.get_or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}")));
            // It turns on a thread of its own, if the system has one.
            if limits::spare_threads(1) > 0 {
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            bar
        });
        bar.set_message(printable(&text));
    }

    fn stop_waiting(&self, state: &mut State) {
        if let Some(bar) = state.waiting.take() {
            bar.finish_and_clear();
        }
    }
}

impl Reporter for ProgressDisplay {
    fn event(&self, event: &Event) {
        match event {
            Event::Planned { files, bytes } => self.planned(*files, *bytes),
            Event::FileStarted { file, size, resumed } => self.started(file, *size, *resumed),
            Event::Progress { file, done, size, rate, eta } => self.moved(file, *done, *size, true, || pace(*rate, *eta)),
            Event::Hashing { file, done, size } => {
                self.moved(file, *done, *size, false, || "checking".into());
                if done >= size {
                    self.ended(file, None);
                }
            }
            Event::FileFinished { file, size, fetched, took, published } => {
                self.ended(file, Some(*size));
                let rate = units::rate_of(*fetched, *took).map(|rate| format!(", {rate}")).unwrap_or_default();
                let state = if *published { "complete and verified" } else { "complete; its source published no hash" };
                self.line(&format!("{file}: {state}, {} in {}{rate}", units::size(*fetched), units::time(*took)));
            }
            Event::FileFailed { file } => {
                self.ended(file, None);
                self.line(&format!("{file}: stopped"));
            }
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
            Event::Waiting { what, holder, since } => self.waiting(what, holder, *since),
            Event::Notice(notice) => self.notice(&notices::words(notice)),
            Event::Warning(warning) => self.warning(warning),
        }
    }
}

/// Rate and time left, for people.
fn pace(rate: u64, eta: Option<Duration>) -> String {
    match eta {
        Some(eta) if eta.as_secs() < 10 => format!("{}, {} s left", units::rate(rate), eta.as_secs()),
        Some(eta) => format!("{}, {} left", units::rate(rate), units::time(eta)),
        None => units::rate(rate),
    }
}

/// A style with the keys `at` (done of size) and `pace` (rate and time left) in our units.
fn style(template: &str) -> ProgressStyle {
    let at = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _fits = write!(out, "{} / {}", units::size(state.pos()), units::size(state.len().unwrap_or(0)));
    };
    let pace = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let eta = Some(state.eta()).filter(|eta| !eta.is_zero());
        let _fits = write!(out, "{}", self::pace(state.per_sec() as u64, eta));
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").with_key("at", at).with_key("pace", pace)
}

/// The end of a name, which tells quantization and part, where the whole does not fit.
fn short(name: &str) -> String {
    const WIDTH: usize = 36;
    let name = printable(name.rsplit('/').next().unwrap_or(name));
    let length = name.chars().count();
    if length <= WIDTH {
        return name;
    }
    let end: String = name.chars().skip(length - (WIDTH - 1)).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::output_style;

    #[test]
    fn every_template_is_valid() {
        for template in
            ["{prefix:36!} [{wide_bar}] {at:>22} {msg:24}", "{prefix:36!} [{wide_bar}] {at:>22} {pace:24}", "{spinner} {wide_msg}"]
        {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(short("m/gguf/q4_k_m/phi-2.Q4_K_M.gguf"), "phi-2.Q4_K_M.gguf");
        let name = short(&format!("{}-00002-of-00005.safetensors", "x".repeat(60)));
        assert!(name.starts_with('…') && name.ends_with("-00002-of-00005.safetensors") && name.chars().count() == 36, "{name}");
    }

    #[test]
    fn the_total_counts_bytes_of_this_run_only_and_each_once() {
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let progress =
            ProgressDisplay { bars: Some(hidden), ..ProgressDisplay::new(OutputStyle { progress: true, ..output_style() }) };
        progress.event(&Event::Planned { files: 2, bytes: 150 });
        let say_done = |file: &str, done| {
            progress.event(&Event::Progress { file: file.into(), done, size: 100, rate: 1, eta: None });
        };
        progress.event(&Event::FileStarted { file: "a".into(), size: 100, resumed: 50 });
        progress.event(&Event::FileStarted { file: "b".into(), size: 100, resumed: 0 });
        say_done("a", 80);
        say_done("b", 30);
        say_done("b", 20);
        assert_eq!(progress.state().total.as_ref().map(ProgressBar::position), Some(60));
        for file in ["a", "b"] {
            let took = Duration::from_secs(1);
            progress.event(&Event::FileFinished { file: file.into(), size: 100, fetched: 0, took, published: true });
        }
        assert_eq!(progress.state().total.as_ref().map(ProgressBar::length), Some(Some(150)));
        assert!(progress.state().files.is_empty());
        progress.finish();
        assert!(progress.state().total.is_none());
    }

    #[test]
    fn no_more_than_eight_files_have_a_bar() {
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let progress =
            ProgressDisplay { bars: Some(hidden), ..ProgressDisplay::new(OutputStyle { progress: true, ..output_style() }) };
        for number in 0..20 {
            progress.event(&Event::FileStarted { file: format!("f{number}"), size: 10, resumed: 0 });
        }
        assert_eq!(progress.state().files.values().filter(|file| file.bar.is_some()).count(), MOST_BARS);
    }
}
