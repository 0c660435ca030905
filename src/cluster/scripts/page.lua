-- A part of the log of a room, and where the log stands.
local key, stream = KEYS[1], KEYS[2]
local uid, from, value, before = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local count_max, bytes_max, is_newest_first = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local CHUNK = 32

local room = load_room(key)
if not room or (uid ~= '' and room.uid ~= uid) then return { 'gone' } end
local is_changed = trim(stream, room, ARGV[8], micros())
local last = math.min(room.seq, math.max(before, 1) - 1)
local after
if from == 'seq' then
  after = math.max(value, room.tail - 1)
elseif from == 'time' then
  after = first_since(stream, room.tail, room.seq, value + 1) - 1
else
  after = math.max(last - value, room.tail - 1)
end

-- Entries, until there are enough. Where one is missing, whoever has removed it, the log begins after it.
local entries, bytes, is_full = {}, 0, count_max == 0
local low, high = after + 1, last

local function begin_at(seq)
  room.tail, room.bytes, is_changed = seq, nil, true
  room.gone = math.max(room.gone, (time_from(stream, seq) or room.at + 1) - 1)
end

local function take(entry)
  local seq = seq_of(entry)
  if is_newest_first and seq ~= high then
    begin_at(high + 1)
    is_full = true
  elseif not is_newest_first and seq ~= low then
    begin_at(seq)
    entries, bytes, low, after = {}, 0, seq, seq - 1
  end
  for index = 2, #entry[2], 2 do bytes = bytes + #entry[2][index] end
  is_full = is_full or (bytes > bytes_max and #entries > 0)
  if is_full then return end
  entries[#entries + 1] = entry
  if is_newest_first then high = seq - 1 else low = seq + 1 end
end

while not is_full and low <= high do
  local some
  local chunk = math.min(CHUNK, count_max - #entries)
  if is_newest_first then
    some = redis.call('XREVRANGE', stream, whole(high) .. '-0', whole(low) .. '-0', 'COUNT', chunk)
  else
    some = redis.call('XRANGE', stream, whole(low) .. '-0', whole(high) .. '-0', 'COUNT', chunk)
  end
  for index = 1, #some do
    if not is_full then take(some[index]) end
  end
  if #some == 0 then
    begin_at(high + 1)
    if not is_newest_first then entries, after = {}, high end
    is_full = true
  end
  is_full = is_full or #entries >= count_max
end
if is_changed then save_room(key, room) end
return {
  'ok', room.uid, room.epoch, whole(room.seq), whole(room.tail), whole(room.gone), whole(after), entries,
}
