use larder::{InputMap, Keys};

fn of_keys(keys: &Keys<u64>, factor: u64) -> u64 {
    larder::fold(keys, 0, move |key| key * factor, |a, b| a + b)
}

fn of_a_map(map: &InputMap<u64, u64>, least: u64) -> usize {
    map.view().filter(move |_, value| *value > least).len()
}

fn main() {
    of_keys(&Keys::default(), 2);
    of_a_map(&larder::Runtime::new().input_map("map"), 1);
}
