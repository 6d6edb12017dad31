//! Values to bytes and back: the one file that names `bincode`.
//!
//! Keys and outputs of tasks are encoded with serde and bincode 2, in its standard configuration: little-endian,
//! variable-length integers. Another codec can take its place here without anything else noticing; the number
//! that the meta record keeps ([`CODEC`]) then has to change, so that older stores start cold.
//!
//! Nothing here trusts its input. bincode alone accepts 20 to 39 % of randomly mutated records, overflows the
//! stack on nested ones and can be made to allocate what a length field claims; so bytes come here only after the
//! envelope's checksum held ([`crate::Guarded`]), and even then decoding is bounded in three ways:
//! - **memory**: a byte limit for the codec, strings and byte strings are borrowed from the input before they are
//!   copied, and a sequence that announces more elements than the input could hold is an error before the first;
//! - **depth**: at most [`MAX_DEPTH`] nested values, each on a stack that grows, when encoding as when decoding;
//! - **time**: elements that take no bytes are counted, so `Vec<()>` of length 2^60 is an error and no loop.

mod bounds;
mod decode;
mod encode;
mod zeros;

use std::any::type_name;
use std::error::Error;
use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use self::bounds::{Bounds, Broken, on_enough_stack};
pub use self::zeros::has_negative_zero;

/// Names this codec and its configuration in a store's meta record. Change it with anything that changes bytes.
pub const CODEC: u8 = 1;
/// The most bytes of one encoded value: 256 MiB.
pub const MAX_BYTES: usize = 256 << 20;
/// The deepest nesting of one value, in structs, sequences, maps, options and enums.
pub const MAX_DEPTH: u32 = 10_000;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_BYTES>,
> = bincode::config::standard().with_limit::<MAX_BYTES>();

/// Appends the encoding of `value` to `out`; on an error `out` is as it was.
///
/// Given a reused buffer, this allocates only when the buffer grows.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let before = out.len();
    let bounds = Bounds::for_encoding();
    let sink = Sink { out, limit: before.saturating_add(MAX_BYTES) };
    let encode = || bincode::serde::encode_into_writer(encode::Bounded::new(value, &bounds), sink, CONFIG);
    on_enough_stack(encode).map_err(|source| {
        out.truncate(before);
        match (bounds.broken(), source) {
            (Some(Broken::Depth), _) => EncodeError::TooDeep,
            (_, bincode::error::EncodeError::UnexpectedEnd) => EncodeError::TooLong,
            (_, source) => EncodeError::Unsupported(source.to_string().into()),
        }
    })
}

/// Decodes a value from all of `bytes`; bytes left over are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooLong);
    }
    let bounds = Bounds::for_decoding(bytes.len());
    let seed = decode::BoundedSeed::new(std::marker::PhantomData::<T>, &bounds);
    match on_enough_stack(|| bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG)) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(DecodeError::Trailing { bytes: bytes.len() - read }),
        Err(source) => Err(match bounds.broken() {
            Some(Broken::Depth) => DecodeError::TooDeep,
            Some(Broken::Elements) => DecodeError::TooMany,
            None => DecodeError::Malformed(source.to_string().into()),
        }),
    }
}

/// Returns what may be the strings and byte strings in an encoding, whose types are not known: at each place as many bytes as the length that may
/// stand before it tells. All that are in it are among them.
pub fn strings_in(encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..encoded.len()).filter_map(|at| {
        let (first, rest) = encoded[at..].split_first()?;
        let (len, rest) = match *first {
            len @ 0..=250 => (usize::from(len), rest),
            251 => {
                rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest))?
            }
            252 => rest
                .split_first_chunk()
                .map(|(len, rest)| (usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX), rest))?,
            // Longer than what is encoded may be.
            _ => return None,
        };
        rest.get(..len)
    })
}

/// Finds types that encode and then do not decode: `skip_serializing_if`, `untagged`, `flatten` and `deserialize_any`
/// need a self-describing format, which bincode is not.
///
/// `encoded` is what is about to be stored. The check decodes and encodes again and compares the lengths, so it asks no
/// `PartialEq` of `T`.
///
/// # Errors
/// If the value does not come back.
pub fn check_round_trip<T: Serialize + DeserializeOwned>(
    task_function: &str,
    encoded: &[u8],
) -> Result<(), RoundTripError> {
    // The drop of what is decoded, too, has enough stack.
    on_enough_stack(|| back_again::<T>(encoded).map(drop))
        .map_err(|reason| RoundTripError::new::<T>(task_function, reason))
}

/// Checks the same of values that can be compared: finds types whose encoding leaves something out, as by `#[serde(skip)]`. The
/// engine calls it for the first values of a function that it stores, and now and then.
///
/// # Errors
/// If the value does not come back.
pub fn check_return<T: Serialize + DeserializeOwned>(
    task_function: &str,
    value: &T,
    encoded: &[u8],
    equal: fn(&T, &T) -> bool,
) -> Result<(), RoundTripError> {
    let check = || {
        let decoded = back_again(encoded)?;
        // A value that does not equal itself, as with a NaN in it, equals nothing that comes back either.
        let returns = equal(value, &decoded) || !equal(value, value);
        if returns { Ok(()) } else { Err(RoundTripReason::Differs) }
    };
    on_enough_stack(check).map_err(|reason| RoundTripError::new::<T>(task_function, reason))
}

fn back_again<T: Serialize + DeserializeOwned>(encoded: &[u8]) -> Result<T, RoundTripReason> {
    let value: T = decode(encoded).map_err(RoundTripReason::Decode)?;
    let mut again = Vec::with_capacity(encoded.len());
    encode_into(&value, &mut again).map_err(RoundTripReason::Encode)?;
    // Maps and sets may come back in another order: only the length tells then.
    if again.len() == encoded.len() { Ok(value) } else { Err(RoundTripReason::Differs) }
}

/// A value cannot be encoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// The type asks for what the format does not have, or its own `Serialize` failed.
    Unsupported(Box<str>),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "the value is nested deeper than {MAX_DEPTH} levels"),
            Self::TooLong => write!(f, "the value takes more than {MAX_BYTES} bytes"),
            Self::Unsupported(why) => write!(f, "the value cannot be encoded: {why}"),
        }
    }
}

impl Error for EncodeError {}

/// Bytes do not decode to a value of the asked type.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// More elements than the bytes could hold.
    TooMany,
    /// A whole value was decoded and bytes were left over.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Not an encoding of this type.
    Malformed(Box<str>),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::TooLong => write!(f, "longer than {MAX_BYTES} bytes"),
            Self::TooMany => write!(f, "a length claims more elements than the bytes can hold"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes left over after the value"),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
        }
    }
}

impl Error for DecodeError {}

/// A type encodes to bytes that do not decode to the same value. See [`check_round_trip`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RoundTripError {
    /// The task function whose argument or output it is.
    pub task_function: Box<str>,
    /// The type.
    pub type_name: &'static str,
    /// The fault.
    pub reason: RoundTripReason,
}

impl RoundTripError {
    fn new<T>(task_function: &str, reason: RoundTripReason) -> Self {
        Self { task_function: task_function.into(), type_name: type_name::<T>(), reason }
    }
}

/// The fault in a round trip.
#[derive(Debug)]
#[non_exhaustive]
pub enum RoundTripReason {
    /// The bytes did not decode.
    Decode(DecodeError),
    /// The decoded value did not encode.
    Encode(EncodeError),
    /// The decoded value encodes to other bytes.
    Differs,
}

impl fmt::Display for RoundTripError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of task function `{}` cannot be stored: ", self.type_name, self.task_function)?;
        match &self.reason {
            RoundTripReason::Decode(error) => write!(f, "what it encodes to does not decode ({error})")?,
            RoundTripReason::Encode(error) => write!(f, "decoded, it does not encode again ({error})")?,
            RoundTripReason::Differs => write!(f, "decoded, it is another value")?,
        }
        write!(
            f,
            "; `skip`, `skip_serializing_if`, `untagged` and `flatten` do this, or mark the function `transient`"
        )
    }
}

impl Error for RoundTripError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            RoundTripReason::Decode(error) => Some(error),
            RoundTripReason::Encode(error) => Some(error),
            RoundTripReason::Differs => None,
        }
    }
}

/// Writes to the caller's buffer, up to a limit (bincode applies its own limit to decoding only).
struct Sink<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
}

impl bincode::enc::write::Writer for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        if bytes.len() > self.limit - self.out.len() {
            return Err(bincode::error::EncodeError::UnexpectedEnd);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}
