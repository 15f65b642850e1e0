//! Inputs made of seeds: cut, joined, and changed in a few places. Equal seeds give equal inputs.

/// Pieces that parsers of JSON and of events stumble over.
const PIECES: [&[u8]; 22] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"null",
    b"-0",
    b"1e999",
    b"18446744073709551616",
    b"\n\n",
    b"\r\n\r\n",
    b"\r",
    b"data: ",
    b"data: [DONE]\n\n",
    b": \n",
    b"\"model\":",
];

/// An endless, repeatable row of inputs.
pub(super) struct Inputs<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Inputs<'a> {
    pub(super) fn of(seeds: &'a [Vec<u8>]) -> Self {
        Self { seeds, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The next number below `bound` (xorshift64*).
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound.max(1)
    }

    fn seed(&mut self) -> Vec<u8> {
        let index = self.below(self.seeds.len());
        self.seeds[index].clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(6) {
            0 => input.truncate(at),
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap(),
            3 => {
                let end = (at + self.below(16)).min(input.len());
                input.drain(at..end);
            }
            4 => {
                let other = self.seed();
                let (from, length) = (self.below(other.len()), self.below(64));
                let part = &other[from..(from + length).min(other.len())];
                input.splice(at..at, part.iter().copied());
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
}

impl Iterator for Inputs<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.seed();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        Some(input)
    }
}
