//! Frames: the record of a body from its beginning to its end, suspended and resumed, with what is carried out of it and what it
//! emits.

use std::sync::Arc;

use crate::base::stack::on_enough_stack;
use crate::context::sink::{Arrived, Sink};
use crate::context::strand::Gathered;
use crate::graph::edges::Edge;
use crate::graph::emitted::EmittedValue;

use super::{Local, SavedFrame, Suspended};

impl Local {
    /// Begins a frame, predicted to read `before`. Put the returned one back with [`Local::end_frame`].
    pub(crate) fn begin_frame(&self, before: &[Edge], recording: bool) -> SavedFrame {
        let execution = self.last_execution.get() + 1;
        self.last_execution.set(execution);
        // SAFETY: as in `push`.
        let base = unsafe { (*self.reads.get()).len() };
        self.repeated.set(base);
        let range = before.as_ptr_range();
        SavedFrame {
            predicted: self.predicted.replace(range.start),
            predicted_end: self.predicted_end.replace(range.end),
            followed: self.followed.replace(range.start),
            execution: self.execution.replace(execution),
            recording: self.recording.replace(recording),
            predicting: self.predicting.replace(!before.is_empty()),
            duplicates: self.duplicates.replace(false),
            carried: if self.carrying.replace(false) { self.carried.take() } else { None },
            base: self.base.replace(base),
            emitted_base: self.emitted_base.replace(self.emitted_count.get()),
        }
    }

    /// Begins a frame that goes on with a suspended one.
    pub(crate) fn resume(&self, suspended: &mut Suspended) -> SavedFrame {
        let saved = self.begin_frame(&[], true);
        self.predicted.set(suspended.predicted);
        self.predicted_end.set(suspended.predicted_end);
        self.followed.set(suspended.predicted);
        self.predicting
            .set(suspended.predicted != suspended.predicted_end || !suspended.gathered.reads.is_empty());
        self.carrying.set(suspended.carried.is_some());
        *self.carried.borrow_mut() = suspended.carried.take();
        saved
    }

    /// Ends a resumed frame that is to go on later.
    pub(crate) fn suspend(&self, suspended: &mut Suspended, saved: SavedFrame) {
        suspended.gathered.append(self.take_gathered());
        suspended.predicted = self.predicted.get();
        suspended.predicted_end = self.predicted_end.get();
        suspended.carried = if self.carrying.replace(false) { self.carried.take() } else { None };
        self.end_frame(saved);
    }

    /// Puts what a resumed frame gathered before its current stretch back in front: the frame is about to end.
    pub(crate) fn recall(&self, suspended: &mut Suspended) {
        if suspended.gathered.is_empty() {
            return;
        }
        self.duplicates.set(true);
        let Gathered { reads, emitted } = std::mem::take(&mut suspended.gathered);
        let base = self.base.get();
        // SAFETY: as in `push`.
        unsafe { (*self.reads.get()).splice(base..base, reads) };
        let base = self.emitted_base.get();
        self.emitted_count.set(self.emitted_count.get() + emitted.len());
        self.emitted.borrow_mut().splice(base..base, emitted);
    }

    /// Stops recording in the current frame: drops run from here on, and belong to no task.
    pub(crate) fn mute(&self) {
        self.recording.set(false);
        self.predicted_end.set(self.predicted.get());
        let execution = self.last_execution.get() + 1;
        self.last_execution.set(execution);
        self.execution.set(execution);
    }

    /// Ends the current frame, dropping what is left of it.
    pub(crate) fn end_frame(&self, saved: SavedFrame) {
        // SAFETY: as in `push`.
        unsafe { (*self.reads.get()).truncate(self.base.get()) };
        if self.has_emitted() {
            let emitted = self.take_emitted();
            on_enough_stack(|| drop(emitted));
        }
        self.predicted.set(saved.predicted);
        self.predicted_end.set(saved.predicted_end);
        self.followed.set(saved.followed);
        self.execution.set(saved.execution);
        let recorded = self.recording.replace(saved.recording);
        self.predicting.set(saved.predicting);
        self.duplicates.set(saved.duplicates);
        let carried = if self.carrying.replace(saved.carried.is_some()) { self.carried.take() } else { None };
        if saved.carried.is_some() {
            *self.carried.borrow_mut() = saved.carried;
        }
        self.base.set(saved.base);
        self.repeated.set(saved.base);
        self.emitted_base.set(saved.emitted_base);
        // Work that is carried out of a session needs no frame: it holds the session open itself.
        if let (Some(sink), true) = (carried, recorded) {
            sink.close();
        }
    }

    /// Runs `use_reads` with the reads of the current frame, each once, in order. It must not call a task.
    pub(crate) fn with_reads<R>(&self, use_reads: impl FnOnce(&[Edge]) -> R) -> R {
        self.note_followed();
        // SAFETY: as in `push`; `use_reads` is given by `execute.rs`, which runs no code of the user's in it.
        let reads = unsafe { &mut *self.reads.get() };
        let base = self.base.get();
        if self.duplicates.get() {
            self.keep_each_once(reads);
        }
        use_reads(&reads[base..])
    }

    /// The sink of the current frame, made if need be. Reads are not predicted from here on: what arrives comes first.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        self.carrying.set(true);
        self.predicted_end.set(self.predicted.get());
        self.carried.borrow_mut().get_or_insert_default().clone()
    }

    /// Takes the sink of the current frame out, if it has one, with what has arrived in it recorded: the frame ends before what was
    /// carried out of it does.
    pub(crate) fn take_sink(&self) -> Option<Arc<Sink>> {
        if !self.carrying.get() {
            return None;
        }
        self.record_arrived();
        self.carrying.set(false);
        self.carried.take()
    }

    /// Records what work that was carried out of this frame has read so far.
    #[cold]
    pub(super) fn record_arrived(&self) {
        let Some(sink) = self.carried.borrow().clone() else { return };
        let Arrived { gathered, escaped, cancelled } = sink.take();
        self.carrying.set(false);
        self.record_gathered(gathered);
        self.carrying.set(true);
        self.inherit(cancelled, &escaped);
    }

    /// The frame's work is done: takes in what was carried out of it. `false` if some of that still runs.
    pub(crate) fn settle_carried(&self) -> bool {
        if !self.carrying.get() {
            return true;
        }
        let ended = self.carried.borrow().as_ref().is_none_or(|sink| sink.close());
        self.record_arrived();
        ended
    }

    /// Notes a value that the current body emits.
    pub(crate) fn emit(&self, value: EmittedValue) {
        self.emitted.borrow_mut().push(value);
        self.emitted_count.set(self.emitted_count.get() + 1);
    }

    /// Whether the current frame emitted anything.
    #[inline]
    pub(crate) fn has_emitted(&self) -> bool {
        self.emitted_count.get() != self.emitted_base.get()
    }

    /// Takes out the values that the current frame emitted.
    #[inline(never)]
    pub(crate) fn take_emitted(&self) -> Vec<EmittedValue> {
        self.emitted_count.set(self.emitted_base.get());
        self.emitted.borrow_mut().split_off(self.emitted_base.get())
    }

    /// Takes out the nodes that the current frame has read (each once per execution number), and the values that it emitted.
    pub(crate) fn take_gathered(&self) -> Gathered {
        if self.carrying.get() {
            self.record_arrived();
        }
        self.note_followed();
        // SAFETY: as in `push`.
        let reads = unsafe { (*self.reads.get()).split_off(self.base.get()) };
        Gathered { reads, emitted: self.take_emitted() }
    }

    /// Records in the current frame what work on its behalf has read and emitted elsewhere.
    pub(crate) fn record_gathered(&self, gathered: Gathered) {
        if self.recording.get() {
            for edge in gathered.reads {
                self.record(edge, true);
            }
            gathered.emitted.into_iter().for_each(|value| self.emit(value));
        }
    }
}
