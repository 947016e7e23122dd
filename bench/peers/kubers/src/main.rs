//! kube-rs' reflector store, driven as `serve.py` says: one line of JSON in, one line out.

mod peer;
mod question;

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::peer::{Answer, Failure, Peer};
use crate::question::Question;

/// Between two lone events, so that each is alone.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Command {
    r#do: String,
    #[serde(default)]
    question: usize,
    #[serde(default)]
    calls: usize,
    #[serde(default)]
    budget_s: f64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data, work] = arguments.as_slice() else {
        return Err("usage: kubers-peer DATA_FOLDER WORK_FOLDER".into());
    };
    let questions: Vec<Question> = serde_json::from_slice(&fs::read(data.join("questions.json"))?)?;
    let mut peer = Peer::new();
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let answer = done(&mut peer, &command, &questions, data, work).unwrap_or_else(|why| {
            eprintln!("{why}");
            json!({"cannot": format!("failed: {why:.80}")})
        });
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn done(
    peer: &mut Peer,
    command: &Command,
    questions: &[Question],
    data: &Path,
    work: &Path,
) -> Result<Value, Box<dyn Error>> {
    match command.r#do.as_str() {
        "load" => load(peer, data),
        "open" => Ok(json!({"cannot": "lists again: keeps nothing over a restart"})),
        "burst" => {
            let lines = fs::read(data.join("burst.jsonl"))?;
            let started = Instant::now();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                peer.apply(line)?;
            }
            Ok(json!({"seconds": started.elapsed().as_secs_f64()}))
        }
        "lone" => {
            let lines = fs::read(data.join("lone.jsonl"))?;
            let mut seconds = Vec::new();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                std::thread::sleep(PAUSE);
                let started = Instant::now();
                peer.apply(line)?;
                seconds.push(started.elapsed().as_secs_f64());
            }
            Ok(json!({"seconds": seconds}))
        }
        "ask" => ask(peer, &questions[command.question], command, work),
        "sizes" => Ok(json!({"rss": memory("VmRSS:"), "peak": memory("VmHWM:"), "disk": 0})),
        other => Err(format!("nobody can {other}").into()),
    }
}

fn load(peer: &mut Peer, data: &Path) -> Result<Value, Failure> {
    let mut names: Vec<PathBuf> = fs::read_dir(data)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("page-"))
        })
        .collect();
    names.sort();
    let started = Instant::now();
    peer.begin_load();
    for name in names {
        peer.load_page(&fs::read(name)?)?;
    }
    peer.end_load();
    Ok(json!({"seconds": started.elapsed().as_secs_f64()}))
}

fn ask(peer: &Peer, question: &Question, command: &Command, work: &Path) -> Result<Value, Failure> {
    let mut seconds = Vec::new();
    let mut first: Option<Vec<Answer>> = None;
    let began = Instant::now();
    while first.is_none()
        || (seconds.len() < command.calls && began.elapsed().as_secs_f64() < command.budget_s)
    {
        let mut got = Vec::new();
        let mut one = question.variant(seconds.len());
        let start = one.offset;
        for number in 0..question.walk.max(1) {
            // A walk goes by offset: the store has no cursor.
            one.offset = start + number * question.limit;
            let started = Instant::now();
            let answer = peer.ask(&one)?;
            seconds.push(started.elapsed().as_secs_f64());
            got.push(answer);
        }
        first.get_or_insert(got);
    }
    let first = first.unwrap_or_default();
    if question.limit > 0 {
        leave(&first, work)?;
    }
    Ok(json!({"seconds": seconds, "total": first[0].total, "bytes": first[0].body.len()}))
}

/// Writes the answer down for the driver to check.
fn leave(answers: &[Answer], work: &Path) -> Result<(), Failure> {
    let bodies: Vec<&[u8]> = answers.iter().map(|answer| answer.body.as_slice()).collect();
    let whole = [b"[".as_slice(), &bodies.join(b",".as_slice()), b"]"].concat();
    fs::write(work.join("answer.json"), whole)?;
    fs::write(work.join("facets.json"), serde_json::to_vec(&answers[0].facets)?)?;
    Ok(())
}

/// A figure of this process, on Linux; 0 elsewhere.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 1024
}
