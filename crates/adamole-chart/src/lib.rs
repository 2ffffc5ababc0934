#![doc = include_str!("../README.md")]

mod chart;
mod page;
mod scatter;

pub use chart::{Axis, Line, heat_map, line_chart, line_panels};
pub use page::{document, escaped, shade};
pub use scatter::{Point, scatter};
