//! A JSON list, cut into its elements.

/// Cuts a JSON list into its elements while it comes, so that no more than one of them is in memory.
#[derive(Debug, Default)]
pub struct Elements {
    state: State,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    element: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the list.
    #[default]
    Outside,
    /// Behind `[`.
    First,
    /// Behind a comma.
    Next,
    /// In an element.
    Within,
    /// Behind an element.
    Behind,
    /// Behind the list.
    Done,
}

impl Elements {
    /// The longest element, in bytes, and how deep it may be nested.
    pub const LONGEST: usize = 64 << 10;
    const DEEPEST: usize = 32;

    /// Takes what comes next and gives each element that ends in it to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        for &byte in bytes {
            let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            match self.state {
                State::Within => self.go_on(byte, &mut each)?,
                _ if is_space => {}
                State::Outside if byte == b'[' => self.state = State::First,
                State::First | State::Behind if byte == b']' => self.state = State::Done,
                State::Behind if byte == b',' => self.state = State::Next,
                State::First | State::Next if !matches!(byte, b',' | b']') => {
                    self.state = State::Within;
                    self.go_on(byte, &mut each)?;
                }
                State::Outside | State::Done => return Err("it is not a list in JSON".into()),
                _ => return Err("it is not a list in JSON: there is something between two of its entries".into()),
            }
        }
        Ok(())
    }

    /// Whether the list has come to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn go_on(&mut self, byte: u8, each: &mut impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        if self.in_string {
            self.push(byte)?;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b',' | b']' | b'}' if self.depth == 0 => {
                each(&self.element)?;
                self.element.clear();
                self.state = if byte == b',' { State::Next } else { State::Done };
                return match byte {
                    b'}' => Err("it is not a list in JSON: an entry ends that has not begun".into()),
                    _ => Ok(()),
                };
            }
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth > Self::DEEPEST {
            return Err(format!("an entry is nested more than {} deep", Self::DEEPEST));
        }
        self.push(byte)?;
        if self.depth == 0 && matches!(byte, b'}' | b']') {
            each(&self.element)?;
            self.element.clear();
            self.state = State::Behind;
        }
        Ok(())
    }

    fn push(&mut self, byte: u8) -> Result<(), String> {
        if self.element.len() >= Self::LONGEST {
            return Err(format!("an entry is longer than {} bytes", Self::LONGEST));
        }
        self.element.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn cut(text: &[u8], step: usize) -> Result<Vec<Value>, String> {
        let mut elements = Elements::default();
        let mut all = Vec::new();
        for part in text.chunks(step.max(1)) {
            elements.feed(part, |element| {
                all.push(serde_json::from_slice(element).map_err(|error| error.to_string())?);
                Ok(())
            })?;
        }
        if elements.is_done() { Ok(all) } else { Err("it ends early".into()) }
    }

    #[test]
    fn a_list_is_cut_into_its_elements_wherever_its_parts_end() {
        let text = br#" [ {"a":"]}\"\\","b":[1,{"c":[]}]} , 1,"x,]", null, [[]], -1.5e3 ] "#;
        let whole: Vec<Value> = serde_json::from_slice(text).unwrap();
        for step in 1..text.len() {
            assert_eq!(cut(text, step).unwrap(), whole, "{step}");
        }
        assert_eq!(cut(b"[]", 1).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn what_is_no_list_or_has_no_end_is_refused() {
        let deep = format!("[{}", "[".repeat(100));
        let long = format!("[\"{}", "x".repeat(Elements::LONGEST));
        for bad in [
            "", "{}", "[", "[1", "[1,", "[,1]", "[1,]", "[1]]", "[1] x", "[1 2]", "[{]", "[}]", "[\"a]", &deep, &long, "[1,,2]",
            "nul",
        ] {
            assert!(cut(bad.as_bytes(), 7).is_err(), "{:.20}", bad);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_cutter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = cut(&bytes, 3);
            let _ = cut(&[b"[", bytes.as_slice()].concat(), 5);
        }
    }
}
