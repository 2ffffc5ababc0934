//! A run on several ranks is the run on one, to the last bit. The ranks are threads here; `crates/adamole/tests/ranks.rs` has
//! processes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    llama::{CausalLm, ParameterKind},
    train::{Checkpoints, RankError, Ranks, Recipe, TrainError, TrainEvent, Trainer, TrainingData, Workers},
};
use adamole_tests::{
    device,
    shipped::{adapted_base, examples, recipe},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

/// Ranks in one process, with a channel from each to each.
#[derive(Debug)]
struct Threads {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
    bytes: Arc<AtomicUsize>,
}

impl Threads {
    fn connected(count: usize, bytes: &Arc<AtomicUsize>) -> Vec<Arc<dyn Ranks>> {
        let mut to: Vec<Vec<Sender<_>>> = (0..count).map(|_| Vec::new()).collect();
        let mut from: Vec<Vec<Mutex<Receiver<_>>>> = (0..count).map(|_| Vec::new()).collect();
        for sender in &mut to {
            for receiver in &mut from {
                let (send, receive) = channel();
                sender.push(send);
                receiver.push(Mutex::new(receive));
            }
        }
        let ranks = to.into_iter().zip(from).enumerate();
        ranks
            .map(|(rank, (to, from))| Arc::new(Self { rank, to, from, bytes: bytes.clone() }) as Arc<dyn Ranks>)
            .collect()
    }
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }
    fn count(&self) -> usize {
        self.to.len()
    }
    fn exchange(&self, parts: Vec<Vec<u8>>, stop: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, RankError> {
        let lost = |rank| RankError::Lost(format!("rank {rank} is gone"));
        for (rank, (to, part)) in self.to.iter().zip(parts).enumerate() {
            if rank != self.rank {
                self.bytes.fetch_add(part.len(), Ordering::Relaxed);
            }
            to.send(part).map_err(|_| lost(rank))?;
        }
        let receive = |(rank, from): (usize, &Mutex<Receiver<Vec<u8>>>)| loop {
            match from.lock().unwrap().try_recv() {
                Ok(part) => return Ok(part),
                Err(TryRecvError::Disconnected) => return Err(lost(rank)),
                Err(TryRecvError::Empty) if self.rank == 0 && stop() => return Err(RankError::Stopped),
                Err(TryRecvError::Empty) => thread::sleep(Duration::from_micros(50)),
            }
        };
        self.from.iter().enumerate().map(receive).collect()
    }
}

/// What a run leaves: its metrics without times, and the adapters of its last and of its best epoch.
type Left = (Vec<String>, Vec<Vec<u8>>);

fn adapters(model: &CausalLm) -> Vec<Vec<u8>> {
    model.parameter_values(ParameterKind::Adapter).into_iter().map(|(_, data)| data.as_bytes().to_vec()).collect()
}

fn untimed(event: &TrainEvent) -> Option<String> {
    match event {
        TrainEvent::Step(step) => {
            let step = adamole::train::StepMetrics { seconds: 0.0, tokens_per_second: 0.0, ..step.clone() };
            Some(format!("{step:?}"))
        }
        TrainEvent::Epoch(epoch) => {
            Some(format!("{:?} {:?} {:?} {}", epoch.score, epoch.task_loss, epoch.mean_active_experts, epoch.best))
        }
        _ => None,
    }
}

/// Trains on so many ranks, which all leave the same.
fn trained(count: usize, recipe: &Recipe, checkpoint_blocks: bool) -> (Left, usize) {
    let (items, recipe) = (examples(22, 9), Recipe { checkpoint_blocks, ..recipe.clone() });
    let bytes = Arc::new(AtomicUsize::new(0));
    let run = |ranks: Arc<dyn Ranks>| {
        let [training, validation] = &items;
        let data = TrainingData { train: training.into(), validation: validation.into(), pad_id: 0 };
        let workers = Workers::new(if ranks.rank() == 0 { 2 } else { 1 }).of_rank(ranks);
        let mut metrics = Vec::new();
        let mut observer = |event: &TrainEvent| {
            metrics.extend(untimed(event));
            Ok(())
        };
        let model = adapted_base(&device().autodiff());
        let fitted = Trainer::new(&recipe).workers(&workers).fit(model, data, &mut observer).unwrap();
        (metrics, [adapters(&fitted.model), adapters(&fitted.best.model)].concat())
    };
    let left: Vec<Left> = thread::scope(|scope| {
        let ranks = Threads::connected(count, &bytes).into_iter();
        let threads: Vec<_> = ranks.map(|ranks| scope.spawn(|| run(ranks))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(left.iter().all(|other| *other == left[0]), "ranks differ");
    (left.into_iter().next().unwrap(), bytes.load(Ordering::Relaxed))
}

#[test]
fn a_run_on_several_ranks_is_the_run_on_one() {
    let recipe = Recipe { batch_size: 8, micro_batch_size: 1, epochs: 2, ..recipe(2) };
    for checkpoint_blocks in [false, true] {
        let (alone, silent) = trained(1, &recipe, checkpoint_blocks);
        assert_eq!(silent, 0);
        assert!(alone.0.len() >= 8, "{:?}", alone.0);
        // Eight micro-batches in a step, six in the last; three ranks have runs that are no whole nodes of the tree.
        for count in [2, 3, 4, 8] {
            let (several, sent) = trained(count, &recipe, checkpoint_blocks);
            assert!(sent > 0);
            assert_eq!(several.0, alone.0, "metrics of {count} ranks");
            assert!(several.1 == alone.1, "adapters of {count} ranks");
        }
    }
}

/// A rank is stopped, or ends, in the midst of a run: the others end too, with a checkpoint, and a run of another number of
/// ranks that goes on from it ends as one that was never stopped.
#[test]
fn a_run_that_one_rank_ends_goes_on_with_another_number_of_ranks() {
    let recipe = Recipe { batch_size: 8, micro_batch_size: 2, epochs: 2, ..recipe(2) };
    let (unbroken, _) = trained(1, &recipe, false);
    let [training, validation] = &examples(22, 9);
    let data = TrainingData { train: training.into(), validation: validation.into(), pad_id: 0 };
    for rank_dies in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned(), 1000, 3);
        let run = |ranks: Arc<dyn Ranks>, ends_after: usize| {
            let newest = checkpoints.newest(|path, error| panic!("{}: {error}", path.display())).unwrap();
            let (rank, steps, stop) = (ranks.rank(), AtomicUsize::new(0), AtomicBool::new(false));
            let mut metrics = Vec::new();
            let mut observer = |event: &TrainEvent| {
                metrics.extend(untimed(event));
                if let TrainEvent::Step(_) = event
                    && steps.fetch_add(1, Ordering::Relaxed) + 1 == ends_after
                {
                    stop.store(true, Ordering::Relaxed);
                    if rank_dies {
                        return Err(RankError::Lost("this one ends".into()).into());
                    }
                }
                Ok(())
            };
            let stop = || stop.load(Ordering::Relaxed);
            let workers = Workers::new(1).of_rank(ranks);
            let trainer = Trainer::new(&recipe).workers(&workers).resume(newest).stop(&stop);
            let trainer = if rank == 0 { trainer.checkpoints(&checkpoints) } else { trainer };
            let fitted = trainer.fit(adapted_base(&device().autodiff()), data, &mut observer);
            fitted.map(|fitted| (metrics, [adapters(&fitted.model), adapters(&fitted.best.model)].concat()))
        };
        let on_ranks = |count: usize, ends_after: usize| -> Vec<Result<Left, TrainError>> {
            thread::scope(|scope| {
                let ranks = Threads::connected(count, &Arc::default()).into_iter();
                let run = &run;
                let ends_after = |rank: usize| if rank == 1 { ends_after } else { usize::MAX };
                let threads: Vec<_> =
                    ranks.map(|ranks| scope.spawn(move || run(ranks.clone(), ends_after(ranks.rank())))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        };
        for left in on_ranks(2, 2) {
            let error = left.err().map(|error| error.to_string()).unwrap_or_default();
            let expected = if rank_dies { "lost each other" } else { "after 2 steps" };
            assert!(error.contains(expected), "{error}");
        }
        let resumed = on_ranks(3, usize::MAX).swap_remove(0).unwrap();
        assert!(unbroken.0.ends_with(&resumed.0) && resumed.0.len() >= 5, "{:?}", resumed.0);
        assert!(resumed.1 == unbroken.1, "adapters");
    }
}
