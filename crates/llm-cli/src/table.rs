//! Columns of text.

/// Columns as wide as their widest cell, two blanks between them, without trailing blanks. Each cell must be safe.
#[must_use]
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| length(cell)).max();
    let widths: Vec<usize> = (0..N).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let blanks = (width + 2).saturating_sub(length(cell));
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        let rows = [row("zwölf", "x", "default"), row("ten", "", "")];
        assert_eq!(aligned(&rows), ["zwölf  x  default", "ten"]);
    }
}
