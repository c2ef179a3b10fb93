//! `GET /v1/search`: finds objects in the index, and shows them as the store has them.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router};
use purrline::cache::Cache;
use purrline::domain::{
    BadCursor, CatId, CatView, Cursor, ImageHost, Invalid, Limit, Page, PostId, PostView,
    SearchPage, SearchText, SearchType, Segment, Subject, Tag, TagView, UserId, UserView,
    present_posts,
};
use purrline::full_page::full_page;
use purrline::http::routes::SEARCH;
use purrline::http::{self, Caller, Problem, Query, Settings};
use purrline::search::{Generation, Hit, Position, Search};
use purrline::store::{Readable, Store};
use purrline::{aws, env, log};

/// The number of posts up to which a tag is shown only to callers who may see one of its posts. A tag with more posts
/// is shown to everybody.
const FEW_POSTS: u8 = 8;

struct App {
    store: Store,
    search: Search,
    images: ImageHost,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), http::Error> {
    log::init();
    let config = aws::config().await;
    let app = App {
        store: Store::from_env(&config)?,
        search: Search::from_env(&config)?,
        images: ImageHost::new(&env::required("MEDIA_BASE_URL")?),
    };
    let router = Router::new()
        .merge(SEARCH.handled_by(search))
        .with_state(Arc::new(app));
    let settings = Settings::from_env()?.limited_by(&Cache::from_env()?)?;
    http::run(router, settings).await
}

/// The start of a page: the last entry before it, and the generation of the index.
#[derive(Debug, Clone)]
struct PageStart {
    generation: u64,
    after: After,
}

#[derive(Debug, Clone)]
enum After {
    Hit(Position),
    Tag(TagView),
}

impl PageStart {
    fn parse(bytes: &[u8], kind: SearchType) -> Option<Self> {
        let (generation, after) = bytes.split_first_chunk()?;
        let after = match kind {
            SearchType::Tags => After::Tag(TagView::at_position(after)?),
            _ => After::Hit(Position::from_bytes(after)?),
        };
        Some(Self {
            generation: u64::from_be_bytes(*generation),
            after,
        })
    }

    const fn hit(&self) -> Option<Position> {
        match self.after {
            After::Hit(position) => Some(position),
            After::Tag(_) => None,
        }
    }

    const fn tag(&self) -> Option<&TagView> {
        match &self.after {
            After::Tag(tag) => Some(tag),
            After::Hit(_) => None,
        }
    }
}

async fn search(
    State(app): State<Arc<App>>,
    Caller(me): Caller,
    Query(mut fields): Query,
) -> Result<Json<SearchPage>, Problem> {
    let words = fields.required("q", SearchText::parse);
    let kind = fields.optional("type", SearchType::parse);
    let limit = fields.optional("limit", Limit::parse);
    // A cursor belongs to one search: if the search is invalid, the cursor can't be checked.
    let search = words.clone().ok().zip(kind.ok());
    let search = search.map(|(words, kind)| (words, kind.unwrap_or_default()));
    let list = search.as_ref().map_or_else(String::new, |(words, kind)| {
        format!("search/{kind:?}/{}", words.as_str())
    });
    let start = fields.optional("cursor", |cursor| match search {
        None => Ok(None),
        Some((_, kind)) => {
            let start = Cursor::open(cursor, &list)?;
            PageStart::parse(&start, kind).map(Some).ok_or(BadCursor)
        }
    });
    let (words, kind, limit, start) = fields.finish((words, kind, limit, start))?;
    let start = start.flatten();
    let generation = match &start {
        None => app.search.newest().await?,
        Some(start) => {
            let generation = app.search.generation(start.generation).await?;
            // Another generation has another order.
            let gone = || Invalid::one("/cursor", "is too old: search again");
            Some(generation.ok_or_else(gone)?)
        }
    };
    let kind = kind.unwrap_or_default();
    // Nothing was ever indexed.
    let Some(generation) = generation else {
        return Ok(Json(SearchPage::empty(kind)));
    };
    let request = SearchRequest {
        app: &app,
        me: &me,
        list: &list,
        words: &words,
        size: limit.unwrap_or_default().get(),
        generation: &generation,
    };
    let after = start.as_ref().and_then(PageStart::hit);
    Ok(Json(match kind {
        SearchType::Posts => SearchPage::Posts(request.posts(after).await?),
        SearchType::Users => SearchPage::Users(request.users(after).await?),
        SearchType::Cats => SearchPage::Cats(request.cats(after).await?),
        SearchType::Tags => {
            let after = start.as_ref().and_then(PageStart::tag);
            SearchPage::Tags(request.tags(after).await?)
        }
    }))
}

/// A search, and the generation of the index that answers it.
#[derive(Clone, Copy)]
struct SearchRequest<'a> {
    app: &'a App,
    me: &'a UserId,
    list: &'a str,
    words: &'a SearchText,
    size: usize,
    generation: &'a Generation,
}

impl SearchRequest<'_> {
    async fn posts(self, after: Option<Position>) -> Result<Page<PostView>, Problem> {
        let views = full_page(self.size, after, |after, most| async move {
            let hits = self.generation.posts(self.words, after, most)?;
            let (ids, positions) = split(&hits, |subject| match subject {
                Subject::Post(id) => Some(*id),
                _ => None,
            });
            let (known, visibility) = self.app.store.hydrate(self.me, &ids).await?;
            let visible = visibility.visible_posts(&ids, &known.posts);
            let views = present_posts(visible, &known, &self.app.images);
            let placed = |view: PostView| {
                let position = *positions.get(&view.id)?;
                Some((view, position))
            };
            Ok::<_, Problem>(Segment {
                items: views.into_iter().filter_map(placed).collect(),
                end: end(&hits, most),
            })
        })
        .await?;
        Ok(Page::new(self.list, views, |position| {
            self.encode(position)
        }))
    }

    async fn users(self, after: Option<Position>) -> Result<Page<UserView>, Problem> {
        let views = full_page(self.size, after, |after, most| async move {
            let hits = self.generation.users(self.words, after, most)?;
            let (ids, positions) = split(&hits, |subject| match subject {
                Subject::User(id) => Some(id.clone()),
                _ => None,
            });
            let store = &self.app.store;
            let (visibility, relations) = futures::try_join!(
                store.visibility_on_page(self.me, &ids),
                store.readable_relations(self.me, &ids)
            )?;
            let view = |id: &UserId| {
                let profile = visibility.existing(id)?.clone();
                let view = profile.view(relations.to(id), &self.app.images);
                Some((view, *positions.get(id)?))
            };
            Ok::<_, Problem>(Segment {
                items: ids.iter().filter_map(view).collect(),
                end: end(&hits, most),
            })
        })
        .await?;
        Ok(Page::new(self.list, views, |position| {
            self.encode(position)
        }))
    }

    async fn cats(self, after: Option<Position>) -> Result<Page<CatView>, Problem> {
        let views = full_page(self.size, after, |after, most| async move {
            let hits = self.generation.cats(self.words, after, most)?;
            let (ids, positions) = split(&hits, |subject| match subject {
                Subject::Cat(id) => Some(*id),
                _ => None,
            });
            let store = &self.app.store;
            let mut cats = store.readable_cats(&ids).await?;
            let owners: HashSet<UserId> = cats.values().map(|cat| cat.owner.clone()).collect();
            let owners: Vec<UserId> = owners.into_iter().collect();
            let visibility = store.visibility_on_page(self.me, &owners).await?;
            let mut view = |id: &CatId| {
                let cat = cats
                    .remove(id)
                    .filter(|cat| visibility.allows(&cat.owner))?;
                Some((cat.view(&self.app.images), *positions.get(id)?))
            };
            Ok::<_, Problem>(Segment {
                items: ids.iter().filter_map(&mut view).collect(),
                end: end(&hits, most),
            })
        })
        .await?;
        Ok(Page::new(self.list, views, |position| {
            self.encode(position)
        }))
    }

    async fn tags(self, after: Option<&TagView>) -> Result<Page<TagView>, Problem> {
        let tags = full_page(self.size, after.cloned(), |after, most| async move {
            let tags = self.generation.tags(self.words, after.as_ref(), most)?;
            let end = tags.last().cloned().filter(|_| tags.len() == most);
            let tags = self.visible_tags(tags).await?;
            Ok::<_, Problem>(Segment::new(tags, end, TagView::clone))
        })
        .await?;
        Ok(Page::new(self.list, tags, |tag| {
            [self.number().as_slice(), &tag.to_position()].concat()
        }))
    }

    /// Returns the tags that the caller may know of: those with many posts, and those with a post that the caller may
    /// see. Counts are the same for everybody.
    async fn visible_tags(self, mut tags: Vec<TagView>) -> Result<Vec<TagView>, Problem> {
        let few = tags.iter().filter(|tag| tag.posts <= u64::from(FEW_POSTS));
        let posts = |tag: &TagView| {
            let posts = self.generation.tagged(&tag.tag, FEW_POSTS.into())?;
            Ok::<_, Problem>((tag.tag.clone(), posts))
        };
        let few: HashMap<Tag, Vec<PostId>> = few.map(posts).collect::<Result<_, _>>()?;
        // For most tags, it is enough to look at the newest post.
        let newest = few.values().filter_map(|posts| posts.first());
        let mut visible = self.tags_of_visible(newest).await?;
        let hidden = few.iter().filter(|(tag, _)| !visible.contains(*tag));
        let others = hidden.flat_map(|(_, posts)| posts.iter().skip(1));
        visible.extend(self.tags_of_visible(others).await?);
        tags.retain(|tag| tag.posts > u64::from(FEW_POSTS) || visible.contains(&tag.tag));
        Ok(tags)
    }

    /// Returns the tags of those posts that the caller may see.
    async fn tags_of_visible(
        self,
        posts: impl Iterator<Item = &PostId>,
    ) -> Result<HashSet<Tag>, Problem> {
        let posts: HashSet<PostId> = posts.copied().collect();
        if posts.is_empty() {
            return Ok(HashSet::new());
        }
        let posts: Vec<PostId> = posts.into_iter().collect();
        let store = &self.app.store;
        // A post that can't be read at present may hide its tag, but doesn't fail the page.
        let Readable { found: posts, .. } = store.readable_posts(&posts).await?;
        let authors: HashSet<UserId> = posts.values().map(|post| post.author.clone()).collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let visibility = store.visibility_on_page(self.me, &authors).await?;
        let visible = posts
            .values()
            .filter(|post| visibility.allows(&post.author));
        Ok(visible.flat_map(|post| post.tags()).collect())
    }

    fn number(self) -> [u8; 8] {
        self.generation.number().to_be_bytes()
    }

    fn encode(self, position: &Position) -> Vec<u8> {
        [self.number().as_slice(), &position.to_bytes()].concat()
    }
}

/// Returns the ids of the hits, in order, and their positions.
fn split<I: Clone + Eq + Hash>(
    hits: &[Hit],
    id: impl Fn(&Subject) -> Option<I>,
) -> (Vec<I>, HashMap<I, Position>) {
    let placed = |hit: &Hit| id(&hit.subject).map(|id| (id, hit.position));
    let placed: Vec<(I, Position)> = hits.iter().filter_map(placed).collect();
    let ids = placed.iter().map(|(id, _)| id.clone()).collect();
    (ids, placed.into_iter().collect())
}

/// Returns the position after which the next segment begins, if there may be one.
fn end(hits: &[Hit], most: usize) -> Option<Position> {
    let last = hits.last().filter(|_| hits.len() == most);
    last.map(|hit| hit.position)
}
