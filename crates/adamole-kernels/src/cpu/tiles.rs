//! Causal attention tile by tile with a running softmax (Dao 2023): no matrix of all scores is held, and what no query of a tile
//! sees is left out. The backward pass computes the probabilities again.

use super::{
    elementwise::{dot, largest, sum},
    exp::exp,
    product::{Matrix, add_product, write_product},
};
use crate::{Visibility, operations::AttentionScores, team::share, wide::wide};
use std::ops::Range;

/// The most queries of a tile, of one head or of several with the same keys.
const QUERIES: usize = 192;
/// The most keys of a tile.
const KEYS: usize = 256;
/// The least keys of a part of the backward pass, which has its own gradients of the queries.
const LEAST_CHUNK: usize = 512;
/// The most parts of the backward pass of a sequence.
const MOST_CHUNKS: usize = 8;

/// Multiplications of queries and keys from which on tiles are shared by threads.
const PARALLEL: usize = 1 << 18;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) sequences: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// The width of a head.
    pub(super) width: usize,
}

/// Queries of heads that have the same keys: all queries of several heads, or a range of them of one.
#[derive(Debug, Clone)]
struct Tile {
    sequence: usize,
    /// Index of the heads among all of the sequence.
    heads: Range<usize>,
    queries: Range<usize>,
}

impl Sizes {
    /// Query heads of a key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The tiles of the queries of a key head.
    fn tiles(&self, sequence: usize, kv_head: usize) -> impl Iterator<Item = Tile> + use<> {
        let (group, queries) = (self.group(), self.queries);
        let together = (QUERIES / queries.max(1)).clamp(1, group);
        let first = kv_head * group;
        let heads = (first..first + group).step_by(together);
        heads.flat_map(move |head| {
            let heads = head..(head + together).min(first + group);
            (0..queries).step_by(QUERIES).map(move |start| Tile {
                sequence,
                heads: heads.clone(),
                queries: start..(start + QUERIES).min(queries),
            })
        })
    }

    /// The elements of a key head's keys or values, `[B, kv_heads, keys, width]`.
    fn of_keys(&self, sequence: usize, kv_head: usize, keys: &Range<usize>) -> Range<usize> {
        let start = (sequence * self.kv_heads + kv_head) * self.keys;
        (start + keys.start) * self.width..(start + keys.end) * self.width
    }
}

impl Tile {
    fn rows(&self) -> usize {
        self.heads.len() * self.queries.len()
    }

    /// Its rows in `[B, heads, queries]`.
    fn places(&self, sizes: &Sizes) -> Range<usize> {
        let start = (self.sequence * sizes.heads + self.heads.start) * sizes.queries + self.queries.start;
        start..start + self.rows()
    }

    /// The query of each row.
    fn query(&self, row: usize) -> usize {
        self.queries.start + row % self.queries.len()
    }

    /// The keys of which some row sees one, or attends to it because it sees nothing.
    fn keys(&self, sizes: &Sizes, visible: &Visibility) -> Range<usize> {
        if visible.has_blind() && self.queries.clone().any(|query| visible.is_blind(self.sequence, query)) {
            return 0..sizes.keys;
        }
        let first = self.queries.clone().map(|query| visible.first(self.sequence, query)).min().unwrap_or(0);
        first..visible.last(self.queries.end - 1) + 1
    }
}

/// The parts of a range that begin at multiples of `step`, so that they are the same for every tile.
fn steps(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let first = range.start / step * step;
    let parts =
        (first..range.end).step_by(step).map(move |start| start.max(range.start)..(start + step).min(range.end));
    // An empty range may begin within a part.
    parts.filter(|part| !part.is_empty())
}

/// What is the same for all tiles.
struct Inputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    sizes: Sizes,
    visible: &'a Visibility,
    scores: AttentionScores,
}

impl Inputs<'_> {
    fn query_matrix<'a>(&self, values: &'a [f32], tile: &Tile) -> Matrix<'a> {
        let (places, width) = (tile.places(&self.sizes), self.sizes.width);
        Matrix::new(&values[places.start * width..places.end * width], tile.rows(), width)
    }

    fn key_matrix<'a>(&self, values: &'a [f32], tile: &Tile, keys: &Range<usize>) -> Matrix<'a> {
        let kv_head = tile.heads.start / self.sizes.group();
        let range = self.sizes.of_keys(tile.sequence, kv_head, keys);
        Matrix::new(&values[range], keys.len(), self.sizes.width)
    }

    /// The scores of a tile, `[rows, keys]`, scaled and bounded; those of keys that a row does not see are minus infinity, except
    /// where it sees nothing.
    fn scores(&self, s: &mut Vec<f32>, tile: &Tile, keys: &Range<usize>) {
        s.resize(tile.rows() * keys.len(), 0.0);
        write_product(s, self.query_matrix(self.q, tile), self.key_matrix(self.k, tile, keys).transposed());
        bound(s, self.scores);
        for (row, s) in s.chunks_exact_mut(keys.len()).enumerate().filter(|(row, _)| !self.is_blind(tile, *row)) {
            let query = tile.query(row);
            let first = self.visible.first(tile.sequence, query).clamp(keys.start, keys.end);
            let end = (self.visible.last(query) + 1).clamp(first, keys.end);
            s[..first - keys.start].fill(f32::NEG_INFINITY);
            s[end - keys.start..].fill(f32::NEG_INFINITY);
            if self.visible.has_hidden() {
                let hidden = (first..end).filter(|&key| self.visible.is_hidden(tile.sequence, key));
                hidden.for_each(|key| s[key - keys.start] = f32::NEG_INFINITY);
            }
        }
    }

    /// Whether a row of a tile sees nothing, and attends to every key alike.
    fn is_blind(&self, tile: &Tile, row: usize) -> bool {
        self.visible.has_blind() && self.visible.is_blind(tile.sequence, tile.query(row))
    }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `q` `[B, heads, queries, width]`, `k` and `v` `[B, kv_heads, keys, width]` to the mixed values, `[B, heads, queries, width]`,
/// and of each row the largest score and the inverse of the sum of the exponentials of the others' distances from it, `[B, heads,
/// queries, 2]`.
pub(super) fn forward(
    [q, k, v]: [&[f32]; 3],
    sizes: Sizes,
    visible: &Visibility,
    scores: AttentionScores,
) -> (Vec<f32>, Vec<f32>) {
    let inputs = Inputs { q, k, v, sizes, visible, scores };
    let rows = sizes.sequences * sizes.heads * sizes.queries;
    let (mut mixed, mut norms) = (vec![0.0; rows * sizes.width], vec![0.0; 2 * rows]);
    let mut parts = Vec::new();
    let (mut rest, mut rest_of_norms) = (&mut mixed[..], &mut norms[..]);
    for sequence in 0..sizes.sequences {
        for kv_head in 0..sizes.kv_heads {
            for tile in sizes.tiles(sequence, kv_head) {
                let (of_tile, others) = rest.split_at_mut(tile.rows() * sizes.width);
                let (norms_of_tile, other_norms) = rest_of_norms.split_at_mut(2 * tile.rows());
                (rest, rest_of_norms) = (others, other_norms);
                parts.push((tile, of_tile, norms_of_tile));
            }
        }
    }
    // Later tiles see more.
    parts.reverse();
    let mix = |(tile, mixed, norms): (Tile, &mut [f32], &mut [f32])| inputs.mix(&tile, mixed, norms);
    match rows * sizes.keys * sizes.width < PARALLEL {
        true => parts.into_iter().for_each(mix),
        false => share(parts, mix),
    }
    (mixed, norms)
}

impl Inputs<'_> {
    /// The mixed values of a tile, which are 0 before, and what makes its scores probabilities.
    fn mix(&self, tile: &Tile, mixed: &mut [f32], norms: &mut [f32]) {
        let width = self.sizes.width;
        let (mut largest, mut sums) = (vec![f32::NEG_INFINITY; tile.rows()], vec![0.0; tile.rows()]);
        let mut s = Vec::new();
        for keys in steps(tile.keys(&self.sizes, self.visible), KEYS) {
            self.scores(&mut s, tile, &keys);
            if self.visible.has_blind() {
                let rows = s.chunks_exact_mut(keys.len()).enumerate();
                rows.filter(|(row, _)| self.is_blind(tile, *row)).for_each(|(_, s)| s.fill(0.0));
            }
            weigh(&mut s, mixed, [&mut largest, &mut sums]);
            add_product(mixed, Matrix::new(&s, tile.rows(), keys.len()), self.key_matrix(self.v, tile, &keys));
        }
        let norms = norms.chunks_exact_mut(2).zip(largest.iter().zip(&sums));
        for (mixed, (norms, (largest, sum))) in mixed.chunks_exact_mut(width).zip(norms) {
            let inverse = 1.0 / sum;
            mixed.iter_mut().for_each(|value| *value *= inverse);
            norms.copy_from_slice(&[*largest, inverse]);
        }
    }
}

/// The gradients of `q`, `k` and `v`, from what [`forward`] returns and the gradient `d` of the mixed values.
pub(super) fn backward(
    [q, k, v]: [&[f32]; 3],
    sizes: Sizes,
    visible: &Visibility,
    scores: AttentionScores,
    [mixed, norms, d]: [&[f32]; 3],
) -> [Vec<f32>; 3] {
    let inputs = Inputs { q, k, v, sizes, visible, scores };
    let width = sizes.width;
    // Where all keys are in one tile, nobody asks for them.
    let rows = if sizes.keys > KEYS { mixed } else { &[] };
    let dots = row_dots(rows, d, width);
    let known = Known { d, dots: &dots, norms };
    // The same parts whatever the number of threads, since the order of sums depends on them.
    let chunk = sizes.keys.div_ceil(MOST_CHUNKS).next_multiple_of(KEYS).max(LEAST_CHUNK);
    let chunks = sizes.keys.div_ceil(chunk);
    let of_group = sizes.group() * sizes.queries * width;

    let mut of_q = vec![0.0; q.len()];
    let (mut of_k, mut of_v) = (vec![0.0; k.len()], vec![0.0; v.len()]);
    // The further chunks have gradients of the queries of their own, which are added in order.
    let mut further: Vec<Vec<f32>> = vec![Vec::new(); sizes.sequences * sizes.kv_heads * (chunks - 1)];
    let mut parts = Vec::new();
    let (mut rest_k, mut rest_v) = (&mut of_k[..], &mut of_v[..]);
    let mut further_of_heads = further.chunks_mut((chunks - 1).max(1));
    for (index, first) in of_q.chunks_mut(of_group.max(1)).enumerate() {
        let mut others = if chunks > 1 { further_of_heads.next().unwrap_or_default() } else { &mut [] }.iter_mut();
        let mut first = Some(first);
        for keys in steps(0..sizes.keys, chunk) {
            let (of_k, more_k) = rest_k.split_at_mut(keys.len() * width);
            let (of_v, more_v) = rest_v.split_at_mut(keys.len() * width);
            (rest_k, rest_v) = (more_k, more_v);
            let of_q = match first.take() {
                Some(first) => Ok(first),
                None => Err(others.next()),
            };
            parts.push((index / sizes.kv_heads, index % sizes.kv_heads, keys, of_q, of_k, of_v));
        }
    }
    // Earlier keys are seen by more queries.
    parts.sort_by_key(|(_, _, keys, ..)| keys.start);
    share(parts, |(sequence, kv_head, keys, of_q, of_k, of_v)| {
        let mut part = |of_q: &mut [f32]| inputs.gradients(&known, (sequence, kv_head), &keys, [of_q, of_k, of_v]);
        match of_q {
            Ok(of_q) => part(of_q),
            Err(Some(own)) => {
                *own = vec![0.0; of_group];
                part(own);
            }
            Err(None) => {}
        }
    });
    for (of_q, others) in of_q.chunks_mut(of_group.max(1)).zip(further.chunks((chunks - 1).max(1))) {
        for own in others {
            of_q.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
    }
    [of_q, of_k, of_v]
}

/// What is known of each row from the forward pass and the gradient of its result.
struct Known<'a> {
    d: &'a [f32],
    /// The products of the mixed values with their gradient: what the probabilities' gradients are on average. Where a tile has
    /// all keys of a row this is computed from the probabilities, which is exact where one of them is 1.
    dots: &'a [f32],
    norms: &'a [f32],
}

impl Inputs<'_> {
    /// Adds the gradients that come from these keys of a key head: of the queries of its heads, `[group, queries, width]`, and of
    /// keys and values, `[keys, width]`.
    fn gradients(
        &self,
        known: &Known<'_>,
        (sequence, kv_head): (usize, usize),
        chunk: &Range<usize>,
        [of_q, of_k, of_v]: [&mut [f32]; 3],
    ) {
        let width = self.sizes.width;
        let start_of_group = (sequence * self.sizes.heads + kv_head * self.sizes.group()) * self.sizes.queries;
        let (mut p, mut d_scores) = (Vec::new(), Vec::new());
        for tile in self.sizes.tiles(sequence, kv_head) {
            let all = tile.keys(&self.sizes, self.visible);
            let seen = all.start.max(chunk.start)..all.end.min(chunk.end);
            let places = tile.places(&self.sizes);
            let d = self.query_matrix(known.d, &tile);
            for keys in steps(seen.start..seen.end.max(seen.start), KEYS) {
                self.scores(&mut p, &tile, &keys);
                d_scores.resize(p.len(), 0.0);
                write_product(&mut d_scores, d, self.key_matrix(self.v, &tile, &keys).transposed());
                self.probabilities(&mut p, &mut d_scores, known, &tile, all == keys);
                let of_keys = (keys.start - chunk.start) * width..(keys.end - chunk.start) * width;
                let [p, d_scores] = [&p, &d_scores].map(|values| Matrix::new(values, tile.rows(), keys.len()));
                add_product(&mut of_v[of_keys.clone()], p.transposed(), d);
                add_product(&mut of_k[of_keys], d_scores.transposed(), self.query_matrix(self.q, &tile));
                let rows = (places.start - start_of_group) * width..(places.end - start_of_group) * width;
                add_product(&mut of_q[rows], d_scores, self.key_matrix(self.k, &tile, &keys));
            }
        }
    }

    /// Turns the scores of rows into probabilities, and the gradients of these into those of the products of queries and keys.
    /// `is_whole` says whether the tile has all keys of its rows.
    fn probabilities(&self, p: &mut [f32], d: &mut [f32], known: &Known<'_>, tile: &Tile, is_whole: bool) {
        let places = tile.places(&self.sizes);
        let norms = &known.norms[2 * places.start..2 * places.end];
        let dots = (!is_whole).then(|| &known.dots[places]);
        to_probabilities(p, d, self.scores, norms, dots, |row| self.is_blind(tile, row));
    }
}

wide! {
    /// Scales and bounds products of queries and keys.
    pub(super) fn bound(s: &mut [f32], scores: AttentionScores) {
        let AttentionScores { scale, cap } = scores;
        match cap {
            None => s.iter_mut().for_each(|s| *s *= scale),
            Some(cap) => s.iter_mut().for_each(|s| *s = cap * tanh(*s * (scale / cap))),
        }
    }

    /// Turns the scores of rows into exponentials of their distances from the largest, and what was mixed and added up before into
    /// the same for a new largest.
    fn weigh(s: &mut [f32], mixed: &mut [f32], norms: [&mut [f32]; 2]) {
        let [all_largest, sums] = norms;
        let (keys, width) = (s.len() / sums.len().max(1), mixed.len() / sums.len().max(1));
        let rows = s.chunks_exact_mut(keys).zip(mixed.chunks_exact_mut(width));
        for (((s, mixed), of_row), total) in rows.zip(all_largest).zip(sums) {
            let new = largest(s).max(*of_row);
            if new == f32::NEG_INFINITY {
                s.fill(0.0);
                continue;
            }
            let kept = exp(*of_row - new);
            *of_row = new;
            s.iter_mut().for_each(|s| *s = exp(*s - new));
            *total = *total * kept + sum(s);
            if kept != 1.0 {
                mixed.iter_mut().for_each(|value| *value *= kept);
            }
        }
    }

    /// The dot products of corresponding rows.
    fn row_dots(left: &[f32], right: &[f32], width: usize) -> Vec<f32> {
        left.chunks_exact(width).zip(right.chunks_exact(width)).map(|(left, right)| dot(left, right)).collect()
    }

    /// Turns scores `p` into probabilities, and their gradients `d` into those of the products of queries and keys. Where the `dots`
    /// of probabilities and gradients aren't known, a row has all its probabilities.
    fn to_probabilities(
        p: &mut [f32], d: &mut [f32], scores: AttentionScores, norms: &[f32], dots: Option<&[f32]>,
        is_blind: impl Fn(usize) -> bool,
    ) {
        let AttentionScores { scale, cap } = scores;
        let keys = 2 * p.len() / norms.len().max(1);
        let mut slopes = Vec::new();
        let rows = p.chunks_exact_mut(keys).zip(d.chunks_exact_mut(keys)).zip(norms.chunks_exact(2));
        for (row, ((p, d), norms)) in rows.enumerate() {
            let (largest, inverse) = (norms[0], norms[1]);
            if let Some(cap) = cap {
                slopes.clear();
                slopes.extend(p.iter().map(|s| {
                    let bounded = (s / cap).max(-1.0);
                    1.0 - bounded * bounded
                }));
            }
            match is_blind(row) {
                true => p.fill(inverse),
                false => p.iter_mut().for_each(|p| *p = exp(*p - largest) * inverse),
            }
            let dot = match dots {
                Some(dots) => dots[row],
                None => dot(p, d),
            };
            p.iter().zip(&mut *d).for_each(|(p, d)| *d = scale * p * (*d - dot));
            slopes.iter().zip(d).for_each(|(slope, d)| *d *= slope);
        }
    }
}
