//! Columns of words, for a terminal and for a page.

/// A head and its lines.
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<'a>(head: impl Iterator<Item = &'a str>) -> Self {
        Self { lines: vec![head.map(str::to_owned).collect()] }
    }

    pub(crate) fn push(&mut self, line: impl Iterator<Item = String>) {
        self.lines.push(line.collect());
    }

    /// Columns under each other, two spaces apart.
    pub(crate) fn plain(&self) -> String {
        let columns = self.lines.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.lines.iter().filter_map(|line| Some(line.get(column)?.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for line in &self.lines {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// A table of a page in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            text.push_str(&format!("| {} |\n", line.join(" | ")));
            if at == 0 {
                text.push_str(&format!("|{}\n", "---|".repeat(line.len())));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_same_cells_in_both_forms() {
        let mut table = Table::new(["provider", "tools"].into_iter());
        table.push(["mock", "no"].into_iter().map(str::to_owned));
        assert_eq!(table.plain(), "provider  tools\nmock      no\n");
        assert_eq!(table.markdown(), "| provider | tools |\n|---|---|\n| mock | no |\n");
    }
}
