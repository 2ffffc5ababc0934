//! `adamole devices`.

use super::{
    Failure,
    output::{Format, print, size},
};
use adamole::device::{self, DeviceInfo, Kind};
use clap::Args;
use serde::Serialize;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole devices";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevicesArguments {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    devices: Vec<DeviceInfo>,
    /// Kinds that are built in but not present.
    absent: Vec<&'static str>,
    /// Kinds that are not built in.
    not_built_in: Vec<&'static str>,
}

pub(crate) fn run(arguments: &DevicesArguments) -> Result<(), Failure> {
    let devices = device::list();
    let kinds =
        |wanted: &dyn Fn(Kind) -> bool| Kind::ALL.into_iter().filter(|kind| wanted(*kind)).map(Kind::name).collect();
    let is_there = |kind: Kind| devices.iter().any(|info| info.name.split(':').next() == Some(kind.name()));
    let report = Report {
        absent: kinds(&|kind| kind.is_built_in() && !is_there(kind)),
        not_built_in: kinds(&|kind| !kind.is_built_in()),
        devices,
    };
    print(arguments.format, &report, || text(&report))
}

fn text(report: &Report) -> String {
    let width = report.devices.iter().map(|info| info.name.len()).max().unwrap_or(0);
    let device = |info: &DeviceInfo| {
        let software = if info.is_software { ", in software" } else { "" };
        let memory = size(info.memory_bytes);
        format!("{:width$}  {}{software}; memory {memory}; {}", info.name, info.description, info.dtypes.join(", "))
    };
    let mut lines: Vec<String> = report.devices.iter().map(device).collect();
    lines.extend(report.absent.iter().map(|kind| format!("{kind}: built in, but no such device is present")));
    let feature = |kind: &&str| format!("{kind}: not built in; build with `--features adamole/{kind}`");
    lines.extend(report.not_built_in.iter().map(feature));
    lines.join("\n")
}
