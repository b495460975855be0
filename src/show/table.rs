//! The one table writer: header, alignment, and cutting to the terminal's width where there is a terminal.

use super::paint::{Paint, Tone};
use super::text;

/// On which side a column is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// One cell: text of any origin and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a meaning.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(Tone::Plain, text)
    }
}

enum Row {
    Cells(Vec<Cell>),
    /// Pieces of a line that stands across the columns.
    Across(Vec<Cell>),
}

/// Rows of cells; columns are as wide as their widest cell. The last cell of a row that is shorter than the table may
/// reach over the columns behind it, and does not widen its own.
pub struct Table {
    columns: Vec<(Align, usize)>,
    header: Option<Vec<String>>,
    rows: Vec<Row>,
    indent: usize,
    gap: usize,
    uncut: bool,
}

impl Table {
    /// A table with these columns, two spaces apart.
    #[must_use]
    pub fn new(columns: &[Align]) -> Self {
        let columns = columns.iter().map(|align| (*align, 0)).collect();
        Self { columns, header: None, rows: Vec::new(), indent: 0, gap: 2, uncut: false }
    }

    /// Words above the columns.
    #[must_use]
    pub fn header(mut self, words: &[&str]) -> Self {
        self.header = Some(words.iter().map(|word| (*word).to_owned()).collect());
        self
    }

    /// Spaces before each line and between two columns.
    #[must_use]
    pub fn spaced(mut self, indent: usize, gap: usize) -> Self {
        self.indent = indent;
        self.gap = gap;
        self
    }

    /// Least widths of the columns, from the first on.
    #[must_use]
    pub fn at_least(mut self, widths: &[usize]) -> Self {
        for (column, width) in self.columns.iter_mut().zip(widths) {
            column.1 = *width;
        }
        self
    }

    /// Long lines wrap on a terminal instead of being cut: for what must be read to its end.
    #[must_use]
    pub fn uncut(mut self) -> Self {
        self.uncut = true;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row::Cells(cells));
    }

    /// Adds a line that stands across the columns: a symbol, then pieces two spaces apart.
    pub fn across(&mut self, pieces: Vec<Cell>) {
        self.rows.push(Row::Across(pieces));
    }

    /// The table as lines, each with its line end.
    #[must_use]
    pub fn render(mut self, paint: &Paint) -> String {
        let header = self
            .header
            .take()
            .map(|words| Row::Cells(words.into_iter().map(|word| Cell::new(Tone::Dim, word)).collect()));
        let rows: Vec<Row> =
            header.into_iter().chain(std::mem::take(&mut self.rows)).map(|row| row.cleaned(paint)).collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|(_, least)| *least).collect();
        for row in &rows {
            let Row::Cells(cells) = row else { continue };
            let counted =
                if cells.len() < widths.len() { cells.len().saturating_sub(1) } else { cells.len() };
            for (width, cell) in widths.iter_mut().zip(&cells[..counted]) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        let limit = paint.width().filter(|_| !self.uncut);
        let mut out = String::new();
        for row in &rows {
            write_line(&mut out, paint, limit, self.placed(row, &widths));
        }
        out
    }

    /// The cells of a line, each with the spaces that belong before and after it.
    fn placed<'a>(&self, row: &'a Row, widths: &[usize]) -> Vec<(&'a Cell, usize, usize)> {
        match row {
            Row::Cells(cells) => {
                let places = self.columns.iter().zip(widths).zip(cells).enumerate();
                let place = places.map(|(at, (((align, _), width), cell))| {
                    let gap = if at == 0 { self.indent } else { self.gap };
                    let fill = width.saturating_sub(text::width(&cell.text));
                    match align {
                        Align::Left => (cell, gap, fill),
                        Align::Right => (cell, gap + fill, 0),
                    }
                });
                place.collect()
            }
            Row::Across(pieces) => {
                pieces.iter().enumerate().map(|(at, piece)| (piece, at.min(2), 0)).collect()
            }
        }
    }
}

impl Row {
    fn cleaned(self, paint: &Paint) -> Self {
        let clean = |cells: Vec<Cell>| {
            cells.into_iter().map(|cell| Cell { text: paint.clean(&cell.text), tone: cell.tone }).collect()
        };
        match self {
            Self::Cells(cells) => Self::Cells(clean(cells)),
            Self::Across(cells) => Self::Across(clean(cells)),
        }
    }
}

/// Writes one line; spaces are only written once something follows them, so that no line ends in a space.
fn write_line(out: &mut String, paint: &Paint, limit: Option<usize>, cells: Vec<(&Cell, usize, usize)>) {
    let mut used = 0;
    let mut owed = 0;
    for (cell, before, after) in cells {
        owed += before;
        if !cell.text.is_empty() {
            let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(used + owed));
            if room == 0 {
                break;
            }
            let shown = text::truncate(&cell.text, room, paint.marks().ellipsis);
            out.extend(std::iter::repeat_n(' ', owed));
            out.push_str(&paint.tone(cell.tone, &shown));
            used += owed + text::width(&shown);
            owed = 0;
        }
        owed += after;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table =
            Table::new(&[Align::Left, Align::Right, Align::Left]).header(&["NAME", "PID", "COMMAND"]);
        table.row(vec!["数据库".into(), "7".into(), "postgres -D data".into()]);
        table.row(vec![Cell::new(Tone::Good, "api"), "41223".into(), "node\x1b[2J".into()]);
        table.row(vec!["idle".into()]);
        table
    }

    #[test]
    fn columns_stand_under_each_other_even_with_wide_characters() {
        let expected =
            "NAME      PID  COMMAND\n数据库      7  postgres -D data\napi     41223  node\\x1b[2J\nidle\n";
        assert_eq!(table().render(&Paint::plain()), expected);
    }

    #[test]
    fn colours_do_not_move_anything() {
        let text = table().render(&Paint::plain().with_color());
        assert!(text.contains("\u{1b}[32mapi\u{1b}[0m     41223"), "{text:?}");
    }

    #[test]
    fn a_terminal_cuts_lines_and_a_pipe_does_not() {
        let text = table().render(&Paint::plain().with_width(20));
        assert_eq!(text, "NAME      PID  COMM…\n数据库      7  post…\napi     41223  node…\nidle\n");
        for line in table().render(&Paint::plain().with_ascii().with_width(3)).lines() {
            assert!(text::width(line) <= 3, "{line:?}");
        }
    }
}
