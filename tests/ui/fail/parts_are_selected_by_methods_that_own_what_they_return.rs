use std::collections::BTreeMap;

use larder::parts;

#[derive(Clone, PartialEq)]
struct World {
    files: BTreeMap<String, String>,
}

#[parts]
impl World {
    fn borrows(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    fn new() -> Self {
        Self { files: BTreeMap::new() }
    }

    fn changes(&mut self, path: String) -> usize {
        self.files.remove(&path).map_or(0, |file| file.len())
    }

    async fn waits(&self) -> usize {
        self.files.len()
    }

    fn any<T: AsRef<str>>(&self, path: T) -> bool {
        self.files.contains_key(path.as_ref())
    }

    fn nothing(&self) {}

    fn inside(&self, path: Option<&str>) -> bool {
        path.is_some_and(|path| self.files.contains_key(path))
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }

    const LIMIT: usize = 7;
}

#[parts]
impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

#[parts(stored)]
impl World {
    fn len(&self) -> usize {
        self.files.len()
    }
}

#[parts]
struct Other;

struct Of<T>(T);

#[parts]
impl<T> Of<T> {
    fn is(&self) -> bool {
        true
    }
}

fn main() {}
