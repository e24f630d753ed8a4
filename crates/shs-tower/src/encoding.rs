//! Bodies with a content-encoding. What passes stays as it is; a copy is decoded.

use std::fmt;
use std::io::Write;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Decodes one body, piece by piece.
pub(crate) enum Encoding {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    /// It cannot be decoded, or is damaged.
    Unreadable(String),
}

/// A small piece of a body can be a large piece of text: so much is decoded at once.
const STEP: usize = 1024;

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Unreadable(reason) => reason,
        })
    }
}

impl Encoding {
    /// The encoding that a head names.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Self::Identity };
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            "deflate" => Self::Deflate(ZlibDecoder::new(Vec::new())),
            "br" => Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), 4096))),
            other => Self::Unreadable(format!("the content-encoding {other:?} is not decoded")),
        }
    }

    /// Decodes a piece and hands on what comes of it, in pieces.
    pub(crate) fn push(&mut self, bytes: &[u8], mut decoded: impl FnMut(&[u8])) {
        for step in bytes.chunks(STEP) {
            let result = match self {
                Self::Identity => return decoded(bytes),
                Self::Unreadable(_) => return,
                Self::Gzip(decoder) => {
                    written(decoder, step, MultiGzDecoder::get_mut, &mut decoded)
                }
                Self::Deflate(decoder) => {
                    written(decoder, step, ZlibDecoder::get_mut, &mut decoded)
                }
                Self::Brotli(decoder) => {
                    written(&mut **decoder, step, DecompressorWriter::get_mut, &mut decoded)
                }
            };
            if let Err(error) = result {
                *self = Self::Unreadable(format!("the {self:?} content is damaged: {error}"));
            }
        }
    }

    /// Why nothing or not all was decoded.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::Unreadable(reason) => Some(reason),
            _ => None,
        }
    }
}

fn written<D: Write>(
    decoder: &mut D,
    bytes: &[u8],
    output: impl Fn(&mut D) -> &mut Vec<u8>,
    decoded: &mut impl FnMut(&[u8]),
) -> std::io::Result<()> {
    let result = decoder.write_all(bytes).and_then(|()| decoder.flush());
    let output = output(decoder);
    if !output.is_empty() {
        decoded(output);
        output.clear();
    }
    result
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn decoded(name: &str, body: &[u8], step: usize) -> (Vec<u8>, bool) {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, name.parse().unwrap())]);
        let mut encoding = Encoding::of(&headers);
        let mut all = Vec::new();
        body.chunks(step)
            .for_each(|piece| encoding.push(piece, |bytes| all.extend_from_slice(bytes)));
        (all, encoding.failure().is_some())
    }

    #[test]
    fn encoded_bodies_are_decoded_as_they_come() {
        let text = "data: {\"x\": 1}\n\n".repeat(500).into_bytes();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&text).unwrap();
        let deflate = deflate.finish().unwrap();
        for step in [1, 7, 100_000] {
            assert_eq!(decoded("gzip", &gzip, step), (text.clone(), false));
            assert_eq!(decoded("deflate", &deflate, step), (text.clone(), false));
            assert_eq!(decoded("identity", &text, step), (text.clone(), false));
        }
        assert!(decoded("gzip", b"this is not gzip", 3).1);
        assert_eq!(decoded("zstd", b"x", 1), (Vec::new(), true));
    }

    #[test]
    fn brotli_is_decoded_as_it_comes() {
        // "hello, hello, hello" as `brotli` writes it without compressing: one uncompressed block, then the end.
        let text = b"hello, hello, hello";
        let mut body = vec![0x0b, 0x09, 0x80];
        body.extend_from_slice(text);
        body.push(0x03);
        for step in [1, 100] {
            assert_eq!(decoded("br", &body, step), (text.to_vec(), false), "step {step}");
        }
    }
}
