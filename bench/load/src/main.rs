//! The load generator of the benchmarks.
//!
//! ```text
//! load closed ADDRESS:PORT FILE SECONDS OUTSTANDING            UDP, as fast as answers come
//! load open   ADDRESS:PORT FILE SECONDS RATE                   UDP, so many a second: latency
//! load tcp    ADDRESS:PORT FILE SECONDS CONNECTIONS PIPELINED  TCP, connections are kept
//! load subnets DATABASE COUNTRIES COUNT                        clients' subnets, for FILE
//! ```
//!
//! FILE has a query a line: `NAME TYPE [SUBNET] [DO]`, all with EDNS, with a client subnet (RFC 7871)
//! where there is one, and wanting signatures (RFC 3225) where it says so. They are sent in the
//! order of the file, round and round. The report is one JSON object.

mod queries;
mod subnets;
mod sys;
mod tally;
mod tcp;
mod udp;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, error::Error};

const USAGE: &str = "usage: load closed ADDRESS:PORT FILE SECONDS OUTSTANDING
       load open ADDRESS:PORT FILE SECONDS RATE
       load tcp ADDRESS:PORT FILE SECONDS CONNECTIONS PIPELINED
       load subnets DATABASE COUNTRIES COUNT";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    match *arguments {
        ["subnets", database, countries, count] => {
            subnets::draw(Path::new(database), &countries.split(',').collect::<Vec<_>>(), count.parse()?)
        }
        [kind, server, file, seconds, ref numbers @ ..] => {
            let server: SocketAddr = server.parse()?;
            let queries = queries::read(Path::new(file))?;
            let time = Duration::from_secs_f64(seconds.parse()?);
            let report = match (kind, numbers) {
                ("closed", [outstanding]) => udp::closed(server, &queries, time, outstanding.parse()?),
                ("open", [rate]) => udp::open(server, &queries, time, rate.parse()?),
                ("tcp", [connections, pipelined]) => {
                    tcp::closed(server, &queries, time, connections.parse()?, pipelined.parse()?)
                }
                _ => return Err(USAGE.into()),
            };
            Ok(report?.json())
        }
        _ => Err(USAGE.into()),
    }
}
