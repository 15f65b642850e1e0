//! Random histories against a model: a map of what must be there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Begin { label_bytes: usize },
    Progress { which: usize, tokens: u64 },
    Target { which: usize },
    Close { which: usize },
    Drop { which: usize },
    Ship { max: usize, acknowledge: bool },
    Crash,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![5 => Just(0), 1 => 0..5_000usize].prop_map(|label_bytes| Step::Begin { label_bytes }),
        4 => (any::<usize>(), 0..1_000u64).prop_map(|(which, tokens)| Step::Progress { which, tokens }),
        2 => any::<usize>().prop_map(|which| Step::Target { which }),
        5 => any::<usize>().prop_map(|which| Step::Close { which }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => (1..20usize, any::<bool>()).prop_map(|(max, acknowledge)| Step::Ship { max, acknowledge }),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// What is known of a record that was begun.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    tokens: Option<u64>,
    target: Option<String>,
    ended: Ended,
}

/// The journal beside the model.
struct World {
    dir: tempfile::TempDir,
    journal: Option<Journal>,
    open: Vec<(String, Slot)>,
    model: BTreeMap<String, Known>,
    shipped: BTreeMap<String, Known>,
    last_sequence: u64,
    begun: u32,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Some(open(dir.path()));
        Self {
            dir,
            journal,
            open: Vec::new(),
            model: BTreeMap::new(),
            shipped: BTreeMap::new(),
            last_sequence: 0,
            begun: 0,
        }
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Begin { label_bytes } => self.begin(*label_bytes),
            Step::Progress { which, tokens } => self.touch(*which, |slot, known| {
                slot.progress(&Progress { output_tokens: Some(*tokens), ..Progress::default() });
                known.tokens = Some(*tokens);
            }),
            Step::Target { which } => self.touch(*which, |slot, known| {
                let target = format!("target-{which}");
                slot.target(&TargetPart { target: Some(&target), ..TargetPart::default() });
                known.target = Some(target);
            }),
            Step::Close { which } => self.end(*which, Ended::Complete),
            Step::Drop { which } => self.end(*which, Ended::Error),
            Step::Ship { max, acknowledge } => self.ship(*max, *acknowledge),
            Step::Crash => self.crash(),
            Step::Restart => self.restart(),
        }
    }

    fn begin(&mut self, label_bytes: usize) {
        self.begun += 1;
        let (id, label) = (format!("req_{}", self.begun), "x".repeat(label_bytes));
        let labels = [("label", label.as_str())];
        let head = RecordHead { labels: &labels[..usize::from(label_bytes > 0)], ..head(&id) };
        let slot = match self.journal().begin(&head) {
            Ok(slot) => slot,
            Err(error) => {
                assert_eq!(error.code(), "journal_full");
                return;
            }
        };
        let known = Known { tokens: None, target: None, ended: Ended::GatewayLost };
        self.model.insert(id.clone(), known);
        self.open.push((id, slot));
    }

    fn touch(&mut self, which: usize, change: impl FnOnce(&mut Slot, &mut Known)) {
        if !self.open.is_empty() {
            let which = which % self.open.len();
            let (id, slot) = &mut self.open[which];
            change(slot, self.model.get_mut(id).unwrap());
        }
    }

    fn end(&mut self, which: usize, ended: Ended) {
        if self.open.is_empty() {
            return;
        }
        let (id, slot) = self.open.swap_remove(which % self.open.len());
        let known = self.model.get_mut(&id).unwrap();
        known.ended = ended;
        if ended == Ended::Complete {
            let progress = Progress { output_tokens: known.tokens, ..Progress::default() };
            let sequence = slot.close(&Outcome::new(Ended::Complete, progress));
            assert!(sequence > self.last_sequence);
            self.last_sequence = sequence;
        }
    }

    fn ship(&mut self, max: usize, acknowledge: bool) {
        self.journal().flush().unwrap();
        let batch = self.journal().next_batch(max);
        assert!(batch.is_sorted_by(|a, b| a.sequence < b.sequence));
        if acknowledge && let Some(last) = batch.last() {
            self.journal().acknowledge(last.sequence);
            for record in batch {
                let known = self.model.remove(&record.id).unwrap();
                assert_eq!(known, seen(&record));
                assert_eq!(self.shipped.insert(record.id, known), None, "shipped twice");
            }
        }
    }

    /// Go on from the files as they are in the middle of everything.
    fn crash(&mut self) {
        let copy = crash_copy(self.dir.path());
        self.open.clear();
        self.journal = None;
        self.dir = copy;
        self.journal = Some(open(self.dir.path()));
    }

    fn restart(&mut self) {
        while !self.open.is_empty() {
            self.end(0, Ended::Error);
        }
        self.journal = None;
        self.journal = Some(open(self.dir.path()));
    }

    /// All that was begun and not acknowledged is there, once, as it was left.
    fn check(mut self) {
        self.crash();
        self.journal().flush().unwrap();
        let found: Vec<(String, Known)> = self
            .journal()
            .next_batch(usize::MAX)
            .iter()
            .map(|record| (record.id.clone(), seen(record)))
            .collect();
        let distinct: BTreeMap<String, Known> = found.iter().cloned().collect();

        assert_eq!(found.len(), distinct.len(), "a record came twice");
        assert_eq!(distinct, self.model);
        assert_eq!(self.journal().status().recovered.torn, 0);
    }
}

fn seen(record: &UsageRecord) -> Known {
    Known { tokens: record.output_tokens, target: record.target.clone(), ended: record.ended }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order: every record once, with what was last said of it.
    #[test]
    fn a_history_leaves_every_record_exactly_once(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.check();
    }
}
