//! Scripts, run by Lua as Redis does it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::data::{Announced, Data, Hand};
use super::resp::Reply;

/// What a script works on.
struct Work {
    data: Data,
    now: u64,
    refusal: Option<String>,
    announced: Vec<Announced>,
}

/// Lua, and the scripts that it has compiled.
struct Scripts {
    lua: Lua,
    work: Rc<RefCell<Option<Work>>>,
    compiled: HashMap<String, Function>,
    run: Function,
}

thread_local! {
    static SCRIPTS: RefCell<Scripts> = RefCell::new(Scripts::new().expect("Lua"));
}

impl Scripts {
    fn new() -> mlua::Result<Scripts> {
        let (lua, work) = (Lua::new(), Rc::new(RefCell::new(None::<Work>)));
        let redis = lua.create_table()?;
        let here = work.clone();
        let call = lua.create_function(move |lua, args: MultiValue| {
            let command: Vec<Vec<u8>> = args.into_iter().map(|arg| text_of(&arg)).collect();
            let mut work = here.borrow_mut();
            let Work { data, now, refusal, announced } = work.as_mut().expect("a script runs");
            let mut hand = Hand { now: *now, refusal: refusal.as_deref(), announced };
            match data.call(&command, &mut hand) {
                Ok(reply) => to_lua(lua, &reply).map(|value| (true, value)),
                Err(error) => Ok((false, Value::String(lua.create_string(error)?))),
            }
        })?;
        lua.globals().set("foghorn_call", call)?;
        lua.globals().set("redis", redis)?;
        let decode = lua.create_function(|lua, json: mlua::LuaString| {
            let json: serde_json::Value =
                serde_json::from_slice(&json.as_bytes()).map_err(mlua::Error::external)?;
            json_to_lua(lua, &json)
        })?;
        let cjson = lua.create_table()?;
        cjson.set("decode", decode)?;
        lua.globals().set("cjson", cjson)?;
        lua.load(
            "function redis.call(...)
               local is_done, reply = foghorn_call(...)
               if not is_done then error({ err = reply }, 0) end
               return reply
             end
             function redis.error_reply(text) return { err = text } end",
        )
        .exec()?;
        let run = lua.load("return function(script) return pcall(script) end").eval()?;
        Ok(Scripts { lua, work, compiled: HashMap::new(), run })
    }

    fn run(&mut self, source: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> mlua::Result<Reply> {
        if !self.compiled.contains_key(source) {
            let script = self.lua.load(source).into_function()?;
            self.compiled.insert(source.to_owned(), script);
        }
        for (name, texts) in [("KEYS", keys), ("ARGV", args)] {
            let texts =
                texts.iter().map(|text| self.lua.create_string(text)).collect::<mlua::Result<Vec<_>>>()?;
            self.lua.globals().set(name, self.lua.create_sequence_from(texts)?)?;
        }
        let (is_done, value): (bool, Value) = self.run.call(&self.compiled[source])?;
        Ok(match (is_done, &value) {
            (true, value) => to_reply(value)?,
            (false, Value::Table(_)) => to_reply(&value)?,
            (false, value) => panic!("a script does not run: {}", String::from_utf8_lossy(&text_of(value))),
        })
    }
}

fn text_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        // As Lua writes numbers.
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e14 => {
            format!("{number:.0}").into_bytes()
        }
        Value::Number(number) => panic!("a number that Lua writes with an exponent: {number}"),
        other => panic!("this is no argument of a command: {other:?}"),
    }
}

fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Nothing => Value::Boolean(false),
        Reply::Number(number) => Value::Number(*number as f64),
        Reply::Text(text) => Value::String(lua.create_string(text)?),
        Reply::Status(status) => {
            let table = lua.create_table()?;
            table.set("ok", *status)?;
            Value::Table(table)
        }
        Reply::List(list) => {
            let values = list.iter().map(|item| to_lua(lua, item)).collect::<mlua::Result<Vec<_>>>()?;
            Value::Table(lua.create_sequence_from(values)?)
        }
        Reply::Error(_) | Reply::Map(_) | Reply::Push(_) => panic!("no command answers {reply:?}"),
    })
}

fn to_reply(value: &Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::Nil | Value::Boolean(false) => Reply::Nothing,
        Value::Boolean(true) => Reply::Number(1),
        Value::Integer(number) => Reply::Number(*number),
        Value::Number(number) => Reply::Number(format!("{:.0}", number.trunc()).parse().expect("a number")),
        Value::String(text) => Reply::text(text.as_bytes()),
        Value::Table(table) => table_to_reply(table)?,
        other => panic!("no script answers {other:?}"),
    })
}

fn table_to_reply(table: &Table) -> mlua::Result<Reply> {
    if let Ok(Value::String(error)) = table.raw_get("err") {
        return Ok(Reply::Error(error.to_string_lossy()));
    }
    if let Ok(Value::String(_)) = table.raw_get("ok") {
        return Ok(Reply::Status("OK"));
    }
    let mut list = Vec::new();
    for item in table.sequence_values::<Value>() {
        list.push(to_reply(&item?)?);
    }
    Ok(Reply::List(list))
}

fn json_to_lua(lua: &Lua, json: &serde_json::Value) -> mlua::Result<Value> {
    Ok(match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(bool) => Value::Boolean(*bool),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::String(lua.create_string(text)?),
        serde_json::Value::Array(_) => panic!("no settings have a list"),
        serde_json::Value::Object(fields) => {
            let table = lua.create_table()?;
            for (name, value) in fields {
                table.set(&**name, json_to_lua(lua, value)?)?;
            }
            Value::Table(table)
        }
    })
}

/// Runs a script; what it has written before an error stays, as in Redis.
pub(crate) fn run_script(
    source: &str,
    keys: &[Vec<u8>],
    args: &[Vec<u8>],
    data: &mut Data,
    hand: &mut Hand<'_>,
) -> Reply {
    SCRIPTS.with_borrow_mut(|scripts| {
        let refusal = hand.refusal.map(str::to_owned);
        let work = Work { data: std::mem::take(data), now: hand.now, refusal, announced: Vec::new() };
        scripts.work.replace(Some(work));
        let reply = scripts.run(source, keys, args).expect("a script that is understood");
        let work = scripts.work.take().expect("what it worked on");
        *data = work.data;
        hand.announced.extend(work.announced);
        reply
    })
}
