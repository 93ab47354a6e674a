//! A file in which a script says how a target is.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::dial::Deadline;
use super::evidence::{Failure, Seen};
use super::spec::FileCheck;
use crate::health::tick::short;
use crate::limits::VERDICT_FILE_OCTETS;

/// Files as they were seen before. A file that seems to be from the future was written by a clock
/// that was set back since, and gets older all the same: by a clock that nobody sets, from when it was
/// first seen so.
#[derive(Debug, Default)]
pub(crate) struct Ages(Mutex<HashMap<PathBuf, First>>);

/// A file as it was when it was first seen.
#[derive(Clone, Copy, Debug)]
struct First {
    written: SystemTime,
    seen: Instant,
    age: Duration,
}

impl Ages {
    /// How old a file is that says when it was written.
    pub(crate) fn of(
        &self,
        path: &Path,
        written: SystemTime,
        (now, instant): (SystemTime, Instant),
    ) -> Duration {
        let by_clock = now.duration_since(written).unwrap_or_default();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = seen.get(path).copied().filter(|first| first.written == written);
        let first = same.unwrap_or(First { written, seen: instant, age: by_clock });
        seen.insert(path.to_owned(), first);
        by_clock.max(first.age + instant.saturating_duration_since(first.seen))
    }
}

/// Reads the file; `path` is that of the check, filled in.
pub(super) async fn ask(
    path: PathBuf,
    check: &FileCheck,
    ages: &Arc<Ages>,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let (ttl, ages) = (check.ttl, Arc::clone(ages));
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
        let age = ages.of(&path, written, (SystemTime::now(), Instant::now()));
        judge(&path, &String::from_utf8_lossy(&text), age, ttl)
    });
    let read = deadline.limit("answer of the disk", read).await?;
    read.unwrap_or_else(|_| Err(Failure::blocked("the file wasn't read")))
}

/// What a file of some age says.
pub(crate) fn judge(path: &Path, text: &str, age: Duration, ttl: Duration) -> Result<Seen, Failure> {
    if age > ttl {
        return Err(Failure::new(format!("{} wasn't written for {}", path.display(), short(age))));
    }
    read(text)
}

/// `up`, or `down` and why; the first line counts. Anything else isn't health.
fn read(text: &str) -> Result<Seen, Failure> {
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
    use super::*;

    #[tokio::test]
    async fn only_a_fresh_file_that_says_so_is_up() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("verdict");
        let check = FileCheck { path: path.display().to_string(), ttl: Duration::from_secs(30) };
        let ages = Arc::default();
        let ask = async || {
            let deadline = Deadline::new(tokio::time::Instant::now(), Duration::from_secs(5));
            match ask(path.clone(), &check, &ages, deadline).await {
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

    #[test]
    fn a_file_from_the_future_gets_older_all_the_same() {
        let (path, ages) = (Path::new("/run/verdict"), Ages::default());
        let (clock, instant) = (SystemTime::now(), Instant::now());
        let seconds = Duration::from_secs;
        assert_eq!(ages.of(path, clock, (clock + seconds(1), instant)), seconds(1));
        // The clock is set back by an hour.
        let later = |after| (clock + seconds(after) - seconds(3_600), instant + seconds(after - 1));
        assert_eq!(ages.of(path, clock, later(31)), seconds(31));
        assert_eq!(ages.of(path, clock, later(3_700)), seconds(3_700));
        // Written anew, by the clock as it is now.
        let written = clock - seconds(2_000);
        assert_eq!(ages.of(path, written, later(1_600)), Duration::ZERO);
        assert_eq!(ages.of(path, written, later(1_610)), seconds(10));
    }
}
