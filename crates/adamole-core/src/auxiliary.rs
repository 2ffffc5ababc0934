//! The auxiliary loss of a pass, from what its routed layers contribute.

use crate::{
    Method, Rows,
    router::{JointLoss, Routing},
};
use burn::tensor::Tensor;
use std::sync::Arc;

/// The auxiliary loss so far: losses of layers that are added, and contributions of layers to one loss.
#[derive(Debug, Default)]
pub(crate) struct AuxiliaryLoss {
    added: Option<Tensor<1>>,
    joint: Vec<JointSum>,
    /// The gradients of the joint loss of a whole pass, in a pass that does a part of it again.
    slopes: Option<Vec<Tensor<2>>>,
}

/// What the layers with as many numbers in their contribution have contributed.
#[derive(Debug)]
struct JointSum {
    method: Arc<dyn Method>,
    /// `[1, K]`.
    sum: Tensor<2>,
    layers: usize,
}

impl JointSum {
    fn rule(&self) -> Option<&dyn JointLoss> {
        self.method.router()?.joint_loss()
    }

    fn width(&self) -> usize {
        self.sum.dims()[1]
    }
}

impl AuxiliaryLoss {
    /// Adds a layer with its own loss.
    pub(crate) fn add(&mut self, method: &Arc<dyn Method>, loss: Tensor<1>, routing: &Routing, rows: &Rows) {
        let Some(rule) = method.router().and_then(|router| router.joint_loss()) else {
            self.added = Some(match self.added.take() {
                None => loss,
                Some(sum) => sum + loss,
            });
            return;
        };
        let contribution = rule.contribution(routing, rows);
        let width = contribution.dims()[1];
        match self.joint.iter_mut().find(|it| it.width() == width) {
            Some(joint) => {
                joint.sum = joint.sum.clone() + contribution;
                joint.layers += 1;
            }
            None => self.joint.push(JointSum { method: method.clone(), sum: contribution, layers: 1 }),
        }
    }

    /// The loss, with its gradient; `None` where there is none. In a pass that does a part of another one again, what this
    /// part adds to the loss of the whole, to first order: its gradient is that of the whole.
    pub(crate) fn value(&self) -> Option<Tensor<1>> {
        let joint = self.joint.iter().filter_map(|joint| match &self.slopes {
            None => self.joint_loss(joint, joint.sum.clone()),
            Some(slopes) => {
                let slope = slopes.iter().find(|slope| slope.dims()[1] == joint.width())?;
                Some((joint.sum.clone() * slope.clone()).sum())
            }
        });
        self.added.clone().into_iter().chain(joint).reduce(|sum, loss| sum + loss)
    }

    /// The loss of the layers of one width, as a share of that of all.
    fn joint_loss(&self, joint: &JointSum, sum: Tensor<2>) -> Option<Tensor<1>> {
        let all: usize = self.joint.iter().map(|joint| joint.layers).sum();
        Some(joint.rule()?.of_sum(sum, joint.layers) * (joint.layers as f32 / all as f32))
    }

    /// The loss of a pass, with autodiff, that does again a part of this one, without.
    pub(crate) fn replayed(&self) -> Self {
        let slope = |joint: &JointSum| {
            let sum = Tensor::from_inner(joint.sum.clone()).require_grad();
            let gradients = self.joint_loss(joint, sum.clone())?.backward();
            sum.grad(&gradients).map(Tensor::from_inner)
        };
        Self { slopes: Some(self.joint.iter().filter_map(slope).collect()), ..Self::default() }
    }
}
