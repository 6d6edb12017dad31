use larder::task_fn;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Plain(u32);

#[task_fn]
fn output(x: u32) -> Vec<Plain> {
    vec![Plain(x)]
}

#[task_fn]
fn parameters(a: &Plain, b: Plain) -> u32 {
    a.0 + b.0
}

impl Plain {
    #[task_fn]
    fn receiver(&self) -> u32 {
        self.0
    }
}

fn main() {
    output(1);
    parameters(&Plain(1), Plain(2)).to_string();
    Plain(1).receiver();
}
