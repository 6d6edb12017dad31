//! An engine over TCP for the soak: a server that keeps bytes, and its client, which keeps to the time that it is given.
//!
//! A call is a connection: a count of items, each with a name and, where it is put, bytes; lengths are in front. The answer of `get` has the length of each
//! item, or `u32::MAX` for none; that of `put` is one byte.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use larder::shared::{Put, SharedEngine, SharedError, SharedKey};

const NONE: u32 = u32::MAX;
/// More than any item of the soak.
const LONGEST: u32 = 64 << 20;

/// The bytes that the server keeps, names included.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// Returns how many bytes the server keeps.
pub(crate) fn kept_bytes() -> u64 {
    KEPT.load(Relaxed)
}

type Items = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Serves until the process ends.
pub(crate) fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // The room of the table does not grow while bytes are counted.
    let items: Items = Arc::new(Mutex::new(HashMap::with_capacity(1 << 16)));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let items = items.clone();
            // A connection that breaks is the client's affair.
            thread::spawn(move || _ = answer(stream, &items));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, items: &Items) -> io::Result<()> {
    let puts = read_u32(&mut stream)? == 1;
    let count = read_u32(&mut stream)?;
    let mut asked = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(read_bytes(&mut stream)?.unwrap_or_default());
        let name = name.map_err(io::Error::other)?;
        let bytes = if puts { read_bytes(&mut stream)? } else { None };
        asked.push((name, bytes));
    }
    let mut reply = Vec::new();
    {
        let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, bytes) in asked {
            match bytes {
                Some(bytes) => {
                    let (key, new) = (name.len() as u64, bytes.len() as u64);
                    let gone = items.insert(name, bytes).map_or(0, |before| key + before.len() as u64);
                    KEPT.fetch_add(key + new, Relaxed);
                    KEPT.fetch_sub(gone, Relaxed);
                }
                None => put_bytes(&mut reply, items.get(&name).map(Vec::as_slice)),
            }
        }
    }
    if puts {
        reply.push(1);
    }
    stream.write_all(&reply)
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_bytes(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    match read_u32(from)? {
        NONE => Ok(None),
        length if length > LONGEST => Err(io::Error::other("an item that is too long")),
        length => {
            let mut bytes = vec![0; length as usize];
            from.read_exact(&mut bytes)?;
            Ok(Some(bytes))
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(NONE, |bytes| u32::try_from(bytes.len()).unwrap_or(NONE));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// The client.
pub(crate) struct Client(pub(crate) SocketAddr);

/// A connection that ends at a moment.
struct Until(TcpStream, Instant);

impl Until {
    fn left(&self) -> io::Result<Duration> {
        let left = self.1.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.set_read_timeout(Some(self.left()?))?;
        self.0.read(buffer)
    }
}

fn error(error: io::Error) -> SharedError {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => SharedError::Slow,
        _ => SharedError::broken(error),
    }
}

impl Client {
    fn ask(&self, request: &[u8], until: Instant) -> io::Result<Until> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&self.0, left)?;
        stream.set_write_timeout(Some(left))?;
        stream.write_all(request)?;
        Ok(Until(stream, until))
    }

    fn request(puts: bool, count: usize) -> Vec<u8> {
        let numbers = [u32::from(puts), u32::try_from(count).unwrap_or(u32::MAX)];
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }
}

impl SharedEngine for Client {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        let mut request = Self::request(false, keys.len());
        keys.iter().for_each(|key| put_bytes(&mut request, Some(key.to_string().as_bytes())));
        let mut answer = self.ask(&request, until).map_err(error)?;
        keys.iter().map(|_| read_bytes(&mut answer).map_err(error)).collect()
    }

    fn put(&self, items: &[(SharedKey, &[u8])], _: Put, until: Instant) -> Result<(), SharedError> {
        let mut request = Self::request(true, items.len());
        for (key, bytes) in items {
            put_bytes(&mut request, Some(key.to_string().as_bytes()));
            put_bytes(&mut request, Some(bytes));
        }
        let mut answer = self.ask(&request, until).map_err(error)?;
        answer.read_exact(&mut [0]).map_err(error)
    }
}
