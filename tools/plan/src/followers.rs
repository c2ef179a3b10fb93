//! The distribution of authors' follower counts: a truncated power law, plus some authors by name.
//!
//! The density of authors with `x` followers is proportional to `x` to the power of `-exponent`, between a least and a most
//! number. The least is chosen such that the mean equals the mean number of users that a user follows.

use serde::Serialize;

use crate::Error;

/// An author with a known number of followers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedAuthor {
    pub name: String,
    pub followers: f64,
}

/// The distribution.
#[derive(Debug, Clone, Serialize)]
pub struct Followers {
    exponent: f64,
    least: f64,
    most: f64,
    mean: f64,
}

impl Followers {
    /// Returns the distribution with this exponent, maximum and mean.
    pub fn new(exponent: f64, most: f64, mean: f64) -> Result<Self, Error> {
        let refuse = |option, problem: &str| {
            Err(Error::Option {
                option,
                problem: problem.to_owned(),
            })
        };
        if exponent <= 1.0 {
            return refuse("--follower-exponent", "must be above 1");
        }
        if most < mean {
            return refuse(
                "--max-followers",
                "can't be below the mean, which is --follows-held: as many follow as are followed",
            );
        }
        let with = |least| Self {
            exponent,
            least,
            most,
            mean,
        };
        // The mean grows with the least. Halved on a logarithmic scale, a hundred times is exact.
        let (mut low, mut high) = (mean * 1e-9, mean.max(1e-9));
        for _ in 0..100 {
            let middle = (low * high).sqrt();
            if with(middle).actual_mean() < mean {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(with(high))
    }

    /// Integrates the density, up to a constant factor.
    fn mass(&self, from: f64, to: f64) -> f64 {
        let power = 1.0 - self.exponent;
        (from.powf(power) - to.powf(power)) / -power
    }

    /// Integrates the followers, up to the same factor.
    fn moment(&self, from: f64, to: f64) -> f64 {
        let power = 2.0 - self.exponent;
        if power.abs() < 1e-9 {
            (to / from).ln()
        } else {
            (to.powf(power) - from.powf(power)) / power
        }
    }

    fn actual_mean(&self) -> f64 {
        if self.least >= self.most {
            return self.most;
        }
        self.moment(self.least, self.most) / self.mass(self.least, self.most)
    }

    /// Returns the share of authors with more followers than this.
    pub fn share_above(&self, followers: f64) -> f64 {
        let from = followers.clamp(self.least, self.most);
        if self.least >= self.most {
            return 0.0;
        }
        self.mass(from, self.most) / self.mass(self.least, self.most)
    }

    /// Returns the mean, over all authors, of the followers of those with at most this many: the mean number of pushes of a
    /// post.
    pub fn mean_up_to(&self, followers: f64) -> f64 {
        if self.least >= self.most {
            return if self.most <= followers {
                self.most
            } else {
                0.0
            };
        }
        let to = followers.clamp(self.least, self.most);
        self.moment(self.least, to) / self.mass(self.least, self.most)
    }

    /// Returns the share of all follows whose author has more followers than this.
    pub fn follows_above(&self, followers: f64) -> f64 {
        1.0 - (self.mean_up_to(followers) / self.actual_mean()).min(1.0)
    }

    /// Returns the largest number of followers.
    pub const fn most(&self) -> f64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn mean_of_the_distribution_is_the_given_one(exponent in 1.5..3.5_f64, mean in 1.0..500.0_f64, times in 2.0..1e5_f64) {
            let followers = Followers::new(exponent, mean * times, mean).unwrap();
            prop_assert!((followers.actual_mean() / mean - 1.0).abs() < 1e-6);
            prop_assert!((followers.mean_up_to(f64::MAX) / mean - 1.0).abs() < 1e-6);
            prop_assert!(followers.share_above(0.0) > 0.999_999);
            prop_assert!(followers.share_above(mean * times) < 1e-9);
            prop_assert!(followers.mean_up_to(mean) <= followers.mean_up_to(mean * 2.0));
        }
    }

    #[test]
    fn impossible_distributions_are_refused_by_the_option() {
        let error = Followers::new(0.5, 1e4, 100.0).unwrap_err().to_string();
        assert!(error.contains("--follower-exponent"), "{error}");
        let error = Followers::new(2.0, 10.0, 100.0).unwrap_err().to_string();
        assert!(error.contains("--max-followers"), "{error}");
    }

    #[test]
    fn all_authors_may_have_equally_many_followers() {
        let same = Followers::new(2.0, 100.0, 100.0).unwrap();
        assert!((same.mean_up_to(100.0) - 100.0).abs() < 1.0);
    }
}
