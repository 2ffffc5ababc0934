//! The least time of a step on known GPUs: what it would take if nothing but launches, or bytes, or operations took time.

use super::{
    Failure,
    profile::{self, Profile},
    step::StepArguments,
    training::Training,
};
use crate::cli::{method_name::MethodName, output::print};
use adamole::train::Cost;
use serde::Serialize;
use std::fmt::Write;

/// A GPU as its maker describes it.
#[derive(Debug, Clone, Copy)]
struct Gpu {
    name: &'static str,
    /// Operations a second on dense matrices in bfloat16 with sums in float32.
    flop_per_second: f64,
    /// Bytes a second of its memory.
    bytes_per_second: f64,
    /// Seconds of a launch, in which nothing else can be launched; assumed.
    launch: f64,
}

/// From NVIDIA's data sheets of H100 and H200, NVIDIA's white paper of the Ada architecture, and Apple's press release of M1 Max, whose GPU
/// has no units for matrices in 16 bits: its rate is that of float32. Launches are assumed: 5 microseconds with CUDA, 10 with Metal.
const GPUS: [Gpu; 4] = [
    Gpu { name: "H100 SXM", flop_per_second: 989e12, bytes_per_second: 3.35e12, launch: 5e-6 },
    Gpu { name: "H200", flop_per_second: 989e12, bytes_per_second: 4.8e12, launch: 5e-6 },
    Gpu { name: "RTX 4090", flop_per_second: 165.2e12, bytes_per_second: 1.008e12, launch: 5e-6 },
    Gpu { name: "M1 Max", flop_per_second: 10.4e12, bytes_per_second: 0.4e12, launch: 10e-6 },
];

/// What a step asks of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Demand {
    launches: f64,
    bytes: f64,
}

/// What bounds a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Bound {
    Launches,
    Bytes,
    Flop,
}

/// A step on a GPU.
#[derive(Debug, Serialize)]
struct Prediction {
    gpu: &'static str,
    launch_seconds: f64,
    byte_seconds: f64,
    flop_seconds: f64,
    /// The largest of the three: they overlap perfectly.
    least_seconds: f64,
    bound: Bound,
    tokens_per_second: f64,
}

/// The roofline of a shape.
#[derive(Debug, Serialize)]
struct Report {
    method: MethodName,
    dtype: String,
    batch: usize,
    tokens: usize,
    layers: usize,
    counted: Vec<Counted>,
    /// A model that was counted too, and what the others predict of it.
    check: Option<(Counted, Demand)>,
    /// All layers.
    step: Demand,
    flop: f64,
    predictions: Vec<Prediction>,
}

/// What a smaller model asks.
#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    layers: usize,
    /// Its widths are so many sixteenths of the shape's.
    sixteenths: usize,
    demand: Demand,
}

impl Demand {
    fn of(profile: &Profile) -> Self {
        Self { launches: profile.launches as f64, bytes: profile.bytes.total() as f64 }
    }

    /// What so many layers ask, from what one and two ask: each layer after the first adds the same.
    fn of_layers([one, two]: [Self; 2], layers: usize) -> Self {
        let more = layers as f64 - 1.0;
        let line = |one: f64, two: f64| one + more * (two - one);
        Self { launches: line(one.launches, two.launches), bytes: line(one.bytes, two.bytes) }
    }

    /// What a model with widths of `at` sixteenths asks, from what one, two and three sixteenths ask. With the same number of heads,
    /// weights grow with the square of the widths, activations with the widths, and scores not at all: three terms, three counts.
    /// Launches do not grow: the widest's are taken, since narrow products may have other kernels.
    fn of_width([one, two, three]: [Self; 3], at: usize) -> Self {
        let at = at as f64;
        let weights = [(at - 2.0) * (at - 3.0) / 2.0, -(at - 1.0) * (at - 3.0), (at - 1.0) * (at - 2.0) / 2.0];
        let parabola = |values: [f64; 3]| values.into_iter().zip(weights).map(|(value, weight)| value * weight).sum();
        Self { launches: three.launches, bytes: parabola([one, two, three].map(|demand| demand.bytes)) }
    }
}

impl Gpu {
    fn predict(&self, demand: Demand, flop: f64, tokens: usize) -> Prediction {
        let launch_seconds = demand.launches * self.launch;
        let byte_seconds = demand.bytes / self.bytes_per_second;
        let flop_seconds = flop / self.flop_per_second;
        let bounds = [(launch_seconds, Bound::Launches), (byte_seconds, Bound::Bytes), (flop_seconds, Bound::Flop)];
        let (least_seconds, bound) =
            bounds.into_iter().fold((0.0, Bound::Flop), |most, next| if next.0 > most.0 { next } else { most });
        let tokens_per_second = tokens as f64 / least_seconds;
        Prediction {
            gpu: self.name,
            launch_seconds,
            byte_seconds,
            flop_seconds,
            least_seconds,
            bound,
            tokens_per_second,
        }
    }
}

/// All widths, of which a narrow model has fewer.
const FULL: usize = 16;

pub(super) fn run(arguments: &StepArguments) -> Result<(), Failure> {
    let subject = &arguments.subject;
    let shape = subject.shape_of(None, (FULL, FULL))?;
    let device = subject.place.device()?.autodiff();
    let (mut counted, mut labels) = (Vec::new(), 0);
    let mut count = |layers: usize, sixteenths: usize| {
        let config = subject.shape_of(Some(layers), (sixteenths, FULL))?;
        let mut training = Training::new(arguments, subject.random(config, &device)?, &device);
        labels = training.labels();
        let demand = Demand::of(&profile::of_step(&mut training, arguments.warm_up)?);
        counted.push(Counted { layers, sixteenths, demand });
        Ok::<_, Failure>(demand)
    };
    let (one_and_two, expected) = if arguments.narrow {
        let one = [count(1, 1)?, count(1, 2)?, count(1, 3)?];
        let two = [count(2, 1)?, count(2, 2)?, count(2, 3)?];
        count(2, 4)?;
        ([one, two].map(|widths| Demand::of_width(widths, FULL)), Demand::of_width(two, 4))
    } else {
        let both = [count(1, FULL)?, count(2, FULL)?];
        count(3, FULL)?;
        (both, Demand::of_layers(both, 3))
    };
    let check = counted.pop().map(|last| (last, expected));
    let step = Demand::of_layers(one_and_two, shape.num_hidden_layers);
    let layout = subject.adapter.0.layout(&shape)?;
    let flop = Cost::of_shape(&shape, &layout).step(arguments.batch, arguments.tokens, labels);
    let report = Report {
        method: subject.adapter.0.method,
        dtype: subject.weights.0.dtype.to_string(),
        batch: arguments.batch,
        tokens: arguments.tokens,
        layers: shape.num_hidden_layers,
        counted,
        check,
        step,
        flop,
        predictions: GPUS.map(|gpu| gpu.predict(step, flop, arguments.batch * arguments.tokens)).into(),
    };
    print(subject.place.format, &report, || text(&report))
}

fn text(report: &Report) -> String {
    let demand = |Demand { launches, bytes }: Demand| format!("{launches:.0} launches, {:.3} GB", bytes / 1e9);
    let counted = |Counted { layers, sixteenths, demand: asked }: &Counted| {
        format!("{layers} layers of {sixteenths}/{FULL} of the widths: {}", demand(*asked))
    };
    let mut out = format!(
        "{} layers, {} x {} tokens, {}: {}, {:.2} TFLOP\n",
        report.layers,
        report.batch,
        report.tokens,
        report.dtype,
        demand(report.step),
        report.flop / 1e12,
    );
    // Writing to a string cannot fail.
    for smaller in &report.counted {
        let _ = writeln!(out, "counted, {}", counted(smaller));
    }
    if let Some((check, expected)) = &report.check {
        let _ = writeln!(out, "check, {}; {} predicted", counted(check), demand(*expected));
    }
    out.push_str(
        "\n| GPU | launches, ms | bytes, ms | FLOP, ms | at least, ms | tokens/s at most | bound by |\n\
         |---|---:|---:|---:|---:|---:|---|\n",
    );
    for prediction in &report.predictions {
        let ms = |seconds: f64| 1e3 * seconds;
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {} |",
            prediction.gpu,
            ms(prediction.launch_seconds),
            ms(prediction.byte_seconds),
            ms(prediction.flop_seconds),
            ms(prediction.least_seconds),
            prediction.tokens_per_second,
            match prediction.bound {
                Bound::Launches => "launches",
                Bound::Bytes => "bytes",
                Bound::Flop => "FLOP",
            },
        );
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_after_the_first_add_the_same() {
        let [one, two] = [(100.0, 1000.0), (130.0, 1400.0)].map(|(launches, bytes)| Demand { launches, bytes });
        assert_eq!(Demand::of_layers([one, two], 1), one);
        assert_eq!(Demand::of_layers([one, two], 2), two);
        assert_eq!(Demand::of_layers([one, two], 32), Demand { launches: 1030.0, bytes: 13_400.0 });
    }

    #[test]
    fn a_parabola_through_three_widths_gives_any_other() {
        let asked = |width: f64| Demand { launches: 10.0 - width, bytes: 5.0 * width * width + 3.0 * width + 2.0 };
        let three = [1.0, 2.0, 3.0].map(asked);
        for width in [1, 2, 3, 4, 16] {
            let expected = Demand { launches: 7.0, ..asked(width as f64) };
            assert_eq!(Demand::of_width(three, width), expected);
        }
    }

    #[test]
    fn the_largest_of_three_times_bounds_a_step() {
        let gpu = Gpu { name: "", flop_per_second: 100.0, bytes_per_second: 10.0, launch: 1.0 };
        let bound = |launches: f64, bytes: f64, flop: f64| {
            let prediction = gpu.predict(Demand { launches, bytes }, flop, 12);
            (prediction.bound, prediction.least_seconds, prediction.tokens_per_second)
        };
        assert_eq!(bound(3.0, 20.0, 200.0), (Bound::Launches, 3.0, 4.0));
        assert_eq!(bound(1.0, 40.0, 200.0), (Bound::Bytes, 4.0, 3.0));
        assert_eq!(bound(1.0, 40.0, 600.0), (Bound::Flop, 6.0, 2.0));
    }
}
