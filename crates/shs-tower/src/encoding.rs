//! Bodies with a content-encoding. What passes stays as it is; a copy is decoded, when it is there.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};

use brotli_decompressor::{BrotliDecoderParameter, DecompressorWriter};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The encodings of one body, in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoding {
    codings: Vec<Coding>,
    /// Why it cannot be decoded at all.
    unknown: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// Most encodings of one body; servers send one.
const MOST_CODINGS: usize = 3;

/// Why a body was not decoded to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// One of its encodings became longer than the limit.
    TooLong,
    /// Whoever takes the text took no more.
    Unwanted,
    /// It ends early, as it does when its client goes away.
    Early(String),
    /// It is damaged, or its encoding is not known.
    Unreadable(String),
}

impl Encoding {
    /// The encodings that a head names.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut encoding = Self::default();
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',') {
                encoding.add(&String::from_utf8_lossy(name).trim().to_ascii_lowercase());
            }
        }
        encoding
    }

    fn add(&mut self, name: &str) {
        match name {
            "" | "identity" => {}
            "gzip" | "x-gzip" => self.codings.push(Coding::Gzip),
            "deflate" => self.codings.push(Coding::Deflate),
            "br" => self.codings.push(Coding::Brotli),
            other => {
                let name: String = other.chars().take(40).collect();
                let reason = format!("the content-encoding {name:?} is not decoded");
                self.unknown.get_or_insert(reason);
            }
        }
        if self.codings.len() > MOST_CODINGS {
            let reason = format!("more than {MOST_CODINGS} content-encodings are not decoded");
            self.unknown.get_or_insert(reason);
        }
    }

    /// Whether the body is as it is.
    pub(crate) fn is_identity(&self) -> bool {
        self.codings.is_empty() && self.unknown.is_none()
    }

    /// Decodes the pieces of a body, and hands on what comes of each; `false` ends it.
    ///
    /// No encoding may become longer than the limit, those beneath others neither. At any time
    /// there is no more in memory than 32 KiB of what comes, and the windows of the decoders: 16
    /// MiB for Brotli, whose large windows are refused, and 32 KiB for the others.
    pub(crate) fn decode<'p>(
        &self,
        pieces: impl IntoIterator<Item = &'p [u8]>,
        limit: u64,
        mut decoded: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Undecoded> {
        if let Some(reason) = &self.unknown {
            return Err(Undecoded::Unreadable(reason.clone()));
        }
        let stop = Cell::new(None);
        let end = Last { decoded: &mut decoded, stop: &stop };
        let mut chain: Box<dyn Link + '_> = Box::new(end);
        for coding in &self.codings {
            let bounded = Bounded { next: chain, left: limit, stop: &stop };
            chain = coding.link(bounded);
        }
        let mut result = Ok(());
        let mut is_empty = true;
        for piece in pieces {
            is_empty &= piece.is_empty();
            result = chain.write_all(piece).and_then(|()| chain.flush());
            if result.is_err() {
                break;
            }
        }
        let is_read = result.is_ok();
        // A body that is not there has no encoding either.
        if !is_empty {
            result = result.and_then(|()| chain.end());
        }
        // What a decoder writes when it goes would come after its end.
        drop(chain);
        match (result, stop.take()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(stop)) => Err(stop),
            (Err(_), None) if is_read => {
                Err(Undecoded::Early(format!("the {self} content ends early")))
            }
            (Err(error), None) => {
                Err(Undecoded::Unreadable(format!("the {self} content is damaged: {error}")))
            }
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.codings.iter().map(|coding| match coding {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
        });
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl Coding {
    fn link<'a>(self, next: Bounded<'a>) -> Box<dyn Link + 'a> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(next)),
            Self::Deflate => {
                Box::new(Inflate { next, decompress: Decompress::new(true), is_over: false })
            }
            Self::Brotli => {
                let mut brotli = DecompressorWriter::new(next, BUFFER);
                // A large window takes up to 1 GiB, and is no part of the content-encoding (RFC
                // 7932).
                let large_window = BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW;
                let is_set = brotli.set_parameter(large_window, 0);
                assert!(is_set, "nothing was decoded yet");
                Box::new(Brotli(brotli))
            }
        }
    }
}

const BUFFER: usize = 16 * 1024;

/// A decoder, and the decoders behind it.
trait Link: Write {
    /// Checks that the content has come to its end.
    fn end(&mut self) -> io::Result<()>;
}

/// Counts what a decoder writes.
struct Bounded<'a> {
    next: Box<dyn Link + 'a>,
    left: u64,
    stop: &'a Cell<Option<Undecoded>>,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.stop.set(Some(Undecoded::TooLong));
            return Err(io::Error::other("too long"));
        };
        self.left = left;
        self.next.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

/// Takes what is decoded.
struct Last<'a, F> {
    decoded: &'a mut F,
    stop: &'a Cell<Option<Undecoded>>,
}

impl<F: FnMut(&[u8]) -> bool> Write for Last<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() && !(self.decoded)(bytes) {
            self.stop.set(Some(Undecoded::Unwanted));
            return Err(io::Error::other("unwanted"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&[u8]) -> bool> Link for Last<'_, F> {
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link for MultiGzDecoder<Bounded<'_>> {
    fn end(&mut self) -> io::Result<()> {
        self.try_finish()?;
        self.get_mut().next.end()
    }
}

/// Zlib. flate2's own writer does not tell whether the content has come to its end.
struct Inflate<'a> {
    next: Bounded<'a>,
    decompress: Decompress,
    is_over: bool,
}

impl Write for Inflate<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = [0; BUFFER];
        let mut rest = bytes;
        while !self.is_over {
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self.decompress.decompress(rest, &mut buffer, FlushDecompress::None)?;
            let read = (self.decompress.total_in() - read) as usize;
            let written = (self.decompress.total_out() - written) as usize;
            self.next.write_all(&buffer[..written])?;
            rest = &rest[read..];
            self.is_over = status == Status::StreamEnd;
            if written == 0 && (read == 0 || rest.is_empty()) {
                break;
            }
        }
        // What follows the end is nobody's.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

impl Link for Inflate<'_> {
    fn end(&mut self) -> io::Result<()> {
        if !self.is_over {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.next.next.end()
    }
}

struct Brotli<'a>(DecompressorWriter<Bounded<'a>>);

impl Write for Brotli<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Link for Brotli<'_> {
    fn end(&mut self) -> io::Result<()> {
        self.0.close()?;
        self.0.get_mut().next.end()
    }
}

#[cfg(test)]
#[path = "../tests/recording/bits.rs"]
mod bits;

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::bits::Bits;
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn encoding(names: &[&str]) -> Encoding {
        let mut map = HeaderMap::new();
        for name in names {
            map.append(CONTENT_ENCODING, name.parse().unwrap());
        }
        Encoding::of(&map)
    }

    fn decoded(name: &str, body: &[u8], step: usize) -> (Vec<u8>, Result<(), Undecoded>) {
        let mut all = Vec::new();
        let result = encoding(&[name]).decode(body.chunks(step), MIB as u64, |bytes| {
            all.extend_from_slice(bytes);
            true
        });
        (all, result)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(text).unwrap();
        deflate.finish().unwrap()
    }

    /// A text as `brotli` writes it without compressing: uncompressed blocks of 64 KiB at most,
    /// then the end.
    fn stored_brotli(text: &[u8]) -> Vec<u8> {
        let mut bits = Bits::default();
        // The window: 64 KiB.
        bits.push(0, 1);
        for block in text.chunks(65_536) {
            // Not the last; four nibbles of length; uncompressed.
            bits.push(0, 1);
            bits.push(0, 2);
            bits.push(block.len() as u32 - 1, 16);
            bits.push(1, 1);
            bits.align();
            bits.bytes.extend_from_slice(block);
        }
        bits.push(3, 2);
        bits.align();
        bits.bytes
    }

    #[test]
    fn encoded_bodies_are_decoded_however_they_are_split() {
        let text = "data: {\"x\": 1}\n\n".repeat(500).into_bytes();
        let stacked = stored_brotli(&deflate(&gzip(&text)));
        for step in [1, 7, 100_000] {
            assert_eq!(decoded("gzip", &gzip(&text), step), (text.clone(), Ok(())));
            assert_eq!(decoded("deflate", &deflate(&text), step), (text.clone(), Ok(())));
            assert_eq!(decoded("br", &stored_brotli(&text), step), (text.clone(), Ok(())));
            assert_eq!(decoded("identity", &text, step), (text.clone(), Ok(())));
            assert_eq!(decoded("gzip, deflate,br", &stacked, step), (text.clone(), Ok(())));
        }
        assert_eq!(encoding(&["gzip", "deflate, br"]), encoding(&["gzip,deflate,br"]));
    }

    #[test]
    fn an_early_end_and_damage_are_told() {
        let text = b"some text that is long enough to be cut";
        for (name, body) in
            [("gzip", gzip(text)), ("deflate", deflate(text)), ("br", stored_brotli(text))]
        {
            for cut in 1..body.len() {
                let (_, result) = decoded(name, &body[..cut], 5);
                assert!(
                    matches!(result, Err(Undecoded::Early(_))),
                    "{name} cut at {cut}: {result:?}"
                );
            }
            assert_eq!(decoded(name, b"", 5), (Vec::new(), Ok(())), "{name} without a body");
        }
        assert!(decoded("gzip", b"this is not gzip", 3).1.is_err());
        assert!(decoded("deflate", b"this is not deflate", 3).1.is_err());
        assert!(decoded("br", b"\x91\x00this is not brotli", 3).1.is_err());
    }

    #[test]
    fn encodings_that_are_not_known_or_too_many_are_not_decoded() {
        let reason = |name| match decoded(name, b"x", 1).1 {
            Err(Undecoded::Unreadable(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason("zstd"), "the content-encoding \"zstd\" is not decoded");
        assert!(reason("gzip, gzip, gzip, gzip").contains("more than 3"));
    }

    #[test]
    fn each_encoding_is_bounded_also_one_beneath_others() {
        let bomb = vec![0; 8 * MIB];
        for (name, body) in [
            ("gzip", gzip(&bomb)),
            ("deflate", deflate(&bomb)),
            ("br", stored_brotli(&bomb)),
            ("gzip, deflate", deflate(&gzip(&bomb))),
            ("deflate, br", stored_brotli(&deflate(&bomb))),
            // Whatever it becomes in the middle, it is nothing in the end.
            ("gzip, gzip", gzip(&gzip(b"").repeat(MIB / 10))),
        ] {
            let (text, result) = decoded(name, &body, 1 << 20);
            assert_eq!(result, Err(Undecoded::TooLong), "{name}");
            assert!(text.len() <= MIB, "{name} became {} bytes", text.len());
        }
    }

    #[test]
    fn brotli_with_a_large_window_is_refused() {
        // The window bits of a large window (0x11), a size of 30 bits, and an empty last block.
        let mut bits = Bits::default();
        bits.push(0x11, 8);
        bits.push(30, 6);
        bits.push(3, 2);
        bits.align();
        assert!(matches!(decoded("br", &bits.bytes, 1).1, Err(Undecoded::Unreadable(_))));
    }

    #[test]
    fn decoding_ends_when_no_more_is_wanted() {
        let body = gzip(&vec![0; MIB]);
        let mut seen = 0;
        let result = encoding(&["gzip"]).decode([&body[..]], u64::MAX, |bytes| {
            seen += bytes.len();
            seen < 100_000
        });
        assert_eq!(result, Err(Undecoded::Unwanted));
        assert!(seen < 200_000);
    }
}
