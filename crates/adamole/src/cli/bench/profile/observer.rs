//! What Burn's fusion and CubeCL tell of the kernels that they launch.

use super::{
    Counts,
    traffic::{Access, Operand, Operation, Views},
};
use burn::tensor::DType;
use burn_fusion::observer::{BlockOperations, FusionObservation, FusionObserver};
use burn_ir::{BaseOperationIr, ModuleOperationIr, OperationIr, TensorIr, TensorStatus};
use cubecl::{
    config::{TypeNameFormatLevel, type_name_format},
    logging::{LaunchObservation, LaunchObserver},
};
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

/// Calls `work` and counts the kernels that the devices of this process launch meanwhile. The devices have to be idle before, and
/// `work` has to wait for them.
pub(super) fn observed<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let watch = Arc::new(Watch::default());
    let guards = (FusionObservation::new(watch.clone()), LaunchObservation::new(watch.clone()));
    let result = work();
    drop(guards);
    let counts = std::mem::take(&mut watch.state().counts);
    (result, counts)
}

/// Pairs kernels with the block of operations that launches them: they are launched on the thread that runs the block.
#[derive(Default)]
struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    counts: Counts,
    views: Views,
    /// The block that each thread runs, with its kernels so far.
    running: HashMap<ThreadId, (Vec<Operation>, Vec<String>)>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FusionObserver for Watch {
    fn registered(&self, _: &OperationIr) {}

    fn block_starts(&self, block: BlockOperations<'_>) {
        let operations = block.iter().map(operation).collect();
        self.state().running.insert(thread::current().id(), (operations, Vec::new()));
    }

    fn block_ran(&self) {
        let mut state = self.state();
        // A block that began before the observation is not known.
        if let Some((operations, kernels)) = state.running.remove(&thread::current().id()) {
            let bytes = state.views.of_block(&operations, !kernels.is_empty());
            state.counts.block(&operations, kernels, bytes);
        }
    }
}

impl LaunchObserver for Watch {
    fn launched(&self, kernel: &'static str) {
        let kernel = type_name_format(kernel, TypeNameFormatLevel::Short);
        let mut state = self.state();
        match state.running.get_mut(&thread::current().id()) {
            Some((_, kernels)) => kernels.push(kernel),
            None => state.counts.outside(kernel),
        }
    }
}

fn operation(ir: &OperationIr) -> Operation {
    let (name, access) = match ir {
        OperationIr::BaseFloat(base) | OperationIr::BaseInt(base) | OperationIr::BaseBool(base) => {
            let picks = matches!(
                base,
                BaseOperationIr::Slice(_)
                    | BaseOperationIr::Select(_)
                    | BaseOperationIr::Gather(_)
                    | BaseOperationIr::GatherNd(_)
            );
            (name(base), if picks { Access::Picked } else { Access::Whole })
        }
        OperationIr::Module(module) => {
            let picks = matches!(module, ModuleOperationIr::Embedding(_));
            (name(module), if picks { Access::Picked } else { Access::Whole })
        }
        OperationIr::Drop(_) => ("Drop".into(), Access::Freed),
        OperationIr::NumericFloat(_, inner) | OperationIr::NumericInt(_, inner) => (name(inner), Access::Whole),
        OperationIr::Float(_, inner) => (name(inner), Access::Whole),
        OperationIr::Bool(inner) => (name(inner), Access::Whole),
        OperationIr::Int(inner) => (name(inner), Access::Whole),
        OperationIr::Init(inner) => (name(inner), Access::Whole),
        OperationIr::Custom(inner) => (inner.id.clone(), Access::Whole),
        OperationIr::Distributed(inner) => (name(inner), Access::Whole),
        OperationIr::Activation(inner) => (name(inner), Access::Whole),
    };
    let operands = |tensors: &mut dyn Iterator<Item = &TensorIr>| tensors.map(operand).collect();
    Operation { name, access, inputs: operands(&mut ir.inputs()), outputs: operands(&mut ir.outputs()) }
}

/// The name of a variant, without what it holds.
fn name(operation: &impl Debug) -> String {
    let text = format!("{operation:?}");
    text.split(['(', '{', ' ']).next().unwrap_or_default().to_owned()
}

fn operand(tensor: &TensorIr) -> Operand {
    // Scales of quantised weights are left out: one for 32 of them.
    let bits = match tensor.dtype {
        DType::QFloat(scheme) => scheme.size_bits_value(),
        dtype => 8 * dtype.size(),
    } as u64;
    Operand {
        id: tensor.id.value(),
        bytes: (tensor.shape.num_elements() as u64 * bits).div_ceil(8),
        is_last_use: tensor.status == TensorStatus::ReadWrite,
    }
}
