//! Plays the story: which line is due, and when the next one is. It is told what time it is.

use schedules::{Millis, Time};

use super::story::Line;

/// Where the story stands.
#[derive(Debug)]
pub struct Player {
    story: &'static [Line],
    round: Millis,
    /// When the story began.
    began: Time,
    /// When this round began.
    round_began: Time,
    /// The next line of it.
    next: usize,
}

/// A line that is due, and when it was, from the beginning of the story.
#[derive(Clone, Copy, Debug)]
pub struct Cue {
    /// The line.
    pub line: &'static Line,
    /// Since the beginning.
    pub at: Millis,
}

impl Player {
    /// A story that begins at `now`, and begins again after each `round`.
    pub fn new(story: &'static [Line], round: Millis, now: Time) -> Player {
        Player { story, round, began: now, round_began: now, next: 0 }
    }

    /// When the next line is due.
    pub fn poll_timeout(&self) -> Time {
        match self.story.get(self.next) {
            Some(line) => self.round_began + Millis::from_secs(i64::from(line.at_secs)),
            None => self.round_began + self.round,
        }
    }

    /// The next line, if it is due. None is left out, however late it is.
    pub fn poll(&mut self, now: Time) -> Option<Cue> {
        if self.next >= self.story.len() && now >= self.poll_timeout() && !self.story.is_empty() {
            self.round_began += self.round;
            self.next = 0;
        }
        let due = self.poll_timeout();
        let line = self.story.get(self.next).filter(|_| now >= due)?;
        self.next += 1;
        Some(Cue { line, at: due.since(self.began) })
    }

    /// How long the story has been going on at `now`.
    pub fn elapsed(&self, now: Time) -> Millis {
        now.since(self.began).max(Millis::ZERO)
    }
}

/// Minutes and seconds since the beginning: `00:12`.
pub fn stamp(at: Millis) -> String {
    let secs = at.0 / 1_000;
    format!("{:02}:{:02}", secs / 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use schedules::Clock;

    use super::*;
    use crate::demo::story::{Act, ROUND, STORY};

    /// What is played while the clock is turned by `secs`, a second at a time.
    fn play(player: &mut Player, clock: &Clock, secs: i64) -> Vec<(String, Act)> {
        let mut played = Vec::new();
        for _ in 0..secs {
            clock.advance(Millis::from_secs(1));
            while let Some(cue) = player.poll(clock.now()) {
                played.push((stamp(cue.at), cue.line.act));
            }
        }
        played
    }

    #[test]
    fn each_line_comes_at_its_second_and_the_story_begins_anew_after_a_round() {
        let clock = Clock::manual(Time(1_795_356_000_000));
        let mut player = Player::new(STORY, ROUND, clock.now());
        assert!(play(&mut player, &clock, 11).is_empty());
        assert_eq!(play(&mut player, &clock, 1), [("00:12".to_owned(), Act::Dies("router-mill-lane"))]);
        let round = ROUND.0 / 1_000;
        assert_eq!(play(&mut player, &clock, round - 12).len(), STORY.len() - 1);
        let again = play(&mut player, &clock, round);
        assert_eq!(again.len(), STORY.len());
        assert_eq!(again[0], ("06:12".to_owned(), Act::Dies("router-mill-lane")));
    }

    #[test]
    fn a_player_that_slept_leaves_nothing_out() {
        let clock = Clock::manual(Time(0));
        let mut player = Player::new(STORY, ROUND, clock.now());
        clock.advance(ROUND.times(2));
        let mut played = 0;
        while player.poll(clock.now()).is_some() {
            played += 1;
        }
        assert_eq!(played, 2 * STORY.len());
        assert!(player.poll_timeout() > clock.now());
    }

    #[test]
    fn minutes_do_not_stop_at_an_hour() {
        assert_eq!(stamp(Millis::from_secs(72)), "01:12");
        assert_eq!(stamp(Millis::from_secs(6_000)), "100:00");
    }
}
