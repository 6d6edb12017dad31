//! An engine over Redis, or Valkey.

#[cfg(feature = "redis-tls")]
mod tls;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ::redis::{Client, Connection, ConnectionAddr, ErrorKind, RedisError, cmd};

use crate::url::{Url, is_loopback};
use crate::{Holder, Lease, Limits, Put, SharedEngine, SharedError, SharedKey};

/// Keeps bytes in Redis or Valkey, by `MGET` and `SET`. An item that the server drops, by expiry or because it is full, is a miss.
///
/// Connections are kept for the next call. A call is made once: nothing is retried, but for a connection that the server has closed meanwhile.
pub struct RedisEngine {
    client: Client,
    idle: Mutex<Vec<Connection>>,
    expires: Option<u64>,
}

/// The most idle connections.
const IDLE: usize = 4;
/// The most bytes of an item: of Redis's own limit, 512 MiB, no more is of use.
const ITEM_BYTES: usize = crate::MOST_PACK_BYTES;

/// Takes a lease if it is free or the holder's own.
const TAKE: &str = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end \
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1";
/// Ends a lease if it is the holder's own.
const END: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

impl RedisEngine {
    /// Takes a URL: `redis://[user:password@]host[:port][/database]`, or with the feature `redis-tls` one that begins with `rediss://`. Without TLS, a server
    /// that is not on this machine is taken with `?insecure=1` only, since others on the way can read and change what is sent. Nothing is connected yet.
    ///
    /// With TLS, the server has a certificate for its name by an authority that this machine trusts, or by the one in the PEM file that `?ca=FILE` names. If
    /// the process has chosen no cryptography for rustls yet, this chooses `ring`.
    ///
    /// # Errors
    /// The rule that the URL breaks, or that the file of `ca` cannot be used. The text does not repeat the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, &'static str> {
        let parsed = Url::parse(url, &["insecure", "ca"])?;
        let insecure = parsed.is_on("insecure")?;
        let client = match parsed.scheme {
            "redis" if parsed.parameter("ca").is_some() => return Err("`ca` is for `rediss://`"),
            "redis" => {
                Client::open(format!("redis://{}", parsed.place)).map_err(|_| "this is no URL of Redis")?
            }
            #[cfg(feature = "redis-tls")]
            "rediss" => tls::client(&parsed)?,
            #[cfg(not(feature = "redis-tls"))]
            "rediss" => return Err("this program was built without the feature `redis-tls`"),
            _ => return Err("a URL of Redis begins with `redis://` or `rediss://`"),
        };
        match client.get_connection_info().addr() {
            ConnectionAddr::TcpTls { insecure: false, .. } => {}
            ConnectionAddr::Tcp(host, _) if insecure || is_loopback(host) => {}
            _ => return Err("a Redis that is not on this machine needs TLS (`rediss://`), or `?insecure=1`"),
        }
        Ok(Self { client, idle: Mutex::default(), expires: None })
    }

    /// Lets items expire so long after they were written. Default: the server decides.
    #[must_use]
    pub fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after.as_secs().max(1));
        self
    }

    /// Runs `ask` on a connection that answers until a moment, and keeps the connection if all went well.
    fn with<R>(
        &self,
        until: Instant,
        mut ask: impl FnMut(&mut Connection) -> Result<R, RedisError>,
    ) -> Result<R, SharedError> {
        let left = || {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() { Err(SharedError::Slow) } else { Ok(left) }
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle {
            match self.ask(&mut connection, left()?, &mut ask) {
                Err(error) if error.is_connection_dropped() => {}
                outcome => return self.put_back(connection, outcome),
            }
        }
        let mut connection = self.client.get_connection_with_timeout(left()?).map_err(shared_error)?;
        let outcome = self.ask(&mut connection, left()?, &mut ask);
        self.put_back(connection, outcome)
    }

    fn ask<R>(
        &self,
        connection: &mut Connection,
        left: Duration,
        ask: &mut impl FnMut(&mut Connection) -> Result<R, RedisError>,
    ) -> Result<R, RedisError> {
        connection.set_read_timeout(Some(left))?;
        connection.set_write_timeout(Some(left))?;
        ask(connection)
    }

    fn put_back<R>(&self, connection: Connection, outcome: Result<R, RedisError>) -> Result<R, SharedError> {
        let value = outcome.map_err(shared_error)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(value)
    }
}

fn shared_error(error: RedisError) -> SharedError {
    match error.code() {
        Some("NOPERM" | "NOAUTH" | "WRONGPASS" | "READONLY") => {
            SharedError::Refused { reason: error.code().unwrap_or_default().into() }
        }
        Some("OOM" | "BUSY" | "LOADING" | "TRYAGAIN") => SharedError::Busy { retry_after: None },
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            SharedError::Refused { reason: "the name or the password is wrong".into() }
        }
        _ if error.is_timeout() => SharedError::Slow,
        // Its text may name the server, and holds no password.
        _ => SharedError::broken(error),
    }
}

impl SharedEngine for RedisEngine {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.with(until, |connection| {
            let mut get = cmd("MGET");
            keys.iter().for_each(|key| _ = get.arg(key.to_string()));
            get.query(connection)
        })
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        for (key, bytes) in items {
            self.with(until, |connection| {
                let mut set = cmd("SET");
                set.arg(key.to_string()).arg(*bytes);
                if how == Put::IfAbsent {
                    set.arg("NX");
                }
                if let Some(seconds) = self.expires {
                    set.arg("EX").arg(seconds);
                }
                set.query::<::redis::Value>(connection)
            })?;
        }
        Ok(())
    }

    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX >> 1).max(1);
        let taken: i64 = self.with(until, |connection| {
            let mut take = cmd("EVAL");
            take.arg(TAKE).arg(1).arg(key.to_string()).arg(&holder.to_bytes()).arg(lasts);
            take.query(connection)
        })?;
        Ok(if taken == 1 { Lease::Taken } else { Lease::Held })
    }

    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        self.with(until, |connection| {
            let mut end = cmd("EVAL");
            end.arg(END).arg(1).arg(key.to_string()).arg(&holder.to_bytes());
            end.query::<i64>(connection).map(|_| ())
        })
    }

    fn limits(&self) -> Limits {
        Limits::default().item_bytes(ITEM_BYTES).keys(1000)
    }
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address, and not the password that stands beside it.
        f.debug_struct("RedisEngine")
            .field("at", self.client.get_connection_info().addr())
            .finish_non_exhaustive()
    }
}
