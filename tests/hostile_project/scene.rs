//! A server that writes down what it is asked, and commands taken from what the program says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::kit::Machine;
use crate::support::run::Output;

pub const TOKEN: &str = "hf_very_secret";

/// A server without content: it keeps the head of every request. It is a proxy as well, for it does not look at names.
pub struct Recorder {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Answers 404 to everything.
    pub fn start() -> Self {
        Self::answering(
            "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
        )
    }

    /// Sends everybody on to the same path at another address.
    pub fn redirecting(to: &str) -> Self {
        Self::answering(format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}{{path}}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    }

    fn answering(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _gone = serve(stream, &answer, &kept);
            }
        });
        Self { port, heads }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn assert_asked_without_a_token(&self) {
        let heads = self.heads();
        assert!(!heads.is_empty(), "nobody asked, so that nothing is shown by it");
        assert!(heads.iter().all(|head| !head.contains("authorization") && !head.contains(TOKEN)), "{heads:#?}");
    }

    #[track_caller]
    pub fn assert_got_the_token(&self) {
        let heads = self.heads();
        assert!(heads.iter().any(|head| head.contains(&format!("authorization: bearer {TOKEN}"))), "{heads:#?}");
    }
}

fn serve(mut stream: TcpStream, answer: &str, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 << 10 {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    heads.lock().unwrap().push(head);
    stream.write_all(answer.replace("{path}", &path).as_bytes())
}

/// The commands that an output names, without the program.
pub fn named_commands(output: &Output) -> Vec<Vec<String>> {
    let text = format!("{}{}", output.stdout, output.stderr);
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|command| command.strip_prefix("model-manager ")).map(words).collect()
}

/// A command line as a shell takes it apart; only single quotes are known.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Runs the one command that the output names, which must be about the user's settings.
#[track_caller]
pub fn follow(machine: &Machine, output: &Output) {
    let commands = named_commands(output);
    let set: Vec<_> =
        commands.iter().filter(|words| words.starts_with(&["config".into(), "set".into(), "--user".into()])).collect();
    assert_eq!(set.len(), 1, "one command: {output}");
    machine.sandbox.run(set[0]).ok();
}
