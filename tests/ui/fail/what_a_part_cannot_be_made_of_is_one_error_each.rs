use larder::parts;

#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct World {
    n: u32,
}

#[derive(Clone, PartialEq)]
struct Font(u32);

#[parts]
impl World {
    fn font(&self, name: &str) -> Font {
        Font(self.n + name.len() as u32)
    }

    fn at(&self, place: f64) -> u32 {
        self.n + place as u32
    }
}

#[derive(Clone)]
struct Tables {
    numbers: Vec<u32>,
}

#[parts(transient)]
impl Tables {
    fn first(&self) -> Option<u32> {
        self.numbers.first().copied()
    }

    fn last(&self) -> Option<u32> {
        self.numbers.last().copied()
    }
}

fn main() {}
