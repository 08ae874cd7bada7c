//! The random numbers of the seed: one fixed stream that is the same on every machine, in every release and at
//! every anchor.
//!
//! Only the raw 32-bit outputs of PCG32, an algorithm with a published definition, are taken from a library.
//! Ranges are made of them here, because the distributions of `rand` may change their values between versions.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// Changing this changes every generated value of a fresh seed; rows already written keep theirs.
const SEED: u64 = 0x0471_1F4A_5EED;

const STREAM: u64 = 54;

/// A stream of random numbers.
pub(crate) struct Random(Pcg32);

impl Random {
    /// The stream of the platform's example data, from its beginning.
    pub(crate) fn new() -> Self {
        Self(Pcg32::new(SEED, STREAM))
    }

    /// A stream of its own for every seed and number.
    pub(crate) fn stream(seed: u64, number: u64) -> Self {
        Self(Pcg32::new(seed, number))
    }

    /// A number from 0 up to but not including 1, of 2^32 equally likely ones.
    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// A number from `low` up to but not including `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number from `low` to `high`, both included; the ranges are so small that the bias does not matter.
    pub(crate) fn whole(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high - low) + 1;
        low + ((u64::from(self.0.next_u32()) * span) >> 32) as u32
    }

    /// A number around zero, mostly within `spread` and never beyond three times as much: the sum of three uniform
    /// ones, because a true normal distribution takes functions that differ in the last bit between machines.
    pub(crate) fn around_zero(&mut self, spread: f64) -> f64 {
        (self.unit() + self.unit() + self.unit() - 1.5) * 2.0 * spread
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_pcg32_as_published() {
        let mut demo = Random(Pcg32::new(42, 54));
        let outputs: Vec<u32> = (0..6).map(|_| demo.0.next_u32()).collect();
        assert_eq!(outputs, [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e]);
    }

    #[test]
    fn the_stream_begins_with_the_same_values_for_ever() {
        let mut random = Random::new();
        let whole: Vec<u32> = (0..8).map(|_| random.whole(1, 100)).collect();
        assert_eq!(whole, [57, 41, 4, 67, 26, 96, 53, 4]);
        let between: Vec<f64> = (0..3).map(|_| random.between(-0.05, 0.05)).collect();
        assert_eq!(between, [0.014568122359924024, -0.0016433944692835212, 0.029365913826040924]);
        assert!(!random.chance(0.0));
    }
}
