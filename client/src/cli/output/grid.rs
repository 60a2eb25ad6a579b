//! Aligned columns without borders, that can be cut and grepped.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::format::clean;

/// A table with a heading.
pub(crate) struct Grid {
    table: Table,
}

impl Grid {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(heading.map(clean));
        for index in 0..N {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
            }
        }
        Self { table }
    }

    /// Aligns a column of numbers.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        for index in columns {
            if let Some(column) = self.table.column_mut(*index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    pub(crate) fn row<S: AsRef<str>, const N: usize>(&mut self, cells: [S; N]) {
        self.table.add_row(cells.iter().map(|cell| clean(cell.as_ref())).collect::<Vec<_>>());
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stay_on_their_line() {
        let mut grid = Grid::new(["TABLE\t", "ROWS"]).right(&[1]);
        grid.row(["a", "1"]);
        grid.row(["two\nlines", "12,345"]);
        assert_eq!(
            grid.to_string(),
            "TABLE\\t       ROWS\na                1\ntwo\\nlines  12,345\n"
        );
    }
}
