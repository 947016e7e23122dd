//! A body on its way into the file: compressed by the thread that took it apart, or left to the
//! writer's where that one waits for work. So a first load keeps two threads busy, whichever of
//! them is the slower one on a machine, and a list compresses nothing of what stands already.

use std::borrow::Cow;

use crate::codec::{Codec, Encoder};
use crate::error::Result;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// As it is stored.
    Frame(Vec<u8>),
    Json(Vec<u8>),
}

/// Where a row is read without its body.
impl Default for Body {
    fn default() -> Self {
        Self::Frame(Vec::new())
    }
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        let (Self::Frame(bytes) | Self::Json(bytes)) = self;
        bytes.len()
    }

    pub(crate) fn json(&self, codec: &Codec) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Frame(frame) => Ok(Cow::Owned(codec.decode(frame)?)),
            Self::Json(json) => Ok(Cow::Borrowed(json)),
        }
    }

    /// Whether a stored frame has the same JSON.
    pub(crate) fn is_same(&self, stored: &[u8], codec: &Codec) -> Result<bool> {
        if let Self::Frame(frame) = self
            && frame == stored
        {
            return Ok(true);
        }
        Ok(codec.decode(stored)? == *self.json(codec)?)
    }
}

/// The compressor of a transaction, made when it is first needed.
#[derive(Default)]
pub(crate) struct Compressor {
    /// Of the resource whose body came last.
    encoder: Option<(i64, Encoder)>,
}

impl Compressor {
    /// The body as it is stored.
    pub(crate) fn frame<'b>(
        &mut self,
        codec: &Codec,
        resource: i64,
        body: &'b Body,
    ) -> Result<Cow<'b, [u8]>> {
        let json = match body {
            Body::Frame(frame) => return Ok(Cow::Borrowed(frame)),
            Body::Json(json) => json,
        };
        if self.encoder.as_ref().is_none_or(|(last, _)| *last != resource) {
            self.encoder = None;
        }
        let (_, encoder) = self.encoder.get_or_insert_with(|| (resource, codec.encoder(resource)));
        Ok(Cow::Owned(encoder.encode(json)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, MIN_SAMPLES};

    #[test]
    fn a_body_is_the_same_whoever_compresses_it() {
        let codec = Codec::new();
        let json = br#"{"metadata":{"name":"a"}}"#;
        let frame = codec.encoder(1).encode(json).unwrap();
        for body in [Body::Json(json.to_vec()), Body::Frame(frame.clone())] {
            assert_eq!(*Compressor::default().frame(&codec, 1, &body).unwrap(), *frame);
            assert_eq!(*body.json(&codec).unwrap(), *json);
            assert!(body.is_same(&frame, &codec).unwrap());
            let other = codec.encoder(1).encode(br#"{"metadata":{"name":"b"}}"#).unwrap();
            assert!(!body.is_same(&other, &codec).unwrap());
            body.is_same(b"not a frame", &codec).unwrap_err();
        }
    }

    #[test]
    fn each_resource_is_compressed_with_its_own_dictionary() {
        let codec = Codec::new();
        let samples: Vec<_> = (0..10 * MIN_SAMPLES)
            .map(|at| format!(r#"{{"metadata":{{"name":"pod-{at}","uid":"{}"}}}}"#, at * 7919))
            .collect();
        let sizes: Vec<_> = samples.iter().map(String::len).collect();
        let trained = codec::train(samples.concat().as_bytes(), &sizes).unwrap();
        codec.add(&trained).unwrap();
        let own = codec::dictionary_id(&trained).unwrap();
        codec.use_for(2, own);
        let body = Body::Json(samples[3].clone().into_bytes());
        let mut compressor = Compressor::default();
        for (resource, is_own) in [(1, false), (2, true), (2, true), (1, false)] {
            let frame = compressor.frame(&codec, resource, &body).unwrap();
            assert_eq!(codec::frame_dictionary(&frame) == own, is_own, "{resource}");
            assert_eq!(codec.decode(&frame).unwrap(), samples[3].as_bytes());
        }
    }
}
