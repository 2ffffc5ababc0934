//! A multiple-choice problem, before it becomes a row of a benchmark or a lesson of the corpus.

use crate::random::Random;

/// Who asks: the corpus words its questions differently from the benchmarks, so that no benchmark item occurs in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Lesson,
    Sample,
}

impl Voice {
    pub(crate) fn choose<T>(self, lesson: T, sample: T) -> T {
        match self {
            Self::Lesson => lesson,
            Self::Sample => sample,
        }
    }
}

pub(crate) struct Problem {
    /// What the problem is about, where a schema asks for it.
    pub(crate) topic: String,
    pub(crate) passage: String,
    pub(crate) question: String,
    pub(crate) options: Vec<String>,
    pub(crate) answer: usize,
}

impl Problem {
    /// The same problem with at most `count` options in a new order.
    pub(crate) fn reordered(mut self, random: &mut Random, count: usize) -> Self {
        let right = self.options.swap_remove(self.answer);
        random.shuffle(&mut self.options);
        self.options.truncate(count - 1);
        self.answer = random.below(self.options.len() + 1);
        self.options.insert(self.answer, right);
        self
    }

    pub(crate) fn right(&self) -> &str {
        &self.options[self.answer]
    }
}

/// `count` different options from the pool, the right one at place `answer`.
pub(crate) fn options(
    random: &mut Random,
    right: &str,
    pool: impl IntoIterator<Item = impl Into<String>>,
    count: usize,
    answer: usize,
) -> Vec<String> {
    let mut wrong: Vec<String> = pool.into_iter().map(Into::into).filter(|text| text != right).collect();
    wrong.sort_unstable();
    wrong.dedup();
    random.shuffle(&mut wrong);
    wrong.truncate(count - 1);
    wrong.insert(answer.min(wrong.len()), right.to_owned());
    wrong
}

/// Puts words that are near the right answer, but answer another question, in the place of some wrong options. What is
/// asked has to be understood then; to know what goes together is not enough.
pub(crate) fn mislead(random: &mut Random, options: &mut [String], answer: usize, near: &[&str]) {
    let mut places: Vec<usize> = (0..options.len()).filter(|place| *place != answer).collect();
    random.shuffle(&mut places);
    for (place, near) in places.into_iter().zip(near) {
        if options.iter().all(|option| option != near) {
            options[place] = (*near).to_owned();
        }
    }
}

/// The words as owned options.
pub(crate) fn fixed(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
