//! The real binary and the mock server as processes of our own.

use std::{
    collections::HashMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::{Outcome, run};

/// Builds the `llm` binary as `cargo xtask test` does, or takes the one that was named.
///
/// It is the copy that belongs to the `tests` package: building it together with that package's tests gives the very
/// features of the whole workspace's tests, so that nothing is compiled a second time.
pub(crate) fn binary(named: Option<PathBuf>) -> Outcome<PathBuf> {
    if let Some(path) = named {
        return path.canonicalize().map_err(|error| format!("--bin {}: {error}", path.display()));
    }
    built("llm-under-test")
}

/// Builds one binary of the workspace with the features of the whole workspace's tests.
pub(crate) fn built(name: &str) -> Outcome<PathBuf> {
    run::echo(run::cargo().arg("build").args(run::WHOLE).args(["--bin", name, "--test", "it"]))?;
    Ok(run::target_dir().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Where a run happens: the binary, and a folder that is deleted at the end.
pub(crate) struct Stage {
    pub(crate) binary: PathBuf,
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new(binary: PathBuf) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("llm-").tempdir();
        Ok(Self { binary, folder: folder.map_err(|error| format!("a temporary folder: {error}"))? })
    }

    /// A folder of its own for one scenario.
    pub(crate) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// A command that sees none of the caller's settings, keys and configuration files.
    pub(crate) fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("HOME", self.folder.path());
        for name in ["PATH", "SYSTEMROOT"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// The binary with `arguments`.
    pub(crate) fn llm<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.clean(&self.binary);
        command.args(arguments);
        command
    }
}

/// A child that is killed when its owner forgets it. Only processes started here are ever signalled.
pub(crate) struct Running {
    child: Child,
    said: PathBuf,
    since: Instant,
}

impl Running {
    /// Starts `command`; what it prints goes to the file `said`.
    pub(crate) fn start(mut command: Command, said: PathBuf) -> Outcome<Self> {
        let file = File::create(&said).map_err(|error| format!("{}: {error}", said.display()))?;
        let second = file.try_clone().map_err(|error| format!("{}: {error}", said.display()))?;
        command.stdout(file).stderr(second);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        Ok(Self { child, said, since: Instant::now() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What it has printed so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    /// Its status, once it has ended.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| format!("waiting for a process: {error}"))
    }

    /// Waits for its end; one that takes longer than `limit` is killed, and that is an error.
    pub(crate) fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                self.kill();
                return Err(format!("no end within {}; it said: {}", run::spoken(limit), tail(&self.said())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end and checks the exit code.
    pub(crate) fn expect(&mut self, code: i32, limit: Duration) -> Outcome {
        let status = self.wait(limit)?;
        if status.code() == Some(code) {
            return Ok(());
        }
        Err(format!("ended with {status}, not with code {code}; it said: {}", tail(&self.said())))
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name: INT, TERM, HUP, STOP, CONT.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) -> Outcome {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match name {
            "INT" => Signal::INT,
            "TERM" => Signal::TERM,
            "HUP" => Signal::HUP,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            _ => return Err(format!("no signal {name}")),
        };
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| format!("SIG{name}: {error}"))
    }

    /// There are no signals here.
    #[cfg(not(unix))]
    pub(crate) fn signal(&self, name: &str) -> Outcome {
        Err(format!("SIG{name} needs a Unix system"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of what a process said.
pub(crate) fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(4)).copied().collect::<Vec<_>>().join(" / ");
    if last.is_empty() { "(nothing)".to_owned() } else { last }
}

/// `llm mock` with a request log.
pub(crate) struct Mock {
    /// Kept to be ended together with this.
    _process: Running,
    pub(crate) port: u16,
    log: PathBuf,
}

/// One line of the mock's request log.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    /// Arrival, since the server's start.
    pub(crate) at: Duration,
    /// Arrival, since 1970.
    pub(crate) unix: Duration,
    pub(crate) status: Option<u64>,
    pub(crate) body: String,
}

impl Mock {
    /// Starts a server with a request log on a free port and waits until it accepts connections.
    pub(crate) fn start(stage: &Stage, folder: &Path, name: &str, options: &[&str]) -> Outcome<Self> {
        let log = folder.join(format!("{name}.log"));
        let named = log.to_string_lossy().into_owned();
        Self::listening(
            stage,
            log,
            folder.join(format!("{name}.said")),
            &[&["--log", &named], options].concat(),
        )
    }

    /// The same without a request log.
    pub(crate) fn start_silent(stage: &Stage, folder: &Path, name: &str, options: &[&str]) -> Outcome<Self> {
        Self::listening(stage, PathBuf::new(), folder.join(format!("{name}.said")), options)
    }

    fn listening(stage: &Stage, log: PathBuf, said: PathBuf, options: &[&str]) -> Outcome<Self> {
        for _ in 0..5 {
            let port = free_port()?;
            let mut command = stage.llm(["mock", "--port", &port.to_string()]);
            command.args(options);
            let mut process = Running::start(command, said.clone())?;
            // Somebody else may have taken the port meanwhile: then the process ends, and another port is tried.
            while process.ended()?.is_none() {
                if TcpStream::connect_timeout(&address(port), Duration::from_millis(200)).is_ok() {
                    return Ok(Self { _process: process, port, log });
                }
                if process.age() > Duration::from_secs(20) {
                    return Err(format!(
                        "the mock server does not listen; it said: {}",
                        tail(&process.said())
                    ));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            if !process.said().to_lowercase().contains("listen") && !process.said().contains("in use") {
                return Err(format!("the mock server did not start; it said: {}", tail(&process.said())));
            }
        }
        Err("no free port for the mock server in five tries".to_owned())
    }

    /// What a client is told.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The chat requests that have ended so far, in the order of their arrival.
    pub(crate) fn requests(&self) -> Outcome<Vec<Request>> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut requests = Vec::new();
        // The last line may be in the middle of being written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let value: Value =
                serde_json::from_str(line).map_err(|error| format!("the mock's log: {error}: {line}"))?;
            requests.push(
                request(&value).ok_or_else(|| format!("the mock's log: a line of another shape: {line}"))?,
            );
        }
        requests.sort_by_key(|request| request.number);
        Ok(requests)
    }

    /// The same, once every request that has arrived has ended: answers take at most `longest`.
    pub(crate) fn settled(&self, longest: Duration) -> Outcome<Vec<Request>> {
        let start = Instant::now();
        let quiet = longest + Duration::from_millis(60);
        std::thread::sleep(quiet);
        loop {
            let before = self.requests()?;
            std::thread::sleep(Duration::from_millis(40));
            let after = self.requests()?;
            let whole =
                after.last().is_none_or(|last| last.number == u64::try_from(after.len()).unwrap_or(0));
            if whole && before.len() == after.len() {
                return Ok(after);
            }
            if start.elapsed() > quiet + Duration::from_secs(20) {
                return Err("the mock's log does not come to rest: some request never ended".to_owned());
            }
        }
    }

    /// Waits until `count` requests of `client` have ended.
    pub(crate) fn wait_for(&self, client: &mut Running, count: usize, limit: Duration) -> Outcome {
        let start = Instant::now();
        while self.requests()?.len() < count {
            if let Some(status) = client.ended()? {
                return Err(format!("ended early with {status}; it said: {}", tail(&client.said())));
            }
            if start.elapsed() > limit {
                return Err(format!(
                    "the mock saw {} requests in {}, not {count}",
                    self.requests()?.len(),
                    run::spoken(limit)
                ));
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    }
}

fn request(value: &Value) -> Option<Request> {
    let millis = |key: &str| Some(Duration::from_secs_f64((value.get(key)?.as_f64()? / 1e3).max(0.0)));
    Some(Request {
        number: value.get("n")?.as_u64()?,
        at: millis("at_ms")?,
        unix: millis("unix_ms")?,
        status: value.get("status")?.as_u64(),
        body: value.get("body_hash")?.as_str()?.to_owned(),
    })
}

/// How many requests were sent beyond the first with the same body.
pub(crate) fn sent_twice(requests: &[Request]) -> usize {
    let mut bodies: HashMap<&str, usize> = HashMap::new();
    for request in requests {
        *bodies.entry(request.body.as_str()).or_default() += 1;
    }
    bodies.values().map(|count| count - 1).sum()
}

/// Milliseconds matter, jumps of the wall clock within one run do not happen on a developer's machine.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(address(0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("a free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_in_the_order_of_arrival_and_repeats_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(PathBuf::from("sh")).unwrap();
        let sleeper = Running::start(stage.clean("true"), folder.path().join("said")).unwrap();
        let mock = Mock { _process: sleeper, port: 1, log: folder.path().join("log") };
        let line = |n: u64, body: &str| {
            format!("{{\"n\":{n},\"at_ms\":1.5,\"unix_ms\":5,\"status\":null,\"body_hash\":\"{body}\"}}\n")
        };
        let text = [line(2, "a"), line(1, "a"), line(3, "b"), "{\"n\":4".to_owned()].concat();
        std::fs::write(&mock.log, text).unwrap();
        let requests = mock.requests().unwrap();
        assert_eq!(requests.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(sent_twice(&requests), 1);
        assert_eq!(tail("a\n\nb\n"), "a / b");
        std::fs::write(&mock.log, "{}\n").unwrap();
        assert!(mock.requests().is_err());
    }
}
