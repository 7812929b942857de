//! The question of `download --choose`: which format and quantization.

use crate::{
    cli::{
        context::Context,
        output::{STRONG, printable, styled},
        table::Table,
        units,
    },
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint, Verb},
    manager::{InfoModel, MemoryReport, MemoryVerdict, Selector},
    names::{Format, Quant, Role},
};
use std::io::{self, BufRead, IsTerminal, Read};

/// Answers that make no sense before the question is given up, and the longest answer, in bytes.
const TRIES: u32 = 3;
const LONGEST_ANSWER: u64 = 1000;

/// What a person can choose.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    format: Format,
    quant: Option<Quant>,
    bytes: Option<u64>,
    bits: Option<f64>,
    memory: MemoryReport,
    is_here: bool,
    is_default: bool,
}

impl Choice {
    fn name(&self) -> String {
        self.quant.as_ref().map_or_else(|| self.format.to_string(), ToString::to_string)
    }
}

/// Asks which of its forms is meant, where there are several. Without a terminal nobody could answer.
pub fn choose(context: &Context<'_>, what: Selector) -> Result<Selector> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let error = Error::new(ErrorKind::Usage, "to choose takes a terminal, where a person can answer");
        return Err(error.hint(Hint::Run(Action::new(Verb::Info).name(what.model.to_string()))));
    }
    let model = context.manager()?.info_of(&what, false)?;
    let choices = choices(&model);
    if choices.len() < 2 {
        return Ok(what);
    }
    context.progress().tell(&table(
        &model.model,
        &choices,
        console::Term::stderr().size_checked().map(|(_, columns)| columns.into()),
    ));
    let chosen = ask(&choices, &mut io::stdin().lock(), &|text| context.progress().tell(text))?;
    Ok(Selector { format: Some(chosen.format.clone()), quant: chosen.quant.clone(), ..what })
}

fn choices(model: &InfoModel) -> Vec<Choice> {
    let labels = model.labels.iter().filter(|label| label.role == Role::Model).filter_map(|label| {
        Some(Choice {
            format: Format::gguf(),
            quant: Some(label.label.clone()),
            bytes: Some(label.total_bytes),
            bits: label.bits_per_weight,
            memory: label.memory.clone()?,
            is_here: label.present,
            is_default: label.is_default,
        })
    });
    let labels: Vec<Choice> = labels.collect();
    if !labels.is_empty() {
        return labels;
    }
    let form = |form: &crate::manager::InfoForm| Choice {
        format: form.format.clone(),
        quant: form.quant.clone(),
        bytes: form.total_bytes,
        bits: form.bits_per_weight,
        memory: form.memory.clone(),
        is_here: form.present,
        is_default: form.is_default,
    };
    model.forms.iter().map(form).collect()
}

fn table(model: &str, choices: &[Choice], width: Option<usize>) -> String {
    let mut table = Table::new(&["", "form", "size", "bits/weight", "memory", "here"]);
    table = table.right(0).right(2).right(3).keep(&[1, 2, 4, 5]);
    for (number, choice) in choices.iter().enumerate() {
        let here = if choice.is_here { "*" } else { "" };
        let bytes = choice.bytes.map_or_else(|| "?".into(), units::size);
        table.row([(number + 1).to_string(), choice.name(), bytes, bits(choice.bits), fits(&choice.memory).into(), here.into()]);
    }
    let lines: String = table.lines(width.map(|width| width.saturating_sub(2))).iter().map(|line| format!("  {line}\n")).collect();
    format!("{}\n{lines}", styled(STRONG, printable(model)))
}

/// How many bits a weight takes.
pub fn bits(bits: Option<f64>) -> String {
    bits.map_or_else(|| "?".into(), |bits| format!("{bits:.1}"))
}

/// Whether it fits the memory, in a word.
pub fn fits(memory: &MemoryReport) -> &'static str {
    match memory.verdict {
        MemoryVerdict::Fits => "fits",
        MemoryVerdict::Tight => "tight",
        MemoryVerdict::DoesNotFit => "no",
        MemoryVerdict::Unknown => "?",
    }
}

fn ask<'c>(choices: &'c [Choice], input: &mut dyn BufRead, tell: &dyn Fn(&str)) -> Result<&'c Choice> {
    let usual = choices.iter().find(|choice| choice.is_default);
    let default = usual.map(|usual| format!(", or nothing for {}", usual.name())).unwrap_or_default();
    for _ in 0..TRIES {
        tell(&format!("Which one? A number or a name{default}.\n"));
        let mut answer = String::new();
        let read = input.take(LONGEST_ANSWER).read_line(&mut answer);
        let read = read.map_err(|error| Error::of_system("cannot read the answer", error))?;
        let answer = answer.trim();
        if read == 0 {
            break;
        }
        let named = |choice: &&Choice| choice.name().eq_ignore_ascii_case(answer);
        let numbered = || choices.get(answer.parse::<usize>().ok()?.checked_sub(1)?);
        let chosen = if answer.is_empty() { usual } else { choices.iter().find(named).or_else(numbered) };
        if let Some(chosen) = chosen {
            return Ok(chosen);
        }
    }
    Err(Error::new(ErrorKind::Usage, "nothing was chosen"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn memory(verdict: MemoryVerdict) -> MemoryReport {
        MemoryReport {
            verdict,
            weights_bytes: None,
            required_bytes: None,
            recommended_bytes: None,
            ram: None,
            memory_bytes: None,
            is_estimate: false,
        }
    }

    fn three() -> Vec<Choice> {
        let choice = |quant: &str, gigabytes: u64, verdict| Choice {
            format: Format::gguf(),
            quant: Some(quant.parse().expect("a quantization")),
            bytes: Some(gigabytes * 1_000_000_000),
            bits: Some(gigabytes as f64),
            memory: memory(verdict),
            is_here: quant == "q8_0",
            is_default: quant == "q4_k_m",
        };
        vec![
            choice("q4_k_m", 4, MemoryVerdict::Fits),
            choice("q8_0", 8, MemoryVerdict::Tight),
            choice("f16", 16, MemoryVerdict::DoesNotFit),
        ]
    }

    fn answered(text: &str) -> (Option<String>, usize) {
        let asked = RefCell::new(0);
        let choices = three();
        let chosen = ask(&choices, &mut text.as_bytes(), &|_| *asked.borrow_mut() += 1);
        (chosen.ok().map(Choice::name), asked.into_inner())
    }

    #[test]
    fn a_number_a_name_or_nothing_chooses() {
        for (text, chosen) in [("2\n", "q8_0"), ("Q8_0\n", "q8_0"), ("\n", "q4_k_m"), (" 3 \n", "f16"), ("1", "q4_k_m")] {
            assert_eq!(answered(text), (Some(chosen.to_owned()), 1), "{text:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_asked_again_and_then_given_up() {
        assert_eq!(answered("0\nnine\n2\n"), (Some("q8_0".into()), 3));
        assert_eq!(answered("0\n4\nq2_k\n1\n"), (None, 3));
        assert_eq!(answered(""), (None, 1));
        assert_eq!(answered(&"9".repeat(5000)), (None, 3), "no more is read than a line should have");
    }

    #[test]
    fn the_table_says_of_each_how_large_it_is_whether_it_fits_and_what_is_here() {
        let shown = anstream::adapter::strip_str(&table("o/r-GGUF", &three(), None)).to_string();
        let expected = "\
o/r-GGUF
     FORM        SIZE  BITS/WEIGHT  MEMORY  HERE
  1  q4_k_m   4.00 GB          4.0  fits
  2  q8_0     8.00 GB          8.0  tight   *
  3  f16     16.00 GB         16.0  no
";
        assert_eq!(shown, expected);
    }
}
