#![doc = include_str!("../README.md")]

mod chart;
mod heat_map;
mod page;
mod scale;
mod scatter;

pub use chart::{Axis, Line, line_chart, line_panels};
pub use heat_map::heat_map;
pub use page::{document, escaped, facts};
pub use scale::Scale;
pub use scatter::{Point, scatter};
