//! Lines of a file by their offsets, with a little memory for neighbours.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

const BLOCK: usize = 64 << 10;
const BLOCKS: usize = 16;

/// Lines of a file by their offsets, quick where neighbours are asked for soon after each other.
pub(crate) struct Blocks {
    file: File,
    blocks: Vec<(u64, Vec<u8>)>,
    next: usize,
}

impl Blocks {
    pub(crate) fn new(file: File) -> Self {
        Self { file, blocks: Vec::new(), next: 0 }
    }

    /// Reads the line that begins at this offset, without its line break.
    pub(crate) fn line_at(&mut self, offset: u64, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        let mut at = offset;
        loop {
            let number = at / BLOCK as u64;
            let block = self.block(number)?;
            let from = usize::try_from(at % BLOCK as u64).unwrap_or(0);
            let piece = block.get(from..).unwrap_or_default();
            if piece.is_empty() {
                return Ok(());
            }
            if let Some(end) = memchr::memchr(b'\n', piece) {
                line.extend_from_slice(piece.get(..end).unwrap_or_default());
                return Ok(());
            }
            line.extend_from_slice(piece);
            at += piece.len() as u64;
            if block.len() < BLOCK {
                return Ok(());
            }
        }
    }

    fn block(&mut self, number: u64) -> io::Result<&[u8]> {
        let at = match self.blocks.iter().position(|(held, _)| *held == number) {
            Some(at) => at,
            None => {
                self.file.seek(SeekFrom::Start(number * BLOCK as u64))?;
                let mut block = Vec::with_capacity(BLOCK);
                (&mut self.file).take(BLOCK as u64).read_to_end(&mut block)?;
                if self.blocks.len() < BLOCKS {
                    self.blocks.push((number, block));
                    self.blocks.len() - 1
                } else {
                    let at = self.next;
                    self.next = (at + 1) % BLOCKS;
                    if let Some(slot) = self.blocks.get_mut(at) {
                        *slot = (number, block);
                    }
                    at
                }
            }
        };
        Ok(self.blocks.get(at).map_or(&[], |(_, block)| block))
    }

    /// Whether the file holds something and does not end in a line break.
    pub(crate) fn lacks_line_break(&mut self) -> io::Result<bool> {
        let len = self.file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if len > 0 {
            self.file.seek(SeekFrom::Start(len - 1))?;
            self.file.read_exact(&mut last)?;
        }
        Ok(last != *b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_are_found_by_their_offsets_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let lines: Vec<String> = (0..3000).map(|n| format!("{n}:{}", "x".repeat(n * 7 % 900))).collect();
        let long = "y".repeat(3 * BLOCK);
        fs::write(&path, lines.join("\n") + "\n" + &long).unwrap();
        let mut blocks = Blocks::new(File::open(&path).unwrap());
        let mut offsets = vec![0_u64];
        offsets.extend(lines.iter().scan(0, |at, line| {
            *at += line.len() as u64 + 1;
            Some(*at)
        }));
        let mut found = Vec::new();
        for step in [1, 7, 1999] {
            for n in 0..3000 {
                let at = n * step % 3000;
                blocks.line_at(offsets[at], &mut found).unwrap();
                assert_eq!(found, lines[at].as_bytes());
            }
        }
        blocks.line_at(offsets[3000], &mut found).unwrap();
        assert_eq!(found, long.as_bytes());
        assert!(blocks.lacks_line_break().unwrap());
        assert!(blocks.blocks.len() <= BLOCKS);
    }
}
