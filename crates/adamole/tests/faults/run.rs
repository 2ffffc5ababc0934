//! One start of the program, and what is expected of it.

use crate::{
    case::{Arguments, Run},
    check::expect,
    edit,
    scene::{self, Scene},
};
use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often the program is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// Starts the program and says what is not as expected, with what it wrote.
pub(crate) fn holds(scene: &Scene, run: &Run) -> Result<(), String> {
    let prepared = run.remove.iter().try_for_each(|name| scene::remove(&scene.path(name)));
    prepared.and_then(|()| edit::all(&run.edits, scene)).map_err(|error| error.to_string())?;
    let started = started(scene, run).and_then(|mut child| ended(&mut child, scene, run));
    let end = started.map_err(|error| format!("cannot be started: {error}"))?;
    let stdout = run.stdout_to.clone().unwrap_or_else(|| written("stdout"));
    let [stdout, stderr] = [stdout, written("stderr")].map(|name| text(&scene.path(&name)));
    let checked = end.check(run).and_then(|()| {
        expect(!stderr.contains("panicked"), || "the program panicked".to_owned())?;
        run.stdout.check(&stdout, scene).map_err(|error| format!("stdout {error}"))?;
        run.stderr.check(&stderr, scene).map_err(|error| format!("stderr {error}"))?;
        run.files.iter().try_for_each(|file| file.check(scene))?;
        run.tensors.iter().try_for_each(|tensors| tensors.check(scene))
    });
    checked.map_err(|error| format!("{error}\n--- stdout\n{}\n--- stderr\n{}", clipped(&stdout), clipped(&stderr)))
}

/// How a run ended.
enum End {
    Exited(ExitStatus),
    Killed,
    TooLong,
}

impl End {
    fn check(&self, run: &Run) -> Result<(), String> {
        match self {
            Self::Killed => Ok(()),
            Self::TooLong => Err(format!("still running after {} s", run.seconds)),
            Self::Exited(status) if run.kill_when.is_some() => {
                Err(format!("ended before it could be killed: {status}"))
            }
            Self::Exited(status) => {
                expect(status.code() == Some(run.exit), || format!("{status}, expected exit code {}", run.exit))
            }
        }
    }
}

fn started(scene: &Scene, run: &Run) -> io::Result<Child> {
    let program = env!("CARGO_BIN_EXE_adamole");
    let mut command = match run.memory_mib {
        None => Command::new(program),
        Some(mib) => {
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &(mib * 1024).to_string(), program]);
            limited
        }
    };
    // Nothing is asked of the network, and nothing is kept outside of the scene.
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", scene.path("hub")).env("XDG_CACHE_HOME", scene.path("cache"));
    command.env_remove("HF_TOKEN").env_remove("HF_ENDPOINT").env_remove("RUST_BACKTRACE");
    command.envs(run.env.iter().map(|(name, value)| (name, scene.filled(value))));
    match &run.args {
        Arguments::Text(text) => command.args(text.split_whitespace().map(|argument| scene.filled(argument))),
        Arguments::List(list) => command.args(list.iter().map(|argument| scene.filled(argument))),
    };
    let stdin = scene.path(&written("stdin"));
    fs::create_dir_all(scene.path(&written("")))?;
    fs::write(&stdin, &run.stdin)?;
    let stdout = File::create(scene.path(run.stdout_to.as_ref().unwrap_or(&written("stdout"))))?;
    command.current_dir(scene.path("")).stdin(File::open(stdin)?).stdout(stdout);
    command.stderr(Stdio::from(File::create(scene.path(&written("stderr")))?)).spawn()
}

fn ended(child: &mut Child, scene: &Scene, run: &Run) -> io::Result<End> {
    let start = Instant::now();
    let end = loop {
        if run.kill_when.as_ref().is_some_and(|file| scene.path(file).exists()) {
            break End::Killed;
        }
        if start.elapsed() > Duration::from_secs(run.seconds) {
            break End::TooLong;
        }
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        thread::sleep(PAUSE);
    };
    child.kill()?;
    child.wait()?;
    Ok(end)
}

/// What a file holds; a device holds nothing.
fn text(path: &Path) -> String {
    let bytes = if path.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where what the program reads and writes is kept, beside the files of the case.
fn written(name: &str) -> String {
    format!(".harness/{name}")
}

/// The beginning of a long text.
fn clipped(text: &str) -> String {
    const LONGEST: usize = 6000;
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(end, _)| end);
    let more = if end < text.len() { "..." } else { "" };
    format!("{}{more}", &text[..end])
}
