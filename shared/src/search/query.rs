//! Searches in one generation of the index.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{
    DocAddress, DocId, DocSet as _, Score, SegmentOrdinal, SegmentReader, TERMINATED, Term,
};

use super::Error;
use super::analysis::{self, Clause};
use super::document::{self, KEY, ORDER, subject, tag_of};
use super::reader::Generation;
use crate::domain::{PostId, SearchText, Subject, Tag, TagView};

/// The age difference, in milliseconds, that counts as much as matching twice as well: half a year.
const HALVED_BY: f64 = 182.0 * 24.0 * 3600.0 * 1000.0;
/// Keeps ranks above 0, where a float's bits sort like the float.
const ABOVE_ZERO: f64 = 64.0;
/// The weight of a match with a whole word of a name, in addition to that of its beginning.
const WHOLE: Score = 2.0;

/// A place in the order of results: greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    rank: u32,
    order: u64,
}

impl Position {
    /// Returns the position as 12 bytes.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (rank, order) = bytes.split_at_mut(4);
        rank.copy_from_slice(&self.rank.to_be_bytes());
        order.copy_from_slice(&self.order.to_be_bytes());
        bytes
    }

    /// Parses a position from its 12 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rank, order) = bytes.split_first_chunk()?;
        Some(Self {
            rank: u32::from_be_bytes(*rank),
            order: u64::from_be_bytes(order.try_into().ok()?),
        })
    }
}

/// A search result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The subject that was found.
    pub subject: Subject,
    /// The place in the order of results.
    pub position: Position,
}

impl Generation {
    /// Returns the generation's number.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns posts whose text has all of the words: the best after this position, at most `most`.
    pub fn posts(
        &self,
        words: &SearchText,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Hit>, Error> {
        let field = self.fields.text;
        let clause = |clause| -> Box<dyn Query> {
            match clause {
                Clause::Term(word) => term(field, &word),
                Clause::Phrase(pairs) => {
                    let terms = pairs.iter().map(|pair| Term::from_field_text(field, pair));
                    Box::new(PhraseQuery::new(terms.collect()))
                }
                Clause::Any(words) => {
                    let any = words.iter().map(|word| (Occur::Should, term(field, word)));
                    Box::new(BooleanQuery::new(any.collect()))
                }
            }
        };
        let clauses = analysis::clauses(words.as_str());
        let all = clauses.into_iter().map(|it| (Occur::Must, clause(it)));
        self.find(all.collect(), true, after, most)
    }

    /// Returns users whose name or handle has, for each of the words, a word that begins with it; adjacent Korean words
    /// may also match as one.
    pub fn users(
        &self,
        words: &SearchText,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Hit>, Error> {
        self.named(self.fields.user, words, after, most)
    }

    /// Returns cats whose name or breed has, for each of the words, a word that begins with it; adjacent Korean words
    /// may also match as one.
    pub fn cats(
        &self,
        words: &SearchText,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Hit>, Error> {
        self.named(self.fields.cat, words, after, most)
    }

    fn named(
        &self,
        field: Field,
        words: &SearchText,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Hit>, Error> {
        let typed = analysis::typed(words.as_str());
        let each = |words: &[String]| -> Vec<(Occur, Box<dyn Query>)> {
            let clauses = words.iter().flat_map(|word| {
                let begins = document::beginning(analysis::beginning(word));
                let whole = BoostQuery::new(term(field, &document::whole(word)), WHOLE);
                let whole: Box<dyn Query> = Box::new(whole);
                [(Occur::Must, term(field, &begins)), (Occur::Should, whole)]
            });
            clauses.collect()
        };
        let joined = analysis::joined(&typed);
        let clauses = if joined.len() == typed.len() {
            each(&typed)
        } else {
            [each(&typed), each(&joined)]
                .map(|way| -> (Occur, Box<dyn Query>) {
                    (Occur::Should, Box::new(BooleanQuery::new(way)))
                })
                .into()
        };
        self.find(clauses, false, after, most)
    }

    fn find(
        &self,
        clauses: Vec<(Occur, Box<dyn Query>)>,
        newer_first: bool,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Hit>, Error> {
        if clauses.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let best = Best {
            newer_first,
            after,
            most,
        };
        let found = self.searcher.search(&BooleanQuery::new(clauses), &best)?;
        let mut keys = BTreeMap::new();
        let mut hits = Vec::with_capacity(found.len());
        for (position, address) in found {
            let column = match keys.entry(address.segment_ord) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let segment = self.searcher.segment_reader(address.segment_ord);
                    let column = segment.fast_fields().str(KEY)?;
                    new.insert(column.ok_or_else(|| Error::broken("a segment has no keys"))?)
                }
            };
            let mut key = String::new();
            if let Some(ord) = column.term_ords(address.doc_id).next() {
                column.ord_to_str(ord, &mut key)?;
            }
            let subject = subject(&key).ok_or_else(|| Error::broken("a document has no key"))?;
            hits.push(Hit { subject, position });
        }
        Ok(hits)
    }

    /// Returns posts with the tag, newest first, at most `most`.
    pub fn tagged(&self, tag: &Tag, most: usize) -> Result<Vec<PostId>, Error> {
        let tag = term(self.fields.tags, &document::tag_term(tag));
        let hits = self.find(vec![(Occur::Must, tag)], true, None, most)?;
        let posts = hits.into_iter().filter_map(|hit| match hit.subject {
            Subject::Post(id) => Some(id),
            _ => None,
        });
        Ok(posts.collect())
    }

    /// Returns the tags that begin with these words, at most `most` after this one: an exact match first, then those
    /// with the most posts.
    pub fn tags(
        &self,
        words: &SearchText,
        after: Option<&TagView>,
        most: usize,
    ) -> Result<Vec<TagView>, Error> {
        let mut beginning = String::new();
        for word in analysis::typed(words.as_str()) {
            beginning.push_str(&word);
        }
        if beginning.is_empty() {
            return Ok(Vec::new());
        }
        let mut posts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for segment in self.searcher.segment_readers() {
            let index = segment.inverted_index(self.fields.tags)?;
            let mut terms = index
                .terms()
                .range()
                .ge(beginning.as_bytes())
                .into_stream()?;
            while terms.advance() && terms.key().starts_with(beginning.as_bytes()) {
                let count = match segment.alive_bitset() {
                    None => terms.value().doc_freq,
                    Some(alive) => {
                        let mut postings = index
                            .read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
                        let mut count = 0;
                        let mut doc = postings.doc();
                        while doc != TERMINATED {
                            count += u32::from(alive.is_alive(doc));
                            doc = postings.advance();
                        }
                        count
                    }
                };
                if count > 0 {
                    *posts.entry(terms.key().to_vec()).or_default() += u64::from(count);
                }
            }
        }
        let place = |view: &TagView| {
            let whole = analysis::letters(view.tag.as_str()) == beginning;
            (!whole, Reverse(view.posts), view.tag.clone())
        };
        let after = after.map(place);
        let mut found: Vec<(_, TagView)> = posts
            .into_iter()
            .filter_map(|(term, posts)| {
                let view = TagView {
                    tag: tag_of(&term)?,
                    posts,
                };
                Some((place(&view), view))
            })
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        found.truncate(most);
        Ok(found.into_iter().map(|(_, view)| view).collect())
    }
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(
        Term::from_field_text(field, text),
        IndexRecordOption::WithFreqs,
    ))
}

/// A collector of the best documents after a position.
#[derive(Debug, Clone, Copy)]
struct Best {
    newer_first: bool,
    after: Option<Position>,
    most: usize,
}

impl Best {
    fn position(self, score: Score, order: u64) -> Position {
        let mut rank = f64::from(score.max(Score::MIN_POSITIVE)).log2() + ABOVE_ZERO;
        if self.newer_first {
            #[expect(
                clippy::cast_precision_loss,
                clippy::as_conversions,
                reason = "a time of day matters"
            )]
            let at = document::written_at(order) as f64;
            rank += (at - EPOCH) / HALVED_BY;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::as_conversions,
            reason = "from 0 to a few hundred"
        )]
        let rank = rank.max(0.0) as f32;
        Position {
            rank: rank.to_bits(),
            order,
        }
    }
}

/// The time from which posts' ages are counted, so that ranks are small: the start of 2024.
const EPOCH: f64 = 1_704_067_200_000.0;

struct BestOfSegment {
    best: Best,
    segment: SegmentOrdinal,
    orders: Column<u64>,
    /// A heap with the worst document on top.
    found: BinaryHeap<Reverse<(Position, DocId)>>,
}

impl Collector for Best {
    type Fruit = Vec<(Position, DocAddress)>;
    type Child = BestOfSegment;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<BestOfSegment> {
        Ok(BestOfSegment {
            best: *self,
            segment,
            orders: reader.fast_fields().u64(ORDER)?,
            found: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        let mut all: Vec<_> = fruits.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(position, address)| (Reverse(*position), *address));
        all.truncate(self.most);
        Ok(all)
    }
}

impl SegmentCollector for BestOfSegment {
    type Fruit = Vec<(Position, DocAddress)>;

    fn collect(&mut self, doc: DocId, score: Score) {
        let order = self.orders.first(doc).unwrap_or_default();
        let position = self.best.position(score, order);
        if self.best.after.is_some_and(|after| position >= after) {
            return;
        }
        if self.found.len() < self.best.most {
            self.found.push(Reverse((position, doc)));
        } else if let Some(mut worst) = self.found.peek_mut()
            && worst.0 < (position, doc)
        {
            *worst = Reverse((position, doc));
        }
    }

    fn harvest(self) -> Self::Fruit {
        let address = |doc| DocAddress::new(self.segment, doc);
        self.found
            .into_iter()
            .map(|Reverse((position, doc))| (position, address(doc)))
            .collect()
    }
}
