//! Decompression of a response as it arrives.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::FeedError;

/// Compressed bytes that are decompressed at once. Deflate expands at most 1,032-fold
/// (<https://zlib.net/zlib_tech.html>), so that no more than 4 MB are ever held.
const SLICE_BYTES: usize = 4096;

/// A gzip stream of one or several members: kube-apiserver flushes a compressed watch by ending
/// the member and beginning another.
pub(crate) struct Gunzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// Decompressed bytes so far.
    position: u64,
}

impl Gunzip {
    pub(crate) fn new() -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()), position: 0 }
    }

    /// Decompresses all that can be from these bytes.
    pub(crate) fn push<E: From<FeedError>>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for slice in chunk.chunks(SLICE_BYTES) {
            // Without the flush the decoder keeps its last bytes, and a watch its last event.
            let done = self.decoder.write_all(slice).and_then(|()| self.decoder.flush());
            let out = std::mem::take(self.decoder.get_mut());
            self.position += out.len() as u64;
            sink(&out)?;
            done.map_err(|error| FeedError::Gzip { problem: error.to_string() })?;
            let mut out = out;
            out.clear();
            *self.decoder.get_mut() = out;
        }
        Ok(())
    }

    /// The stream has ended: it must have ended with a member.
    pub(crate) fn finish(&mut self) -> Result<(), FeedError> {
        match self.decoder.try_finish() {
            Ok(()) if self.decoder.get_ref().is_empty() => Ok(()),
            Ok(()) => Err(FeedError::Gzip { problem: "bytes left in the decoder".to_owned() }),
            Err(error) => Err(FeedError::Truncated {
                position: self.position,
                problem: format!("the gzip stream is not complete ({error})"),
            }),
        }
    }
}

impl std::fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gunzip").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(chunks: &[&[u8]]) -> (Vec<u8>, Result<(), FeedError>) {
        let mut gunzip = Gunzip::new();
        let mut out = Vec::new();
        for chunk in chunks {
            let pushed = gunzip.push(chunk, |bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            });
            if pushed.is_err() {
                return (out, pushed);
            }
        }
        (out, gunzip.finish())
    }

    #[test]
    fn members_follow_each_other_cut_anywhere() {
        let stream = [member(b"first,"), member(b""), member(b"second")].concat();
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(unpack(&[head, tail]), (b"first,second".to_vec(), Ok(())), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(unpack(&bytes), (b"first,second".to_vec(), Ok(())));
    }

    #[test]
    fn a_member_is_given_out_as_soon_as_it_is_there() {
        let mut gunzip = Gunzip::new();
        for text in ["one\n", "two\n", "three\n"] {
            let mut out = Vec::new();
            gunzip
                .push::<FeedError>(&member(text.as_bytes()), |bytes| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
            assert_eq!(out, text.as_bytes());
        }
        gunzip.finish().unwrap();
    }

    #[test]
    fn a_sync_flush_inside_a_member_is_given_out_too() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut gunzip = Gunzip::new();
        for text in ["one\n", "two\n"] {
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let mut out = Vec::new();
            let compressed = std::mem::take(encoder.get_mut());
            gunzip
                .push::<FeedError>(&compressed, |bytes| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn a_stream_cut_short_is_an_error_wherever_it_was_cut() {
        let stream = [member(b"first"), member(b"second")].concat();
        let first = member(b"first").len();
        for cut in 0..stream.len() {
            let (_, result) = unpack(&[&stream[..cut]]);
            assert_eq!(result.is_ok(), cut == first, "cut at {cut}: {result:?}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut stream = member(b"some text that is long enough to be damaged somewhere");
        let middle = stream.len() / 2;
        stream[middle] ^= 0xff;
        assert!(unpack(&[&stream]).1.is_err());
        assert!(unpack(&[b"{\"kind\":\"PodList\"}"]).1.is_err());
        let garbage = [member(b"text"), b"garbage!".to_vec()].concat();
        assert!(unpack(&[&garbage]).1.is_err());
    }
}
