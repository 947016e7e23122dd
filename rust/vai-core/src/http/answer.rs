//! One answer to a GET.

use httparse::{EMPTY_HEADER, Status};

/// As `http.client` of Python: what has more is no answer of an API server.
const MOST_HEADERS: usize = 100;
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// A chunk's size with its extensions, of which no server of ours sends any.
const MOST_SIZE_BYTES: usize = 4 * 1024;

/// Why the bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(String);

/// Status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the final answer: those before it (1xx) are skipped.
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// So many bytes of the body, or of one of its chunks.
    Body {
        left: u64,
        chunked: bool,
    },
    ChunkSize,
    /// The line feed behind a chunk.
    ChunkEnd,
    Trailers,
    UntilClosed,
    Whole,
}

/// See the module.
#[derive(Debug)]
pub struct Answer {
    place: Place,
    head: Option<Head>,
    /// What is too short to be understood.
    carry: Vec<u8>,
    keeps: bool,
    beyond: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self { place: Place::Head, head: None, carry: Vec::new(), keeps: false, beyond: false }
    }
}

impl Answer {
    /// Takes the next bytes of the connection and gives those of the body that are in them.
    ///
    /// # Errors
    /// It is no HTTP; the connection is of no use any more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, HttpError> {
        let joined;
        let mut input = bytes;
        if !self.carry.is_empty() {
            joined = [&std::mem::take(&mut self.carry), bytes].concat();
            input = &joined;
        }
        let mut body = Vec::new();
        while !input.is_empty() {
            let Some(taken) = self.step(input, &mut body)? else {
                self.carry = input.to_vec();
                break;
            };
            input = &input[taken..];
        }
        Ok(body)
    }

    /// The connection was closed: an error unless that is the end.
    ///
    /// # Errors
    /// The answer is not whole.
    pub fn finish(&mut self) -> Result<(), HttpError> {
        self.keeps = false;
        if self.place == Place::UntilClosed {
            self.place = Place::Whole;
        }
        if self.is_whole() { Ok(()) } else { Err(wrong("the connection was closed inside it")) }
    }

    /// `None` until it has come.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether all of it has come.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.place == Place::Whole
    }

    /// Whether the connection may be used for another request.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.is_whole() && self.keeps && !self.beyond
    }

    /// Takes one piece; how long it was, or `None` where its end is not there yet.
    fn step(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, HttpError> {
        match self.place {
            Place::Head => self.read_head(input),
            Place::Body { left, chunked } => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                body.extend_from_slice(&input[..here]);
                self.place = match left - here as u64 {
                    0 if chunked => Place::ChunkEnd,
                    0 => Place::Whole,
                    left => Place::Body { left, chunked },
                };
                Ok(Some(here))
            }
            Place::ChunkSize => self.read_size(input),
            Place::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.place = Place::ChunkSize;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(wrong("a chunk is longer than its size")),
            },
            Place::Trailers => self.read_trailers(input),
            Place::UntilClosed => {
                body.extend_from_slice(input);
                Ok(Some(input.len()))
            }
            Place::Whole => {
                self.beyond = true;
                Ok(Some(input.len()))
            }
        }
    }

    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, HttpError> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let read = parsed.parse(input).map_err(|error| wrong(&format!("no HTTP: {error}")))?;
        let (Status::Complete(length), Some(status)) = (read, parsed.code) else {
            return short(input, MOST_HEAD_BYTES, "its head is too long");
        };
        if (100..200).contains(&status) {
            if status == 101 {
                return Err(wrong("it changes the protocol"));
            }
            return Ok(Some(length));
        }
        let first = parsed.version == Some(1);
        let headers = parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), latin(header.value)))
            .collect();
        let head = Head { status, headers };
        self.keeps = first && !head.says("connection", "close");
        self.place = head.body(status)?;
        self.head = Some(head);
        Ok(Some(length))
    }

    fn read_size(&mut self, input: &[u8]) -> Result<Option<usize>, HttpError> {
        match httparse::parse_chunk_size(input) {
            Ok(Status::Complete((length, size))) => {
                self.place = match size {
                    0 => Place::Trailers,
                    left => Place::Body { left, chunked: true },
                };
                Ok(Some(length))
            }
            Ok(Status::Partial) => short(input, MOST_SIZE_BYTES, "a chunk has no size"),
            Err(_) => Err(wrong("a chunk has no size")),
        }
    }

    fn read_trailers(&mut self, input: &[u8]) -> Result<Option<usize>, HttpError> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        match httparse::parse_headers(input, &mut headers) {
            Ok(Status::Complete((length, _))) => {
                self.place = Place::Whole;
                Ok(Some(length))
            }
            Ok(Status::Partial) => short(input, MOST_HEAD_BYTES, "its trailers are too long"),
            Err(error) => Err(wrong(&format!("its trailers: {error}"))),
        }
    }
}

impl Head {
    /// What a header says; several of one name are one list (RFC 9110, 5.3).
    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |header| header.0 == name)
            .flat_map(|header| header.1.split(',').map(str::trim))
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(word))
    }

    /// How the body's end is found (RFC 9112, 6.3).
    fn body(&self, status: u16) -> Result<Place, HttpError> {
        if matches!(status, 204 | 304) {
            return Ok(Place::Whole);
        }
        if let Some(coding) = self.values("transfer-encoding").last() {
            let chunked = coding.eq_ignore_ascii_case("chunked");
            return Ok(if chunked { Place::ChunkSize } else { Place::UntilClosed });
        }
        let mut lengths = self.values("content-length");
        let Some(length) = lengths.next() else {
            return Ok(Place::UntilClosed);
        };
        if lengths.any(|other| other != length) {
            return Err(wrong("it has two lengths"));
        }
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(0) if digits => Ok(Place::Whole),
            Ok(left) if digits => Ok(Place::Body { left, chunked: false }),
            _ => Err(wrong("its length is no number")),
        }
    }
}

/// More has to come, if it may.
fn short(input: &[u8], most: usize, problem: &str) -> Result<Option<usize>, HttpError> {
    if input.len() > most { Err(wrong(problem)) } else { Ok(None) }
}

fn wrong(problem: &str) -> HttpError {
    HttpError(format!("the answer can't be read: {problem}"))
}

/// A header's bytes as Python's `http.client` takes them.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WATCH: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Two: a\r\n\
                         Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> Result<(Answer, Vec<u8>), HttpError> {
        let mut answer = Answer::default();
        let mut body = Vec::new();
        for piece in pieces {
            body.extend(answer.push(piece)?);
        }
        Ok((answer, body))
    }

    fn problem(text: &str) -> String {
        match read(&[text.as_bytes()]) {
            Err(error) => error.to_string(),
            Ok((mut answer, _)) => answer.finish().expect_err("it is whole").to_string(),
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(
            mut cuts in proptest::collection::vec(0..WATCH.len(), 0..8)
        ) {
            cuts.extend([0, WATCH.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> =
                cuts.windows(2).map(|pair| &WATCH.as_bytes()[pair[0]..pair[1]]).collect();
            let (answer, body) = read(&pieces).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(body, b"hello world");
            prop_assert!(answer.is_reusable());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes]);
            let _ = read(&[&bytes]);
        }
    }

    #[test]
    fn a_head_has_its_status_and_its_headers() {
        let (answer, _) = read(&[WATCH.as_bytes()]).expect("an answer");
        let head = answer.head().expect("a head");
        assert_eq!(head.status, 200);
        assert_eq!(head.headers[1], ("x-two".to_owned(), "a".to_owned()));
    }

    #[test]
    fn a_body_ends_with_its_length() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let (answer, body) = read(&[text.as_bytes()]).expect("an answer");
        assert_eq!(body, b"hello");
        assert!(answer.is_reusable());
        let (answer, _) = read(&[text.as_bytes(), b"HTTP/1.1"]).expect("an answer");
        assert!(answer.is_whole() && !answer.is_reusable(), "what follows is nobody's");
    }

    #[test]
    fn some_answers_have_no_body() {
        for text in [
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert!(read(&[text.as_bytes()]).expect("an answer").0.is_reusable(), "{text}");
        }
    }

    #[test]
    fn a_body_of_no_length_ends_with_the_connection() {
        let (mut answer, body) = read(&[b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"]).expect("an answer");
        assert_eq!(body, b"hello");
        assert!(!answer.is_whole());
        answer.finish().expect("the end");
        assert!(answer.is_whole() && !answer.is_reusable());
    }

    #[test]
    fn what_comes_before_the_answer_is_skipped() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                    HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        let (answer, body) = read(&[text.as_bytes()]).expect("an answer");
        assert_eq!((answer.head().map(|head| head.status), body), (Some(200), b"x".to_vec()));
        assert_eq!(answer.head().expect("a head").headers.len(), 1);
    }

    #[test]
    fn who_closes_or_is_older_is_not_asked_again() {
        for text in [
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            let (answer, _) = read(&[text.as_bytes()]).expect("an answer");
            assert!(answer.is_whole() && !answer.is_reusable(), "{text}");
        }
    }

    #[test]
    fn trailers_are_read_and_left() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n";
        assert!(read(&[text.as_bytes()]).expect("an answer").0.is_reusable());
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (text, what) in [
            ("SSH-2.0-OpenSSH\r\n", "no HTTP"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "changes the protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "closed inside"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "closed inside"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", "two lengths"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no size"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", "longer than"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\x01", "trailers"),
        ] {
            let said = problem(text);
            assert!(said.contains(what), "{text:?}: {said}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MOST_HEAD_BYTES));
        assert!(problem(&long).contains("too long"));
    }
}
