//! Random programs, and random steps to take with them.

use proptest::prelude::*;

use crate::program::{Expr, How, Kind, Node, Program, Ref};

/// Something to do with a program.
#[derive(Clone, Debug)]
pub enum Step {
    /// Several threads open a session each, and ask for nodes.
    Ask(Vec<Vec<u16>>),
    /// Asks for what nodes and all they depend on emitted.
    AskEmitted(Vec<u16>),
    /// Sets inputs at once; `None` removes one.
    Update(Vec<(u16, Option<i64>)>),
    /// Removes an input, and makes another one of its name.
    Again(u16, i64),
    /// Changes what volatile nodes read outside of the runtime.
    Outside(u16, i64),
    /// Writes a number to a file, and refreshes.
    Write(u16, i64),
    /// Everything so far is made durable.
    Flush,
    /// The runtime ends, well or in a crash, and another one goes on over the same store. In between, files and inputs may
    /// change.
    Restart(End, Vec<(u16, i64)>, Vec<(u16, Option<i64>)>),
    /// Asks for nodes at once, by futures in one session on some executor.
    AskOn(Executor, Vec<u16>),
    /// The same, and drops the session after so many polls.
    Drop(Vec<u16>, u32),
    /// Asks for nodes in a session whose token is cancelled after so many bodies.
    Token(Vec<u16>, u32),
    /// Forgets nodes.
    Forget(Vec<u16>),
    /// Makes nodes run again: by handles in an update, or by calls.
    Invalidate(Vec<u16>, bool),
    /// Asks for nodes, and updates with cancellation after so many bodies.
    Cancel(Vec<u16>, u32, Vec<(u16, Option<i64>)>),
}

/// The executor that polls futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// A thread that sleeps until it is woken.
    Thread,
    /// Tokio, with several threads.
    Tokio,
    /// Smol.
    Smol,
}

/// How a runtime ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is dropped.
    Dropped,
    /// Results that it has not committed yet are lost.
    Crashed,
}

fn reference() -> impl Strategy<Value = Ref> {
    any::<u16>().prop_map(Ref)
}

fn references(most: usize) -> impl Strategy<Value = Vec<Ref>> {
    prop::collection::vec(reference(), 0..most)
}

fn expr(concurrent: bool) -> impl Strategy<Value = Expr> {
    let sum = move |(at_once, of)| if concurrent && at_once { Expr::Scope(of) } else { Expr::Sum(of) };
    let how = prop_oneof![4 => Just(How::Call), 2 => Just(How::Handle), 1 => Just(How::Through), 2 => Just(How::Part)];
    let leaf = prop_oneof![
        1 => (-2i64..4).prop_map(Expr::Const),
        4 => any::<u16>().prop_map(Expr::Input),
        2 => any::<u16>().prop_map(Expr::Outside),
        2 => any::<u16>().prop_map(Expr::File),
        8 => (how, reference()).prop_map(|(how, of)| Expr::Read(how, of)),
        2 => reference().prop_map(Expr::Attempt),
        2 + u32::from(concurrent) * 3 => (any::<bool>(), references(6)).prop_map(sum),
        1 => (any::<bool>(), references(60)).prop_map(sum),
        1 => reference().prop_map(Expr::Collect),
        1 => reference().prop_map(Expr::Take),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            3 => (boxed(), boxed()).prop_map(|(left, right)| Expr::Add(left, right)),
            3 => (boxed(), 1i64..4).prop_map(|(of, by)| Expr::Modulo(of, by)),
            4 => (boxed(), boxed(), 0i64..9).prop_map(|(left, right, most)| Expr::Max(left, right, most)),
            3 => (boxed(), boxed(), boxed()).prop_map(|(condition, yes, no)| Expr::If(condition, yes, no)),
            2 => (boxed(), references(5)).prop_map(|(which, of)| Expr::Pick(which, of)),
            1 => (boxed(), references(4)).prop_map(|(count, of)| Expr::Loop(count, of)),
            1 => (boxed(), 0i64..4).prop_map(|(of, number)| Expr::FailIf(of, number)),
            1 => boxed().prop_map(Expr::Emit),
        ]
    })
}

/// Which cycles a program may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycles {
    /// None.
    No,
    /// Some, none of which has a value.
    Failing,
    /// Some, and some of these have an initial value.
    Fixpoints,
}

/// The features of programs.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    /// Which cycles they have.
    pub cycles: Cycles,
    /// Whether nodes catch failures.
    pub catching: bool,
    /// Whether they have async nodes and scopes.
    pub concurrent: bool,
}

fn node(flavour: Flavour) -> impl Strategy<Value = Node> {
    let kinds = [
        (u32::from(flavour.cycles == Cycles::Fixpoints) * 14, Kind::Fixpoint),
        (u32::from(flavour.cycles == Cycles::Fixpoints) * 6, Kind::Stepped),
        (u32::from(flavour.cycles == Cycles::Fixpoints) * 5, Kind::Fallback),
        (u32::from(flavour.concurrent) * 12, Kind::Async),
        (8, Kind::Plain),
        (2, Kind::Named),
        (2, Kind::Method),
        (2, Kind::Transient),
        (1, Kind::NoEq),
        (1, Kind::Volatile),
    ];
    // Left out, and not only of no weight: shrinking comes to these, too.
    let kinds = kinds.into_iter().filter(|(weight, _)| *weight > 0);
    let kind =
        prop::strategy::Union::new_weighted(kinds.map(|(weight, kind)| (weight, Just(kind))).collect());
    (kind, expr(flavour.concurrent)).prop_map(|(kind, expr)| Node { kind, expr })
}

/// Most programs are small: what goes wrong in a large one mostly does in a small one, which shrinks faster.
fn nodes(flavour: Flavour) -> impl Strategy<Value = Vec<Node>> {
    let (many, most) = if flavour.cycles == Cycles::No { (60, 400) } else { (20, 40) };
    let node = move || node(flavour);
    prop_oneof![
        12 => prop::collection::vec(node(), 1..12),
        6 => prop::collection::vec(node(), 8..many),
        1 => prop::collection::vec(node(), many..most),
    ]
}

/// A random program.
pub fn program(flavour: Flavour) -> impl Strategy<Value = Program> {
    (prop::collection::vec(0i64..5, 1..6), nodes(flavour)).prop_map(move |(inputs, nodes)| Program {
        inputs,
        nodes,
        cyclic: flavour.cycles != Cycles::No,
        catching: flavour.catching,
        cap: None,
    })
}

fn sets() -> impl Strategy<Value = Vec<(u16, Option<i64>)>> {
    let value = prop_oneof![12 => (0i64..5).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((any::<u16>(), value), 0..4)
}

/// A few nodes to ask for. High numbers come first: those depend on most.
fn roots() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(prop_oneof![0u16..4, any::<u16>()], 1..5)
}

/// Random steps over a store; `threads` is the most threads that ask at once.
pub fn steps_over_a_store(threads: usize) -> impl Strategy<Value = Vec<Step>> {
    let writes = prop::collection::vec((any::<u16>(), 0i64..4), 0..3);
    let end = prop_oneof![3 => Just(End::Dropped), 2 => Just(End::Crashed)];
    let sets = prop_oneof![2 => Just(Vec::new()), 3 => sets()];
    let step = prop_oneof![
        10 => steps(threads, false),
        2 => Just(vec![Step::Flush]),
        5 => (end, writes, sets).prop_map(|(end, writes, sets)| vec![Step::Restart(end, writes, sets)]),
    ];
    prop::collection::vec(step, 1..8).prop_map(|steps| steps.concat())
}

/// Random steps between few states of the world, over a store: most are come back to.
pub fn steps_back_and_forth() -> impl Strategy<Value = Vec<Step>> {
    let sets = || prop::collection::vec((0u16..2, (0i64..2).prop_map(Some)), 1..3);
    let end = prop_oneof![5 => Just(End::Dropped), 1 => Just(End::Crashed)];
    let step = prop_oneof![
        8 => roots().prop_map(|roots| Step::Ask(vec![roots])),
        5 => sets().prop_map(Step::Update),
        1 => (0u16..2, 0i64..2).prop_map(|(number, value)| Step::Write(number, value)),
        1 => Just(Step::Flush),
        4 => (end, prop_oneof![Just(Vec::new()), sets()])
            .prop_map(|(end, sets)| Step::Restart(end, Vec::new(), sets)),
    ];
    prop::collection::vec(step, 4..40)
}

/// Random steps, some of them by futures, some of which end early.
pub fn steps_with_futures(threads: usize) -> impl Strategy<Value = Vec<Step>> {
    let executor = prop_oneof![Just(Executor::Thread), Just(Executor::Tokio), Just(Executor::Smol)];
    let step = prop_oneof![
        8 => steps(threads, true),
        6 => (executor, roots()).prop_map(|(executor, roots)| vec![Step::AskOn(executor, roots)]),
        2 => (roots(), 0u32..12).prop_map(|(roots, polls)| vec![Step::Drop(roots, polls)]),
        2 => (roots(), 0u32..20).prop_map(|(roots, bodies)| vec![Step::Token(roots, bodies)]),
    ];
    prop::collection::vec(step, 1..8).prop_map(|steps| steps.concat())
}

/// Random steps; `threads` is the most threads that ask at once.
pub fn steps(threads: usize, cancel: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec(roots(), 1..=threads).prop_map(Step::Ask),
        1 => roots().prop_map(Step::AskEmitted),
        8 => sets().prop_map(Step::Update),
        1 => (any::<u16>(), 0i64..5).prop_map(|(number, value)| Step::Again(number, value)),
        1 => (0u16..2, 0i64..5).prop_map(|(number, value)| Step::Outside(number, value)),
        2 => (any::<u16>(), 0i64..4).prop_map(|(number, value)| Step::Write(number, value)),
        2 => roots().prop_map(Step::Forget),
        2 => (roots(), any::<bool>()).prop_map(|(roots, by_call)| Step::Invalidate(roots, by_call)),
        u32::from(cancel) * 3 => (roots(), 0u32..20, sets())
            .prop_map(|(roots, bodies, sets)| Step::Cancel(roots, bodies, sets)),
    ];
    prop::collection::vec(step, 1..24)
}
