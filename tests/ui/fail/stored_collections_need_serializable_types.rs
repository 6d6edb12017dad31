use larder::{InputMap, Keys, Runtime};

#[derive(Clone, PartialEq, Eq, Hash)]
struct Plain(u64);

fn results(keys: &Keys<u64>) -> Plain {
    larder::fold(keys, Plain(0), |key| Plain(*key), |a, _| a)
}

fn results_of_a_map(map: &InputMap<u64, u64>) -> Plain {
    map.fold(Plain(0), |_, value| Plain(*value), |a, _| a)
}

fn values(runtime: &Runtime) -> InputMap<u64, Plain> {
    runtime.input_map("values")
}

fn keys(runtime: &Runtime) -> InputMap<Plain, u64> {
    runtime.input_map("keys")
}

fn list() -> Keys<Plain> {
    Keys::new([Plain(1)])
}

fn main() {}
