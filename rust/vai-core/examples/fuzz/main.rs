//! Random and damaged inputs for everything that reads text from outside: expressions, selectors,
//! Steve's parameters, paths, values, the matcher and the readers of lists and watches.
//!
//! `cargo run -p vai-core --example fuzz [SECONDS] [SEED]` (a debug build, for its checks of
//! arithmetic and assertions)
//!
//! Inputs are made of a corpus by cutting, splicing, repeating and overwriting. What is checked
//! besides that nothing panics stands at each target. The last line counts the cases of each; on a
//! finding the input and the seed are printed, and the process fails.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod corpus;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::corpus::Source;
use self::targets::TARGETS;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(seconds), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(60)), arguments.next().unwrap_or(Ok(1)))
    else {
        println!("usage: fuzz [SECONDS] [SEED]");
        return ExitCode::FAILURE;
    };
    let mut source = Source::new(seed);
    let mut cases = vec![0_u64; TARGETS.len()];
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for (target, cases) in TARGETS.iter().zip(&mut cases) {
            let input = source.input(target.corpus);
            *cases += 1;
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
            let problem = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(problem)) => problem,
                Err(_) => "it panicked".to_owned(),
            };
            println!("{}, seed {seed}, case {cases}: {problem}", target.name);
            println!("{:?}", String::from_utf8_lossy(&input));
            println!("{:?}", &input[..input.len().min(2_000)]);
            return ExitCode::FAILURE;
        }
    }
    let counts: Vec<String> = TARGETS
        .iter()
        .zip(cases)
        .map(|(target, cases)| format!("{} {cases}", target.name))
        .collect();
    println!("{seconds} s, seed {seed}, no finding; cases: {}", counts.join(", "));
    ExitCode::SUCCESS
}
