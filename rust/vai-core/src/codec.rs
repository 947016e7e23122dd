//! Bodies, compressed: zstd level 1 with a dictionary per resource.
//!
//! A frame names its dictionary by id, so that bodies of several dictionaries live side by side.
//! Below [`MIN_SAMPLES`] samples the generic dictionary that ships with the package is used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CCtx, DCtx, WriteBuf};

use crate::error::{Error, Result};

/// Level 1 was measured best: 0.067 of the JSON at 80,000 objects/s.
const LEVEL: i32 = 1;
/// 16 KB compress pods to 0.0695 where 112 KB reach 0.0667, and 200 resources cost 3 MB.
const DICTIONARY_BYTES: usize = 16 * 1024;
/// Fewer samples train a dictionary that is worse than the generic one.
pub const MIN_SAMPLES: usize = 100;
/// 4 MB of pods train for 0.13 s and make a file of 0.2032 of the JSON, 1 MB for half of that and
/// 0.2041: the first page waits for it, so less is better. zdict's advice is 100 times the
/// dictionary's size.
pub const MAX_SAMPLE_BYTES: usize = 1024 * 1024;
/// A frame that claims more is damaged: the feed refuses objects above 64 MB, to which it only
/// adds `kind` and `apiVersion`.
const MAX_BODY_BYTES: usize = 65 * 1024 * 1024;

/// Trained on objects of all common kinds by `cargo run --example train_dictionary`.
static GENERIC: &[u8] = include_bytes!("codec/generic.dict");

/// A dictionary ready for both directions. Preparing costs 0.1 ms, so it is done once.
pub struct Dictionary {
    encoder: EncoderDictionary<'static>,
    decoder: DecoderDictionary<'static>,
}

impl Dictionary {
    fn new(bytes: &[u8]) -> Self {
        Self {
            encoder: EncoderDictionary::copy(bytes, LEVEL),
            decoder: DecoderDictionary::copy(bytes),
        }
    }
}

/// The dictionaries of one file: which one new bodies of a resource use, and all for reading.
pub struct Codec {
    by_id: RwLock<HashMap<u32, Arc<Dictionary>>>,
    current: RwLock<HashMap<i64, Arc<Dictionary>>>,
    generic: Arc<Dictionary>,
}

impl Codec {
    /// A codec that knows the generic dictionary alone.
    #[must_use]
    pub fn new() -> Self {
        let generic = Arc::new(Dictionary::new(GENERIC));
        let id = dictionary_id(GENERIC).unwrap_or_default();
        Self {
            by_id: RwLock::new(HashMap::from([(id, Arc::clone(&generic))])),
            current: RwLock::new(HashMap::new()),
            generic,
        }
    }

    /// Makes a stored dictionary known for reading.
    pub fn add(&self, bytes: &[u8]) -> Result<()> {
        let id = dictionary_id(bytes)?;
        self.by_id.write().entry(id).or_insert_with(|| Arc::new(Dictionary::new(bytes)));
        Ok(())
    }

    /// Lets new bodies of `resource` use a dictionary that was added before.
    pub fn use_for(&self, resource: i64, id: u32) {
        if let Some(dictionary) = self.by_id.read().get(&id) {
            self.current.write().insert(resource, Arc::clone(dictionary));
        }
    }

    /// Whether new bodies of `resource` use a dictionary that was trained for it.
    #[must_use]
    pub fn has_own(&self, resource: i64) -> bool {
        self.current.read().contains_key(&resource)
    }

    /// Whether frames that name this dictionary can be read.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        self.by_id.read().contains_key(&id)
    }

    /// A compressor for bodies of `resource`; keep it for a batch, it holds zstd's tables.
    #[must_use]
    pub fn encoder(&self, resource: i64) -> Encoder {
        let dictionary = self
            .current
            .read()
            .get(&resource)
            .map_or_else(|| Arc::clone(&self.generic), Arc::clone);
        let Tools { context, frame } =
            TOOLS.try_lock().and_then(|mut tools| tools.pop()).unwrap_or_else(Tools::new);
        Encoder { context: Some(context), frame, dictionary }
    }

    /// The body as it was before compression.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a damaged frame, [`Error::NotFound`] for a dictionary not yet read
    /// from the file (another process trained it): the caller loads it and asks again.
    pub fn decode(&self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(body_len(frame)?);
        self.decompress(frame, &mut body)?;
        Ok(body)
    }

    /// The same, to where it is wanted: `body` has the [`body_len`] of the frame.
    pub fn decode_into(&self, frame: &[u8], body: &mut [u8]) -> Result<()> {
        let written = self.decompress(frame, body)?;
        if written == body.len() {
            return Ok(());
        }
        Err(Error::Corrupt("a stored body is not as long as it says".into()))
    }

    fn decompress<B: WriteBuf + ?Sized>(&self, frame: &[u8], body: &mut B) -> Result<usize> {
        let id = frame_dictionary(frame);
        let dictionary = self.by_id.read().get(&id).map(Arc::clone).ok_or_else(|| {
            Error::NotFound(format!("dictionary {id} of a stored body is not in the file"))
        })?;
        DECODER
            .with_borrow_mut(|context| {
                context.decompress_using_ddict(body, frame, dictionary.decoder.as_ddict())
            })
            .map_err(|code| {
                let why = zstd::zstd_safe::get_error_name(code);
                Error::Corrupt(format!("a stored body does not decompress: {why}"))
            })
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::new()
    }
}

/// What a compressor works with: zstd's tables, and room for a frame.
struct Tools {
    context: CCtx<'static>,
    frame: Vec<u8>,
}

impl Tools {
    /// Kept for the next encoder, so that an event does not make them anew. Watches have none of
    /// their own: there may be hundreds.
    const KEPT: usize = 2;
    /// A larger frame's room is given back.
    const KEPT_BYTES: usize = 1 << 20;

    fn new() -> Self {
        Self { context: CCtx::create(), frame: Vec::new() }
    }
}

/// Tools that nobody uses. Never waited for: a forked child may find the lock held for ever.
static TOOLS: Mutex<Vec<Tools>> = Mutex::new(Vec::new());

/// Compresses bodies one after the other; keeps zstd's tables between them.
pub struct Encoder {
    /// `None` only while it is dropped.
    context: Option<CCtx<'static>>,
    frame: Vec<u8>,
    dictionary: Arc<Dictionary>,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        if let (Some(context), Some(mut tools)) = (self.context.take(), TOOLS.try_lock())
            && tools.len() < Tools::KEPT
            && frame.capacity() <= Tools::KEPT_BYTES
        {
            tools.push(Tools { context, frame });
        }
    }
}

impl Encoder {
    /// The body as one frame that names its dictionary and its size.
    pub fn encode(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(body.len()));
        self.context
            .get_or_insert_with(CCtx::create)
            .compress_using_cdict(&mut self.frame, body, self.dictionary.encoder.as_cdict())
            .map_err(zstd_error)?;
        // Shrinking a frame of its own would leave a hole of the body's size behind each.
        Ok(self.frame.as_slice().to_vec())
    }
}

thread_local! {
    /// A decompression context costs more to make than a body to decompress.
    static DECODER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

fn zstd_error(code: usize) -> Error {
    Error::internal(zstd::zstd_safe::get_error_name(code))
}

/// A dictionary of [`DICTIONARY_BYTES`] trained from samples laid end to end.
pub fn train(samples: &[u8], sizes: &[usize]) -> Result<Vec<u8>> {
    zstd::dict::from_continuous(samples, sizes, DICTIONARY_BYTES).map_err(Error::internal)
}

/// The id that a trained dictionary carries in its header.
pub fn dictionary_id(bytes: &[u8]) -> Result<u32> {
    zstd::zstd_safe::get_dict_id(bytes)
        .map(std::num::NonZeroU32::get)
        .ok_or_else(|| Error::Corrupt("a stored dictionary has no id".into()))
}

/// How long the body of a frame is.
pub fn body_len(frame: &[u8]) -> Result<usize> {
    zstd::zstd_safe::get_frame_content_size(frame)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= MAX_BODY_BYTES)
        .ok_or_else(|| Error::Corrupt("a stored body has no valid size".into()))
}

/// The id of the dictionary that a frame needs; 0 for none.
#[must_use]
pub fn frame_dictionary(frame: &[u8]) -> u32 {
    zstd::zstd_safe::get_dict_id_from_frame(frame).map_or(0, std::num::NonZeroU32::get)
}
