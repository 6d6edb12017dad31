use larder::task_fn;

struct Db;
struct Ast;

#[task_fn]
async fn parse(db: &Db, at: &str) -> Ast {
    let Db = db;
    let _ = std::future::ready(at).await;
    Ast
}

fn main() {
    let _ = parse(&Db, "");
    let _ = parse::uncached;
}
