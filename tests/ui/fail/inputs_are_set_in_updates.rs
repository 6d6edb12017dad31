use larder::Runtime;

fn main() {
    let runtime = Runtime::new();
    let input = runtime.input("a", 1u32);
    input.set(2);
}
