//! A program that knows no task function: it loads a library and calls `larder_plugin`. Linux only.

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, c_char, c_int, c_void};

    unsafe extern "C" {
        fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    pub(super) fn run() -> Result<(), Box<dyn std::error::Error>> {
        const RTLD_NOW: c_int = 2;
        let path = CString::new(std::env::args().nth(1).ok_or("the path of a library is missing")?)?;
        // SAFETY: the path is a C string; what the library does when it is loaded is up to the test that built it.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err("the library cannot be loaded".into());
        }
        if let Some(moved) = std::env::args().nth(2) {
            let library = std::env::args().nth(1).unwrap_or_default();
            if std::fs::rename(&library, moved).is_err() {
                std::fs::remove_file(library)?;
            }
        }
        // SAFETY: the library is loaded, and the name a C string.
        let run = unsafe { dlsym(library, c"larder_plugin".as_ptr()) };
        if run.is_null() {
            return Err("the library has no `larder_plugin`".into());
        }
        // SAFETY: the library's `larder_plugin` is of this type.
        let run = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn()>(run) };
        run();
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
