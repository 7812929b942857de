//! Tables: rows in aligned columns that fit the terminal. What a table looks like depends on its rows and the width alone.
//!
//! Where the width does not do, padding goes first, then whole columns, those first that matter least, and at last the text
//! of the first column is shortened in its middle. A line is never longer than the width, so the terminal wraps none.

use super::output::{FAINT, Output, printable, styled};
use anstyle::Style;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 2;
/// Stands for what was left out of a text.
const ELLIPSIS: char = '…';

/// Rows in columns. The first column is the name, which stays.
#[derive(Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
    right: Vec<usize>,
    /// Columns that may go, the first that goes first.
    dispensable: Vec<usize>,
    /// Columns whose text may be shortened at its end, to so many columns of the terminal.
    elastic: Vec<(usize, usize)>,
    /// The least width of columns, where there is room for it.
    padded: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Default)]
struct Cell {
    text: String,
    style: Option<Style>,
}

impl Table {
    /// A table under these headings, in capitals. The last columns go first where there is no room; see [`Table::keep`].
    pub fn new(headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|heading| heading.to_uppercase()).collect(),
            dispensable: (1..headings.len()).rev().collect(),
            ..Self::default()
        }
    }

    /// Aligns a column of numbers at its right.
    pub fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// These columns matter besides the first, the most important first: they go last.
    pub fn keep(mut self, columns: &[usize]) -> Self {
        self.dispensable.retain(|column| !columns.contains(column));
        self.dispensable.extend(columns.iter().rev());
        self
    }

    /// The text of a column may be shortened to `least` columns of the terminal before any column goes. Of the first it is the
    /// middle that is left out, of others the end.
    pub fn elastic(mut self, column: usize, least: usize) -> Self {
        self.elastic.push((column, least));
        self
    }

    /// A column has this width at least, where there is room for it.
    pub fn padded(mut self, column: usize, width: usize) -> Self {
        self.padded.push((column, width));
        self
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cell = |text: String| Cell { text: printable(&text), style: None };
        self.rows.push(cells.into_iter().map(Into::into).map(cell).collect());
    }

    /// Gives the last row's cell in this column a style.
    pub fn style_last(&mut self, column: usize, style: Style) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.style = Some(style);
        }
    }

    /// The headings of the columns that have room in this width, in capitals. Longer texts never make room for more of them.
    pub fn columns(&self, width: Option<usize>) -> Vec<&str> {
        let layout = self.layout(width.unwrap_or(usize::MAX));
        layout.iter().filter_map(|(column, _)| Some(self.headings.get(*column)?.as_str())).collect()
    }

    /// Its lines, the headings first; none of them is longer than `width`, where one is given.
    pub fn lines(&self, width: Option<usize>) -> Vec<String> {
        let layout = self.layout(width.unwrap_or(usize::MAX));
        let headings = (!self.headings.is_empty()).then(|| {
            let cells: Vec<Cell> = self.headings.iter().map(|text| Cell { text: text.clone(), style: None }).collect();
            styled(FAINT, self.line(&cells, &layout))
        });
        headings.into_iter().chain(self.rows.iter().map(|row| self.line(row, &layout))).collect()
    }

    /// Writes it, each line indented, as wide as the terminal.
    pub fn write(&self, output: &mut Output, indent: &str) {
        let width = output.width.map(|width| width.saturating_sub(indent.len()));
        for line in self.lines(width) {
            output.line(format!("{indent}{line}"));
        }
    }

    /// The columns that are shown, and how wide each is.
    fn layout(&self, width: usize) -> Vec<(usize, usize)> {
        let columns = self.rows.iter().map(Vec::len).chain([self.headings.len()]).max().unwrap_or(0);
        let natural: Vec<usize> = (0..columns).map(|column| self.natural(column)).collect();
        let padding = |column| self.padded.iter().find(|(at, _)| *at == column).map_or(0, |(_, least)| *least);
        let mut shown: Vec<(usize, usize)> = (0..columns).map(|column| (column, natural[column].max(padding(column)))).collect();
        let total = |shown: &[(usize, usize)]| shown.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP);
        if total(&shown) <= width {
            return shown;
        }
        shown.iter_mut().for_each(|(column, width)| *width = natural[*column]);
        // How far a column can be shortened without hurting.
        let least = |column: usize| {
            let elastic = self.elastic.iter().find(|(at, _)| *at == column);
            elastic.map_or(natural[column], |(_, least)| natural[column].min(*least))
        };
        let mut going = self.dispensable.iter();
        loop {
            let over = total(&shown).saturating_sub(width);
            let give = shown.iter().map(|(column, width)| width - least(*column).min(*width)).sum::<usize>();
            if over <= give {
                break;
            }
            match going.next() {
                Some(column) => shown.retain(|(at, _)| at != column),
                None => break,
            }
        }
        let mut over = total(&shown).saturating_sub(width);
        for (column, width) in shown.iter_mut().rev() {
            let give = over.min(*width - least(*column).min(*width));
            *width -= give;
            over -= give;
        }
        if let Some((_, name)) = shown.first_mut() {
            *name = name.saturating_sub(over).max(1);
        }
        shown
    }

    fn natural(&self, column: usize) -> usize {
        let texts = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.as_str());
        texts.chain(self.headings.get(column).map(String::as_str)).map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    fn line(&self, row: &[Cell], layout: &[(usize, usize)]) -> String {
        let mut line = String::new();
        let (mut gap, mut end) = (0, 0);
        for (column, width) in layout {
            let empty = Cell::default();
            let cell = row.get(*column).unwrap_or(&empty);
            let text = if *column == 0 { shorten_middle(&cell.text, *width) } else { shorten_end(&cell.text, *width) };
            let pad = width - text.width().min(*width);
            let before = if self.right.contains(column) { pad } else { 0 };
            line.push_str(&" ".repeat(gap + before));
            match cell.style {
                Some(style) => line.push_str(&styled(style, &text)),
                None => line.push_str(&text),
            }
            if !text.is_empty() {
                end = line.len();
            }
            line.push_str(&" ".repeat(pad - before));
            gap = GAP;
        }
        line.truncate(end);
        line
    }
}

/// A text of at most so many columns of the terminal: what is too much is left out of its middle, as ids differ at both ends.
pub fn shorten_middle(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    let rest = width.saturating_sub(1);
    let head = first(text.chars(), rest.div_ceil(2));
    let tail = first(text.chars().rev(), rest / 2);
    format!("{head}{ELLIPSIS}{}", tail.chars().rev().collect::<String>()).into()
}

/// The same where the end matters least.
pub fn shorten_end(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    format!("{}{ELLIPSIS}", first(text.chars(), width.saturating_sub(1))).into()
}

fn first(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let own = c.width().unwrap_or(0);
        let fits = own <= left;
        left -= own.min(left);
        fits
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(table: &Table, width: Option<usize>) -> Vec<String> {
        table.lines(width).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn models() -> Table {
        let mut table = Table::new(&["model", "format", "quant", "size", "state", "verified", "source"]).right(3);
        table = table.elastic(6, 10).keep(&[3, 2, 4]);
        table.row([
            "mistral-7b-instruct-v0.2",
            "gguf",
            "q4_k_m",
            "4.37 GB",
            "stored",
            "3 d ago",
            "TheBloke/Mistral-7B-Instruct-v0.2-GGUF",
        ]);
        table.row(["phi-2", "gguf", "q8_0", "2.96 GB", "broken", "never", "TheBloke/phi-2-GGUF"]);
        table
    }

    #[test]
    fn columns_are_aligned_without_trailing_space() {
        let mut table = Table::new(&["name", "size"]).right(1);
        table.row(["a", "5 B"]);
        table.row(["longer", "12.00 MB"]);
        assert_eq!(plain(&table, None), ["NAME        SIZE", "a            5 B", "longer  12.00 MB"]);
    }

    #[test]
    fn a_table_fits_a_terminal_of_200_and_of_120_columns_whole() {
        for width in [Some(200), Some(120), None] {
            assert_eq!(
                plain(&models(), width),
                [
                    "MODEL                     FORMAT  QUANT      SIZE  STATE   VERIFIED  SOURCE",
                    "mistral-7b-instruct-v0.2  gguf    q4_k_m  4.37 GB  stored  3 d ago   TheBloke/Mistral-7B-Instruct-v0.2-GGUF",
                    "phi-2                     gguf    q8_0    2.96 GB  broken  never     TheBloke/phi-2-GGUF",
                ]
            );
        }
    }

    #[test]
    fn at_80_columns_a_long_source_is_shortened_before_a_column_goes() {
        assert_eq!(
            plain(&models(), Some(80)),
            [
                "MODEL                     FORMAT  QUANT      SIZE  STATE   VERIFIED  SOURCE",
                "mistral-7b-instruct-v0.2  gguf    q4_k_m  4.37 GB  stored  3 d ago   TheBloke/M…",
                "phi-2                     gguf    q8_0    2.96 GB  broken  never     TheBloke/p…",
            ]
        );
    }

    #[test]
    fn at_40_columns_what_matters_least_is_gone_and_the_name_is_readable() {
        assert_eq!(
            plain(&models(), Some(40)),
            ["MODEL                        SIZE", "mistral-7b-instruct-v0.2  4.37 GB", "phi-2                     2.96 GB"]
        );
    }

    #[test]
    fn a_name_that_is_longer_than_the_terminal_is_shortened_in_its_middle() {
        let mut table = Table::new(&["model", "size"]).right(1);
        table.row(["a-model-with-a-name-that-nobody-can-remember-q4_k_m", "5 B"]);
        assert_eq!(plain(&table, Some(30)), ["MODEL", "a-model-with-a-…emember-q4_k_m"]);
    }

    #[test]
    fn wide_letters_count_as_the_terminal_draws_them() {
        let mut table = Table::new(&["name", "size"]);
        table.row(["模型", "1"]);
        table.row(["abcd", "2"]);
        assert_eq!(plain(&table, None), ["NAME  SIZE", "模型  1", "abcd  2"]);
        assert_eq!(shorten_middle("模型模型模型", 6), "模…型");
    }

    proptest! {
        #[test]
        fn no_line_is_longer_than_the_terminal(
            rows in proptest::collection::vec(proptest::collection::vec("[a-z模]{0,40}", 1..7), 0..5),
            width in 8_usize..220,
        ) {
            let mut table = Table::new(&["a", "b", "c", "d", "e", "f"]).right(2).padded(0, 24).elastic(3, 5).keep(&[2]);
            rows.into_iter().for_each(|row| table.row(row));
            for line in plain(&table, Some(width)) {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
