//! The bytes that operations read and write, from the shapes of their tensors.

use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    ops::{Add, AddAssign},
};

/// A tensor, where an operation uses or makes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand {
    pub(super) id: u64,
    /// Its elements times the bytes of one.
    pub(super) bytes: u64,
    /// Whether nothing uses it afterwards.
    pub(super) is_last_use: bool,
}

/// How much of its first input an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All of it.
    Whole,
    /// As much as it writes: rows that it picks.
    Picked,
    /// Nothing: it frees the tensor.
    Freed,
}

/// An operation on tensors.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) inputs: Vec<Operand>,
    pub(super) outputs: Vec<Operand>,
}

/// Bytes between the processor of a device and its memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Bytes {
    pub(crate) fn total(self) -> u64 {
        self.read + self.written
    }
}

impl Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { read: self.read + other.read, written: self.written + other.written }
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Tensors that take less memory than their shape says, because they are views: an expanded row, for example.
#[derive(Debug, Default)]
pub(super) struct Views(HashMap<u64, u64>);

impl Views {
    /// The bytes of a block: operations that run together. Each tensor from outside is read once, and each tensor that outlives the
    /// block is written once; what passes between operations of the block stays in registers. A block of several kernels moves more
    /// than that. One that launches nothing moves nothing, and its outputs are views of its inputs.
    pub(super) fn of_block(&mut self, operations: &[Operation], has_launched: bool) -> Bytes {
        let bytes = if has_launched { self.moved(operations) } else { self.noted(operations) };
        let inputs = operations.iter().flat_map(|operation| &operation.inputs);
        for freed in inputs.filter(|input| input.is_last_use) {
            self.0.remove(&freed.id);
        }
        bytes
    }

    fn moved(&self, operations: &[Operation]) -> Bytes {
        let mut reads: HashMap<u64, u64> = HashMap::new();
        let mut made: HashMap<u64, u64> = HashMap::new();
        let mut gone: HashSet<u64> = HashSet::new();
        for operation in operations {
            let written = operation.outputs.iter().map(|output| output.bytes).sum();
            for (index, input) in operation.inputs.iter().enumerate() {
                if input.is_last_use {
                    gone.insert(input.id);
                }
                let bytes = match operation.access {
                    Access::Freed => continue,
                    Access::Picked if index == 0 => self.size(input).min(written),
                    _ => self.size(input),
                };
                if !made.contains_key(&input.id) {
                    let read = reads.entry(input.id).or_default();
                    *read = bytes.max(*read);
                }
            }
            made.extend(operation.outputs.iter().map(|output| (output.id, output.bytes)));
        }
        let written = made.iter().filter(|(id, _)| !gone.contains(id)).map(|(_, bytes)| bytes).sum();
        Bytes { read: reads.values().sum(), written }
    }

    fn noted(&mut self, operations: &[Operation]) -> Bytes {
        for operation in operations.iter().filter(|operation| !operation.inputs.is_empty()) {
            let held: u64 = operation.inputs.iter().map(|input| self.size(input)).sum();
            for output in operation.outputs.iter().filter(|output| held < output.bytes) {
                self.0.insert(output.id, held);
            }
        }
        Bytes::default()
    }

    fn size(&self, operand: &Operand) -> u64 {
        self.0.get(&operand.id).copied().unwrap_or(operand.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operand(id: u64, bytes: u64) -> Operand {
        Operand { id, bytes, is_last_use: false }
    }

    fn last(id: u64, bytes: u64) -> Operand {
        Operand { is_last_use: true, ..operand(id, bytes) }
    }

    fn operation(access: Access, inputs: &[Operand], outputs: &[Operand]) -> Operation {
        Operation { name: "".into(), access, inputs: inputs.into(), outputs: outputs.into() }
    }

    fn whole(inputs: &[Operand], outputs: &[Operand]) -> Operation {
        operation(Access::Whole, inputs, outputs)
    }

    #[test]
    fn an_operation_alone_reads_its_inputs_and_writes_its_output() {
        let product = whole(&[operand(1, 100), operand(2, 40)], &[operand(3, 16)]);
        assert_eq!(Views::default().of_block(&[product], true), Bytes { read: 140, written: 16 });
    }

    #[test]
    fn a_fused_block_reads_each_tensor_once_and_keeps_what_ends_in_it() {
        let block = [
            whole(&[operand(1, 100)], &[operand(2, 100)]),
            whole(&[last(1, 100), operand(2, 100)], &[operand(3, 100)]),
            whole(&[last(3, 100)], &[operand(4, 100)]),
        ];
        // 2 and 4 outlive the block, 3 does not; 1 is read twice.
        assert_eq!(Views::default().of_block(&block, true), Bytes { read: 100, written: 200 });
        let freed = operation(Access::Freed, &[last(2, 100)], &[]);
        let block = [&block[..], &[freed]].concat();
        assert_eq!(Views::default().of_block(&block, true), Bytes { read: 100, written: 100 });
    }

    #[test]
    fn picked_rows_are_counted_instead_of_the_table() {
        let picks = operation(Access::Picked, &[operand(1, 1_000_000), operand(2, 8)], &[operand(3, 64)]);
        assert_eq!(Views::default().of_block(&[picks], true), Bytes { read: 72, written: 64 });
    }

    #[test]
    fn a_view_moves_nothing_and_is_read_as_what_it_holds() {
        let mut views = Views::default();
        let expand = whole(&[operand(1, 10)], &[operand(2, 1000)]);
        assert_eq!(views.of_block(&[expand], false), Bytes::default());
        let add = |input: Operand| whole(&[input, operand(3, 1000)], &[operand(4, 1000)]);
        assert_eq!(views.of_block(&[add(operand(2, 1000))], true), Bytes { read: 1010, written: 1000 });
        assert_eq!(views.of_block(&[add(last(2, 1000))], true), Bytes { read: 1010, written: 1000 });
        // Its id may be another tensor's now.
        assert_eq!(views.of_block(&[add(operand(2, 1000))], true), Bytes { read: 2000, written: 1000 });
    }

    #[test]
    fn a_slice_is_read_as_itself() {
        let mut views = Views::default();
        views.of_block(&[whole(&[operand(1, 1000)], &[operand(2, 10)])], false);
        let add = whole(&[operand(2, 10)], &[operand(3, 10)]);
        assert_eq!(views.of_block(&[add], true), Bytes { read: 10, written: 10 });
    }
}
