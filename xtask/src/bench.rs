//! `cargo xtask bench`: what a call costs beside the bare HTTP exchange, and what a large batch takes. Ratios within one
//! run; absolute figures are for the reader's own machine.

mod exchange;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Command, Outcome,
    args::Args,
    process::{Mock, Running, Stage},
    run,
};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    about: "Compare the client with a bare hyper loop; measure batch throughput, memory and start time",
    usage: "bench [--rows N] [--rounds N] [--only exchange|dialects|choosing|batch|start]\n\n  --rows N    rows of the batch runs (default 100000)\n  --rounds N  rounds of the exchange comparison (default 15)\n  --only X    one part only: exchange is one wire format, dialects is all of them\n\n  Builds in release. Run it on a quiet machine.",
    run,
};

fn run(mut args: Args) -> Outcome {
    let rows: usize = args.value("--rows")?.unwrap_or(100_000);
    let rounds: u16 = args.value("--rounds")?.unwrap_or(15);
    let only: Option<String> = args.value("--only")?;
    args.end()?;
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    const PARTS: [&str; 5] = ["exchange", "dialects", "choosing", "batch", "start"];
    if !PARTS.into_iter().any(wanted) {
        return Err(format!("--only: `{}` is none of {}", only.unwrap_or_default(), PARTS.join(", ")));
    }
    let build = ["build", "--release", "--locked", "--package", "llm-cli", "--package", "llm-bench"];
    run::echo(run::cargo().args(build))?;
    let built = |name: &str| {
        run::target_dir().join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    };
    let stage = Stage::new(built("llm"))?;
    if wanted("dialects") {
        exchange::compare(&stage, &built("llm-bench"), rounds, &exchange::FORMATS)?;
    } else if wanted("exchange") {
        exchange::compare(&stage, &built("llm-bench"), rounds, &exchange::FORMATS[..1])?;
    }
    if wanted("choosing") {
        choosing(&stage, &built("llm-bench"))?;
    }
    if wanted("batch") {
        batch(&stage, rows)?;
    }
    if wanted("start") {
        start(&stage)?;
    }
    Ok(())
}

/// What look-up, choice and admission add to a call, in instructions and in memory, with few and with many models.
fn choosing(stage: &Stage, bench: &Path) -> Outcome {
    match [1, 1000].map(|models| instructions(stage, bench, models)) {
        [Ok(few), Ok(many)] => println!(
            "look-up, choice and admission: {few} instructions a call, {many} with 1000 models more (goal 4000)"
        ),
        [Err(error), _] | [_, Err(error)] => {
            println!("look-up, choice and admission: not counted, since valgrind did not run: {error}");
        }
    }
    let folder = stage.folder("choosing")?;
    let mocks = ["one", "two"].map(|name| Mock::start_silent(stage, &folder, name, &["--delay", "4000ms"]));
    let [one, two] = mocks;
    let ports = [one?, two?];
    let each = |way: &str, models: &str| -> Outcome<f64> {
        let mut command = stage.clean(bench);
        command
            .args(["memory", way, models])
            .args(ports.iter().map(|mock| mock.port.to_string()))
            .arg("5000");
        let said = run::capture(&mut command)?;
        if !said.contains("5000 of 5000 answered") {
            return Err(format!("not every call was answered: {}", said.trim()));
        }
        let first = said.split_whitespace().next().and_then(|word| word.parse().ok());
        first.ok_or_else(|| format!("no figure in: {said}"))
    };
    let (bare, pooled, many) = (each("direct", "1")?, each("pooled", "1")?, each("pooled", "1000")?);
    println!(
        "memory of a call in flight (5000 of them): bare client {bare:.0} bytes, through a pool with limits {pooled:.0}, \
         ratio {:.2} (goal 1.2); with 1000 models more {:.2}",
        pooled / bare,
        many / bare
    );
    Ok(())
}

/// What a pooled call takes more than one to a client at hand, in instructions.
fn instructions(stage: &Stage, bench: &Path, models: usize) -> Outcome<u64> {
    let models = models.to_string();
    let each = |way: &str| counted(stage, bench, &["calls", way, &models], [1000, 3000]);
    Ok(each("pooled")?.saturating_sub(each("direct")?))
}

/// The instructions of one call, where `words` and a number of calls make `llm-bench` do so many. The difference of two
/// numbers leaves the start out.
fn counted(stage: &Stage, bench: &Path, words: &[&str], [few, many]: [u64; 2]) -> Outcome<u64> {
    let count = |calls: u64| -> Outcome<u64> {
        let mut command = stage.clean("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(bench);
        command.args(words).arg(calls.to_string());
        let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        collected(&said).ok_or_else(|| format!("valgrind said: {}", said.trim()))
    };
    Ok(count(many)?.saturating_sub(count(few)?) / (many - few))
}

/// The count in callgrind's last words: `Collected : 1234`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :"))?.1.trim().parse().ok()
}

/// (c) Many rows through the real binary, and the run after it, which finds everything done.
fn batch(stage: &Stage, rows: usize) -> Outcome {
    let folder = stage.folder("batch")?;
    let (input, output) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
    write_rows(&input, rows).map_err(|error| format!("{}: {error}", input.display()))?;
    for what in ["first run", "run with nothing to do"] {
        let mut command = stage.llm(["batch"]);
        command.arg(&input).arg("-o").arg(&output).args([
            "-m",
            "mock/echo",
            "-c",
            "64",
            "--progress",
            "none",
        ]);
        let mut running = Running::start(command, folder.join("said"))?;
        let measured = watch(&mut running)?;
        let seconds = measured.took.as_secs_f64();
        let per_second = as_float(rows) / seconds;
        let cpu = measured.cpu.map_or_else(
            || "unknown".to_owned(),
            |cpu| format!("{:.1} µs", cpu.as_secs_f64() * 1e6 / as_float(rows)),
        );
        let peak = measured
            .peak_kib
            .map_or_else(|| "unknown".to_owned(), |kib| format!("{:.1} MiB", as_float(kib) / 1024.0));
        println!(
            "batch, {what}: {rows} rows in {seconds:.2} s, {per_second:.0} rows/s, CPU per row {cpu} (mock server included), peak memory {peak}"
        );
    }
    Ok(())
}

fn write_rows(path: &Path, rows: usize) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for number in 0..rows {
        writeln!(
            file,
            "{{\"q\": \"Question {number}: how many rows does a file of {rows} rows have, and why?\", \"n\": {number}}}"
        )?;
    }
    file.flush()
}

/// What a process took from start to end.
struct Measured {
    took: Duration,
    cpu: Option<Duration>,
    peak_kib: Option<usize>,
}

/// Watches a process to its end; memory and CPU come from `/proc`, where there is one.
fn watch(running: &mut Running) -> Outcome<Measured> {
    let folder = PathBuf::from(format!("/proc/{}", running.id()));
    let (mut cpu, mut peak_kib) = (None, None);
    loop {
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        peak_kib = status.lines().find_map(peak_of).or(peak_kib);
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        cpu = cpu_of(&stat).or(cpu);
        if running.ended()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = running.age();
    running.expect(0, Duration::ZERO)?;
    Ok(Measured { took, cpu, peak_kib })
}

/// The highest resident size, from a line of `/proc/PID/status`.
fn peak_of(line: &str) -> Option<usize> {
    line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// User and system time, from `/proc/PID/stat`: fields 14 and 15, in hundredths of a second.
fn cpu_of(stat: &str) -> Option<Duration> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

/// (d) The time from start to end of a command that does next to nothing.
fn start(stage: &Stage) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..41 {
        let mut command = stage.llm(["--version"]);
        let begun = Instant::now();
        run::capture(&mut command)?;
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |place: usize| times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    println!(
        "start: `llm --version` takes {:.1} ms (median of 41; fastest {:.1} ms; goal 10 ms)",
        at(20),
        at(0)
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_process_are_read_from_its_files() {
        assert_eq!(peak_of("VmHWM:\t   20480 kB"), Some(20480));
        assert_eq!(peak_of("VmRSS:\t   20480 kB"), None);
        let stat = "77 (a name) with) R 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
    }
}
