//! Lists of posts: pushed onto by fan-out, read, and rebuilt when they are gone.
//!
//! A list's elements, in any order but for the first; posts are pushed at its end, where that costs least:
//!
//! | element | means |
//! |---|---|
//! | `?` and a token | the first: the list is being rebuilt by the one who knows the token |
//! | `-` and 8 bytes | the floor: posts up to this id may be missing (see [`PostWindow`]) |
//! | `.` | there is no floor; here because Redis has no empty lists |
//! | `@merged:<author>` | the author's own list is to be merged in |
//! | 8 bytes | the id of a post |

use std::sync::LazyLock;

use redis::Script;

use super::lease::Lease;
use super::{Cache, Error, count_trip};
use crate::domain::{PostId, PostWindow, UserId};
use crate::planted::planted;

/// The lifetime of a list, read or not: a day. Whatever went wrong with it (a cache that lost some writes at a failover, a
/// change whose consumer could not reach the cache) is right again within that time.
pub(super) const TTL_SECONDS: u64 = 24 * 60 * 60;
/// The time that a rebuild may take before another may start.
pub(super) const REBUILD_SECONDS: u64 = 15;
/// A list is trimmed only when it is too long by a seventh, so that most pushes cost one command.
const SLACK: usize = 7;
/// The most authors that are merged into a feed in the cache. Users who follow more of them read from the store, where a
/// hundred cost one read: each merged here is another list to ask for, with every page.
pub const MOST_MERGED: usize = 200;

const MERGED: &str = "@merged:";

/// `settle` makes a list what it means: everything else, once, then the newest `cap` distinct ids above the floor,
/// oldest first. Ids are compared as two 32-bit numbers, because a double holds 53 bits, and Lua's comparison of
/// strings follows the server's locale.
const SETTLE: &str = "\
local function id(raw) local hi, lo = struct.unpack('>I4I4', raw) return {hi, lo, raw} end \
local function newer(a, b) if a[1] ~= b[1] then return a[1] > b[1] end return a[2] > b[2] end \
local function settle(key, cap, millis, placeholder) \
  local seen, ids, first, others, floor = {}, {}, 1, {}, nil \
  for _, raw in ipairs(redis.call('LRANGE', key, 0, -1)) do \
    if not seen[raw] then \
      seen[raw] = true \
      local kind = string.byte(raw) \
      if #raw == 8 then ids[#ids + 1] = id(raw) \
      elseif kind == 64 then others[#others + 1] = raw \
      elseif kind == 45 then \
        local at = id(string.sub(raw, 2)) \
        if not floor or newer(at, floor) then floor = at end \
      end \
    end \
  end \
  table.sort(ids, function(a, b) return newer(b, a) end) \
  while floor and ids[first] and not newer(ids[first], floor) do first = first + 1 end \
  if #ids - first >= cap then floor = ids[#ids - cap] first = #ids - cap + 1 end \
  local kept = {placeholder} \
  if floor then kept[#kept + 1] = '-' .. floor[3] elseif not placeholder then kept[1] = '.' end \
  for _, other in ipairs(others) do kept[#kept + 1] = other end \
  for at = first, #ids do kept[#kept + 1] = ids[at][3] end \
  redis.call('DEL', key) \
  redis.call('RPUSH', key, unpack(kept)) \
  redis.call('PEXPIRE', key, millis) \
end ";

/// Cuts a list back. A placeholder stays one. Mostly the ids at the beginning are in order, and older than those
/// behind them: then they are dropped as they are, the last of them is the floor, and sorting is saved.
static CUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{SETTLE} \
         local key, cap = KEYS[1], tonumber(ARGV[1]) \
         local length = redis.call('LLEN', key) \
         if length <= cap then return 0 end \
         local list = redis.call('LRANGE', key, 0, length - cap) \
         local lead = 0 \
         while list[lead + 1] and #list[lead + 1] ~= 8 do lead = lead + 1 end \
         local count = #list - lead \
         if count <= 1 then return 0 end \
         local joined = table.concat(list, '', lead + 1) \
         local rising = #joined == 8 * count \
         if rising then \
           local words = {{struct.unpack('>' .. string.rep('I4', 2 * count), joined)}} \
           local hi, lo = words[1], words[2] \
           for at = 3, 2 * count, 2 do \
             local next_hi, next_lo = words[at], words[at + 1] \
             if next_hi < hi or (next_hi == hi and next_lo <= lo) then rising = false break end \
             hi, lo = next_hi, next_lo \
           end \
         end \
         local placeholder = list[1] \
         if string.byte(placeholder) ~= 63 then placeholder = nil end \
         if not rising then \
           local ttl = redis.call('PTTL', key) \
           if ttl < 0 then return 0 end \
           settle(key, cap, math.max(ttl, 1), placeholder) \
           return 1 \
         end \
         local floor, first = id(list[#list - 1]), {{}} \
         for at = lead, 1, -1 do \
           local kind = string.byte(list[at]) \
           if kind == 45 then \
             local before = id(string.sub(list[at], 2)) \
             if newer(before, floor) then floor = before end \
           elseif kind == 64 then first[#first + 1] = list[at] end \
         end \
         first[#first + 1] = '-' .. floor[3] \
         first[#first + 1] = placeholder \
         redis.call('LTRIM', key, length - cap, -1) \
         redis.call('LPUSH', key, unpack(first)) \
         return 1"
    ))
});
/// Starts a rebuild, unless the list is there, and all that belongs to it (0), or somebody is at it (-1).
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local first = redis.call('LINDEX', KEYS[1], 0) \
         if first then \
           if string.byte(first) == 63 then return -1 end \
           if not KEYS[2] or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end \
         end \
         redis.call('DEL', unpack(KEYS)) \
         redis.call('RPUSH', KEYS[1], ARGV[1]) \
         redis.call('EXPIRE', KEYS[1], ARGV[2]) \
         return 1",
    )
});
/// Ends a rebuild: what was pushed meanwhile is kept, and what belongs to the list takes its place. Nothing, if
/// the placeholder is gone.
static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{SETTLE} \
         if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end \
         for i = 4, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end \
         if KEYS[2] then \
           redis.call('RENAME', KEYS[3], KEYS[2]) \
           redis.call('EXPIRE', KEYS[2], ARGV[3]) \
         end \
         settle(KEYS[1], tonumber(ARGV[2]), 1000 * tonumber(ARGV[3]), nil) \
         return 1"
    ))
});

/// The answer to a request to rebuild a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuild {
    /// It is ours: read the store, then finish.
    Ours(Lease),
    /// Somebody else is rebuilding it: it will be here soon.
    Others,
    /// The list is here.
    Done,
}

/// A list of posts, and the authors whose timelines are to be merged into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostsAndMerged {
    /// The posts.
    pub posts: PostWindow,
    /// Authors whose posts are not in it.
    pub merged: Vec<UserId>,
}

impl PostsAndMerged {
    /// Reads a list's elements; `None` if the list is not there, or not yet.
    pub(super) fn read(list: &[Vec<u8>]) -> Option<Self> {
        if list.first()?.first() == Some(&b'?') {
            return None;
        }
        let id = |raw: &[u8]| PostId::at_position(raw);
        let floors = list.iter().filter_map(|raw| id(raw.strip_prefix(b"-")?));
        let mut merged: Vec<UserId> = list
            .iter()
            .filter_map(|raw| std::str::from_utf8(raw.strip_prefix(MERGED.as_bytes())?).ok())
            .filter_map(|author| UserId::parse(author).ok())
            .collect();
        merged.sort_unstable();
        merged.dedup();
        Some(Self {
            posts: PostWindow::new(
                list.iter().filter_map(|raw| id(raw)).collect(),
                floors.max(),
            ),
            merged,
        })
    }

    fn elements(&self) -> Vec<Vec<u8>> {
        let ids = self.posts.ids().iter().map(|&post| element(post));
        let floor = self
            .posts
            .floor()
            .map(|floor| [b"-", &element(floor)[..]].concat());
        let merged = self.merged.iter().map(merged_mark);
        ids.chain(floor).chain(merged).collect()
    }
}

/// A post as an element.
pub(super) fn element(post: PostId) -> Vec<u8> {
    post.0.to_bytes().to_vec()
}

/// The element that has an author's own list merged in.
pub(super) fn merged_mark(author: &UserId) -> Vec<u8> {
    format!("{MERGED}{author}").into_bytes()
}

impl Cache {
    /// The length at which a list is trimmed.
    pub(super) fn trim_at(&self) -> usize {
        self.feed_length
            .saturating_add(self.feed_length.div_ceil(SLACK))
    }

    /// Trims a list that has become too long.
    pub(super) async fn trim(&self, list: &str) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let mut cut = CUT.key(list);
        cut.arg(self.feed_length);
        Ok(cut.invoke_async(&mut connection).await?)
    }

    /// Starts to rebuild the list of the first key; the other keys are what belongs to it.
    pub(super) async fn begin(&self, keys: &[String]) -> Result<Rebuild, Error> {
        count_trip();
        let lease = Lease::new();
        let mut begin = BEGIN.arg(lease.token());
        begin.arg(REBUILD_SECONDS);
        for key in keys {
            begin.key(key);
        }
        let mut connection = self.connection.clone();
        Ok(match begin.invoke_async(&mut connection).await? {
            1 => Rebuild::Ours(lease),
            0 => Rebuild::Done,
            _ => Rebuild::Others,
        })
    }

    /// Puts a rebuilt list in its place. Returns whether it is there; it is not if its sources changed meanwhile, or the
    /// cache lost the placeholder.
    pub(super) async fn commit(
        &self,
        keys: &[String],
        lease: &Lease,
        list: &PostsAndMerged,
        seconds: u64,
    ) -> Result<bool, Error> {
        let elements = list.elements();
        count_trip();
        if planted("rebuild-forgets") {
            let mut trim = redis::cmd("LTRIM");
            trim.arg(keys.first()).arg(0).arg(0);
            self.send::<()>(trim).await?;
        }
        let mut commit = COMMIT.arg(lease.token());
        commit.arg(self.feed_length).arg(seconds);
        for key in keys {
            commit.key(key);
        }
        for element in elements {
            commit.arg(element);
        }
        let mut connection = self.connection.clone();
        Ok(commit.invoke_async::<i64>(&mut connection).await? == 1)
    }
}
