//! Fetches files and says where they are: `fetch model|dataset NAME PATTERN...`

use std::io::Write;

use adamole_hub::{Event, Hub, Kind, Source, Wanted};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("expected: fetch model|dataset NAME PATTERN...".into());
    };
    let kind = if kind == "dataset" { Kind::Dataset } else { Kind::Model };
    let folder = Hub::from_env()?.fetch(&Source::parse(&name)?, kind, &Wanted::new(arguments), &mut |event| {
        if !matches!(event, Event::Advanced { .. }) {
            eprintln!("{event:?}");
        }
    })?;
    writeln!(std::io::stdout(), "{}", folder.display())?;
    Ok(())
}
