//! Bodies that come compressed although we asked for none. Unpacked piece by piece, so that neither a bomb nor a slow
//! stream can hurt.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use llm_types::{Error, ErrorKind};

/// How much is unpacked in one step: a thousandfold bomb makes half a megabyte of it.
const STEP: usize = 512;

/// How a body has to be read.
pub(super) enum Decoder {
    /// As it is.
    Plain,
    /// Packed once.
    Packed(Box<Unpacker>),
    /// In a way we do not know.
    Unknown(String),
}

impl Decoder {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut coding = None;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for token in value.to_str().unwrap_or("?").split(',') {
                let token = token.trim().to_ascii_lowercase();
                if token.is_empty() || token == "identity" {
                    continue;
                }
                if coding.is_some() {
                    return Self::Unknown("several codings, one over the other".into());
                }
                coding = Some(token);
            }
        }
        match coding.as_deref() {
            None => Self::Plain,
            Some("gzip" | "x-gzip") => Self::Packed(Box::new(Unpacker::new(Packing::Gzip))),
            Some("deflate") => Self::Packed(Box::new(Unpacker::new(Packing::Deflate))),
            Some(other) => {
                Self::Unknown(format!("`{}`", other.escape_default().take(40).collect::<String>()))
            }
        }
    }
}

enum Packing {
    Gzip,
    /// By its standard with a zlib wrapper, by some servers without.
    Deflate,
}

enum Engine {
    Undecided,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
}

/// Unpacks a body as its pieces come.
pub(super) struct Unpacker {
    engine: Engine,
    /// Packed bytes that came and are not unpacked yet.
    input: Bytes,
    /// Whether anything came: an empty body is empty, whatever its head says.
    fed: bool,
}

impl Unpacker {
    fn new(packing: Packing) -> Self {
        let engine = match packing {
            Packing::Gzip => Engine::Gzip(MultiGzDecoder::new(Vec::new())),
            Packing::Deflate => Engine::Undecided,
        };
        Self { engine, input: Bytes::new(), fed: false }
    }

    /// Adds a packed piece. The one before is used up.
    pub(super) fn feed(&mut self, piece: Bytes) {
        self.input = piece;
        self.fed = true;
    }

    /// The next unpacked piece of what was fed; `None` when more is needed.
    pub(super) fn step(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.input.is_empty() {
            let step = self.input.split_to(self.input.len().min(STEP));
            if let (Engine::Undecided, Some(first)) = (&self.engine, step.first()) {
                // A zlib wrapper begins with 8 (deflate) in its low bits; no raw stream of one final block does by chance often.
                self.engine = if first & 0x0f == 8 {
                    Engine::Zlib(ZlibDecoder::new(Vec::new()))
                } else {
                    Engine::Raw(DeflateDecoder::new(Vec::new()))
                };
            }
            let written = match &mut self.engine {
                Engine::Undecided => return Ok(None),
                Engine::Gzip(engine) => engine.write_all(&step).and_then(|()| engine.flush()),
                Engine::Zlib(engine) => engine.write_all(&step).and_then(|()| engine.flush()),
                Engine::Raw(engine) => engine.write_all(&step).and_then(|()| engine.flush()),
            };
            written.map_err(damaged)?;
            let out = self.take();
            if !out.is_empty() {
                return Ok(Some(Bytes::from(out)));
            }
        }
        Ok(None)
    }

    /// The body has ended: what is left, or an error when it ended too early.
    pub(super) fn finish(&mut self) -> Result<Option<Bytes>, Error> {
        let finished = match &mut self.engine {
            _ if !self.fed => Ok(()),
            Engine::Undecided => Ok(()),
            Engine::Gzip(engine) => engine.try_finish(),
            Engine::Zlib(engine) => engine.try_finish(),
            Engine::Raw(engine) => engine.try_finish(),
        };
        finished.map_err(damaged)?;
        let out = self.take();
        Ok((!out.is_empty()).then(|| Bytes::from(out)))
    }

    fn take(&mut self) -> Vec<u8> {
        match &mut self.engine {
            Engine::Undecided => Vec::new(),
            Engine::Gzip(engine) => std::mem::take(engine.get_mut()),
            Engine::Zlib(engine) => std::mem::take(engine.get_mut()),
            Engine::Raw(engine) => std::mem::take(engine.get_mut()),
        }
    }
}

fn damaged(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the body came compressed and cannot be unpacked: its data is damaged or cut",
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn packed(coding: &str, data: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decoder(value: &str) -> Decoder {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
        Decoder::of(&headers)
    }

    fn unpack(coding: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let Decoder::Packed(mut unpacker) = decoder(coding) else { panic!("{coding} is not unpacked") };
        let mut out = Vec::new();
        for piece in pieces {
            unpacker.feed(Bytes::copy_from_slice(piece));
            while let Some(unpacked) = unpacker.step()? {
                assert!(unpacked.len() <= STEP * 1100, "{} bytes at once", unpacked.len());
                out.extend_from_slice(&unpacked);
            }
        }
        out.extend(unpacker.finish()?.into_iter().flatten());
        Ok(out)
    }

    #[test]
    fn bodies_are_unpacked_however_they_are_cut() {
        let text = b"data: {\"delta\": \"hello\"}\n\n".repeat(40);
        for (coding, packing) in
            [("gzip", "gzip"), ("X-GZip", "gzip"), ("deflate", "zlib"), ("deflate", "raw")]
        {
            let whole = packed(packing, &text);
            assert_eq!(unpack(coding, &[&whole]).unwrap(), text);
            for at in 0..whole.len() {
                let (a, b) = whole.split_at(at);
                assert_eq!(unpack(coding, &[a, b]).unwrap(), text, "{packing} cut at {at}");
            }
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(unpack(coding, &bytes).unwrap(), text);
        }
        assert_eq!(unpack("gzip", &[]).unwrap(), b"");
        let two = [packed("gzip", b"one "), packed("gzip", b"two")].concat();
        assert_eq!(unpack("gzip", &[&two]).unwrap(), b"one two");
    }

    #[test]
    fn each_flushed_part_is_there_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"first").unwrap();
        encoder.flush().unwrap();
        let Decoder::Packed(mut unpacker) = decoder("gzip") else { panic!() };
        unpacker.feed(Bytes::from(std::mem::take(encoder.get_mut())));
        assert_eq!(unpacker.step().unwrap().unwrap(), "first");
    }

    #[test]
    fn a_bomb_is_unpacked_in_small_steps() {
        let bomb = packed("gzip", &vec![0; 8 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack("gzip", &[&bomb]).unwrap().len(), 8 << 20);
    }

    #[test]
    fn cut_or_damaged_data_is_an_error() {
        let whole = packed("gzip", b"hello, hello, hello");
        for cut in 1..whole.len() {
            let error = unpack("gzip", &[&whole[..cut]]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "cut at {cut}");
        }
        let mut broken = whole.clone();
        broken[12] ^= 0xff;
        assert!(unpack("gzip", &[&broken]).is_err());
        assert!(unpack("gzip", &[b"not gzip at all"]).is_err());
    }

    #[test]
    fn other_codings_are_named() {
        for (value, shown) in
            [("br", "`br`"), ("gzip, gzip", "several"), ("identity,gzip,deflate", "several")]
        {
            let Decoder::Unknown(what) = decoder(value) else { panic!("{value}") };
            assert!(what.contains(shown), "{what}");
        }
        assert!(matches!(decoder("identity"), Decoder::Plain));
        assert!(matches!(Decoder::of(&HeaderMap::new()), Decoder::Plain));
    }
}
