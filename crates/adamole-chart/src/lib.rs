#![doc = include_str!("../README.md")]

mod chart;
mod page;

pub use chart::{Axis, Line, heat_map, line_chart};
pub use page::{document, escaped, shade};
