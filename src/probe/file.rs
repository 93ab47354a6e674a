//! A file in which a script says how a target is.

use std::io::Read;
use std::path::PathBuf;
use std::time::SystemTime;

use super::dial::Deadline;
use super::evidence::{Failure, Seen};
use super::spec::FileCheck;
use crate::health::tick::short;
use crate::limits::VERDICT_FILE_OCTETS;

/// Reads the file; `path` is that of the check, filled in.
pub(super) async fn ask(path: PathBuf, check: &FileCheck, deadline: Deadline) -> Result<Seen, Failure> {
    let ttl = check.ttl;
    let read = tokio::task::spawn_blocking(move || {
        let shown = path.display();
        let failed = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
        let about = std::fs::metadata(&path).map_err(failed)?;
        // Opening a pipe would wait for somebody to write.
        if !about.is_file() {
            return Err(Failure::new(format!("{shown} is no file")));
        }
        let written = about.modified().map_err(failed)?;
        let mut text = Vec::new();
        let file = std::fs::File::open(&path).map_err(failed)?;
        file.take(VERDICT_FILE_OCTETS).read_to_end(&mut text).map_err(failed)?;
        // What was written in the future was written by a clock that was set back since.
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        if age > ttl {
            return Err(Failure::new(format!("{shown} wasn't written for {}", short(age))));
        }
        judge(&String::from_utf8_lossy(&text))
    });
    let read = deadline.limit("answer of the disk", read).await?;
    read.unwrap_or_else(|_| Err(Failure::blocked("the file wasn't read")))
}

/// `up`, or `down` and why; the first line counts. Anything else isn't health.
fn judge(text: &str) -> Result<Seen, Failure> {
    let line = text.lines().next().unwrap_or_default().trim();
    let (word, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let evidence = if reason.is_empty() { word } else { reason.trim() };
    match word.trim_end_matches(':') {
        "up" => Ok(Seen::new(evidence)),
        "down" => Err(Failure::new(evidence)),
        "" => Err(Failure::new("the file is empty")),
        _ => Err(Failure::new(format!("neither up nor down: {line}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn only_a_fresh_file_that_says_so_is_up() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("verdict");
        let check = FileCheck { path: path.display().to_string(), ttl: Duration::from_secs(30) };
        let ask = async || {
            let deadline = Deadline::new(Instant::now(), Duration::from_secs(5));
            match ask(path.clone(), &check, deadline).await {
                Ok(seen) => format!("+{}", seen.evidence),
                Err(failure) => format!("-{}", failure.evidence),
            }
        };
        assert!(ask().await.contains("No such file"));
        for (text, expected) in [
            ("up\n", "+up"),
            ("up all 3 queues empty\n", "+all 3 queues empty"),
            ("down: queue of 9000\nup\n", "-queue of 9000"),
            ("down\n", "-down"),
            ("", "-the file is empty"),
            ("UP\n", "-neither up nor down: UP"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(ask().await, expected);
        }
        std::fs::write(&path, "up\n").unwrap();
        let old = SystemTime::now() - Duration::from_secs(31);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(ask().await.contains("wasn't written for 31s"), "{}", ask().await);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(ask().await.contains("is no file"));
    }
}
