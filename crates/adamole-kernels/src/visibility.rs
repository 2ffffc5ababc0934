//! Which keys the queries of attention see, as a description in place of a matrix.

use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Arc, OnceLock};

/// The keys that each query of a batch of sequences sees: from a first one to its own position, without hidden ones. The last
/// query is at the position of the last key.
///
/// A query that sees nothing attends to every key alike, whatever their scores, as softmax does where all scores are the
/// lowest number.
#[derive(Debug, Clone)]
pub struct Visibility {
    queries: usize,
    keys: usize,
    /// The first visible key of each query, `[1 or B, queries]`.
    first: Arc<Vec<u32>>,
    /// The keys that nobody sees, `[1 or B, keys]`.
    hidden: Option<Arc<Vec<bool>>>,
    /// The queries that see nothing, as `first`; `None` if there are none.
    blind: Option<Arc<Vec<bool>>>,
    /// As a matrix, once it was asked for.
    bias: Arc<OnceLock<Tensor<4>>>,
    /// As numbers on a device, once a kernel asked for them.
    #[cfg(feature = "cube")]
    numbers: Arc<OnceLock<[burn::backend::tensor::IntTensor<burn_cubecl::Cube>; 2]>>,
}

impl Visibility {
    /// All keys up to the query's position, for `length` queries and keys.
    pub fn causal(length: usize) -> Self {
        Self::new([length, length], vec![0; length], None)
    }

    /// The same without padding, for the queries from position `start` on. `tokens` is 1 for a token and 0 for padding, `[B,
    /// keys]` in row-major order.
    pub fn padded(tokens: &[u8], keys: usize, start: usize) -> Self {
        let mut first = Vec::new();
        let (mut hidden, mut has_gaps) = (Vec::with_capacity(tokens.len()), false);
        for row in tokens.chunks(keys.max(1)) {
            let padding = row.iter().take_while(|&&token| token == 0).count();
            first.extend(std::iter::repeat_n(padding as u32, keys - start));
            hidden.extend(row.iter().map(|&token| token == 0));
            has_gaps |= row[padding..].contains(&0);
        }
        Self::new([keys - start, keys], first, has_gaps.then_some(hidden))
    }

    /// The keys up to the query's position in the same document. `documents` numbers the documents, which come one after the
    /// other, `[B, length]` in row-major order.
    pub fn documents(documents: &[u32], length: usize) -> Self {
        let mut first = Vec::with_capacity(documents.len());
        for row in documents.chunks(length.max(1)) {
            let mut start = 0;
            for (position, document) in row.iter().enumerate() {
                if *document != row[start] {
                    start = position;
                }
                first.push(start as u32);
            }
        }
        Self::new([length, length], first, None)
    }

    /// The same where each query sees only so many positions, its own among them; `None` if that hides nothing more.
    pub fn within(&self, window: usize) -> Option<Self> {
        if window >= self.keys {
            return None;
        }
        let offset = self.keys - self.queries;
        let from = |(index, first): (usize, &u32)| {
            let position = offset + index % self.queries;
            (*first).max((position + 1).saturating_sub(window) as u32)
        };
        let first = self.first.iter().enumerate().map(from).collect();
        let hidden = self.hidden.as_ref().map(|hidden| hidden.to_vec());
        Some(Self::new([self.queries, self.keys], first, hidden))
    }

    /// The same for the last keys alone.
    pub fn of_last(&self, keys: usize) -> Self {
        let dropped = self.keys - keys;
        if dropped == 0 {
            return self.clone();
        }
        let first = self.first.iter().map(|first| first.saturating_sub(dropped as u32)).collect();
        let hidden = self
            .hidden
            .as_ref()
            .map(|hidden| hidden.chunks(self.keys).flat_map(|row| row[dropped..].iter().copied()).collect::<Vec<_>>());
        Self::new([self.queries, keys], first, hidden)
    }

    fn new([queries, keys]: [usize; 2], first: Vec<u32>, hidden: Option<Vec<bool>>) -> Self {
        assert!(queries <= keys, "{queries} queries of {keys} keys");
        let mut it = Self {
            queries,
            keys,
            first: Arc::new(first),
            hidden: hidden.map(Arc::new),
            blind: None,
            bias: Arc::default(),
            #[cfg(feature = "cube")]
            numbers: Arc::default(),
        };
        let rows = it.first.len() / queries.max(1);
        let sees_nothing = |row, query| !(it.first(row, query)..=it.last(query)).any(|key| !it.is_hidden(row, key));
        let blind: Vec<bool> = (0..rows)
            .flat_map(|row| (0..queries).map(move |query| (row, query)))
            .map(|(r, q)| sees_nothing(r, q))
            .collect();
        it.blind = blind.contains(&true).then(|| Arc::new(blind));
        it
    }

    /// The number of queries of a sequence.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// The number of keys of a sequence.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// The index of a query among those that are described: sequences may be alike.
    fn index(&self, sequence: usize, query: usize) -> usize {
        if self.first.len() == self.queries { query } else { sequence * self.queries + query }
    }

    /// The first key that a query sees.
    pub(crate) fn first(&self, sequence: usize, query: usize) -> usize {
        self.first[self.index(sequence, query)] as usize
    }

    /// The last key that a query sees: its own position.
    pub(crate) fn last(&self, query: usize) -> usize {
        self.keys - self.queries + query
    }

    /// Whether a query sees nothing.
    pub(crate) fn is_blind(&self, sequence: usize, query: usize) -> bool {
        self.blind.as_ref().is_some_and(|blind| blind[self.index(sequence, query)])
    }

    /// Whether some query of a sequence may see nothing.
    pub(crate) fn has_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// Whether any keys within the visible range are hidden.
    pub(crate) fn has_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Whether nobody sees a key.
    pub(crate) fn is_hidden(&self, sequence: usize, key: usize) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| {
            let row = if hidden.len() == self.keys { 0 } else { sequence };
            hidden[row * self.keys + key]
        })
    }

    /// What is added to scores, `[1 or B, 1, queries, keys]`: 0 where a query sees a key, the lowest float elsewhere. It is made
    /// once.
    pub(crate) fn bias(&self, device: &Device) -> Tensor<4> {
        let make = || {
            let rows = self.first.len() / self.queries.max(1);
            let mut bias = Vec::with_capacity(rows * self.queries * self.keys);
            for row in 0..rows {
                for query in 0..self.queries {
                    let seen = self.first(row, query)..=self.last(query);
                    let is_seen = |key: usize| seen.contains(&key) && !self.is_hidden(row, key);
                    bias.extend((0..self.keys).map(|key| if is_seen(key) { 0.0 } else { f32::MIN }));
                }
            }
            Tensor::from_data(TensorData::new(bias, [rows, 1, self.queries, self.keys]), device)
        };
        self.bias.get_or_init(make).clone()
    }
}

/// For the kernels of a GPU.
#[cfg(feature = "cube")]
impl Visibility {
    /// The first key that one of these queries sees.
    pub(crate) fn first_of(&self, queries: std::ops::Range<usize>) -> usize {
        let rows = self.first.chunks(self.queries.max(1));
        rows.flat_map(|row| row[queries.clone()].iter().copied()).min().unwrap_or(0) as usize
    }

    /// Whether each sequence has first keys of its own.
    pub(crate) fn first_each(&self) -> bool {
        self.first.len() > self.queries
    }

    /// Whether each sequence has hidden keys of its own.
    pub(crate) fn hidden_each(&self) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.len() > self.keys)
    }

    /// The first key of each query, -1 where it sees nothing, and 1 for each hidden key, or one number where none is hidden. They are
    /// put on the device once.
    pub(crate) fn on_device(
        &self,
        put: impl Fn(TensorData) -> burn::backend::tensor::IntTensor<burn_cubecl::Cube>,
    ) -> [burn::backend::tensor::IntTensor<burn_cubecl::Cube>; 2] {
        let make = || {
            let blind = |index: usize| self.blind.as_ref().is_some_and(|blind| blind[index]);
            let first = self.first.iter().enumerate().map(|(i, first)| if blind(i) { -1 } else { *first as i32 });
            let first: Vec<i32> = first.collect();
            let hidden: Vec<i32> = match &self.hidden {
                Some(hidden) => hidden.iter().map(|hidden| i32::from(*hidden)).collect(),
                None => vec![0],
            };
            [first, hidden].map(|numbers| {
                let length = numbers.len();
                put(TensorData::new(numbers, [length]))
            })
        };
        self.numbers.get_or_init(make).clone()
    }
}
