//! Ctrl-C and SIGTERM, and what Windows has for it: the first asks the work to stop where it can go on later, the second ends the process at once.

use crate::error::ErrorKind;
use std::{io, sync::mpsc, thread};
use tokio_util::sync::CancellationToken;

/// Listens from now to the end of the process on a thread of its own. `say` is called at the first signal.
pub fn watch(cancel: CancellationToken, say: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (ready, wait) = mpsc::sync_channel(1);
    thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async move {
            let mut signals = match Signals::new() {
                Ok(signals) => signals,
                Err(error) => return drop(ready.send(Err(error))),
            };
            // The caller waits for this answer, so it is taken.
            let _taken = ready.send(Ok(()));
            signals.next().await;
            cancel.cancel();
            say();
            signals.next().await;
            std::process::exit(ErrorKind::Interrupted.exit_code().into());
        });
    })?;
    wait.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that listens for signals ended")))
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What ends a program on Windows: Ctrl-C, Ctrl-Break, the window's cross, the machine going down. After the last two the
/// system waits for a few seconds.
#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    stop: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, stop: ctrl_break()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.stop.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}
