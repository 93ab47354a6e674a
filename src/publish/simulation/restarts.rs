//! A server that starts again from its disk, at once or after a while.

use std::time::Duration;

use super::Simulation;
use super::server::Server;

impl Simulation {
    /// The same files, and what the disk has kept: no answer may change.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        if !self.can_start() {
            return Ok(());
        }
        let now = self.now();
        self.server.due(self.at, now);
        let before = self.answers()?;
        self.end();
        self.begin()?;
        let after = self.answers()?;
        for (key, answer) in &before {
            if after.get(key) != Some(answer) {
                return Err(format!("the restart changed {key:?}: {answer:?}, now {:?}", after.get(key)));
            }
        }
        self.look(None)
    }

    /// Nobody is there for a while. The clock may be set meanwhile, and no server sees by how much.
    pub(super) fn go_away(&mut self) -> Result<(), String> {
        if !self.can_start() {
            return Ok(());
        }
        self.end();
        let gone = Duration::from_millis(self.random.between(500..=15_000));
        self.at += gone;
        let by = self.random.between(20_000..=7_200_000);
        let mut left = None;
        match self.random.below(3) {
            0 => {}
            1 => {
                self.set_by += by as i64;
                self.history.clock_set_forward();
                self.words.clock_set_forward(self.at);
            }
            _ => {
                self.set_by -= by as i64;
                self.words.clock_set_back(self.at);
                self.words.set_back_unseen(self.at);
                self.doubts.set_back_unseen();
                self.orders.set_back_unseen(Duration::from_millis(by));
                left = Some(self.now() - gone);
            }
        }
        let now = self.now();
        self.tell(|| format!("back at {now:?} after {gone:?}"));
        self.begin()?;
        self.orders.follow(self.server.writer.status().orders().iter(), left, now)?;
        self.look(None)
    }

    /// Whether the server could start from these files and this disk.
    fn can_start(&self) -> bool {
        // The last good version of a file with errors is read under the regions that there are now:
        // it can't be, or has other chains, where a region went meanwhile. And without a good zone
        // a server doesn't start.
        !self.server.good.is_empty() && self.server.good.values().all(|good| good.lost.is_empty())
    }

    /// It ends in order, or is killed.
    fn end(&mut self) {
        if self.random.chance(30) {
            let now = self.now();
            self.server.stop(self.at, now);
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        let disk = self.server.disk.clone();
        let files = std::mem::take(&mut self.server.files);
        let Some(server) = Server::start(&self.files.texts(), disk, self.at, self.now()) else {
            return Err("it doesn't start again".to_owned());
        };
        self.server = server;
        self.server.files = files;
        self.history.restart();
        self.words.restart(self.at);
        self.doubts.restart();
        self.silences.restart();
        Ok(())
    }
}
