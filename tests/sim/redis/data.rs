//! What Redis keeps, and what commands do to it: those that the nodes and their scripts give, no others.

use std::collections::BTreeMap;

use super::resp::Reply;

/// The id of an entry of a stream.
type Id = (u64, u64);
type Text = Vec<u8>;

#[derive(Clone, Debug)]
enum Value {
    Text(Text),
    Hash(BTreeMap<Text, Text>),
    Sorted(BTreeMap<Text, f64>),
    Stream { entries: BTreeMap<Id, Vec<Text>>, last: Id },
}

#[derive(Clone, Debug)]
struct Kept {
    value: Value,
    /// Microseconds of the clock of Redis.
    expires_at: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    keys: BTreeMap<Text, Kept>,
    /// How often something was written.
    pub(crate) writes: u64,
}

/// What is announced, and where.
pub(crate) type Announced = (Text, Text);

/// What a command needs besides what is kept.
pub(crate) struct Hand<'a> {
    /// Microseconds of the clock of Redis.
    pub(crate) now: u64,
    /// What is answered to everything that writes.
    pub(crate) refusal: Option<&'a str>,
    pub(crate) announced: &'a mut Vec<Announced>,
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, String> {
    shown(text).parse().map_err(|_| format!("ERR value is not a number: {}", shown(text)))
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t Text>) -> Reply {
    Reply::List(texts.into_iter().map(Reply::text).collect())
}

fn count(count: usize) -> Reply {
    Reply::Number(i64::try_from(count).unwrap())
}

/// A score as Redis writes it.
fn score(score: f64) -> Reply {
    Reply::text(format!("{score:.0}"))
}

macro_rules! kind {
    ($name:ident, $name_mut:ident, $variant:ident, $type:ty) => {
        fn $name(&self, key: &[u8]) -> Result<Option<&$type>, String> {
            match self.keys.get(key).map(|kept| &kept.value) {
                Some(Value::$variant(value)) => Ok(Some(value)),
                Some(_) => Err(WRONG_TYPE.into()),
                None => Ok(None),
            }
        }

        fn $name_mut(&mut self, key: &[u8]) -> Result<&mut $type, String> {
            let new = || Kept { value: Value::$variant(Default::default()), expires_at: None };
            match &mut self.keys.entry(key.to_vec()).or_insert_with(new).value {
                Value::$variant(value) => Ok(value),
                _ => Err(WRONG_TYPE.into()),
            }
        }
    };
}

impl Data {
    kind!(hash, hash_mut, Hash, BTreeMap<Text, Text>);
    kind!(sorted, sorted_mut, Sorted, BTreeMap<Text, f64>);

    fn stream(&self, key: &[u8]) -> Result<Option<&BTreeMap<Id, Vec<Text>>>, String> {
        match self.keys.get(key).map(|kept| &kept.value) {
            Some(Value::Stream { entries, .. }) => Ok(Some(entries)),
            Some(_) => Err(WRONG_TYPE.into()),
            None => Ok(None),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.writes += 1;
    }

    /// Forgets one key.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        self.writes += 1;
        self.keys.remove(key).is_some()
    }

    /// The keys that begin with this.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Text> {
        self.keys.keys()
    }

    /// A field of a hash.
    pub(crate) fn field(&self, key: &str, field: &str) -> Option<String> {
        self.hash(key.as_bytes()).ok()??.get(field.as_bytes()).map(|value| shown(value))
    }

    /// The fields of a hash.
    pub(crate) fn fields(&self, key: &str) -> Vec<(String, String)> {
        let hash = self.hash(key.as_bytes()).ok().flatten();
        hash.into_iter().flatten().map(|(name, value)| (shown(name), shown(value))).collect()
    }

    /// The entries of a stream: their numbers, and their fields by name.
    pub(crate) fn entries(
        &self,
        key: &str,
    ) -> impl DoubleEndedIterator<Item = (u64, BTreeMap<String, String>)> + '_ {
        let fields = |fields: &Vec<Text>| {
            fields.chunks(2).map(|pair| (shown(&pair[0]), shown(&pair[1]))).collect::<BTreeMap<_, _>>()
        };
        let entries = self.stream(key.as_bytes()).ok().flatten();
        entries.into_iter().flatten().map(move |(id, entry)| (id.0, fields(entry)))
    }

    /// Does what a command says.
    pub(crate) fn call(&mut self, command: &[Text], hand: &mut Hand<'_>) -> Result<Reply, String> {
        let [name, args @ ..] = command else { return Err("ERR nothing is no command".into()) };
        let now = hand.now;
        self.keys.retain(|_, kept| kept.expires_at.is_none_or(|at| at > now));
        let name = shown(name).to_ascii_uppercase();
        if let Some(reply) = self.look(&name, args, now)? {
            return Ok(reply);
        }
        if name == "SPUBLISH" {
            hand.announced.push((args[0].clone(), args[1].clone()));
            return Ok(Reply::Number(0));
        }
        if let Some(refusal) = hand.refusal {
            return Err(refusal.to_owned());
        }
        self.writes += 1;
        let reply = self.change(&name, args, now)?;
        // What is empty is not there.
        let key = &args[0];
        let is_empty = match self.keys.get(key).map(|kept| &kept.value) {
            Some(Value::Hash(hash)) => hash.is_empty(),
            Some(Value::Sorted(sorted)) => sorted.is_empty(),
            Some(Value::Text(_) | Value::Stream { .. }) | None => false,
        };
        if is_empty {
            self.keys.remove(key);
        }
        Ok(reply)
    }

    /// What only looks.
    fn look(&self, name: &str, args: &[Text], now: u64) -> Result<Option<Reply>, String> {
        let key = args.first().map_or(&b""[..], |key| key);
        Ok(Some(match name {
            "TIME" => Reply::List(vec![
                Reply::text((now / 1_000_000).to_string()),
                Reply::text((now % 1_000_000).to_string()),
            ]),
            "GET" => match self.keys.get(key).map(|kept| &kept.value) {
                Some(Value::Text(text)) => Reply::text(text),
                Some(_) => return Err(WRONG_TYPE.into()),
                None => Reply::Nothing,
            },
            "HGET" => self.hash(key)?.and_then(|hash| hash.get(&args[1])).map_or(Reply::Nothing, Reply::text),
            "HMGET" => {
                let hash = self.hash(key)?;
                let value =
                    |field: &Text| hash.and_then(|hash| hash.get(field)).map_or(Reply::Nothing, Reply::text);
                Reply::List(args[1..].iter().map(value).collect())
            }
            "HLEN" => count(self.hash(key)?.map_or(0, BTreeMap::len)),
            "HVALS" => texts(self.hash(key)?.into_iter().flat_map(BTreeMap::values)),
            "HGETALL" => texts(self.hash(key)?.into_iter().flatten().flat_map(|(name, value)| [name, value])),
            "HRANDFIELD" => {
                texts(self.hash(key)?.into_iter().flat_map(BTreeMap::keys).take(number(&args[1])?))
            }
            "ZSCORE" => {
                let found = self.sorted(key)?.and_then(|sorted| sorted.get(&args[1]));
                found.map_or(Reply::Nothing, |found| score(*found))
            }
            "ZCARD" => count(self.sorted(key)?.map_or(0, BTreeMap::len)),
            "ZRANGE" | "ZRANGEBYSCORE" | "ZRANGEBYLEX" => self.range(name, key, args)?,
            "XRANGE" | "XREVRANGE" => self.stream_range(name == "XREVRANGE", key, args)?,
            _ => return Ok(None),
        }))
    }

    fn range(&self, name: &str, key: &[u8], args: &[Text]) -> Result<Reply, String> {
        let mut members: Vec<(&Text, f64)> =
            self.sorted(key)?.into_iter().flatten().map(|(member, score)| (member, *score)).collect();
        members.sort_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(other.0)));
        let word = |word: &str| args.iter().position(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        let (low, high) = (&args[1], &args[2]);
        if name == "ZRANGEBYLEX" {
            let is_above = |member: &Text| match low.split_first() {
                Some((b'[', rest)) => &member[..] >= rest,
                Some((b'(', rest)) => &member[..] > rest,
                _ => low == b"-",
            };
            let is_below = |member: &Text| match high.split_first() {
                Some((b'[', rest)) => &member[..] <= rest,
                Some((b'(', rest)) => &member[..] < rest,
                _ => high == b"+",
            };
            members.retain(|(member, _)| is_above(member) && is_below(member));
        } else if name == "ZRANGEBYSCORE" || word("BYSCORE").is_some() {
            let bound = |text: &Text| -> Result<(f64, bool), String> {
                Ok(match text.split_first() {
                    Some((b'(', rest)) => (number(rest)?, true),
                    _ => (number(text)?, false),
                })
            };
            let ((low, above), (high, below)) = (bound(low)?, bound(high)?);
            let fits = |score: f64| {
                (score > low || (!above && score == low)) && (score < high || (!below && score == high))
            };
            members.retain(|(_, score)| fits(*score));
        } else {
            assert_eq!((&low[..], &high[..]), (&b"0"[..], &b"-1"[..]), "all of them");
        }
        if let Some(limit) = word("LIMIT") {
            let (skipped, taken): (usize, i64) = (number(&args[limit + 1])?, number(&args[limit + 2])?);
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            members = members.into_iter().skip(skipped).take(taken).collect();
        }
        let with_scores = word("WITHSCORES").is_some();
        let reply = |(member, found): (&Text, f64)| {
            let mut replies = vec![Reply::text(member)];
            replies.extend(with_scores.then(|| score(found)));
            replies
        };
        Ok(Reply::List(members.into_iter().flat_map(reply).collect()))
    }

    fn stream_range(&self, is_reverse: bool, key: &[u8], args: &[Text]) -> Result<Reply, String> {
        let (low, high) = if is_reverse { (&args[2], &args[1]) } else { (&args[1], &args[2]) };
        let max = match args.get(4) {
            Some(max) => number(max)?,
            None => usize::MAX,
        };
        let bound = |text: &Text| -> Result<(Id, bool), String> {
            Ok(match &text[..] {
                b"-" => ((0, 0), false),
                b"+" => ((u64::MAX, u64::MAX), false),
                [b'(', rest @ ..] => (id_of(rest)?, true),
                all => (id_of(all)?, false),
            })
        };
        let ((low, above), (high, below)) = (bound(low)?, bound(high)?);
        let entries = self.stream(key)?.into_iter().flatten();
        let entries = entries.filter(|(id, _)| {
            (**id > low || (!above && **id == low)) && (**id < high || (!below && **id == high))
        });
        let reply = |(id, fields): (&Id, &Vec<Text>)| {
            Reply::List(vec![Reply::text(format!("{}-{}", id.0, id.1)), texts(fields)])
        };
        let mut found: Vec<Reply> = entries.map(reply).collect();
        if is_reverse {
            found.reverse();
        }
        found.truncate(max);
        Ok(Reply::List(found))
    }

    /// What writes.
    fn change(&mut self, name: &str, args: &[Text], now: u64) -> Result<Reply, String> {
        let key = &args[0];
        Ok(match name {
            "SET" => {
                let expires_at = match args {
                    [_, _] => None,
                    [_, _, px, millis] if px == b"PX" => Some(now + number::<u64>(millis)? * 1000),
                    _ => return Err(format!("ERR a SET that is not known: {args:?}")),
                };
                self.keys.insert(key.clone(), Kept { value: Value::Text(args[1].clone()), expires_at });
                Reply::Status("OK")
            }
            "DEL" | "UNLINK" => count(args.iter().filter(|key| self.keys.remove(*key).is_some()).count()),
            "HSET" => {
                let hash = self.hash_mut(key)?;
                let new = args[1..]
                    .chunks(2)
                    .filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none());
                count(new.count())
            }
            "HSETNX" => {
                let hash = self.hash_mut(key)?;
                let is_new = !hash.contains_key(&args[1]);
                hash.entry(args[1].clone()).or_insert_with(|| args[2].clone());
                Reply::Number(i64::from(is_new))
            }
            "HDEL" => {
                let hash = self.hash_mut(key)?;
                count(args[1..].iter().filter(|field| hash.remove(*field).is_some()).count())
            }
            "HINCRBY" => {
                let value = self.hash_mut(key)?.entry(args[1].clone()).or_insert_with(|| b"0".to_vec());
                let sum = number::<i64>(value)? + number::<i64>(&args[2])?;
                *value = sum.to_string().into_bytes();
                Reply::Number(sum)
            }
            "ZADD" => {
                let score = number(&args[1])?;
                count(usize::from(self.sorted_mut(key)?.insert(args[2].clone(), score).is_none()))
            }
            "ZREM" => {
                let sorted = self.sorted_mut(key)?;
                count(args[1..].iter().filter(|member| sorted.remove(*member).is_some()).count())
            }
            "ZREMRANGEBYSCORE" => {
                let high: f64 = number(&args[2])?;
                self.sorted_mut(key)?.retain(|_, score| *score > high);
                Reply::Number(0)
            }
            "XADD" => self.add(key, &args[1..], now)?,
            "XTRIM" => {
                let least = id_of(&args[2])?;
                if let Some(Kept { value: Value::Stream { entries, .. }, .. }) = self.keys.get_mut(key) {
                    entries.retain(|id, _| *id >= least);
                }
                Reply::Number(0)
            }
            _ => return Err(format!("ERR unknown command '{name}'")),
        })
    }

    fn add(&mut self, key: &[u8], args: &[Text], now: u64) -> Result<Reply, String> {
        let (max, args) = match args {
            [maxlen, about, max, rest @ ..] if maxlen == b"MAXLEN" && about == b"~" => (number(max)?, rest),
            _ => (usize::MAX, args),
        };
        let new =
            || Kept { value: Value::Stream { entries: BTreeMap::new(), last: (0, 0) }, expires_at: None };
        let kept = self.keys.entry(key.to_vec()).or_insert_with(new);
        let Value::Stream { entries, last } = &mut kept.value else { return Err(WRONG_TYPE.into()) };
        let id = if args[0] == b"*" {
            let millis = now / 1000;
            if millis > last.0 { (millis, 0) } else { (last.0, last.1 + 1) }
        } else {
            id_of(&args[0])?
        };
        if id <= *last {
            return Err(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item".into()
            );
        }
        *last = id;
        entries.insert(id, args[1..].to_vec());
        while entries.len() > max {
            entries.pop_first();
        }
        Ok(Reply::text(format!("{}-{}", id.0, id.1)))
    }
}

fn id_of(text: &[u8]) -> Result<Id, String> {
    let text = shown(text);
    let (first, second) = text.split_once('-').unwrap_or((&text, "0"));
    Ok((number(first.as_bytes())?, number(second.as_bytes())?))
}
