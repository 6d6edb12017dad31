//! Objects: the files that the code of this process comes from. One is the program's; another one, where the program has loaded it as
//! a library, or as a part of one, that of this engine. Both make the identity of the build. Task functions may also stand in
//! other libraries, which are built anew without either.
//!
//! Linux tells, in `/proc/self/maps`, which file each piece of memory comes from. Elsewhere nothing tells without `unsafe`, and all code
//! is taken for the program's.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;

use xxhash_rust::xxh3::Xxh3;

use crate::graph::task_fn::RawTaskFn;
use larder_storage::Digest;

/// The file that the code comes from cannot be had: it is gone or replaced, or there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// The digests of the libraries, other than the engine's own, that hold a function: the one that it was defined in, and the one that its descriptor stands in, which
/// is where a generic function was made for its types.
pub(super) fn libraries_of(task_fn: &'static RawTaskFn) -> Result<Box<[Digest]>, Unknown> {
    let home = task_fn.definition.map(|definition| std::ptr::from_ref((definition.home)()).addr());
    let own = std::ptr::from_ref(task_fn).addr();
    let mut libraries = Vec::new();
    for address in home.into_iter().chain([own]) {
        libraries.extend(library_at(address)?.filter(|library| !libraries.contains(library)));
    }
    libraries.sort();
    Ok(libraries.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn library_at(_: usize) -> Result<Option<Digest>, Unknown> {
    Ok(None)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn own_library() -> Result<Option<Digest>, Unknown> {
    Ok(None)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use self::linux::{library_at, own_library};

/// An address in the file that this engine comes from.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(never)]
fn engine() -> &'static u8 {
    &0
}

/// The digest of the running program, and of the library that this engine comes from if it is in one: what task functions
/// without a declared version are identified by.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn build_identity() -> io::Result<Digest> {
    static BUILD: OnceLock<Digest> = OnceLock::new();
    if let Some(build) = BUILD.get() {
        return Ok(*build);
    }
    let mut build = digest_of(running_program()?)?;
    if let Some(library) = own_library().map_err(|Unknown| io::Error::from(io::ErrorKind::NotFound))? {
        build = Digest::xxh3(format!("{build} {library}").as_bytes());
    }
    Ok(*BUILD.get_or_init(|| build))
}

/// The file that this process was started from, even if another one has taken its place since.
fn running_program() -> io::Result<File> {
    if cfg!(target_os = "linux")
        && let Ok(file) = File::open("/proc/self/exe")
    {
        return Ok(file);
    }
    File::open(std::env::current_exe()?)
}

fn digest_of(mut file: File) -> io::Result<Digest> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest(hasher.digest128())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::ffi::OsStr;
    use std::fs::{self, File, Metadata};
    use std::io::{BufRead as _, BufReader};
    use std::ops::Range;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::OnceLock;
    use std::time::{Duration, SystemTime};

    use parking_lot::Mutex;

    use super::{Unknown, digest_of, engine};
    use larder_storage::Digest;

    /// The library that an address belongs to; none if it is the program, or the engine's own.
    ///
    /// The map is read anew each time: a library may have been unloaded, and another one have taken its place.
    pub(super) fn library_at(address: usize) -> Result<Option<Digest>, Unknown> {
        /// Pieces of the program and of the engine's library, which are not unloaded while this runs.
        static OWN: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());
        if OWN.lock().iter().any(|piece| piece.contains(&address)) {
            return Ok(None);
        }
        let mapping = Mapping::of(address).ok_or(Unknown)?;
        if mapping.is_program() || mapping.is_of(&engines()?) {
            OWN.lock().push(mapping.range);
            return Ok(None);
        }
        mapping.digest().map(Some).ok_or(Unknown)
    }

    /// The library that the engine belongs to; none if it is the program.
    pub(super) fn own_library() -> Result<Option<Digest>, Unknown> {
        let mapping = engines()?;
        if mapping.is_program() { Ok(None) } else { mapping.digest().map(Some).ok_or(Unknown) }
    }

    fn engines() -> Result<Mapping, Unknown> {
        Mapping::of(std::ptr::from_ref(engine()).addr()).ok_or(Unknown)
    }

    /// The path of the program as maps show it.
    fn program() -> Option<&'static [u8]> {
        static PROGRAM: OnceLock<Option<Vec<u8>>> = OnceLock::new();
        let read = || Some(fs::read_link("/proc/self/exe").ok()?.into_os_string().into_vec());
        PROGRAM.get_or_init(read).as_deref()
    }

    /// A piece of memory and the file that it comes from.
    #[derive(Debug, PartialEq)]
    pub(super) struct Mapping {
        pub(super) range: Range<usize>,
        pub(super) inode: u64,
        pub(super) path: Vec<u8>,
    }

    impl Mapping {
        /// The piece that holds `address`.
        fn of(address: usize) -> Option<Self> {
            let mut maps = BufReader::with_capacity(32 << 10, File::open("/proc/self/maps").ok()?);
            let mut line = Vec::new();
            loop {
                line.clear();
                if maps.read_until(b'\n', &mut line).ok()? == 0 {
                    return None;
                }
                if let Some(mapping) = Self::parse(line.trim_ascii_end())
                    && mapping.range.contains(&address)
                {
                    return Some(mapping);
                }
            }
        }

        fn is_program(&self) -> bool {
            program().is_some_and(|program| *program == *self.path)
        }

        /// Whether both are of one file.
        fn is_of(&self, other: &Self) -> bool {
            (self.inode, &self.path) == (other.inode, &other.path) && self.path.starts_with(b"/")
        }

        /// Reads a line: `start-end permissions offset device inode    path`.
        pub(super) fn parse(line: &[u8]) -> Option<Self> {
            let mut rest = line;
            let mut field = || {
                let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                rest = after.trim_ascii_start();
                std::str::from_utf8(field).ok()
            };
            let (range, _, _, _, inode) = (field()?, field()?, field()?, field()?, field()?);
            let (start, end) = range.split_once('-')?;
            let hexadecimal = |number| usize::from_str_radix(number, 16).ok();
            Some(Self {
                range: hexadecimal(start)?..hexadecimal(end)?,
                inode: inode.parse().ok()?,
                path: rest.to_vec(),
            })
        }

        fn digest(&self) -> Option<Digest> {
            if !self.path.starts_with(b"/") {
                return None;
            }
            let file = self.open()?;
            let state = FileState::of(&file.metadata().ok()?);
            /// Digests of files that have not changed lately, so that each is read once.
            static KNOWN: Mutex<Vec<(FileState, Digest)>> = Mutex::new(Vec::new());
            if let Some((_, digest)) = KNOWN.lock().iter().find(|(known, _)| *known == state) {
                return Some(*digest);
            }
            let digest = digest_of(file).ok()?;
            if state.is_old() {
                KNOWN.lock().push((state, digest));
            }
            Some(digest)
        }

        /// The file that was mapped: by its path if it still is there, else by a link that only few processes may follow.
        fn open(&self) -> Option<File> {
            let by_path = || {
                let file = File::open(OsStr::from_bytes(&self.path)).ok()?;
                (file.metadata().ok()?.ino() == self.inode).then_some(file)
            };
            let Range { start, end } = self.range;
            by_path().or_else(|| File::open(format!("/proc/self/map_files/{start:x}-{end:x}")).ok())
        }
    }

    /// Metadata that changes when a file's content does, unless that was a moment ago.
    #[derive(Clone, Copy, PartialEq)]
    struct FileState {
        place: (u64, u64),
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    }

    impl FileState {
        fn of(metadata: &Metadata) -> Self {
            Self {
                place: (metadata.dev(), metadata.ino()),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            }
        }

        fn is_old(&self) -> bool {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let before = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - 3;
            self.modified.0 < before && self.changed.0 < before
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Mapping, library_at};
        use crate::persist::identity::objects::Unknown;

        #[test]
        fn lines_of_the_map_are_read_as_the_kernel_writes_them() {
            let line =
                b"559446f83000-559446f85000 r--p 00001000 fe:00 247030                     /a b/c (deleted)";
            let mapping = Mapping::parse(line).expect("a line");
            assert_eq!(mapping.range, 0x5594_46f8_3000..0x5594_46f8_5000);
            assert_eq!((mapping.inode, &mapping.path[..]), (247_030, &b"/a b/c (deleted)"[..]));
            let nameless =
                Mapping::parse(b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0").expect("a line");
            assert_eq!((nameless.inode, nameless.path.len()), (0, 0));
            assert_eq!(Mapping::parse(b""), None);
        }

        #[test]
        #[cfg_attr(miri, ignore = "the addresses that Miri gives do not stand in the map of the process")]
        fn code_is_the_programs_or_a_librarys_or_not_known() {
            static HERE: u8 = 1;
            assert_eq!(library_at(std::ptr::from_ref(&HERE).addr()), Ok(None));
            let on_heap = Box::new(1_u8);
            assert_eq!(library_at(std::ptr::from_ref(&*on_heap).addr()), Err(Unknown));
            assert_eq!(library_at(1), Err(Unknown));
        }
    }
}
