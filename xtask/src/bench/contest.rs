//! Who is measured against whom.

use clap::Args;

/// How much there is to do.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sizes {
    /// Sequences of a step
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Steps that a process times, of which it takes the median
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Steps before them, in which a GPU compiles its kernels and chooses among them
    #[arg(long, default_value_t = 1)]
    warm_up: usize,
    /// Sequences in a forward and backward pass [the batch, shared out among the workers]
    #[arg(long)]
    micro_batch: Option<usize>,
    /// Items of an evaluation
    #[arg(long, default_value_t = 64)]
    items: usize,
    /// Tokens of a generation
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

/// Programs that do the same work. The first is what the others are compared with.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) title: String,
    pub(crate) contestants: Vec<Contestant>,
}

/// A program with what it is to do.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// Beside model, device and threads.
    pub(crate) arguments: String,
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// `adamole bench` with this command, on the model.
    OfModel(&'static str),
    /// `adamole bench layer`, which has none.
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

/// Every method as one linear, of different ranks, rows and widths, and the main ones as whole models.
pub(crate) fn methods(sizes: Sizes) -> Vec<Contest> {
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
    let contest = |title: String, work: Work, flags: &str, methods: &[Named]| Contest {
        title,
        contestants: methods.iter().map(|method| contestant(work, *method, flags)).collect(),
    };
    let layer = |width: usize, rows: usize, methods: &[Named]| {
        let flags = format!("--d-in {width} --d-out {width} --rows {rows} --runs 25");
        contest(format!("layer of {width} x {width}, {rows} rows"), Work::Layer, &flags, methods)
    };
    vec![
        layer(576, 1024, &every),
        layer(576, 1024, &WIDE),
        layer(576, 64, &main),
        layer(2048, 512, &main),
        contest(sizes.step_title(), Work::OfModel("step"), &sizes.our_step_flags(), &main),
        contest(sizes.eval_title(), Work::OfModel("eval"), &sizes.eval_flags(), &[LORA, ADAMOLE, BASE]),
        contest(sizes.generate_title(), Work::OfModel("generate"), &sizes.generate_flags(), &[LORA, ADAMOLE, BASE]),
        contest("load and first step, beyond reading".into(), Work::OfModel("load"), "", &[LORA, ADAMOLE]),
    ]
}

/// LoRA and AdaMoLE, with their activations kept and with them computed again.
pub(crate) fn steps(sizes: Sizes) -> Vec<Contest> {
    let flags = sizes.our_step_flags();
    let again = format!("{flags} --checkpoint-blocks");
    let contest = |title: String, flags: &str| Contest {
        title,
        contestants: [LORA, ADAMOLE].map(|method| contestant(Work::OfModel("step"), method, flags)).into(),
    };
    vec![contest(sizes.step_title(), &flags), contest(format!("{}, checkpointed blocks", sizes.step_title()), &again)]
}

/// PEFT's LoRA, and beside it this program's LoRA and AdaMoLE.
pub(crate) fn peers(sizes: Sizes) -> Vec<Contest> {
    let (peft, transformers) = (("PEFT LoRA", ""), ("transformers, base alone", "--base"));
    let ours = [("our LoRA", LORA.1), ("our AdaMoLE 8x4", ADAMOLE.1)];
    let all = |work: Work, methods: &[Named], flags: &str| -> Vec<Contestant> {
        methods.iter().map(|method| contestant(work, *method, flags)).collect()
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
        Contest { title: sizes.step_title(), contestants: steps.into_iter().flatten().collect() },
        Contest { title: sizes.eval_title(), contestants: evals.into_iter().flatten().collect() },
        Contest { title: sizes.generate_title(), contestants: generations.into_iter().flatten().collect() },
    ]
}

fn contestant(work: Work, (name, method): Named, flags: &str) -> Contestant {
    Contestant { name, work, arguments: format!("{method} {flags}") }
}

impl Sizes {
    fn step_title(&self) -> String {
        format!("step of {} x {} tokens", self.batch, self.tokens)
    }

    /// For the peers too.
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
