//! The comparisons: which systems do which work.

use clap::Args;

/// The amount of work.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sizes {
    /// Sequences of a training step
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Tokens of each sequence
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Steps that a process measures, of which the median counts
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Warm-up steps, in which a GPU compiles and selects its kernels
    #[arg(long, default_value_t = 1)]
    warm_up: usize,
    /// Sequences of a micro-batch [default: the batch, divided among the workers]
    #[arg(long)]
    micro_batch: Option<usize>,
    /// Items of an evaluation
    #[arg(long, default_value_t = 64)]
    items: usize,
    /// Tokens of a generation
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

/// Systems that do the same work. The others are compared with the first.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) title: String,
    pub(crate) systems: Vec<System>,
}

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// Arguments beside model, device and threads.
    pub(crate) arguments: String,
}

/// The program that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// `adamole bench` with this command, on the model.
    OfModel(&'static str),
    /// `adamole bench layer`, which has no model.
    Layer,
    /// This program of `xtask/peers`.
    Peer(&'static str),
}

type Named = (&'static str, &'static str);

const LORA: Named = ("LoRA", "--method lora");
const ADAMOLE: Named = ("AdaMoLE 8x4", "--method adamole --num-experts 8 --rank 4");
const ADAMOLE_2: Named = ("AdaMoLE 2x16", "--method adamole --num-experts 2 --rank 16");
const ADAMOLE_32: Named = ("AdaMoLE 32x1", "--method adamole --num-experts 32 --rank 1");
const BASE: Named = ("base alone", "--base");

/// With N r = 128.
const WIDE: [Named; 4] = [
    ("LoRA, rank 128", "--method lora --rank 128"),
    ("AdaMoLE 2x64", "--method adamole --num-experts 2 --rank 64"),
    ("AdaMoLE 8x16", "--method adamole --num-experts 8 --rank 16"),
    ("AdaMoLE 64x2", "--method adamole --num-experts 64 --rank 2"),
];

/// All methods as one linear of several ranks, rows and widths, and the main methods as whole models.
pub(crate) fn methods(sizes: Sizes) -> Vec<Comparison> {
    let every = [
        LORA,
        ADAMOLE_2,
        ("AdaMoLE 4x8", "--method adamole --num-experts 4 --rank 8"),
        ADAMOLE,
        ("AdaMoLE 16x2", "--method adamole --num-experts 16 --rank 2"),
        ADAMOLE_32,
        ("MoLE 8x4, top 2", "--method mole --num-experts 8 --rank 4 --top-k 2"),
        ("SiRA 8x4, top 2", "--method sira --num-experts 8 --rank 4 --top-k 2"),
    ];
    let main = [LORA, ADAMOLE_2, ADAMOLE, ADAMOLE_32];
    let comparison = |title: String, work: Work, flags: &str, methods: &[Named]| Comparison {
        title,
        systems: methods.iter().map(|method| system(work, *method, flags)).collect(),
    };
    let layer = |width: usize, rows: usize, methods: &[Named]| {
        let flags = format!("--d-in {width} --d-out {width} --rows {rows} --runs 25");
        comparison(format!("layer of {width} x {width}, {rows} rows"), Work::Layer, &flags, methods)
    };
    vec![
        layer(576, 1024, &every),
        layer(576, 1024, &WIDE),
        layer(576, 64, &main),
        layer(2048, 512, &main),
        comparison(sizes.step_title(), Work::OfModel("step"), &sizes.our_step_flags(), &main),
        comparison(sizes.eval_title(), Work::OfModel("eval"), &sizes.eval_flags(), &[LORA, ADAMOLE, BASE]),
        comparison(sizes.generate_title(), Work::OfModel("generate"), &sizes.generate_flags(), &[LORA, ADAMOLE, BASE]),
        comparison("load and first step, beyond reading".into(), Work::OfModel("load"), "", &[LORA, ADAMOLE]),
    ]
}

/// LoRA and AdaMoLE, without and with activation checkpointing.
pub(crate) fn steps(sizes: Sizes) -> Vec<Comparison> {
    let flags = sizes.our_step_flags();
    let again = format!("{flags} --checkpoint-blocks");
    let comparison = |title: String, flags: &str| Comparison {
        title,
        systems: [LORA, ADAMOLE].map(|method| system(Work::OfModel("step"), method, flags)).into(),
    };
    vec![
        comparison(sizes.step_title(), &flags),
        comparison(format!("{}, checkpointed blocks", sizes.step_title()), &again),
    ]
}

/// Tokens and sequences of a step, and the steps that are timed.
const LENGTHS: [[usize; 3]; 7] =
    [[64, 16, 3], [128, 16, 3], [512, 4, 3], [2048, 1, 1], [2048, 2, 1], [4096, 1, 1], [8192, 1, 1]];
/// The longest text on which PEFT is measured: it holds a matrix of scores for each head of each layer.
const LONGEST_OF_PEFT: usize = 2048;

/// Steps on texts of several lengths: PEFT's LoRA where it is asked for, and AdaMoLE without and with activation checkpointing.
pub(crate) fn lengths(peers: bool) -> Vec<Comparison> {
    let comparison = |[tokens, batch, steps]: [usize; 3]| {
        let flags = format!("--batch {batch} --tokens {tokens} --steps {steps}");
        let peft =
            (peers && tokens <= LONGEST_OF_PEFT).then(|| system(Work::Peer("peft_step.py"), ("PEFT LoRA", ""), &flags));
        let ours = [("our AdaMoLE 8x4", ""), ("our AdaMoLE 8x4, checkpointed blocks", " --checkpoint-blocks")];
        let ours = ours.map(|(name, more)| system(Work::OfModel("step"), (name, ADAMOLE.1), &format!("{flags}{more}")));
        Comparison {
            title: format!("step of {batch} x {tokens} tokens"),
            systems: peft.into_iter().chain(ours).collect(),
        }
    };
    LENGTHS.map(comparison).into()
}

/// PEFT's LoRA compared with this program's LoRA and AdaMoLE.
pub(crate) fn peers(sizes: Sizes) -> Vec<Comparison> {
    let (peft, transformers) = (("PEFT LoRA", ""), ("transformers, base alone", "--base"));
    let ours = [("our LoRA", LORA.1), ("our AdaMoLE 8x4", ADAMOLE.1)];
    let all = |work: Work, methods: &[Named], flags: &str| -> Vec<System> {
        methods.iter().map(|method| system(work, *method, flags)).collect()
    };
    let (peer_step, step) = (Work::Peer("peft_step.py"), Work::OfModel("step"));
    let (flags, ours_too) = (sizes.step_flags(), sizes.our_step_flags());
    let again = format!("{ours_too} --checkpoint-blocks");
    let steps = [
        all(peer_step, &[peft], &flags),
        all(step, &ours, &ours_too),
        all(peer_step, &[("PEFT LoRA, gradient checkpointing", "--checkpoint")], &flags),
        all(
            step,
            &[("our LoRA, checkpointed blocks", LORA.1), ("our AdaMoLE 8x4, checkpointed blocks", ADAMOLE.1)],
            &again,
        ),
    ];
    let flags = sizes.eval_flags();
    let evals = [all(Work::Peer("transformers_eval.py"), &[peft], &flags), all(Work::OfModel("eval"), &ours, &flags)];
    let flags = sizes.generate_flags();
    let (peer_generate, generate) = (Work::Peer("transformers_generate.py"), Work::OfModel("generate"));
    let generations = [
        all(peer_generate, &[peft], &flags),
        all(generate, &ours, &flags),
        all(peer_generate, &[transformers], &flags),
        all(generate, &[("our base alone", "--base")], &flags),
    ];
    vec![
        Comparison { title: sizes.step_title(), systems: steps.into_iter().flatten().collect() },
        Comparison { title: sizes.eval_title(), systems: evals.into_iter().flatten().collect() },
        Comparison { title: sizes.generate_title(), systems: generations.into_iter().flatten().collect() },
    ]
}

fn system(work: Work, (name, method): Named, flags: &str) -> System {
    System { name, work, arguments: format!("{method} {flags}") }
}

impl Sizes {
    fn step_title(&self) -> String {
        format!("step of {} x {} tokens", self.batch, self.tokens)
    }

    /// The flags that PEFT's script takes too.
    fn step_flags(&self) -> String {
        format!("--batch {} --tokens {} --steps {}", self.batch, self.tokens, self.steps)
    }

    fn our_step_flags(&self) -> String {
        let micro_batch = self.micro_batch.map_or_else(String::new, |rows| format!(" --micro-batch {rows}"));
        format!("{} --warm-up {}{micro_batch}", self.step_flags(), self.warm_up)
    }

    fn eval_title(&self) -> String {
        format!("evaluation of {} items", self.items)
    }

    fn eval_flags(&self) -> String {
        format!("--items {}", self.items)
    }

    fn generate_title(&self) -> String {
        format!("generation of {} tokens", self.new_tokens)
    }

    fn generate_flags(&self) -> String {
        format!("--new-tokens {}", self.new_tokens)
    }
}
